//! Keys for the steps with TLS: made anew each time, and yet of the same length, so that the pictures do not change.

use std::fs;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SerialNumber};
use torsade::prelude::*;

/// A folder with `server.key` and `server.pem`, a certificate of itself for example.com; removed when this is dropped.
pub struct Keys(PathBuf);

impl Keys {
    pub fn make() -> Result<Self> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::new(vec!["example.com".into()])?;
        params.serial_number = Some(SerialNumber::from(1));
        let folder = std::env::temp_dir().join(format!("torsade-ladder-{}-{:p}", std::process::id(), &raw const params));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("server.pem"), params.self_signed(&key)?.pem())?;
        fs::write(folder.join("server.key"), key.serialize_pem())?;
        Ok(Self(folder))
    }

    /// Its path, as a part of an endpoint.
    pub fn folder(&self) -> String {
        torsade::quote_string_argument(self.0.to_str().unwrap_or_default())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
