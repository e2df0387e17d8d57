//! The TLS configurations of both sides in replays. The key is public, and nothing is verified.

use crate::{PrivateCertificate, TlsClientConfig, TlsConfigError, TlsServerConfig};

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBUTCCAQOgAwIBAgIUOYyUch1D2qN9WTiD2GsbzLkSkgcwBQYDK2VwMBYxFDAS
BgNVBAMMC2NvbmZvcm1hbmNlMCAXDTI2MTEyODA4NDE0NFoYDzIxMjYxMTA0MDg0
MTQ0WjAWMRQwEgYDVQQDDAtjb25mb3JtYW5jZTAqMAUGAytlcAMhAOHGwhKopqCP
XY20Cx7Zb2Wt0gBAK6HMooNX2k+RafYJo2EwXzAdBgNVHQ4EFgQUIw23Qcalmeb6
i7H3F+LcjsqHiRwwHwYDVR0jBBgwFoAUIw23Qcalmeb6i7H3F+LcjsqHiRwwDwYD
VR0RBAgwBocECgAAATAMBgNVHRMBAf8EAjAAMAUGAytlcANBADx0yAVzo43A3blU
QbmQXYoeieIDmb6dcckuAApYYdp9RKjlO+Tc5LNUUv/oyEULit/ttWuea21FZwVs
BGS5ogg=
-----END CERTIFICATE-----
";

const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJLmZlvRO8P/0FOIFuWJQ4SGlrLaaP01g2Iw+1yffw53
-----END PRIVATE KEY-----
";

pub(super) fn server() -> Result<TlsServerConfig, TlsConfigError> {
    TlsServerConfig::builder().certificate(PrivateCertificate::from_pem(CERTIFICATE, KEY)?).build()
}

pub(super) fn client() -> Result<TlsClientConfig, TlsConfigError> {
    TlsClientConfig::builder().dangerous_no_verification().build()
}
