//! A custom parser as a protocol: part of memcached's text commands, with a store behind it.
//!
//! Run:    cargo run --example memcached_parser [ENDPOINT]     (default 127.0.0.1:11211)
//! Try:    printf 'set greeting 0 0 5\r\nhello\r\nget greeting\r\n' | nc -N 127.0.0.1 11211
//! Expect: STORED, then VALUE greeting 0 5, hello, END.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use torsade::prelude::*;

/// A client's command, borrowed from the received bytes.
pub enum Command<'a> {
    Get(&'a str),
    Set { key: &'a str, flags: &'a str, value: &'a [u8] },
    Unknown,
}

/// Finds commands: a line, and after `set` a block of the length in that line. It has no state.
pub struct Commands;

/// The maximum length of a command line; the decoder's limit is that of a value.
const LINE: usize = 512;

impl Decoder for Commands {
    type Frame<'a> = Command<'a>;
    type Error = std::str::Utf8Error;
    const MAX_LENGTH: usize = 1 << 20;
    const OVERHEAD: usize = LINE + 2;

    fn decode<'a>(&mut self, data: &'a [u8], max_length: usize) -> Result<Decoded<Command<'a>>, FrameError<Self::Error>> {
        let Some(end) = data.iter().take(LINE).position(|byte| *byte == b'\n') else {
            let too_long = FrameError::TooLong { length: data.len(), limit: LINE };
            return if data.len() < LINE { Ok(Decoded::Incomplete { needed: 0 }) } else { Err(too_long) };
        };
        let line = std::str::from_utf8(&data[..end])?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let (frame, used) = match words[..] {
            ["get", key] => (Command::Get(key), end + 1),
            ["set", key, flags, _expires, length] if length.parse::<usize>().is_ok() => {
                let length = length.parse().unwrap_or(usize::MAX);
                if length > max_length {
                    return Err(FrameError::TooLong { length, limit: max_length });
                }
                let block = end + 1..end + 1 + length;
                let used = block.end + 2;
                match data.get(block) {
                    Some(value) if data.len() >= used => (Command::Set { key, flags, value }, used),
                    _ => return Ok(Decoded::Incomplete { needed: used }),
                }
            }
            _ => (Command::Unknown, end + 1),
        };
        Ok(Decoded::Frame { frame, used })
    }
}

type Store = Rc<RefCell<HashMap<String, (String, Vec<u8>)>>>;

struct Cache {
    store: Store,
}

impl FrameProtocol<Commands> for Cache {
    fn frame_received(&mut self, transport: &FrameTransport, command: Command<'_>) -> Result {
        match command {
            Command::Get(key) => {
                if let Some((flags, value)) = self.store.borrow().get(key) {
                    transport.write(format!("VALUE {key} {flags} {}\r\n", value.len()));
                    transport.write_sequence(&[value, b"\r\n"]);
                }
                transport.write("END\r\n");
            }
            Command::Set { key, flags, value } => {
                self.store.borrow_mut().insert(key.to_owned(), (flags.to_owned(), value.to_vec()));
                transport.write("STORED\r\n");
            }
            Command::Unknown => transport.write("ERROR\r\n"),
        }
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let store = Store::default();
    Ok(reactor.listen(endpoint, move |_peer| FrameReceiver::new(Commands, Cache { store: store.clone() }))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:11211".into());
    let reactor = Reactor::new()?;
    println!("listening on {}", start(&reactor, &endpoint)?.address());
    reactor.run()
}
