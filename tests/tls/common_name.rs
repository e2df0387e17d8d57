//! The common name in a certificate: what is read of it, and what is not.

use std::cell::RefCell;
use std::rc::Rc;

use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, PKCS_ED25519};
use torsade::{TlsInfo, TlsVersion};

use crate::keys::{self, authority};
use crate::support::Event;
use crate::world::{converse, side};

fn named_in(certificate: &[u8]) -> Option<String> {
    let mut info = TlsInfo::new(TlsVersion::Tls13, "TLS_AES_128_GCM_SHA256".into());
    info.peer_certificates = vec![certificate.to_vec()];
    info.peer_common_name()
}

/// A certificate whose subject has these parts.
fn certificate(subject: impl IntoIterator<Item = (DnType, DnValue)>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    subject.into_iter().for_each(|(kind, value)| params.distinguished_name.push(kind, value));
    params.self_signed(&KeyPair::generate_for(&PKCS_ED25519).unwrap()).unwrap().der().to_vec()
}

fn utf8(text: &str) -> DnValue {
    DnValue::Utf8String(text.into())
}

#[test]
fn a_server_knows_its_client_by_it() {
    let server = keys::server_builder().require_client_certificates(authority().roots()).build().unwrap();
    let client = keys::client_builder().certificate(authority().client("alice").load()).build().unwrap();
    let known = Rc::new(RefCell::new(Vec::new()));
    let by_server = known.clone();
    let look = side(move |_event, transport| {
        by_server.borrow_mut().push(transport.peer_common_name());
        Ok(())
    });
    let visit = side(|event, transport| {
        if matches!(event, Event::Handshake) {
            transport.lose_connection();
        }
        Ok(())
    });
    converse(&server, &client, look, visit);
    let known = known.take();
    assert_eq!(known.first(), Some(&None), "before the handshake");
    assert!(known.contains(&Some("alice".into())), "{known:?}");
}

#[test]
fn it_is_found_among_other_parts_of_the_subject() {
    let subject =
        [(DnType::OrganizationName, utf8("Torsade")), (DnType::CommonName, utf8("Änne")), (DnType::CountryName, utf8("AT"))];
    assert_eq!(named_in(&certificate(subject)).as_deref(), Some("Änne"));
    let printable = DnValue::PrintableString("anna".try_into().unwrap());
    assert_eq!(named_in(&certificate([(DnType::CommonName, printable)])).as_deref(), Some("anna"));
    // Longer than 127 bytes, and than 255: lengths of lengths.
    for length in [200, 70_000] {
        let long = "x".repeat(length);
        assert_eq!(named_in(&certificate([(DnType::CommonName, utf8(&long))])), Some(long));
    }
}

#[test]
fn one_without_it_or_in_an_old_encoding_has_none() {
    assert_eq!(named_in(&certificate([])), None);
    assert_eq!(named_in(&certificate([(DnType::OrganizationName, utf8("Torsade"))])), None);
    let old = DnValue::BmpString("anna".try_into().unwrap());
    assert_eq!(named_in(&certificate([(DnType::CommonName, old)])), None);
    assert_eq!(TlsInfo::new(TlsVersion::Tls13, String::new()).peer_common_name(), None);
}

#[test]
fn what_is_not_a_certificate_has_none() {
    let whole = certificate([(DnType::CommonName, utf8("anna"))]);
    let name = whole.windows(4).rposition(|part| part == b"anna").unwrap();
    for length in 0..name + 4 {
        assert_eq!(named_in(&whole[..length]), None, "{length} bytes");
    }
    // Any byte that is another one may name somebody else, and does nothing worse.
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            named_in(&changed);
        }
    }
}
