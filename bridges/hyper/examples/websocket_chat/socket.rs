//! A WebSocket on an upgraded connection: its limits, and closing as in RFC 6455, 7.

use std::future::Future;
use std::time::Duration;

use async_tungstenite::tungstenite::error::{Error, ProtocolError};
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use async_tungstenite::{WebSocketReceiver, WebSocketSender, WebSocketStream};
use futures_lite::future::or;
use futures_lite::{AsyncWriteExt, StreamExt};
use torsade::{AsyncConnection, Reactor};

pub type Sender = WebSocketSender<AsyncConnection>;
pub type Receiver = WebSocketReceiver<AsyncConnection>;

/// How long a peer may be silent, and how long the server waits for its goodbye.
const SILENCE: Duration = Duration::from_secs(60);
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a conversation ends if the peer does not close it.
pub enum End {
    Told(CloseCode, &'static str),
    Failed(Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl End {
    /// The close frame for a peer that is still there.
    fn close_frame(&self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Told(code, reason) => (*code, (*reason).to_owned()),
            Self::Failed(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return None,
            Self::Failed(error @ Error::Protocol(_)) => (CloseCode::Protocol, error.to_string()),
            Self::Failed(error @ Error::Utf8(_)) => (CloseCode::Invalid, error.to_string()),
            Self::Failed(error @ Error::Capacity(_)) => (CloseCode::Size, error.to_string()),
            Self::Failed(_) => return None,
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}

/// Holds a conversation in messages of at most `longest` bytes, prints how it ended, and closes the connection.
pub async fn converse(
    connection: AsyncConnection,
    longest: usize,
    reactor: &Reactor,
    conversation: impl AsyncFnOnce(&mut Sender, &mut Receiver) -> Result<(), End>,
) {
    let peer = connection.transport().peer().clone();
    let bounds = WebSocketConfig::default().max_message_size(Some(longest)).max_frame_size(Some(longest));
    let buffers = bounds.read_buffer_size(4096).write_buffer_size(4096).max_write_buffer_size(4 * longest);
    let socket = WebSocketStream::from_raw_socket(connection, Role::Server, Some(buffers)).await;
    let (mut sender, mut receiver) = socket.split();
    let end = conversation(&mut sender, &mut receiver).await.err();
    match &end {
        None => println!("{peer}: it has left"),
        Some(End::Told(_, reason)) => println!("{peer}: {reason}"),
        Some(End::Failed(error)) => println!("{peer}: {error}"),
    }
    let goodbye = async {
        if let Some(frame) = end.and_then(|end| end.close_frame()) {
            sender.close(Some(frame)).await.ok();
            while let Some(Ok(_)) = receiver.next().await {}
        }
        let socket = WebSocketStream::reunite(sender, receiver).expect("they are of one socket");
        socket.into_inner().close().await.ok();
    };
    // The goodbye is a courtesy to a peer that may be gone. A connection that is dropped unclosed is aborted.
    or(goodbye, async { drop(reactor.sleep(GOODBYE).await) }).await;
}

/// Waits for `work`, which fails if the peer is silent for too long.
pub async fn within<T>(reactor: &Reactor, work: impl Future<Output = Result<T, Error>>) -> Result<T, End> {
    let silence = async {
        reactor.sleep(SILENCE).await.ok();
        Err(End::Told(CloseCode::Policy, "no sign of life"))
    };
    or(async { Ok(work.await?) }, silence).await
}

/// The next text or binary message; `None` when the peer has closed. tungstenite answers pings.
pub async fn hear(receiver: &mut Receiver, reactor: &Reactor) -> Result<Option<Message>, End> {
    loop {
        match within(reactor, async { receiver.next().await.transpose() }).await? {
            Some(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => {}
            message => return Ok(message),
        }
    }
}

/// Sends back what arrives.
pub async fn echo(sender: &mut Sender, receiver: &mut Receiver, reactor: &Reactor) -> Result<(), End> {
    while let Some(message) = hear(receiver, reactor).await? {
        within(reactor, sender.send(message)).await?;
    }
    Ok(())
}
