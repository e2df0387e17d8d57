//! The connections of the pool, and their tasks. A connection ends with a request that is dropped.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_io::AsyncWrite;
use hyper::client::conn::{http1, http2};
use torsade::{AsyncConnection, Deferred, DeferredError, Reactor, Result};

use super::outgoing_body::OutgoingBody;
use crate::{TorsadeExecutor, TorsadeIo, TorsadeTimer};

/// A connection that serves one request at a time. If dropped while serving, it is aborted; otherwise it closes.
pub(super) struct Http1 {
    pub(super) sender: http1::SendRequest<OutgoingBody>,
    serving: Rc<Cell<Serving>>,
    /// Runs hyper; returns the connection if the last request was an upgrade.
    task: Deferred<Option<AsyncConnection>>,
}

/// What the connection is doing.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(super) enum Serving {
    /// Nothing that is being waited for: it may close.
    #[default]
    Nothing,
    Request,
    /// A response that nobody wants any more. hyper checks whether the rest of it is here; if not, the connection ends.
    Unwanted,
    /// A request that may switch the connection to another protocol.
    Upgrade,
}

impl Http1 {
    pub(super) async fn begin(reactor: &Reactor, connection: AsyncConnection) -> hyper::Result<Self> {
        let (sender, http) = http1::handshake(TorsadeIo::new(connection)).await?;
        let serving = Rc::<Cell<Serving>>::default();
        let task = reactor.spawn(run(http, Rc::clone(&serving))).into_deferred();
        // A cancellation is reported where it was caused.
        let task = task.add_errback(|failure| {
            failure.trap::<DeferredError>()?;
            Ok(None)
        });
        Ok(Self { sender, serving, task })
    }

    pub(super) fn set_serving(&self, serving: Serving) {
        self.serving.set(serving);
    }

    /// Returns the connection once it has left HTTP; `None` if it was lost.
    pub(super) async fn upgraded(&mut self) -> Option<AsyncConnection> {
        (&mut self.task).await.ok().flatten()
    }

    /// Continues with HTTP after a request that was not upgraded.
    pub(super) async fn decline_upgrade(&mut self) {
        self.set_serving(Serving::Request);
        // The response may have been the last one and complete: then the connection was already returned.
        if self.task.is_called()
            && let Some(connection) = self.upgraded().await
        {
            close(connection).await;
        }
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        if self.serving.get() != Serving::Nothing {
            self.task.cancel();
        }
    }
}

async fn run(
    mut http: http1::Connection<TorsadeIo<AsyncConnection>, OutgoingBody>,
    serving: Rc<Cell<Serving>>,
) -> Result<Option<AsyncConnection>> {
    let ended = poll_fn(|context| http.poll_without_shutdown(context)).await;
    let parts = http.into_parts();
    let mut connection = parts.io.into_inner();
    if let Err(error) = ended {
        log::debug!("an HTTP connection to {} ended: {error}", connection.transport().peer());
        return Ok(None);
    }
    match serving.get() {
        Serving::Upgrade => {
            connection.unread(&parts.read_buf);
            return Ok(Some(connection));
        }
        Serving::Unwanted => {}
        Serving::Nothing | Serving::Request => close(connection).await,
    }
    Ok(None)
}

/// Begins a close, which continues by itself. On an error the connection is already lost.
async fn close(mut connection: AsyncConnection) {
    poll_fn(|context| Poll::Ready(Pin::new(&mut connection).poll_close(context).is_ready())).await;
}

/// A connection that serves requests concurrently. When dropped, it closes once it serves none.
pub(super) struct Http2(pub(super) http2::SendRequest<OutgoingBody>);

impl Http2 {
    pub(super) async fn begin(timer: &TorsadeTimer, connection: AsyncConnection) -> hyper::Result<Self> {
        let reactor = timer.reactor().clone();
        let peer = connection.transport().peer().clone();
        let mut builder = http2::Builder::new(TorsadeExecutor::new(&reactor));
        let (sender, http) = builder.timer(timer.clone()).handshake(TorsadeIo::new(connection)).await?;
        reactor.spawn(async move {
            if let Err(error) = http.await {
                log::debug!("an HTTP/2 connection to {peer} ended: {error}");
            }
        });
        Ok(Self(sender))
    }
}
