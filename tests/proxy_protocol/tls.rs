//! HAProxy in front of one of our TLS servers: the header comes first, and describes the client's TLS.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::{ProxySsl, Tlv};

use super::interop::{Proxy, Server, start};
use super::support::{address, keys, run, stop};

/// Says hello, and stops the reactor when answered.
struct Hello(Reactor);

impl Protocol for Hello {
    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        transport.write("hello");
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        assert_eq!(data, b"hello");
        stop(&self.0);
        Ok(())
    }
}

/// Converses over TLS through HAProxy, configured by `bind` and `server`, with one of our servers, which expects `config`'s TLS
/// after the header; returns what the header says about TLS.
fn converse(test: &str, roots: TrustRoots, configure: impl FnOnce(&str) -> (String, &'static str)) -> Option<ProxySsl> {
    let reactor = Reactor::new().unwrap();
    let server = Server(Rc::new(RefCell::default()));
    let built = server.clone();
    let endpoint = ServerEndpoint::tcp("127.0.0.1:0").unwrap().proxied().tls(&keys::server());
    let behind: SocketAddr = address(&reactor.listen(endpoint, move |_peer| built.clone()).unwrap());
    let proxy: Proxy = start("haproxy", test, |descriptor, _, place| {
        let (bind, server) = configure(place);
        format!(
            "defaults\n mode tcp\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n\
             frontend f\n bind fd@{descriptor} {bind}\n default_backend b\nbackend b\n server s {behind} {server}\n"
        )
    })?;
    let config =
        TlsClientConfig::builder().roots(roots).certificate(keys::authority().client("client.test").load()).build().unwrap();
    let endpoint = ClientEndpoint::tcp(proxy.address).unwrap().tls(&config);
    let failed = reactor.clone();
    reactor.connect_protocol(endpoint, Hello(reactor.clone())).add_callback(drop).add_errback(move |_| stop(&failed)).detach();
    run(&reactor);
    let (peer, header) = server.0.take().pop().expect("a protocol was built");
    let header = header.expect("HAProxy says something");
    assert_eq!(&peer, header.source());
    header.tlv(Tlv::SSL).map(|value| ProxySsl::parse(value).expect("it is one"))
}

#[test]
fn tls_that_haproxy_passes_through_is_the_servers_own() {
    for (version, server) in [("ssl", "send-proxy-v2-ssl"), ("cn", "send-proxy-v2-ssl-cn")] {
        let Some(ssl) = converse(&format!("haproxy-pass-{version}"), keys::authority().roots(), |_place| (String::new(), server))
        else {
            return;
        };
        assert!(!ssl.is_tls && ssl.common_name.is_none(), "HAProxy has seen none: {ssl:?}");
    }
}

#[test]
fn haproxy_reports_the_tls_that_it_ends_and_the_clients_certificate() {
    // OpenSSL cannot read the keys that `keys` makes.
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let client = keys::authority().client("client.test").chain;
    let authority = client.split_inclusive("-----END CERTIFICATE-----\n").nth(1).expect("it signs itself");
    for (version, server) in [("ssl", "ssl verify none send-proxy-v2-ssl"), ("cn", "ssl verify none send-proxy-v2-ssl-cn")] {
        let Some(ssl) = converse(&format!("haproxy-end-{version}"), TrustRoots::from_pem(&chain).unwrap(), |place| {
            fs::write(format!("{place}/server.pem"), format!("{chain}{}", key.serialize_pem())).unwrap();
            fs::write(format!("{place}/ca.pem"), authority).unwrap();
            (format!("ssl crt {place}/server.pem ca-file {place}/ca.pem verify required"), server)
        }) else {
            return;
        };
        assert!(ssl.is_tls && ssl.has_certificate && ssl.is_verified, "{ssl:?}");
        assert!(ssl.version.as_deref().is_some_and(|name| name.starts_with("TLSv1.")), "{ssl:?}");
        let expected = (version == "cn").then_some("client.test");
        assert_eq!(ssl.common_name.as_deref(), expected, "{ssl:?}");
    }
}
