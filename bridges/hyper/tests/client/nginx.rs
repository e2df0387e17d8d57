//! A third-party server that closes each connection after a number of requests: nginx, with HTTP/1.1, TLS and HTTP/2.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};

use hyper::Version;
use socket2::SockRef;

use super::*;
use crate::asking::Folder;

/// nginx, terminated when dropped.
struct Nginx {
    child: Child,
    plain: SocketAddr,
    tls: SocketAddr,
    http2: SocketAddr,
    roots: TrustRoots,
    _folder: Folder,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Terminated rather than killed: it has to end its worker.
        Command::new("kill").arg(self.child.id().to_string()).status().ok();
        self.child.wait().ok();
    }
}

fn nginx() -> Option<Nginx> {
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        println!("skipped: nginx is not installed");
        return None;
    }
    // Inherited, so that a client that connects before nginx is ready waits for it.
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().for_each(|listener| SockRef::from(listener).set_cloexec(false).unwrap());
    let passed: String = listeners.iter().map(|listener| format!("{};", listener.as_raw_fd())).collect();
    let [plain, tls, http2] = [0, 1, 2].map(|number: usize| listeners[number].local_addr().unwrap());
    let folder = Folder::new("nginx");
    // A kind of key that OpenSSL can read.
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let roots = TrustRoots::from_pem(own.cert.pem()).unwrap();
    folder.file("chain.pem", own.cert.pem());
    folder.file("key.pem", own.signing_key.serialize_pem());
    let place = folder.0.to_str().unwrap();
    let temporary: String =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {place};")).concat();
    let file = folder.file(
        "conf",
        format!(
            "daemon off; worker_processes 1; pid {place}/pid; error_log stderr; events {{}}\n\
             http {{ access_log off; {temporary} keepalive_requests 20; client_max_body_size 1m;\n\
             ssl_certificate {place}/chain.pem; ssl_certificate_key {place}/key.pem;\n\
             server {{ listen {plain}; location / {{ return 200 $request_uri; }} }}\n\
             server {{ listen {tls} ssl; location / {{ return 200 $request_uri; }} }}\n\
             server {{ listen {http2} ssl http2; location / {{ return 200 $request_uri; }} }} }}\n"
        ),
    );
    let mut command = Command::new("nginx");
    let child = command.env("NGINX", passed).args(["-e", "stderr", "-p", place, "-c"]).arg(&file);
    let child = child.stdin(Stdio::null()).spawn().unwrap();
    Some(Nginx { child, plain, tls, http2, roots, _folder: folder })
}

#[test]
fn every_request_is_answered_though_connections_end_after_twenty() {
    let Some(nginx) = nginx() else { return };
    let reactor = Reactor::new().unwrap();
    let running = reactor.clone();
    let servers = [
        (format!("http://{}", nginx.plain), Version::HTTP_11),
        (format!("https://{}", nginx.tls), Version::HTTP_11),
        (format!("https://{}", nginx.http2), Version::HTTP_2),
    ];
    let config = TlsClientConfig::builder().roots(nginx.roots.clone()).build().unwrap();
    reactor
        .run_until(async move {
            let client = Client::builder(&running).tls(&config).build();
            for (server, version) in servers {
                let tasks: Vec<_> = (0..10)
                    .map(|task| {
                        let (client, server) = (client.clone(), server.clone());
                        running.spawn(async move {
                            for number in 0..30 {
                                let response = client.get(format!("{server}/{task}/{number}")).await?;
                                assert_eq!(response.version(), version);
                                assert_eq!(text(response).await?, format!("/{task}/{number}"));
                            }
                            Ok(())
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await?;
                }
            }
            Ok(())
        })
        .unwrap();
}
