//! The server of `compare` on tokio, with one thread.

use std::error::Error;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

/// The length of a GET's answer and of a PUT's body.
const BULK: usize = 256 << 20;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

async fn serve(acceptor: TlsAcceptor, socket: TcpStream) -> Result {
    socket.set_nodelay(true)?;
    let mut stream = acceptor.accept(socket).await?;
    // Grows when there is much to read.
    let mut room = vec![0; 1024];
    let mut awaited = 0;
    loop {
        let count = stream.read(&mut room).await?;
        let data = &room[..count];
        if count == 0 {
            break;
        }
        if awaited == 0 && data.starts_with(b"PUT ") {
            awaited = BULK;
        }
        if awaited > 0 {
            awaited = awaited.saturating_sub(count);
            if awaited == 0 {
                stream.write_all(b"done").await?;
            }
            room.resize(65_536, 0);
        } else if data.starts_with(b"GET ") {
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await?;
            let piece = vec![b'x'; 65_536];
            for _ in 0..BULK / piece.len() {
                stream.write_all(&piece).await?;
            }
            break;
        } else {
            stream.write_all(data).await?;
        }
    }
    // Sends close_notify.
    Ok(stream.shutdown().await?)
}

fn main() -> Result {
    let [address, certificate, key] = std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "ADDRESS CERT KEY")?;
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<std::result::Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        loop {
            let (socket, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move { serve(acceptor, socket).await.unwrap_or(()) });
        }
    })
}
