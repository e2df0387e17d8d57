//! A WebSocket server that echoes, with permessage-deflate: an HTTP request, then frames, by a `Decoder` of one's own.
//!
//! Run:    cargo run --example websocket_echo [ENDPOINT]     (127.0.0.1:8765 unless given)
//! Try:    websockets ws://127.0.0.1:8765 (of the Python package), wscat, or `new WebSocket(..)` in a browser's console
//! Expect: what one sends comes back; the server prints what compression did. Messages of more than 1 MiB are refused,
//!         and so are those that would become more.
//!
//! Four ideas, four files: `frame` cuts the bytes, `upgrade` answers the request, `permessage_deflate` packs messages,
//! and here is the conversation. `set_compression` is no use here: what is compressed are messages, not the connection.

mod frame;
mod permessage_deflate;
mod upgrade;

use frame::*;
use permessage_deflate::PermessageDeflate;
use torsade::prelude::*;

#[derive(Default)]
struct Echo {
    deflate: Option<PermessageDeflate>,
    /// What has come of a message that is not complete.
    message: Option<Message>,
}

struct Message {
    opcode: u8,
    packed: bool,
    payload: Vec<u8>,
}

impl Echo {
    fn frame(&mut self, transport: &FrameTransport, frame: &Frame<'_>) -> Result<(), Code> {
        match frame.opcode {
            CLOSE => Err(close_code(&frame.unmask().collect::<Vec<_>>())?),
            PING => {
                write(transport, PONG, false, &frame.unmask().collect::<Vec<_>>());
                Ok(())
            }
            PONG => Ok(()),
            opcode => {
                let message = match (opcode, self.message.take()) {
                    (CONTINUATION, Some(message)) if !frame.packed => message,
                    (TEXT | BINARY, None) if !frame.packed || self.deflate.is_some() => {
                        Message { opcode, packed: frame.packed, payload: Vec::new() }
                    }
                    _ => return Err(PROTOCOL),
                };
                self.fragment(transport, message, frame)
            }
        }
    }

    fn fragment(&mut self, transport: &FrameTransport, mut message: Message, frame: &Frame<'_>) -> Result<(), Code> {
        if message.payload.len() + frame.len() > MESSAGE {
            return Err(TOO_BIG);
        }
        message.payload.extend(frame.unmask());
        if !frame.last {
            self.message = Some(message);
            return Ok(());
        }
        let Message { opcode, packed, mut payload } = message;
        if let Some(deflate) = self.deflate.as_mut().filter(|_| packed) {
            payload = deflate.unpack(payload)?;
        }
        if opcode == TEXT && std::str::from_utf8(&payload).is_err() {
            return Err(NOT_TEXT);
        }
        match &mut self.deflate {
            Some(deflate) if !payload.is_empty() => write(transport, opcode, true, &deflate.pack(&payload)?),
            _ => write(transport, opcode, false, &payload),
        }
        Ok(())
    }
}

/// What to answer a close with: the same.
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

/// Says goodbye, and why.
fn close(transport: &FrameTransport, code: Code) {
    let payload = code.0.to_be_bytes();
    write(transport, CLOSE, false, if code == NOT_A_STATUS { &[] } else { &payload });
    transport.lose_connection();
}

impl FrameProtocol<WebSocketDecoder> for Echo {
    fn frame_received(&mut self, transport: &FrameTransport, input: Input<'_>) -> Result {
        match input {
            Input::Request(request) => match upgrade::answer(request) {
                Ok((answer, deflate)) => {
                    transport.write(answer);
                    self.deflate = deflate;
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
            FrameError::TooLong { limit: MESSAGE, .. } => close(transport, TOO_BIG),
            _ => {
                transport.write(upgrade::REFUSAL);
                transport.lose_connection();
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &FrameTransport, reason: &Reason) -> Result {
        println!("{}: {reason}", transport.peer());
        if let Some(PermessageDeflate { counts: [out, packed_out, got, packed], .. }) = &self.deflate {
            println!("sent {out} bytes as {packed_out} of permessage-deflate; got {got} bytes as {packed} of it");
        }
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| FrameReceiver::new(WebSocketDecoder::default(), Echo::default()))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8765".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
