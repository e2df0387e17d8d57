//! Connections that leave HTTP: WebSockets and similar protocols, and CONNECT tunnels.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::Request;
use send_wrapper::SendWrapper;
use torsade::AsyncConnection;

/// Returns a future of the connection that `request` came on, available once its answer was sent, for use by another protocol.
///
/// Call it before answering a request that asks for an upgrade (with an `Upgrade` header in HTTP/1.1, or the method CONNECT). The
/// answer then has to be `101 Switching Protocols`, or for CONNECT any status from 200 to 299. This is hyper's `upgrade::on` for
/// connections that belong to one thread. The connection includes everything the peer sent after its request.
///
/// If the answer switches protocols without a call of this, the connection is closed.
///
/// # Examples
/// A service that echoes once it has switched:
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use http_body_util::Empty;
/// use hyper::body::Bytes;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
/// use torsade::prelude::*;
/// use torsade_hyper::{HttpServer, RequestBody, upgrade};
///
/// async fn echo(upgrade: upgrade::OnUpgrade) -> Result {
///     let mut connection = upgrade.await?;
///     let mut line = [0; 6];
///     connection.read_exact(&mut line).await?;
///     connection.write_all(&line).await?;
///     Ok(connection.close().await?)
/// }
///
/// fn serve(reactor: &Reactor) -> Result {
///     let spawning = reactor.clone();
///     let service = service_fn(move |mut request: Request<RequestBody>| {
///         spawning.spawn(echo(upgrade::on(&mut request)));
///         let switching = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
///         async { switching.body(Empty::<Bytes>::new()) }
///     });
///     HttpServer::new(service).listen(reactor, "127.0.0.1:0")?;
///     Ok(())
/// }
/// ```
pub fn on<B>(request: &mut Request<B>) -> OnUpgrade {
    let slot = request.extensions_mut().remove::<Possible>().map(|possible| possible.0.take());
    OnUpgrade(slot.inspect(|slot| slot.borrow_mut().awaited = true))
}

/// A future of a request's connection, available once its answer was sent; made by [`on`].
///
/// If dropped, the connection is closed after that answer.
pub struct OnUpgrade(Option<Rc<RefCell<Slot>>>);

impl Future for OnUpgrade {
    type Output = Result<AsyncConnection, UpgradeError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(slot) = &self.0 else { return Poll::Ready(Err(UpgradeError::NotAsked)) };
        let mut slot = slot.borrow_mut();
        match slot.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for OnUpgrade {
    fn drop(&mut self) {
        if let Some(slot) = &self.0 {
            slot.borrow_mut().awaited = false;
        }
    }
}

impl fmt::Debug for OnUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnUpgrade").finish_non_exhaustive()
    }
}

/// Why the connection is not available.
#[derive(Debug, Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The service's answer had another status than 101 (for CONNECT, 200 to 299): HTTP continues.
    Declined,
    /// The connection ended before the answer was sent, or the service failed.
    Lost,
    /// The request does not ask for an upgrade, came over HTTP/2, which has none, or `on` was already called for it.
    NotAsked,
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declined => "the response is not an upgrade: that has status 101, or 200 to 299 for CONNECT",
            Self::Lost => "the connection ended before an upgrade was answered",
            Self::NotAsked => "the request does not ask to upgrade an HTTP/1.1 connection, or its upgrade was already taken",
        })
    }
}

impl Error for UpgradeError {}

/// State shared by the server's and the service's end.
#[derive(Default)]
struct Slot {
    outcome: Option<Result<AsyncConnection, UpgradeError>>,
    /// Whether the service's end exists to take the connection.
    awaited: bool,
    /// Whether the outcome is known; it may have been taken since.
    settled: bool,
    waker: Option<Waker>,
}

/// The service's end, in the request's extensions, which require `Send` and `Clone`.
#[derive(Clone)]
struct Possible(SendWrapper<Rc<RefCell<Slot>>>);

/// The server's end. If dropped, it reports that the connection was lost.
pub(crate) struct Upgrade(Rc<RefCell<Slot>>);

impl Upgrade {
    /// Begins an upgrade if `request` asks for one.
    pub(crate) fn begin<B>(request: &mut Request<B>) -> Option<Self> {
        // hyper puts its own where an upgrade is possible; that one requires connections that are `Send`.
        request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>()?;
        let slot = Rc::<RefCell<Slot>>::default();
        request.extensions_mut().insert(Possible(SendWrapper::new(Rc::clone(&slot))));
        Some(Self(slot))
    }

    /// Passes the connection to the service; returns it if the service does not want it.
    pub(crate) fn give(self, connection: AsyncConnection) -> Option<AsyncConnection> {
        if !self.0.borrow().awaited {
            return Some(connection);
        }
        self.settle(Ok(connection));
        None
    }

    /// Tells the service that its answer was not an upgrade.
    pub(crate) fn decline(self) {
        self.settle(Err(UpgradeError::Declined));
    }

    fn settle(&self, outcome: Result<AsyncConnection, UpgradeError>) {
        let mut slot = self.0.borrow_mut();
        if std::mem::replace(&mut slot.settled, true) {
            return;
        }
        slot.outcome = Some(outcome);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        self.settle(Err(UpgradeError::Lost));
    }
}
