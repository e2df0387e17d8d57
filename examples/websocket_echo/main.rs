//! A WebSocket echo server with permessage-deflate: an HTTP request, then frames, by a custom `Decoder`.
//!
//! Run:    cargo run --example websocket_echo [ENDPOINT [MAX_MESSAGE]]     (default 127.0.0.1:8765 and 1048576)
//! Try:    websockets ws://127.0.0.1:8765 (of the Python package), wscat, or `new WebSocket(..)` in a browser's console
//! Expect: each message comes back, and the server prints compression statistics. Messages of more than MAX_MESSAGE bytes are refused,
//!         also if they only exceed it once decompressed.
//!
//! Three ideas, three files: `frame` decodes frames, `upgrade` answers the request, `text` validates UTF-8; this file has the
//! conversation. A message is echoed as it arrives, in frames of its own, so it is never in memory as a whole. `set_compression`
//! is not used: what is compressed here are messages, not the connection, with `torsade::permessage_deflate`.

mod frame;
mod text;
mod upgrade;

use frame::*;
use text::TextCheck;
use torsade::permessage_deflate::{Compressor, Decompressor};
use torsade::prelude::*;
use torsade::{DecompressError, DecompressErrorKind};

/// How much of a message goes into a frame, and is decompressed at once, in bytes.
const PIECE: usize = 16 << 10;

struct Echo {
    upgraded: bool,
    deflate: Option<(Compressor, Decompressor)>,
    max_message: usize,
    message: Option<Message>,
    /// Payload bytes of compressed messages: sent and received, each uncompressed and on the wire.
    counts: [usize; 4],
}

/// A message that is being echoed.
struct Message {
    opcode: u8,
    compressed: bool,
    length: usize,
    text: TextCheck,
    /// The payload of the next frame, and whether that is the message's first.
    echo: Vec<u8>,
    begins: bool,
}

impl Echo {
    fn frame(&mut self, transport: &FrameTransport, frame: &Frame<'_>) -> Result<(), Code> {
        match frame.header.opcode {
            CLOSE => Err(close_code(&frame.unmask())?),
            PING => {
                write(transport, FIN | PONG, &frame.unmask());
                Ok(())
            }
            PONG => Ok(()),
            _ => {
                let mut message = self.message_of(frame).ok_or(PROTOCOL)?;
                self.payload(transport, &mut message, &frame.unmask(), frame.ends_message)?;
                self.message = Some(message).filter(|_| !frame.ends_message);
                Ok(())
            }
        }
    }

    /// The message that a frame belongs to; `None` if the frame is not allowed here.
    fn message_of(&mut self, frame: &Frame<'_>) -> Option<Message> {
        let Header { opcode, compressed, .. } = frame.header;
        match (opcode, self.message.take()) {
            (_, message) if !frame.begins => message,
            (CONTINUATION, Some(message)) if !compressed => Some(message),
            (TEXT | BINARY, None) if !compressed || self.deflate.is_some() => {
                let (text, echo) = (TextCheck::default(), Vec::new());
                Some(Message { opcode, compressed, length: 0, text, echo, begins: true })
            }
            _ => None,
        }
    }

    fn payload(&mut self, transport: &FrameTransport, message: &mut Message, payload: &[u8], last: bool) -> Result<(), Code> {
        if !message.compressed {
            return self.echo(transport, message, payload, last);
        }
        self.counts[3] += payload.len();
        let (mut rest, mut plain, mut more) = (payload, Vec::new(), true);
        while more {
            let Some((_, decompressor)) = &mut self.deflate else { return Err(PROTOCOL) };
            more = decompressor.decompress(&mut rest, last, &mut plain, PIECE).map_err(|error| refusal(&error))?;
            self.counts[2] += plain.len();
            self.echo(transport, message, &plain, last && !more)?;
            plain.clear();
        }
        Ok(())
    }

    /// Sends a part of the message back once there is enough for a frame, or the message has ended.
    fn echo(&mut self, transport: &FrameTransport, message: &mut Message, plain: &[u8], last: bool) -> Result<(), Code> {
        message.length += plain.len();
        if message.length > self.max_message {
            return Err(TOO_BIG);
        }
        if message.opcode == TEXT {
            message.text.add(plain)?;
            if last {
                message.text.end()?;
            }
        }
        let before = message.echo.len();
        match &mut self.deflate {
            Some((compressor, _)) => {
                compressor.compress(plain, last, &mut message.echo).map_err(|_| OUR_FAULT)?;
                self.counts[0] += plain.len();
                self.counts[1] += message.echo.len() - before;
            }
            None => message.echo.extend_from_slice(plain),
        }
        if last || message.echo.len() >= PIECE {
            let compressed = if self.deflate.is_some() { COMPRESSED } else { 0 };
            let first = if message.begins { message.opcode | compressed } else { CONTINUATION };
            write(transport, if last { FIN | first } else { first }, &message.echo);
            message.echo.clear();
            message.begins = false;
        }
        Ok(())
    }
}

fn refusal(error: &DecompressError) -> Code {
    match error.kind {
        DecompressErrorKind::LimitTotal { .. } => TOO_BIG,
        DecompressErrorKind::Memory { .. } => OUR_FAULT,
        _ => PROTOCOL,
    }
}

/// The code to answer a close with: the same.
fn close_code(payload: &[u8]) -> Result<Code, Code> {
    match payload {
        [] => Ok(NOT_A_STATUS),
        [high, low, text @ ..] => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) if std::str::from_utf8(text).is_ok() => Ok(Code(code)),
            _ => Err(PROTOCOL),
        },
        [_] => Err(PROTOCOL),
    }
}

/// Sends a close frame with this code, and closes.
fn close(transport: &FrameTransport, code: Code) {
    let payload = code.0.to_be_bytes();
    write(transport, FIN | CLOSE, if code == NOT_A_STATUS { &[] } else { &payload });
    transport.lose_connection();
}

impl FrameProtocol<WebSocketDecoder> for Echo {
    fn frame_received(&mut self, transport: &FrameTransport, input: Input<'_>) -> Result {
        match input {
            Input::Request(request) => match upgrade::answer(request) {
                Ok((answer, agreed)) => {
                    transport.write(answer);
                    self.upgraded = true;
                    self.deflate = agreed.map(|agreed| {
                        let (compressor, decompressor) = agreed.server_side(transport.reactor());
                        (compressor, decompressor.max_message(self.max_message as u64))
                    });
                }
                Err(refusal) => {
                    transport.write(refusal);
                    transport.lose_connection();
                }
            },
            Input::Frame(frame) => {
                if let Err(code) = self.frame(transport, &frame) {
                    close(transport, code);
                }
            }
        }
        Ok(())
    }

    fn frame_refused(&mut self, transport: &FrameTransport, error: FrameError<Code>) -> Result {
        match error {
            FrameError::Decode(code) => close(transport, code),
            FrameError::TooLong { .. } if self.upgraded => close(transport, TOO_BIG),
            _ => {
                transport.write(upgrade::REFUSAL);
                transport.lose_connection();
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &FrameTransport, reason: &Reason) -> Result {
        println!("{}: {reason}", transport.peer());
        if self.deflate.is_some() {
            let [out, packed_out, got, packed] = self.counts;
            println!("sent {out} bytes as {packed_out} of permessage-deflate; got {got} bytes as {packed} of it");
        }
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str, max_message: usize) -> Result<Port> {
    Ok(reactor.listen(endpoint, move |_peer| {
        let echo = Echo { upgraded: false, deflate: None, max_message, message: None, counts: [0; 4] };
        FrameReceiver::new(WebSocketDecoder::default(), echo).max_length(max_message)
    })?)
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:8765".into());
    let max_message = arguments.next().map_or(Ok(1 << 20), |bytes| bytes.parse())?;
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint, max_message)?;
    println!("listening on {}", port.address());
    reactor.run()
}
