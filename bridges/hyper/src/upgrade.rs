//! Connections that leave HTTP behind: WebSockets and their likes, and tunnels by CONNECT.

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

/// Gives the connection that `request` came on, once its answer was sent, for whatever protocol comes after HTTP.
///
/// Called on a request that asks for it (an `Upgrade` header in HTTP/1.1, or the method CONNECT), before it is answered; the
/// answer is then `101 Switching Protocols`, or for CONNECT anything from 200 to 299. It is hyper's `upgrade::on` for
/// connections that belong to one thread. Everything that the peer has sent behind its request is in the connection.
///
/// An upgrade that was answered but that nobody has asked for here closes the connection.
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

/// The connection of a request, to come when its answer was sent; made by [`on`].
///
/// Dropped, it leaves the connection to be closed after that answer.
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

/// Why there is no connection to go on with.
#[derive(Debug, Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The service has answered something else than 101, or than 200 to 299 in the case of CONNECT: HTTP goes on.
    Declined,
    /// The connection ended before the answer was sent, or the service failed.
    Lost,
    /// The request asks for no upgrade, came by HTTP/2, which has none, or was asked for its connection before.
    NotAsked,
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Declined => "the answer was no upgrade: it takes status 101, or for CONNECT 200 to 299",
            Self::Lost => "the connection ended before an upgrade was answered",
            Self::NotAsked => "the request asks for no upgrade of an HTTP/1.1 connection, or was asked for it before",
        })
    }
}

impl Error for UpgradeError {}

/// What the two ends share: the server's, and the service's.
#[derive(Default)]
struct Slot {
    outcome: Option<Result<AsyncConnection, UpgradeError>>,
    /// The service's end is there to take it.
    awaited: bool,
    /// The outcome was told; it may have been taken since.
    settled: bool,
    waker: Option<Waker>,
}

/// The service's end, in the request's extensions, which want what can be sent and cloned.
#[derive(Clone)]
struct Possible(SendWrapper<Rc<RefCell<Slot>>>);

/// The server's end. Dropped, it says that the connection was lost.
pub(crate) struct Upgrade(Rc<RefCell<Slot>>);

impl Upgrade {
    /// Begins one if `request` asks for it.
    pub(crate) fn begin<B>(request: &mut Request<B>) -> Option<Self> {
        // hyper's own, which it puts where an upgrade is possible, wants connections that can be sent to other threads.
        request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>()?;
        let slot = Rc::<RefCell<Slot>>::default();
        request.extensions_mut().insert(Possible(SendWrapper::new(Rc::clone(&slot))));
        Some(Self(slot))
    }

    /// Gives the connection to the service; back if the service does not want it.
    pub(crate) fn give(self, connection: AsyncConnection) -> Option<AsyncConnection> {
        if !self.0.borrow().awaited {
            return Some(connection);
        }
        self.settle(Ok(connection));
        None
    }

    /// Tells the service that its answer was no upgrade.
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
