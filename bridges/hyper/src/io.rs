//! hyper's I/O traits on a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncBufRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

/// A connection with hyper's I/O traits: an [`AsyncConnection`](torsade::AsyncConnection), or any other buffered stream with the
/// traits of `futures-io`.
///
/// # Examples
/// hyper's own server for one connection:
/// ```
/// use std::convert::Infallible;
///
/// use http_body_util::Full;
/// use hyper::body::{Bytes, Incoming};
/// use hyper::server::conn::http1;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
/// use torsade::prelude::*;
/// use torsade_hyper::TorsadeIo;
///
/// async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
///     Ok(Response::new(Full::from("hello")))
/// }
///
/// async fn serve(connection: AsyncConnection) -> Result {
///     http1::Builder::new().serve_connection(TorsadeIo::new(connection), service_fn(hello)).await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct TorsadeIo<T>(T);

impl<T> TorsadeIo<T> {
    /// Wraps a connection.
    pub const fn new(connection: T) -> Self {
        Self(connection)
    }

    /// The connection.
    pub const fn inner(&self) -> &T {
        &self.0
    }

    /// Unwraps the connection.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsyncBufRead + Unpin> Read for TorsadeIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        // Copied from where it is, because an uninitialized buffer cannot be passed to `AsyncRead`.
        let unread = ready!(Pin::new(&mut self.0).poll_fill_buf(context))?;
        let count = unread.len().min(buffer.remaining());
        buffer.put_slice(&unread[..count]);
        Pin::new(&mut self.0).consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Write for TorsadeIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, pieces)
    }
}
