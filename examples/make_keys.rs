//! Makes keys for trying the TLS examples: a CA, and certificates from it for a server and three clients.
//!
//! Run:    cargo run --features tls --example make_keys [DIRECTORY [NAME...]]
//! Expect: ca.pem, and server, client, anna and ben, each a .pem (the chain) and a .key, in DIRECTORY (default keys).
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

/// Makes all files in a directory; the server has these names.
pub fn make(directory: &Path, names: Vec<String>) -> Result {
    fs::create_dir_all(directory)?;

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Two authorities of one name would be taken for the same one, with a wrong signature.
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Torsade examples, {}", directory.file_name().unwrap_or_default().display()));
    let pem = params.self_signed(&key)?.pem();
    fs::write(directory.join("ca.pem"), &pem)?;

    let authority = Issuer::new(params, key);
    issue(&authority, &pem, names, &directory.join("server"))?;
    for (file, name) in [("client", "client.test"), ("anna", "anna"), ("ben", "ben")] {
        issue(&authority, &pem, vec![name.into()], &directory.join(file))?;
    }
    Ok(())
}

fn main() -> Result {
    let mut args = std::env::args().skip(1);
    let directory = args.next().unwrap_or_else(|| "keys".into());
    let mut names: Vec<String> = args.collect();
    if names.is_empty() {
        names = ["localhost", "127.0.0.1", "::1", "example.com"].map(str::to_owned).to_vec();
    }
    make(Path::new(&directory), names)?;
    println!("made {directory}/{{ca,server,client,anna,ben}}.pem, and their keys");
    Ok(())
}
