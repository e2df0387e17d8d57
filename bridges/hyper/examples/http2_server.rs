//! An HTTP/2 and HTTP/1.1 server on two ports: with TLS, where client and server negotiate the version (ALPN), and without, where
//! a client may start with HTTP/2 if it knows that the server supports it.
//!
//! Run:    cargo run -p torsade-hyper --features tls --example http2_server [ENDPOINT [ENDPOINT]]
//!         (default 127.0.0.1:8443 for TLS, with a certificate made for this run, and 127.0.0.1:8080)
//! Try:    curl -k https://127.0.0.1:8443/           curl --http2-prior-knowledge 127.0.0.1:8080/
//!         curl -k -T README.md https://127.0.0.1:8443/echo
//!         h2load -n 10000 -c 16 -m 32 https://127.0.0.1:8443/
//! Expect: the HTTP version, your address, and what TLS negotiated; what is sent to /echo comes back as it arrives.

use std::error::Error;

use http_body_util::{BodyExt, Either, Full};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody};

type Body = Either<Full<Bytes>, RequestBody>;

fn text(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = status;
    response
}

async fn serve(mut request: Request<RequestBody>) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    match request.uri().path() {
        "/" => {
            while let Some(piece) = request.body_mut().frame().await {
                piece?;
            }
            let info = request.body().connection();
            let tls = info.tls().map_or("no TLS".into(), |tls| format!("{}, {}", tls.version, tls.cipher_suite));
            Ok(text(StatusCode::OK, format!("{:?} with {}: {tls}\n", request.version(), info.peer())))
        }
        "/echo" => Ok(Response::new(Either::Right(request.into_body()))),
        path => Ok(text(StatusCode::NOT_FOUND, format!("there is no {path} here\n"))),
    }
}

fn tls() -> Result<TlsServerConfig> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()])?;
    let certificate = PrivateCertificate::from_pem(cert.pem(), signing_key.serialize_pem())?;
    Ok(TlsServerConfig::builder().certificate(certificate).application_protocols(["h2", "http/1.1"]).build()?)
}

/// Serves on two endpoints of any reactor, with TLS on the first.
pub fn start(reactor: &Reactor, secure: &str, plain: &str) -> Result<[Port; 2]> {
    let server = HttpServer::new(service_fn(serve));
    let secure: ServerEndpoint = secure.parse()?;
    Ok([server.clone().listen(reactor, secure.tls(&tls()?))?, server.listen(reactor, plain)?])
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let secure = args.next().unwrap_or_else(|| "127.0.0.1:8443".into());
    let plain = args.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let reactor = Reactor::new()?;
    let [secure, plain] = start(&reactor, &secure, &plain)?;
    println!("with TLS on {}", secure.address());
    println!("listening on {}", plain.address());
    reactor.run()
}
