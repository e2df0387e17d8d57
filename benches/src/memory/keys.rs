//! A certificate for the length of a run, and peers that do not look at it.

use torsade::{PrivateCertificate, prelude::*};

pub fn server() -> Result<TlsServerConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = PrivateCertificate::from_pem(made.cert.pem(), made.signing_key.serialize_pem())?;
    Ok(TlsServerConfig::builder().certificate(certificate).build()?)
}

pub fn client() -> Result<TlsClientConfig> {
    Ok(TlsClientConfig::builder().dangerous_no_verification().server_name("localhost").build()?)
}
