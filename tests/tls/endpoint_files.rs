//! The certificate and key files that endpoints name in their text.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::wire::{Discard, Echo};
use torsade::{CertificateProblem, TlsError, quote_string_argument};

use crate::keys::authority;

/// A folder with the files of a server, `server.test`, and the authority that its clients trust.
struct Files(PathBuf);

impl Files {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name = format!("torsade-endpoint-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(folder.join("roots")).unwrap();
        let server = authority().server(&["server.test"]);
        fs::write(folder.join("crt.pem"), &server.chain).unwrap();
        fs::write(folder.join("key.pem"), &server.key).unwrap();
        fs::write(folder.join("both.pem"), server.key + &server.chain).unwrap();
        fs::write(folder.join("roots/ours.PEM"), authority().pem()).unwrap();
        fs::write(folder.join("roots/broken.pem"), "-----BEGIN CERTIFICATE-----\nno").unwrap();
        fs::write(folder.join("roots/README"), "no certificate").unwrap();
        Self(folder)
    }

    /// The text with `@` replaced by the folder.
    fn text(&self, text: &str) -> String {
        text.replace('@', &quote_string_argument(self.0.to_str().unwrap()))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Connects to a server, both given by their text; returns the error, if any.
fn meet(server: &str, client: &str) -> Option<ConnectError> {
    let simulation = Simulation::new(1);
    let files = Files::new();
    simulation.host("10.0.0.2").listen(files.text(server), |_peer| Echo).unwrap();
    let came = Rc::new(RefCell::new(None));
    let told = Rc::clone(&came);
    let connecting = simulation.host("10.0.0.1").connect_protocol(files.text(client), Discard);
    let told = move |result: std::result::Result<Transport, Failure>| drop(told.replace(Some(result.map(drop))));
    connecting.add_both(told).detach();
    simulation.run_for(std::time::Duration::from_secs(60)).unwrap();
    let failure = came.take().expect("it has fired").err()?;
    Some(failure.downcast_ref::<ConnectError>().expect("a ConnectError").clone())
}

#[test]
fn a_certificate_has_to_be_for_the_host_or_for_the_name_that_the_text_says() {
    let servers = [
        "ssl:443:interface=10.0.0.2:privateKey=@/key.pem:certKey=@/crt.pem",
        "ssl:443:interface=10.0.0.2:privateKey=@/both.pem:extraCertChain=@/crt.pem",
        "haproxy:ssl:443:interface=10.0.0.2:privateKey=@/both.pem",
    ];
    for server in &servers[..2] {
        for client in [
            "ssl:10.0.0.2:443:hostname=server.test:caCertsDir=@/roots",
            r"tls:server.test:1:endpoint=tcp\:10.0.0.2\:443:trustRoots=@/roots",
        ] {
            assert!(meet(server, client).is_none(), "{server} {client}");
        }
        for client in ["ssl:10.0.0.2:443:caCertsDir=@/roots", "tls:10.0.0.2:443:trustRoots=@/roots"] {
            let error = meet(server, client).expect("the certificate is for another");
            let ConnectError::Lost(Reason::Tls(TlsError::Certificate(CertificateProblem::WrongName { expected, .. }))) = &error
            else {
                panic!("{error}");
            };
            assert_eq!(expected, "10.0.0.2");
        }
    }
    assert!(meet(servers[2], "tls:10.0.0.2:443:trustRoots=@/roots").is_some(), "there is no header before the handshake");
}

#[test]
fn files_are_read_when_it_listens_or_connects_and_an_error_names_the_one() {
    let files = Files::new();
    let host = Simulation::new(1).host("10.0.0.2");
    let named = |error: &dyn std::fmt::Display, file: &str| {
        assert!(error.to_string().contains(files.0.join(file).to_str().unwrap()), "{error}");
    };
    for (text, file) in [
        ("ssl:443:privateKey=@/none.pem", "none.pem"),
        ("ssl:443:privateKey=@/crt.pem", "crt.pem"),
        ("ssl:443:privateKey=@/both.pem:certKey=@/roots/README", "roots/README"),
        ("ssl:443:privateKey=@/both.pem:extraCertChain=@/chain.pem", "chain.pem"),
    ] {
        let error = host.listen(files.text(text), |_peer| Echo).expect_err(text);
        assert!(matches!(error, ListenError::Configuration(_)), "{error}");
        named(&error, file);
    }
    fs::create_dir(files.0.join("empty")).unwrap();
    for (text, file) in [
        ("tls:h:443:trustRoots=@/none", "none"),
        ("tls:h:443:trustRoots=@/empty", "empty"),
        ("ssl:h:443:caCertsDir=@/roots:certKey=@/key.pem", "key.pem"),
    ] {
        let error = host.connect(files.text(text), |_peer| Discard).expect_err(text);
        assert!(matches!(error, ConnectError::Configuration(_)), "{error}");
        named(&error, file);
    }
}

#[test]
fn a_clients_files_are_read_once_and_a_servers_each_time_it_listens() {
    let files = Files::new();
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("10.0.0.2"), simulation.host("10.0.0.1"));
    let listening: ServerEndpoint = files.text("ssl:443:interface=10.0.0.2:privateKey=@/both.pem").parse().unwrap();
    let connecting: ClientEndpoint = files.text("tls:10.0.0.2:443:trustRoots=@/roots").parse().unwrap();
    let port = server.listen(listening.clone(), |_peer| Echo).unwrap();
    client.connect(connecting.clone(), |_peer| Discard).unwrap().disconnect();
    port.stop_listening();
    fs::remove_dir_all(Path::new(&files.0)).unwrap();
    assert!(client.connect(connecting, |_peer| Discard).is_ok());
    assert!(server.listen(listening, |_peer| Echo).is_err());
}
