//! Two layers connected in memory, whose wires a test can cut anywhere.

mod limits;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use torsade_protocols::spi::Work;
use torsade_protocols::{Host, Reason, TlsVersion};

use super::certificates::provider;
use super::session::Session;
use super::{PrivateCertificate, TlsClientConfig, TlsLayer, TlsServerConfig, TrustRoots};
use crate::connection::shared::READ_SIZE;
use crate::layer::Layer;

const NOW: Duration = Duration::ZERO;

/// One end of a connection, with what it has received.
pub(super) struct End {
    pub(super) layer: TlsLayer,
    pub(super) plain: Vec<u8>,
    pub(super) completed: bool,
    /// Its output for the wire.
    pub(super) wire: Vec<u8>,
}

impl End {
    fn new(layer: TlsLayer) -> Self {
        Self { layer, plain: Vec::new(), completed: false, wire: Vec::new() }
    }

    pub(super) fn write(&mut self, plain: &[u8]) {
        self.layer.write(plain, &mut self.wire, NOW).expect("it can be written to");
    }

    pub(super) fn flush(&mut self) {
        self.layer.flush(&mut self.wire, NOW).expect("it can be flushed");
    }

    pub(super) fn finish(&mut self) {
        self.layer.finish(&mut self.wire).expect("it can be finished");
    }

    /// Gives it a piece of wire, and takes the output, `room` bytes at a time.
    pub(super) fn read(&mut self, wire: &[u8], room: usize) -> Result<(), Reason> {
        let mut wire = wire;
        loop {
            let before = self.plain.len();
            let progress = self.layer.read(wire, &mut self.plain, room, &Work::unlimited(), NOW)?;
            assert!(self.plain.len() - before <= room, "more than there was room for");
            if self.layer.take_completed() {
                assert_eq!(self.plain.len(), before, "data in the same step as the end of the handshake");
                self.completed = true;
            }
            assert!(self.completed || self.plain.is_empty(), "data before the handshake is complete");
            wire = &wire[progress.consumed..];
            if !progress.more && wire.is_empty() {
                return Ok(());
            }
        }
    }
}

/// A client and its server, before their handshake.
pub(super) struct Pair {
    pub(super) client: End,
    pub(super) server: End,
}

pub(super) struct Configs {
    pub(super) client: TlsClientConfig,
    pub(super) server: TlsServerConfig,
}

pub(super) fn configs(minimum: TlsVersion) -> Configs {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let own = PrivateCertificate::from_pem(certificate.pem(), key.serialize_pem()).unwrap();
    let roots = TrustRoots::from_pem(certificate.pem()).unwrap();
    Configs {
        client: TlsClientConfig::builder().roots(roots).minimum_version(minimum).build().unwrap(),
        server: TlsServerConfig::builder().certificate(own).minimum_version(minimum).build().unwrap(),
    }
}

impl Pair {
    pub(super) fn of(configs: &Configs) -> Self {
        let host = Host::Name("localhost".into());
        Self {
            client: End::new(configs.client.open(Some(&host), NOW).unwrap()),
            server: End::new(configs.server.open(NOW).unwrap()),
        }
    }

    pub(super) fn new() -> Self {
        Self::of(&configs(TlsVersion::Tls12))
    }

    /// Ends that support only this version.
    pub(super) fn speaking(version: &'static SupportedProtocolVersion) -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let server = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
        let server = server.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        let client = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let end = |session| End::new(TlsLayer::new(session, Duration::MAX));
        Self {
            client: end(Session::client(Arc::new(client), name).unwrap()),
            server: end(Session::server(Arc::new(server)).unwrap()),
        }
    }

    pub(super) fn connected() -> Self {
        let mut pair = Self::new();
        pair.exchange(usize::MAX, READ_SIZE);
        assert!(pair.client.completed && pair.server.completed);
        pair
    }

    /// Flushes both ends and carries bytes, in pieces of at most `piece`, until neither has anything to send.
    pub(super) fn exchange(&mut self, piece: usize, room: usize) {
        loop {
            self.client.flush();
            self.server.flush();
            let (to_server, to_client) = (std::mem::take(&mut self.client.wire), std::mem::take(&mut self.server.wire));
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            let piece = piece.min(READ_SIZE);
            to_server.chunks(piece).for_each(|wire| self.server.read(wire, room).expect("valid TLS"));
            to_client.chunks(piece).for_each(|wire| self.client.read(wire, room).expect("valid TLS"));
        }
    }
}

/// Bytes that show their position.
pub(super) fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|at| ((at * 31) ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}
