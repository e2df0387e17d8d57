//! The connections of the pool: their tasks, and that they end with the request that has them.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use futures_io::AsyncWrite;
use hyper::client::conn::{http1, http2};
use torsade::{AsyncConnection, DeferredError, DeferredHandle, Firer, Reactor};

use super::outgoing_body::OutgoingBody;
use crate::{TorsadeExecutor, TorsadeIo, TorsadeTimer};

/// A connection that serves one request at a time. Dropped while it serves one, it is aborted; otherwise it closes.
pub(super) struct Http1 {
    pub(super) sender: http1::SendRequest<OutgoingBody>,
    link: Rc<Link>,
}

/// What a connection's task shares with the request that has the connection.
#[derive(Default)]
struct Link {
    task: OnceCell<DeferredHandle>,
    serving: Cell<Serving>,
    /// Who gets the connection once it speaks another protocol.
    upgrade: RefCell<Option<Firer<AsyncConnection>>>,
}

/// What the connection is doing.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub(super) enum Serving {
    /// Nothing that anybody waits for: it may close.
    #[default]
    Nothing,
    Request,
    /// A response that nobody wants any more. hyper looks whether its rest is here; if not, it ends with the connection.
    Unwanted,
}

impl Http1 {
    pub(super) async fn begin(reactor: &Reactor, connection: AsyncConnection) -> hyper::Result<Self> {
        let (sender, connection) = http1::handshake(TorsadeIo::new(connection)).await?;
        let link = Rc::<Link>::default();
        let task = reactor.spawn(run(connection, Rc::clone(&link))).into_deferred();
        // It is set here and nowhere else.
        link.task.set(task.handle()).ok();
        // That it was cancelled is told by whoever has cancelled it.
        let told = task.add_errback(|failure| {
            failure.trap::<DeferredError>()?;
            Ok(())
        });
        told.detach();
        Ok(Self { sender, link })
    }

    pub(super) fn set_serving(&self, serving: Serving) {
        self.link.serving.set(serving);
    }

    /// Gives the connection to `firer` when the response of the next request has switched it to another protocol.
    pub(super) fn upgrade_to(&self, firer: Firer<AsyncConnection>) {
        self.link.upgrade.replace(Some(firer));
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        if self.link.serving.get() != Serving::Nothing
            && let Some(task) = self.link.task.get()
        {
            task.cancel();
        }
    }
}

async fn run(mut http: http1::Connection<TorsadeIo<AsyncConnection>, OutgoingBody>, link: Rc<Link>) {
    let ended = poll_fn(|context| http.poll_without_shutdown(context)).await;
    let parts = http.into_parts();
    let mut connection = parts.io.into_inner();
    if let Err(error) = ended {
        log::debug!("an HTTP connection to {} ended: {error}", connection.transport().peer());
    } else if let Some(firer) = link.upgrade.take() {
        connection.unread(&parts.read_buf);
        firer.callback(connection);
    } else if link.serving.get() != Serving::Unwanted {
        // Once begun, the close goes on without us. An error says that the connection is lost already.
        poll_fn(|context| Poll::Ready(Pin::new(&mut connection).poll_close(context).is_ready())).await;
    }
}

/// A connection whose requests are served side by side. It closes when it is dropped and serves none any more.
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
