//! The example `websocket_chat` against hand-made bytes, in the simulated network.

#[allow(dead_code)]
#[path = "../../examples/websocket_chat/main.rs"]
mod websocket_chat;

mod cases;
mod chance;
mod frames;
mod handshakes;
mod members;

use std::io;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use torsade::prelude::*;
use torsade::simulated::Simulation;

use frames::*;

const SECOND: Duration = Duration::from_secs(1);
/// RFC 6455, 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn network() -> Simulation {
    let simulation = Simulation::new(1);
    let server = simulation.host("10.0.0.1");
    websocket_chat::start(&server, "tcp:80").unwrap();
    simulation
}

/// Runs `main` on its own host, for at most an hour of simulated time, and returns its result.
fn run<T: 'static, F>(simulation: &Simulation, main: impl FnOnce(Reactor) -> F) -> T
where
    F: Future<Output = Result<T>> + 'static,
{
    let client = simulation.host("10.0.0.2");
    let task = client.spawn(main((*client).clone())).into_deferred();
    simulation.run_for(3600 * SECOND).unwrap();
    task.into_result().expect("the task has ended").unwrap_or_else(|failure| panic!("{failure}"))
}

fn request(path: &str, key: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 10.0.0.1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    )
}

/// A client of raw bytes.
struct Client {
    reactor: Reactor,
    connection: AsyncConnection,
    unread: Vec<u8>,
}

impl Client {
    async fn connect(reactor: &Reactor) -> Result<Self> {
        let connection = reactor.connect_async("10.0.0.1:80").await?;
        Ok(Self { reactor: reactor.clone(), connection, unread: Vec::new() })
    }

    /// A client that was upgraded.
    async fn upgraded(reactor: &Reactor, path: &str) -> Result<Self> {
        let mut client = Self::connect(reactor).await?;
        client.say(request(path, KEY).as_bytes()).await?;
        let head = client.head().await?;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Ok(client)
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.write_all(bytes).await?;
        self.connection.flush().await
    }

    /// Sends each piece when the one before has long arrived.
    async fn say_in_pieces(&mut self, pieces: &[&[u8]]) -> Result {
        for piece in pieces {
            self.say(piece).await?;
            self.reactor.sleep(SECOND / 10).await?;
        }
        Ok(())
    }

    /// The head of the server's answer.
    async fn head(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|end| end == b"\r\n\r\n") {
                return Ok(String::from_utf8(self.unread.drain(..end + 4).collect())?);
            }
            if !self.more().await? {
                return Err("the answer is cut".into());
            }
        }
    }

    /// The next frame; `None` at the end.
    async fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        loop {
            let mut first = take_frames(&mut self.unread);
            if !first.is_empty() {
                let next = first.remove(0);
                let rest =
                    first.into_iter().flat_map(|(first, payload)| [header(first, 0, payload.len() as u64), payload].concat());
                self.unread = rest.chain(std::mem::take(&mut self.unread)).collect();
                return Ok(Some(next));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    async fn line(&mut self) -> Result<String> {
        match self.frame().await? {
            Some((0x81, line)) => Ok(String::from_utf8(line)?),
            other => Err(format!("no line, but {other:?}").into()),
        }
    }

    /// All frames up to the end of the server's stream.
    async fn rest(&mut self) -> Result<Vec<(u8, Vec<u8>)>> {
        while self.more().await? {}
        let frames = take_frames(&mut self.unread);
        assert!(self.unread.is_empty(), "half a frame: {}", self.unread.escape_ascii());
        Ok(frames)
    }

    async fn more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let count = self.connection.read(&mut buffer).await?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }
}
