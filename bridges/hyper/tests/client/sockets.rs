//! With the system's sockets: the client over TCP and UNIX sockets, and the proxies with curl.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::process::Command;

use hyper::Request;
use hyper::service::service_fn;
use torsade_hyper::{HttpServer, RequestBody};

use super::*;
use crate::asking::{Folder, Served};
use crate::programs::{http_proxy, logging_proxy, proxy, reverse_proxy};

/// Serves answers that describe the request.
fn say(reactor: &Reactor, endpoint: impl torsade::IntoEndpoint<ServerEndpoint>) -> Result<Port> {
    let service = service_fn(|request: Request<RequestBody>| async move {
        let asked = format!("{} {} of {:?}", request.method(), request.uri().path(), request.headers().get("host"));
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(format!("{asked}, {} bytes", body.len())))
    });
    Ok(HttpServer::new(service).listen(reactor, endpoint)?)
}

/// What curl prints; `None` if it is not installed.
fn curl(arguments: &[&str]) -> Option<String> {
    match Command::new("curl").args(["--silent", "--show-error", "--max-time", "300", "--noproxy", ""]).args(arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "curl {arguments:?}: {errors}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: curl is not installed");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_thousand_requests_over_tcp_and_over_a_unix_socket() {
    let folder = Folder::new("client");
    let path = folder.0.join("socket").display().to_string();
    let reactor = Reactor::new().unwrap();
    let (tcp, unix) = (say(&reactor, "127.0.0.1:0").unwrap(), say(&reactor, format!("unix:{path}")).unwrap());
    let (there, running) = (tcp.address().to_string(), reactor.clone());
    reactor
        .run_until(async move {
            let client = Client::new(&running);
            let through = Client::builder(&running).connector(move |_| format!("unix:{path}")).build();
            for (client, authority) in [(client, &*there), (through, "service.example")] {
                let tasks: Vec<_> = (0..500)
                    .map(|number| {
                        let request = Request::post(format!("http://{authority}/{number}")).body("x".repeat(number)).unwrap();
                        let request = client.request(request);
                        running.spawn(async move { Ok(text(request.await?).await?) })
                    })
                    .collect();
                for (number, task) in tasks.into_iter().enumerate() {
                    assert_eq!(task.await?, format!("POST /{number} of Some({authority:?}), {number} bytes"));
                }
            }
            tcp.stop_listening();
            unix.stop_listening();
            Ok(())
        })
        .unwrap();
}

#[test]
fn curl_goes_through_the_proxies() {
    let server = Served::new(|reactor| say(reactor, "127.0.0.1:0"));
    let (url, host) = (format!("http://{}/page", server.address), format!("Some(\"{}\")", server.address));
    let starts: [fn(&Reactor) -> Result<Port>; 3] = [
        |reactor| proxy::start(reactor, "127.0.0.1:0"),
        |reactor| logging_proxy::start(reactor, "127.0.0.1:0", drop),
        |reactor| http_proxy::start(reactor, "127.0.0.1:0"),
    ];
    for start in starts {
        let proxy = Served::new(start);
        let there = proxy.address.to_string();
        let Some(said) = curl(&["--proxy", &there, &url, &url]) else { return };
        assert_eq!(said, format!("GET /page of {host}, 0 bytes").repeat(2));
        let said = curl(&["--proxy", &there, "--data", "hello", &url]).unwrap();
        assert_eq!(said, format!("POST /page of {host}, 5 bytes"));
    }
    let proxy = Served::new(|reactor| http_proxy::start(reactor, "127.0.0.1:0"));
    let said = curl(&["--proxy", &proxy.address.to_string(), "--proxytunnel", &url]).unwrap();
    assert_eq!(said, format!("GET /page of {host}, 0 bytes"));
    let there = server.address.to_string();
    let reverse = Served::new(move |reactor| reverse_proxy::start(reactor, "127.0.0.1:0", &there));
    let said = curl(&[&format!("http://{}/page", reverse.address)]).unwrap();
    assert_eq!(said, format!("GET /page of {host}, 0 bytes"));
}

#[cfg(feature = "tls")]
#[test]
fn curl_reaches_https_through_a_tunnel() {
    use crate::tls::keys;
    let server = Served::new(|reactor| say(reactor, ServerEndpoint::tcp("127.0.0.1:0")?.tls(&keys::server())));
    let proxy = Served::new(|reactor| http_proxy::start(reactor, "127.0.0.1:0"));
    let folder = Folder::new("tunnel");
    let roots = folder.file("roots.pem", keys::authority().pem());
    let url = format!("https://localhost:{}/page", server.address.port());
    let arguments = ["--proxy", &proxy.address.to_string(), "--cacert", roots.to_str().unwrap(), "--http1.1", &url];
    if let Some(said) = curl(&arguments) {
        assert_eq!(said, format!("GET /page of Some(\"localhost:{}\"), 0 bytes", server.address.port()));
    }
}
