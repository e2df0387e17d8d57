//! How messages become bytes.

use std::fmt;
use std::rc::Rc;

use torsade_protocols::SharedBytes;
use torsade_reactor::report_error;
use torsade_reactor::spi::catch;

use crate::message::{Gap, Message};

/// Encodes messages as the bytes that connections are sent; a cheap handle.
///
/// A message is encoded once for all connections that [join](crate::Hub::join) with the same encoding or clones of it; all of
/// them send the same bytes in memory.
///
/// # Examples
/// ```
/// use torsade::hub::{Encoding, Message};
///
/// let lines = Encoding::new(|message: &Message| [message.topic().as_str().as_bytes(), b": ", message.payload(), b"\r\n"].concat())
///     .gaps(|gap| Some(format!("* {gap}\r\n").into_bytes()));
/// ```
#[derive(Clone)]
pub struct Encoding(Rc<Functions>);

struct Functions {
    message: Rc<EncodeMessage>,
    gap: Rc<EncodeGap>,
}

type EncodeMessage = dyn Fn(&Message) -> Vec<u8>;
type EncodeGap = dyn Fn(&Gap) -> Option<Vec<u8>>;

impl Encoding {
    /// Encodes messages with a function, and sends nothing for gaps. If the function panics, the message is not sent.
    #[must_use]
    pub fn new(message: impl Fn(&Message) -> Vec<u8> + 'static) -> Self {
        Self(Rc::new(Functions { message: Rc::new(message), gap: Rc::new(|_| None) }))
    }

    /// Sends each payload as a line that ends in CR LF, as a [`LineReceiver`](torsade_protocols::LineReceiver) does, and nothing
    /// for gaps.
    #[must_use]
    pub fn lines() -> Self {
        Self::new(|message| [message.payload(), &b"\r\n"[..]].concat())
    }

    /// Sets what a connection is sent for a gap; nothing if the function returns `None` or panics.
    #[must_use]
    pub fn gaps(self, gap: impl Fn(&Gap) -> Option<Vec<u8>> + 'static) -> Self {
        Self(Rc::new(Functions { message: Rc::clone(&self.0.message), gap: Rc::new(gap) }))
    }

    pub(crate) fn message(&self, message: &Message) -> SharedBytes {
        SharedBytes::from((self.0.message)(message)).compressed_once()
    }

    pub(crate) fn gap(&self, gap: &Gap) -> Option<SharedBytes> {
        let bytes = catch(|| (self.0.gap)(gap)).unwrap_or_else(|panic| {
            report_error("hub", format_args!("an encoding of gaps {panic}"));
            None
        });
        bytes.map(SharedBytes::from)
    }

    fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoding").finish_non_exhaustive()
    }
}

/// A message that is being delivered, and the bytes made of it so far.
#[derive(Debug)]
pub(crate) struct Encoded<'a> {
    message: &'a Message,
    /// `None` if the encoding panicked.
    made: Vec<(Encoding, Option<SharedBytes>)>,
}

impl<'a> Encoded<'a> {
    pub(crate) const fn new(message: &'a Message) -> Self {
        Self { message, made: Vec::new() }
    }

    pub(crate) const fn message(&self) -> &'a Message {
        self.message
    }

    /// Returns the bytes for connections with this encoding; `None` if it panics.
    pub(crate) fn bytes(&mut self, encoding: &Encoding) -> Option<&SharedBytes> {
        let index = self.made.iter().position(|(known, _)| known.is(encoding)).unwrap_or_else(|| {
            let bytes = catch(|| encoding.message(self.message));
            if let Err(panic) = &bytes {
                report_error("hub", format_args!("an encoding of messages of {} {panic}", self.message.topic()));
            }
            self.made.push((encoding.clone(), bytes.ok()));
            self.made.len() - 1
        });
        self.made[index].1.as_ref()
    }
}
