//! Detection of the HTTP version.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use futures_io::AsyncBufRead;
use torsade::AsyncConnection;

/// What an HTTP/2 client sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Returns whether the client uses HTTP/2: as negotiated in the TLS handshake (ALPN), otherwise by its first bytes. It reads no
/// further than necessary, and puts back what it has read.
pub(super) async fn is_http2(connection: &mut AsyncConnection) -> io::Result<bool> {
    let agreed = connection.transport().tls_info().and_then(|info| info.negotiated_protocol);
    match agreed {
        Some(protocol) => Ok(protocol == b"h2"),
        None => begins_with_preface(connection).await,
    }
}

async fn begins_with_preface(connection: &mut AsyncConnection) -> io::Result<bool> {
    let mut matched = 0;
    let preface = poll_fn(|context| {
        loop {
            let unread = std::task::ready!(Pin::new(&mut *connection).poll_fill_buf(context))?;
            let rest = &PREFACE[matched..];
            let count = unread.len().min(rest.len());
            if count == 0 || unread[..count] != rest[..count] {
                return Poll::Ready(Ok(false));
            }
            if count == rest.len() {
                return Poll::Ready(Ok(true));
            }
            // Everything that has arrived belongs to the preface, and more is returned only after this has been consumed.
            Pin::new(&mut *connection).consume(count);
            matched += count;
        }
    })
    .await;
    connection.unread(&PREFACE[..matched]);
    preface
}
