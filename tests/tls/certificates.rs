//! Which certificates are accepted, and which are presented.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Once;

use torsade::prelude::*;
use torsade::{CertificateProblem, PrivateCertificate, TlsConfigError, TlsError, TlsServerConfig, TrustRoots};

use crate::keys::{self, Pem, authority, stranger};
use crate::support::Event;
use crate::world::{Ends, converse, echo, side, silent};

/// Connects a client that sends a secret to a server with this certificate.
fn meet(certificate: &Pem, trusted: &TrustRoots) -> Ends {
    let server = TlsServerConfig::builder().certificate(certificate.load()).build().unwrap();
    let client = side(|event, transport| {
        match event {
            Event::Made => transport.write("secret"),
            Event::Data(_) => transport.lose_connection(),
            _ => {}
        }
        Ok(())
    });
    let trusting = TlsClientConfig::builder().roots(trusted.clone()).build().unwrap();
    converse(&server, &trusting, echo(), client)
}

/// Why a client that trusts the authority refused the server.
fn refused(certificate: &Pem) -> CertificateProblem {
    refused_by(certificate, &authority().roots())
}

/// Why the client refused the server; nothing was delivered, and the server was told.
fn refused_by(certificate: &Pem, trusted: &TrustRoots) -> CertificateProblem {
    let ends = meet(certificate, trusted);
    assert_eq!(ends.client.names(), ["made", "lost"]);
    assert_eq!(ends.server.names(), ["made", "lost"], "what was written for another is not delivered");
    assert!(matches!(ends.server.reason(), Reason::Tls(TlsError::AlertReceived { .. })), "{:?}", ends.server.reason());
    match ends.client.reason() {
        Reason::Tls(TlsError::Certificate(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_for_this_host_by_a_trusted_root_is_accepted() {
    let ends = meet(&authority().server(&["127.0.0.1"]), &authority().roots());
    assert_eq!(ends.client.data(), b"secret");
    assert!(ends.client.reason().is_clean());
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let problem = refused(&authority().server(&["elsewhere.test"]));
    let CertificateProblem::WrongName { expected, presented } = &problem else { panic!("{problem:?}") };
    assert_eq!(expected, "127.0.0.1");
    assert!(presented == &["elsewhere.test"], "{presented:?}");
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    assert_eq!(refused(&authority().expired(&keys::NAMES)), CertificateProblem::Expired);
    assert_eq!(refused(&authority().early(&keys::NAMES)), CertificateProblem::NotYetValid);
}

#[test]
fn a_certificate_by_a_stranger_or_by_itself_is_refused() {
    assert_eq!(refused(&stranger().server(&keys::NAMES)), CertificateProblem::UnknownIssuer);
    assert_eq!(refused(&keys::self_signed(&keys::NAMES)), CertificateProblem::UnknownIssuer);
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The panics on this thread while `call` runs, even if caught.
fn panics_in(call: impl FnOnce()) -> Vec<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            earlier(info);
        }));
    });
    PANICS.take();
    call();
    PANICS.take()
}

/// The server's messages come in one record: more of them, which nobody reads, follow the refused certificate.
#[test]
fn a_refusal_in_the_middle_of_a_record_panics_nowhere() {
    let panics = panics_in(|| assert_eq!(refused(&stranger().server(&keys::NAMES)), CertificateProblem::UnknownIssuer));
    assert!(panics.is_empty(), "{panics:?}");
}

#[test]
fn a_certificate_of_a_client_is_no_servers() {
    assert_eq!(refused(&authority().client("127.0.0.1")), CertificateProblem::Purpose);
}

fn exactly(certificate: &Pem) -> TrustRoots {
    let own = certificate.chain.split_inclusive("-----END CERTIFICATE-----").next();
    TrustRoots::from_pem(own.expect("its own comes first")).unwrap()
}

#[test]
fn a_trusted_certificate_that_the_server_shows_itself_is_accepted_be_it_an_authority_or_a_strangers() {
    let itself = keys::authority_itself(&keys::NAMES, |_| ());
    for certificate in [itself, stranger().server(&keys::NAMES), keys::self_signed(&keys::NAMES)] {
        for trusted in [exactly(&certificate), authority().roots().and(exactly(&certificate))] {
            let ends = meet(&certificate, &trusted);
            assert_eq!(ends.client.data(), b"secret");
            assert!(ends.client.reason().is_clean());
        }
    }
}

#[test]
fn a_trusted_certificate_that_is_shown_itself_is_held_to_its_names_and_its_time() {
    let elsewhere = keys::authority_itself(&["elsewhere.test"], |_| ());
    let problem = refused_by(&elsewhere, &exactly(&elsewhere));
    assert!(matches!(problem, CertificateProblem::WrongName { .. }), "{problem:?}");
    let over = keys::authority_itself(&keys::NAMES, keys::over);
    assert_eq!(refused_by(&over, &exactly(&over)), CertificateProblem::Expired);
    let over = stranger().expired(&keys::NAMES);
    assert_eq!(refused_by(&over, &exactly(&over)), CertificateProblem::Expired);
    let client = stranger().client("127.0.0.1");
    assert_eq!(refused_by(&client, &exactly(&client)), CertificateProblem::Purpose);
}

#[test]
fn an_authority_that_is_shown_itself_and_is_not_exactly_a_root_is_refused_with_the_remedy() {
    let shown = keys::authority_itself(&keys::NAMES, |_| ());
    // Another certificate of the same name, and one that is trusted for some names only.
    let another = keys::authority_itself(&keys::NAMES, |_| ());
    let limited = keys::authority_itself(&keys::NAMES, |params| {
        let permitted_subtrees = vec![rcgen::GeneralSubtree::DnsName("elsewhere.test".into())];
        params.name_constraints = Some(rcgen::NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    });
    for (shown, trusted) in [(&shown, exactly(&another)), (&shown, authority().roots()), (&limited, exactly(&limited))] {
        let problem = refused_by(shown, &trusted);
        assert_eq!(problem, CertificateProblem::Authority);
        assert!(problem.to_string().contains("add exactly this one to the trusted roots"), "{problem}");
    }
}

#[test]
fn no_verification_accepts_anybody() {
    let server = TlsServerConfig::builder().certificate(keys::self_signed(&["elsewhere.test"]).load()).build().unwrap();
    let client = TlsClientConfig::builder().dangerous_no_verification().build().unwrap();
    let leave = side(|event, transport| {
        if matches!(event, Event::Handshake) {
            assert_eq!(transport.peer_certificates().len(), 1);
            transport.lose_connection();
        }
        Ok(())
    });
    let ends = converse(&server, &client, silent(), leave);
    assert!(ends.client.reason().is_clean(), "{:?}", ends.client.reason());
}

/// Connects a client to a server that asks for certificates; returns what the server was presented, and both ends.
fn mutual(server: &TlsServerConfig, certificate: Option<&Pem>) -> (Vec<Vec<u8>>, Ends) {
    let mut client = keys::client_builder();
    if let Some(certificate) = certificate {
        client = client.certificate(certificate.load());
    }
    let shown = Rc::new(RefCell::new(Vec::new()));
    let record = shown.clone();
    let look = side(move |event, transport| {
        match event {
            Event::Handshake => *record.borrow_mut() = transport.peer_certificates(),
            Event::Data(_) => transport.write("welcome"),
            _ => {}
        }
        Ok(())
    });
    let visit = side(|event, transport| {
        match event {
            Event::Made => transport.write("hello"),
            Event::Data(_) => transport.lose_connection(),
            _ => {}
        }
        Ok(())
    });
    let ends = converse(server, &client.build().unwrap(), look, visit);
    (shown.take(), ends)
}

#[test]
fn a_client_shows_its_certificate_to_a_server_that_asks() {
    let server = keys::server_builder().require_client_certificates(authority().roots()).build().unwrap();
    let certificate = authority().client("alice");
    let (shown, ends) = mutual(&server, Some(&certificate));
    assert_eq!(ends.client.data(), b"welcome");
    assert_eq!(shown.len(), 2, "the chain: its own and the authority's");
    let own = TrustRoots::from_der(shown[..1].to_vec());
    assert!(own.is_ok(), "it is DER");
}

#[test]
fn a_client_without_a_certificate_or_with_a_strangers_is_refused() {
    let server = keys::server_builder().require_client_certificates(authority().roots()).build().unwrap();
    let (shown, ends) = mutual(&server, None);
    assert!(shown.is_empty());
    assert!(matches!(ends.server.reason(), Reason::Tls(TlsError::NoCertificate)), "{:?}", ends.server.reason());
    assert!(matches!(ends.client.reason(), Reason::Tls(TlsError::AlertReceived { code: 116, .. })), "{:?}", ends.client.reason());
    assert!(ends.server.data().is_empty());

    let (shown, ends) = mutual(&server, Some(&stranger().client("mallory")));
    assert!(shown.is_empty());
    let reason = ends.server.reason();
    assert!(matches!(reason, Reason::Tls(TlsError::Certificate(CertificateProblem::UnknownIssuer))), "{reason:?}");
    assert!(ends.server.data().is_empty());
}

#[test]
fn a_trusted_certificate_that_a_client_shows_itself_is_accepted_in_its_time() {
    let server = |trusted| keys::server_builder().require_client_certificates(trusted).build().unwrap();
    for certificate in [keys::authority_itself(&["alice"], |_| ()), stranger().client("alice")] {
        let (shown, ends) = mutual(&server(exactly(&certificate)), Some(&certificate));
        assert_eq!(ends.client.data(), b"welcome");
        assert!(!shown.is_empty());
    }
    let over = keys::authority_itself(&["alice"], keys::over);
    let another = keys::authority_itself(&["alice"], |_| ());
    for (shown, trusted, expected) in
        [(&over, exactly(&over), CertificateProblem::Expired), (&another, exactly(&over), CertificateProblem::Authority)]
    {
        let (_, ends) = mutual(&server(trusted), Some(shown));
        let reason = ends.server.reason();
        assert!(matches!(&reason, Reason::Tls(TlsError::Certificate(problem)) if *problem == expected), "{reason:?}");
        assert!(ends.server.data().is_empty());
    }
}

#[test]
fn a_server_may_ask_without_insisting() {
    let server = keys::server_builder().request_client_certificates(authority().roots()).build().unwrap();
    let (shown, ends) = mutual(&server, None);
    assert!(shown.is_empty());
    assert_eq!(ends.client.data(), b"welcome");
    let (shown, _) = mutual(&server, Some(&authority().client("alice")));
    assert_eq!(shown.len(), 2);
}

/// The certificate and its name that a client of this name is presented; `None` if it is refused.
fn shown_to(server: &TlsServerConfig, name: &str) -> Option<(Vec<u8>, Option<String>)> {
    let client = keys::client_builder().server_name(name).build().unwrap();
    let (shown, asked) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(None)));
    let (record, record_asked) = (shown.clone(), asked.clone());
    let look = side(move |event, transport| {
        if matches!(event, Event::Handshake) {
            *record_asked.borrow_mut() = transport.server_name();
        }
        Ok(())
    });
    let visit = side(move |event, transport| {
        if matches!(event, Event::Handshake) {
            *record.borrow_mut() = transport.peer_certificates().into_iter().next();
            transport.lose_connection();
        }
        Ok(())
    });
    converse(server, &client, look, visit);
    Some((shown.take()?, asked.take()))
}

#[test]
fn each_name_is_shown_its_own_certificate() {
    let own = |name| PrivateCertificate::from_pem(&authority().server(&[name]).chain, "");
    assert!(matches!(own("x.test"), Err(TlsConfigError::NoKeyInPem)));
    let [one, two, many, other] =
        ["one.test", "two.test", "*.many.test", "fallback.test"].map(|name| authority().server(&[name]));
    let builder = TlsServerConfig::builder()
        .certificate_for("one.test", one.load())
        .certificate_for("TWO.test.", two.load())
        .certificate_for("*.many.test", many.load());
    let server = builder.clone().build().unwrap();
    let first = shown_to(&server, "one.test").expect("a certificate of its own");
    assert_eq!(first.1.as_deref(), Some("one.test"));
    assert_eq!(shown_to(&server, "One.test.").as_ref(), Some(&first));
    assert_ne!(first.0, shown_to(&server, "two.test").expect("neither the case of letters nor the last dot matters").0);
    assert!(shown_to(&server, "some.many.test").is_some());
    assert!(shown_to(&server, "many.test").is_none(), "the star stands for one label");
    assert!(shown_to(&server, "fallback.test").is_none(), "nobody else is served");
    let server = builder.certificate(other.load()).build().unwrap();
    assert!(shown_to(&server, "fallback.test").is_some(), "now everybody else is");
    assert!(shown_to(&server, "one.test").is_some());
}

#[test]
fn a_configuration_that_cannot_work_says_why() {
    let good = authority().server(&keys::NAMES);
    let other = authority().server(&keys::NAMES);
    assert!(matches!(PrivateCertificate::from_pem(&good.chain, &other.key), Err(TlsConfigError::KeyMismatch)));
    assert!(matches!(PrivateCertificate::from_pem("nothing", &good.key), Err(TlsConfigError::NoCertificateInPem)));
    let broken = "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n";
    assert!(matches!(TrustRoots::from_pem(broken), Err(TlsConfigError::Pem(_))));
    assert!(matches!(TrustRoots::from_der([vec![1, 2, 3]]), Err(TlsConfigError::Certificate(_))));
    let missing = TlsServerConfig::from_pem_files("/nonexistent/chain.pem", "/nonexistent/key.pem").unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/chain.pem"), "{missing}");
    let swapped = TrustRoots::from_pem_file("Cargo.toml").unwrap_err().to_string();
    assert!(swapped.contains("Cargo.toml") && swapped.contains("BEGIN CERTIFICATE"), "{swapped}");
    let cut = TrustRoots::from_pem(&good.chain[..100]).unwrap_err();
    assert!(cut.to_string().contains("END CERTIFICATE"), "{cut}");
    assert!(matches!(TlsServerConfig::builder().build(), Err(TlsConfigError::NoCertificate)));
    for name in ["https://server.test/", "127.0.0.1", "*", ""] {
        let unasked = TlsServerConfig::builder().certificate_for(name, good.load()).build();
        assert!(matches!(unasked, Err(TlsConfigError::ServerName(_))), "{name}");
    }
    let unnamed = keys::client_builder().server_name("not a name").build();
    assert!(matches!(unnamed, Err(TlsConfigError::ServerName(_))));
    let nobody = keys::server_builder().require_client_certificates(TrustRoots::none()).build();
    assert!(matches!(nobody, Err(TlsConfigError::Unusable(_))));
    // Names that no ClientHello can contain: empty, too long, too many.
    for protocols in [vec![Vec::new()], vec![vec![b'x'; 256]], vec![vec![b'x'; 255]; 65]] {
        let client = keys::client_builder().application_protocols(&protocols).build();
        assert!(matches!(client, Err(TlsConfigError::Unusable(_))));
        let server = keys::server_builder().application_protocols(&protocols).build();
        assert!(matches!(server, Err(TlsConfigError::Unusable(_))));
    }
}
