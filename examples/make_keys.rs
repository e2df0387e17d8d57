//! Makes keys for trying the TLS examples: a CA, and certificates from it for a server and a client.
//!
//! Run:    cargo run --features tls --example make_keys [DIRECTORY [NAME...]]
//! Expect: ca.pem; server.pem and client.pem (chains) with server.key and client.key, in DIRECTORY (default keys).
//!         The server's names default to localhost, 127.0.0.1, ::1 and example.com. Never use these keys in production.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use torsade::prelude::*;

fn issue(authority: &Issuer<KeyPair>, authority_pem: &str, names: Vec<String>, path: &Path) -> Result {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.clone())?;
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("nobody", String::as_str));
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, authority)?;
    fs::write(path.with_extension("pem"), certificate.pem() + authority_pem)?;
    Ok(fs::write(path.with_extension("key"), key.serialize_pem())?)
}

fn main() -> Result {
    let mut args = std::env::args().skip(1);
    let directory = args.next().unwrap_or_else(|| "keys".into());
    let mut names: Vec<String> = args.collect();
    if names.is_empty() {
        names = ["localhost", "127.0.0.1", "::1", "example.com"].map(str::to_owned).to_vec();
    }
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Torsade examples");
    let pem = params.self_signed(&key)?.pem();
    fs::write(directory.join("ca.pem"), &pem)?;

    let authority = Issuer::new(params, key);
    issue(&authority, &pem, names, &directory.join("server"))?;
    issue(&authority, &pem, vec!["client.test".into()], &directory.join("client"))?;
    println!("made {}", directory.join("{ca,server,client}.{pem,key}").display());
    Ok(())
}
