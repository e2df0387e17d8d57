//! A certificate for one run.

use torsade::{PrivateCertificate, prelude::*};

pub fn server() -> Result<TlsServerConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = PrivateCertificate::from_pem(made.cert.pem(), made.signing_key.serialize_pem())?;
    Ok(TlsServerConfig::builder().certificate(certificate).build()?)
}
