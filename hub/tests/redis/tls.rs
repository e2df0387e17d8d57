//! TLS to the real `redis-server`.

use std::fs;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use torsade::hub::{Hub, HubConfig};
use torsade::prelude::*;

use crate::broker::{Broker, Program, free_port};
use crate::heard;
use crate::real::run_until;

#[test]
fn the_connection_is_encrypted_and_the_certificate_looked_at() {
    let folder = std::env::temp_dir().join(format!("torsade-redis-tls-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let authority = authority();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &authority.1).unwrap();
    fs::write(path("ca.pem"), &authority.0).unwrap();
    fs::write(path("chain.pem"), certificate.pem()).unwrap();
    fs::write(path("key.pem"), key.serialize_pem()).unwrap();

    let port = free_port();
    let settings = format!(
        "tls-port {port}\ntls-cert-file \"{}\"\ntls-key-file \"{}\"\ntls-ca-cert-file \"{}\"\ntls-auth-clients no",
        path("chain.pem"),
        path("key.pem"),
        path("ca.pem"),
    );
    let redis = Broker::with_settings(Program::Redis, &settings);
    if let Some(_redis) = &redis {
        let reactor = Reactor::new().unwrap();
        reactor.start_running().unwrap();
        let url = format!("rediss://127.0.0.1:{port}");
        let roots = TlsClientConfig::builder().roots(TrustRoots::from_pem(&authority.0).unwrap()).build().unwrap();
        let config = HubConfig::new(&url).unwrap().replay("log.>", 10).unwrap().tls(&roots);
        let (by_config, by_file) =
            (config.open(&reactor).unwrap(), Hub::open(&reactor, &format!("{url}?ca={}", path("ca.pem"))).unwrap());
        let unknown = Hub::open(&reactor, &url);
        run_until(&reactor, "connected", || by_config.is_connected() && by_file.is_connected());
        let seen = heard(&by_config, "log.all");
        let large = "x".repeat(300_000);
        by_config.publish("log.all", &large).unwrap();
        run_until(&reactor, "heard", || seen.borrow().first().is_some_and(|first| *first == large));
        // Where the system has roots at all, they have not signed it.
        if let Ok(unknown) = unknown {
            run_until(&reactor, "refused", || unknown.stats().connections_lost > 1);
            assert!(!unknown.is_connected());
        }
    }
    drop(redis);
    fs::remove_dir_all(&folder).unwrap();
}

/// An authority: its certificate, and what signs by it.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap().pem();
    (certificate, Issuer::new(params, key))
}
