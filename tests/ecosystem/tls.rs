//! Third-party TLS; Torsade's own is `AsyncConnection::start_tls`, and `tls:` in endpoints.

use std::sync::Arc;

use async_native_tls::Certificate;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use futures_rustls::pki_types::{PrivateKeyDer, ServerName};
use futures_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsConnector};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use torsade::prelude::*;
use torsade_ecosystem::{AsSocket, converse};

fn key() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(["server.test".to_owned()]).unwrap()
}

/// An echo server that uses futures-rustls.
fn acceptor(key: &CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![key.cert.der().clone()], private).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn echo(acceptor: TlsAcceptor, connection: AsyncConnection) -> Result {
    let mut stream = acceptor.accept(connection).await?;
    let mut heard = [0; 5];
    stream.read_exact(&mut heard).await?;
    stream.write_all(&heard).await?;
    Ok(stream.close().await?)
}

#[test]
fn futures_rustls() {
    let key = key();
    let (acceptor, certificate) = (acceptor(&key), key.cert.der().clone());
    let heard = converse(
        |_, connection| echo(acceptor, connection),
        async |_, connection| {
            let mut roots = RootCertStore::empty();
            roots.add(certificate)?;
            let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
            let name = ServerName::try_from("server.test")?;
            let mut stream = TlsConnector::from(Arc::new(config)).connect(name, connection).await?;
            stream.write_all(b"hello").await?;
            stream.flush().await?;
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await?;
            Ok(heard)
        },
    );
    assert_eq!(heard, "hello");
}

/// On Linux it is OpenSSL, which treats a flush that has to wait as a failure.
#[test]
fn async_native_tls() {
    let key = key();
    let (acceptor, certificate) = (acceptor(&key), key.cert.der().to_vec());
    let heard = converse(
        |_, connection| echo(acceptor, connection),
        async move |_, connection| {
            let connector = async_native_tls::TlsConnector::new().add_root_certificate(Certificate::from_der(&certificate)?);
            let mut stream = connector.connect("server.test", AsSocket::new(connection)).await?;
            stream.write_all(b"hello").await?;
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await?;
            Ok(heard)
        },
    );
    assert_eq!(heard, "hello");
}
