//! Keys and certificates, made for one test run.

use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ED25519, date_time_ymd,
};
use torsade::{PrivateCertificate, TlsClientConfig, TlsClientConfigBuilder, TlsServerConfig, TlsServerConfigBuilder, TrustRoots};

/// An authority; all certificates of one test run come from one of two.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

pub struct Pem {
    pub chain: String,
    pub key: String,
}

impl Pem {
    pub fn load(&self) -> PrivateCertificate {
        PrivateCertificate::from_pem(&self.chain, &self.key).expect("a good certificate")
    }
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn roots(&self) -> TrustRoots {
        TrustRoots::from_pem(&self.pem).expect("a good root")
    }

    /// A server certificate for these names and addresses.
    pub fn server(&self, names: &[&str]) -> Pem {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |_| {})
    }

    pub fn expired(&self, names: &[&str]) -> Pem {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, over)
    }

    /// A server certificate that is not valid yet.
    pub fn early(&self, names: &[&str]) -> Pem {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.not_before = date_time_ymd(2300, 1, 1);
            params.not_after = date_time_ymd(2301, 1, 1);
        })
    }

    pub fn client(&self, name: &str) -> Pem {
        self.issue(&[name], ExtendedKeyUsagePurpose::ClientAuth, |params| {
            params.distinguished_name.push(DnType::CommonName, name)
        })
    }

    fn issue(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose, change: impl FnOnce(&mut CertificateParams)) -> Pem {
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let mut params = names_of(names);
        params.extended_key_usages = vec![purpose];
        // A random one is sometimes a byte shorter, and simulations have to be reproducible.
        params.serial_number = Some(0x7f00_0000_0000_0001_u64.into());
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pem { chain: certificate.pem() + &self.pem, key: key.serialize_pem() }
    }
}

fn names_of(names: &[&str]) -> CertificateParams {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    CertificateParams::new(names).expect("good names")
}

/// The authority that everyone in a test trusts.
pub fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("Torsade test authority"))
}

/// An authority that nobody trusts.
pub fn stranger() -> &'static Authority {
    static STRANGER: OnceLock<Authority> = OnceLock::new();
    STRANGER.get_or_init(|| Authority::new("a stranger"))
}

pub fn self_signed(names: &[&str]) -> Pem {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let certificate = names_of(names).self_signed(&key).expect("a certificate");
    Pem { chain: certificate.pem(), key: key.serialize_pem() }
}

/// The kind that `openssl req -x509` makes for one server: an authority with the server's names.
pub fn authority_itself(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pem {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let mut params = names_of(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let certificate = params.self_signed(&key).expect("a certificate");
    Pem { chain: certificate.pem(), key: key.serialize_pem() }
}

/// Makes a certificate expired.
pub fn over(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
}

/// The names of the loopback, and those of the simulated server.
pub const NAMES: [&str; 4] = ["localhost", "127.0.0.1", "10.0.0.1", "server.test"];

pub fn server_builder() -> TlsServerConfigBuilder {
    static PEM: OnceLock<Pem> = OnceLock::new();
    TlsServerConfig::builder().certificate(PEM.get_or_init(|| authority().server(&NAMES)).load())
}

pub fn client_builder() -> TlsClientConfigBuilder {
    TlsClientConfig::builder().roots(authority().roots())
}

pub fn server() -> TlsServerConfig {
    server_builder().build().expect("a configuration")
}

pub fn client() -> TlsClientConfig {
    client_builder().build().expect("a configuration")
}
