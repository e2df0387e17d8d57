//! Link-local addresses, which are valid on one link.

use std::io::ErrorKind;

use crate::support::*;
use torsade::ListenError;
use torsade::prelude::*;

#[test]
fn a_link_is_written_by_its_number_or_its_name() {
    let parsed = |text: &str| text.parse::<HostPort>().ok().map(|there| there.to_string());
    for text in ["[fe80::1%2]:80", "[fe80::1%eth0]:80", "[fe80::1%br-lan.7]:80", "[::1]:80"] {
        assert_eq!(parsed(text).as_deref(), Some(text));
    }
    let long = format!("[fe80::1%{}]:80", "x".repeat(16));
    for text in ["[fe80::1%]:80", "[fe80::1%4294967296]:80", "[fe80::1%a b]:80", "[fe80::1%a/b]:80", "[10.0.0.1%lo]:80", &long] {
        assert_eq!(parsed(text), None, "{text}");
    }
    let pair = HostPort::try_from(("fe80::1%eth0", 80)).unwrap();
    assert_eq!((pair.link(), pair.to_string().as_str()), (Some("eth0"), "[fe80::1%eth0]:80"));
    assert_eq!(parsed("[fe80::1%0]:80").as_deref(), Some("[fe80::1]:80"), "0 leaves it to the system");
}

#[test]
fn a_link_that_does_not_exist_is_named_in_the_error() {
    let simulation = torsade::simulated::Simulation::new(1);
    for reactor in [Reactor::new().unwrap(), simulation.host("10.0.0.1").reactor().clone()] {
        let Err(ListenError::Io { cause, .. }) = reactor.listen_tcp("[fe80::1%nowhere]:0", |_peer| Echo) else {
            panic!("there is no such link")
        };
        assert_eq!(cause.kind(), ErrorKind::NotFound);
        assert!(cause.to_string().contains("\"nowhere\""), "{cause}");
    }
    let reactor = Reactor::new().unwrap();
    let own = reactor.clone();
    let connecting = async move { Ok(own.connect_protocol("[fe80::1%nowhere]:80", torsade::wire::Discard).await.map(drop)) };
    let failure = run_until(&reactor, connecting).unwrap().expect_err("there is no such link");
    assert!(matches!(failure.downcast_ref(), Some(ConnectError::Io(error)) if error.kind() == ErrorKind::NotFound), "{failure}");
}

/// Connects to a port of its own on a link, by the link's name and by its number.
fn converse_on(link: &str) {
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let there = events.clone();
    let port = reactor.listen_tcp(&*format!("[fe80::1%{link}]:0"), move |_peer| Probe::new(&there, |_, _| Ok(()))).unwrap();
    let Address::Tcp(std::net::SocketAddr::V6(bound)) = port.address() else { panic!("{port:?}") };
    assert_ne!(bound.scope_id(), 0);
    for link in [link.to_owned(), bound.scope_id().to_string()] {
        let (own, text) = (reactor.clone(), format!("[fe80::1%{link}]:{}", bound.port()));
        let connecting = async move {
            let from = ConnectOptions { bind_address: Some("[::]:0".parse()?), ..ConnectOptions::default() };
            let endpoint = ClientEndpoint::tcp(&*text)?.options(from);
            let transport = own.connect_protocol(endpoint, torsade::wire::Discard).await?;
            println!("\nconnected to {}", transport.peer());
            Ok(())
        };
        reactor.spawn(connecting);
    }
    let stopper = reactor.clone();
    reactor.call_when_running(move || stop_once(&stopper, events));
    run(&reactor);
}

fn stop_once(reactor: &Reactor, events: Events) {
    if events.count("made") == 2 {
        return stop(reactor);
    }
    let again = reactor.clone();
    reactor.call_later(std::time::Duration::from_millis(1), move || stop_once(&again, events));
}

#[test]
fn a_link_is_listened_on_and_connected_to_by_its_name() {
    const NAME: &str = "links::a_link_is_listened_on_and_connected_to_by_its_name";
    if is_child(NAME) {
        return converse_on("lo");
    }
    let set_up = "ip address add fe80::1/64 dev lo scope link nodad";
    let Ok(output) = child_in_own_network(NAME, set_up, &["fe80::1"]).output() else {
        return println!("skipped: there is no unshare command");
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    if !printed.contains("running 1 test") {
        return println!("skipped: no network of its own, {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(printed.matches("connected to [fe80::1%1]").count(), 2, "{printed}");
}
