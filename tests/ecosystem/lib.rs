//! What the tests share: two hosts of a simulated network, and a connection that behaves like a socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use send_wrapper::SendWrapper;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

/// A network in which writes are short, and both reads and flushes have to wait.
pub fn network() -> Simulation {
    let faults =
        Faults { segment: 1..=100, send_buffer: 200..=200, receive_buffer: 200..=200, short_write: 0.1, ..Faults::calm() };
    Simulation::with_faults(1, faults)
}

/// Connects two hosts and runs a side on each; returns the client's result. Both must succeed within an hour of simulated time.
pub fn converse<T, S, C>(
    server: impl FnOnce(Reactor, AsyncConnection) -> S + 'static,
    client: impl FnOnce(Reactor, AsyncConnection) -> C + 'static,
) -> T
where
    T: 'static,
    S: Future<Output = Result> + 'static,
    C: Future<Output = Result<T>> + 'static,
{
    let simulation = network();
    let [here, there] = ["10.0.0.1", "10.0.0.2"].map(|ip| (*simulation.host(ip)).clone());
    let mut incoming = here.listen_async("tcp:7").unwrap();
    let (serving, connecting) = (here.clone(), there.clone());
    let server = here.spawn(async move {
        let connection = incoming.accept().await.ok_or("the port was closed")?;
        server(serving, connection).await
    });
    let client = there.spawn(async move {
        let connection = connecting.connect_async("10.0.0.1:7").await?;
        client(connecting, connection).await
    });
    let (server, client) = (server.into_deferred(), client.into_deferred());
    simulation.run_for(Duration::from_secs(3600)).unwrap();
    let done = client.into_result().expect("the client's side has ended").unwrap_or_else(|failure| panic!("{failure}"));
    server.into_result().expect("the server's side has ended").unwrap_or_else(|failure| panic!("{failure}"));
    done
}

/// A connection that behaves like a socket, as crates expect: it is `Send` (but panics on another thread), flushing it does
/// nothing, and dropping it closes it. An [`AsyncConnection`] flushes until the system has everything, and is aborted when
/// dropped.
#[derive(Debug)]
pub struct AsSocket(SendWrapper<AsyncConnection>);

impl AsSocket {
    pub fn new(connection: AsyncConnection) -> Self {
        Self(SendWrapper::new(connection))
    }
}

impl AsyncRead for AsSocket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_read(context, buffer)
    }
}

impl AsyncBufRead for AsSocket {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut *self.get_mut().0).poll_fill_buf(context)
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        Pin::new(&mut *self.0).consume(count);
    }
}

impl AsyncWrite for AsSocket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_close(context)
    }
}

impl Drop for AsSocket {
    fn drop(&mut self) {
        // An error of this close is dropped: a caller that drops a connection does not ask for it.
        let _ = Pin::new(&mut *self.0).poll_close(&mut Context::from_waker(Waker::noop()));
    }
}
