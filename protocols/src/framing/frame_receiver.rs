//! A protocol for the frames of any decoder.

use torsade_reactor::Result;

use crate::framing::callbacks::{call_back, connection_callbacks};
use crate::framing::decoder::{Decoder, FrameError, next_frame};
use crate::framing::frame_transport::FrameTransport;
use crate::framing::receiver::{Messages, Receiver, Run, receiver};
use crate::protocol::Callback;

/// The callbacks of a connection that exchanges frames. Run by a [`FrameReceiver`], which has an example.
pub trait FrameProtocol<D: Decoder> {
    /// A whole frame arrived.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn frame_received(&mut self, transport: &FrameTransport, frame: D::Frame<'_>) -> Result;

    /// The decoder cannot continue. The default closes the connection.
    ///
    /// Further input is dropped, unless [`FrameTransport::take_remaining`] is called.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn frame_refused(&mut self, transport: &FrameTransport, error: FrameError<D::Error>) -> Result {
        log::info!("closing connection {} from {}: {error}", transport.id(), transport.peer());
        transport.lose_connection();
        Ok(())
    }

    connection_callbacks!(FrameTransport);
}

/// A protocol that splits its input into a [`Decoder`]'s frames and passes them to a [`FrameProtocol`].
///
/// Between two frames it checks [`Transport::is_reading`](crate::Transport::is_reading): while the connection is paused, closing
/// or congested it keeps the rest, and continues when reading is resumed. It keeps at most the maximum length, the decoder's
/// overhead and one read.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::testing::StringTransport;
///
/// /// Points of two bytes each.
/// struct Points;
///
/// impl Decoder for Points {
///     type Frame<'a> = (u8, u8);
///     type Error = std::convert::Infallible;
///
///     fn decode<'a>(&mut self, data: &'a [u8], _: usize) -> Result<Decoded<(u8, u8)>, FrameError<Self::Error>> {
///         Ok(match data {
///             [x, y, ..] => Decoded::Frame { frame: (*x, *y), used: 2 },
///             _ => Decoded::Incomplete { needed: 2 },
///         })
///     }
/// }
///
/// struct Mirror;
///
/// impl FrameProtocol<Points> for Mirror {
///     fn frame_received(&mut self, transport: &FrameTransport, (x, y): (u8, u8)) -> Result {
///         transport.write([y, x]);
///         Ok(())
///     }
/// }
///
/// let transport = StringTransport::new();
/// let mut protocol = FrameReceiver::new(Points, Mirror);
/// protocol.data_received(&transport, b"abc")?;
/// protocol.data_received(&transport, b"d")?;
/// assert_eq!(transport.value(), b"badc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameReceiver<D, P>(Receiver<Frames<D, P>, FrameTransport>);

impl<D: Decoder, P: FrameProtocol<D>> FrameReceiver<D, P> {
    /// Runs `protocol` on frames from `decoder`, of at most [`Decoder::MAX_LENGTH`] bytes.
    #[must_use]
    pub fn new(decoder: D, protocol: P) -> Self {
        Self(Receiver::new(Frames { decoder, protocol }))
    }
}

receiver!(FrameReceiver, D: Decoder, P: FrameProtocol<D>);

/// A decoder's frames, as [`Messages`].
#[derive(Debug)]
struct Frames<D, P> {
    decoder: D,
    protocol: P,
}

impl<D: Decoder, P: FrameProtocol<D>> Messages for Frames<D, P> {
    type Transport = FrameTransport;

    const MAX_LENGTH: usize = D::MAX_LENGTH;

    fn transport(&self, frames: FrameTransport) -> FrameTransport {
        frames
    }

    #[inline]
    fn deliver(&mut self, transport: &FrameTransport, run: &Run<'_>) -> Result<Option<usize>> {
        deliver_frames(&mut self.decoder, run, |frame| match frame {
            Ok(frame) => self.protocol.frame_received(transport, frame),
            Err(error) => self.protocol.frame_refused(transport, error),
        })
    }

    fn call_back(&mut self, transport: &FrameTransport, callback: Callback<'_>) -> Result {
        call_back!(self.protocol, transport, callback)
    }
}

/// Passes frames, or the decoder's error, to `deliver`.
#[inline]
pub(crate) fn deliver_frames<D: Decoder>(
    decoder: &mut D,
    run: &Run<'_>,
    mut deliver: impl FnMut(Result<D::Frame<'_>, FrameError<D::Error>>) -> Result,
) -> Result<Option<usize>> {
    let (gate, max_length) = (&run.inbox.gate, run.inbox.max_length.get());
    while let Some(frame) = next_frame(decoder, &run.buffer, gate, max_length) {
        deliver(frame)?;
        if !run.goes_on() {
            return Ok(None);
        }
    }
    Ok(Some(if gate.has_failed() { 0 } else { run.buffer.len() }))
}
