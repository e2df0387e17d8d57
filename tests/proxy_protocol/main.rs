//! The PROXY protocol: which headers are valid, and the connections behind them.

#[cfg(unix)]
mod interop;
#[path = "../support/support.rs"]
mod support;
#[cfg(all(unix, feature = "tls"))]
mod tls;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use support::{Event, Events, Probe, pattern};
use torsade::policies::LimitConnectionsByPeer;
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{ProxyHeader, ProxyHeaderError, ProxyProtocolFactory, ProxySsl, ProxyTrust, ProxyVersion, Tlv, UnixName};

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.7 49152 443\r\n";

fn tcp(text: &str) -> Address {
    Address::Tcp(text.parse().unwrap())
}

fn header() -> ProxyHeader {
    ProxyHeader::new(tcp("192.0.2.1:49152"), tcp("198.51.100.7:443"))
}

fn parse(data: &[u8]) -> std::result::Result<ProxyHeader, ProxyHeaderError> {
    let parsed = ProxyHeader::parse(data)?;
    let (header, length) = parsed.unwrap_or_else(|| panic!("more of {} is wanted", data.escape_ascii()));
    assert_eq!(length, data.len());
    Ok(header)
}

#[test]
fn a_line_names_two_tcp_sockets_or_nobody() {
    assert_eq!(parse(LINE), Ok(header()));
    let ipv6 = ProxyHeader::new(tcp("[2001:db8::1]:0"), tcp("[2001:db8::2]:65535"));
    assert_eq!(parse(b"PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n"), Ok(ipv6));
    assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Ok(ProxyHeader::local()));
    let longest = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n";
    assert_eq!(parse(longest), Ok(ProxyHeader::local()));
}

#[test]
fn a_line_that_breaks_the_specification_is_refused() {
    let refused: [&[u8]; 12] = [
        b"PROXY TCP4 192.0.2.1 198.51.100.7 49152\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 49152 443 7\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.7 49152 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 49152 0443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 +1 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 49152 65536\r\n",
        b"PROXY TCP4 192.0.2.01 198.51.100.7 49152 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 49152 443\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.7 49152 443\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.7 49152 443\r\n",
        b"PROXY TCP4 example.org 198.51.100.7 49152 443\r\n",
        b"PROXY \xff\r\n",
    ];
    for line in refused {
        assert!(matches!(parse(line), Err(ProxyHeaderError::Malformed(_))), "{}", line.escape_ascii());
    }
    for other in [&b"GET / HTTP/1.1\r\n"[..], b"proxy TCP4", b"\r\n\r\n\0\r\nQUIT\r", b"PROXYTCP4"] {
        assert_eq!(ProxyHeader::parse(other), Err(ProxyHeaderError::Absent), "{}", other.escape_ascii());
    }
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 93]].concat();
    assert_eq!(ProxyHeader::parse(&endless[..106]), Ok(None));
    assert_eq!(ProxyHeader::parse(&endless), Err(ProxyHeaderError::TooLong(107)));
}

fn headers() -> Vec<ProxyHeader> {
    let udp = |text: &str| Address::Udp(text.parse().unwrap());
    let ssl = [&[7, 0, 0, 0, 0][..], b"\x21\0\x07TLSv1.3", b"\x22\0\x05alice"].concat();
    vec![
        header(),
        ProxyHeader::new(tcp("[2001:db8::1]:0"), tcp("[2001:db8::2]:65535")),
        ProxyHeader::new(udp("192.0.2.1:53"), udp("192.0.2.2:53")),
        ProxyHeader::new(UnixName::Path("/run/a".into()), UnixName::Abstract(b"b\0c".to_vec())),
        ProxyHeader::new(Address::Unnamed, UnixName::Path("/run/a".into())),
        ProxyHeader::local(),
        header().with_tlv(Tlv::new(Tlv::ALPN, b"h2")).with_tlv(Tlv::new(Tlv::AUTHORITY, "example.org")),
        header().with_tlv(Tlv::new(0xe0, [])).with_tlv(Tlv::new(Tlv::SSL, ssl)),
    ]
}

#[test]
fn a_binary_header_is_read_as_it_was_written_and_never_from_less_than_all_of_it() {
    for header in headers() {
        let bytes = header.to_bytes(ProxyVersion::V2);
        assert_eq!(parse(&bytes), Ok(header.clone()));
        for end in 0..bytes.len() {
            assert_eq!(ProxyHeader::parse(&bytes[..end]), Ok(None), "{end} bytes of {header:?}");
        }
        let followed = [&bytes[..], b"data"].concat();
        assert_eq!(ProxyHeader::parse(&followed), Ok(Some((header, bytes.len()))));
    }
    for end in 0..LINE.len() {
        assert_eq!(ProxyHeader::parse(&LINE[..end]), Ok(None));
    }
    assert_eq!(header().to_bytes(ProxyVersion::V1), LINE);
    assert_eq!(ProxyHeader::local().to_bytes(ProxyVersion::V1), b"PROXY UNKNOWN\r\n");
}

#[test]
fn a_binary_header_that_was_changed_in_transit_is_refused() {
    for header in headers() {
        let bytes = header.to_bytes(ProxyVersion::V2);
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                let read = ProxyHeader::parse(&changed).map(|parsed| parsed.map(|(header, _)| header));
                // A longer length makes the parser wait for more, and LOCAL makes it ignore the addresses.
                let is_local = changed[12] == 0x20;
                assert!(is_local || read != Ok(Some(header.clone())), "byte {place}, bit {bit} of {header:?}");
            }
        }
    }
}

#[test]
fn a_binary_header_is_read_as_others_write_it() {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let of = |rest: &[u8]| [signature.as_slice(), rest].concat();
    // Without a checksum, with padding, and LOCAL with addresses to be ignored.
    let plain = of(b"\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01\xbb");
    assert_eq!(parse(&plain), Ok(header()));
    let padded = of(b"\x21\x11\0\x12\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01\xbb\x04\0\x03\0\0\0");
    assert_eq!(parse(&padded), Ok(header()));
    assert_eq!(parse(&of(b"\x20\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01\xbb")), Ok(ProxyHeader::local()));
    assert_eq!(parse(&of(b"\x21\0\0\0")), Ok(ProxyHeader::local()));
    for (refused, what) in [
        (of(b"\x11\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01\xbb"), "another version"),
        (of(b"\x22\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01\xbb"), "another command"),
        (of(b"\x21\x41\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01\xbb"), "another family"),
        (of(b"\x21\x13\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01\xbb"), "another transport"),
        (of(b"\x21\x11\0\x0b\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01"), "too short for its addresses"),
        (of(b"\x21\x11\0\x10\xc0\0\x02\x01\xc6\x33\x64\x07\xc0\0\x01\xbb\x04\0\x03\0"), "a TLV that is not whole"),
        (of(b"\x21\0\0\x05\x03\0\x02\0\0"), "a checksum of two bytes"),
    ] {
        assert!(matches!(parse(&refused), Err(ProxyHeaderError::Malformed(_))), "{what}");
    }
    let long = of(b"\x21\x11\xff\xff");
    assert_eq!(ProxyHeader::parse(&long), Err(ProxyHeaderError::TooLong(4096)), "before it has arrived");
}

#[test]
fn what_a_proxy_says_of_tls_is_read_and_a_value_that_is_cut_is_not() {
    let value = headers().pop().and_then(|header| header.tlv(Tlv::SSL).map(<[u8]>::to_vec)).unwrap();
    let ssl = ProxySsl::parse(&value).unwrap();
    assert!(ssl.is_tls && ssl.has_certificate && ssl.is_verified);
    assert_eq!((ssl.version.as_deref(), ssl.common_name.as_deref(), ssl.cipher), (Some("TLSv1.3"), Some("alice"), None));
    assert!(ProxySsl::parse(&value[..value.len() - 1]).is_none());
    assert!(!ProxySsl::parse(&[1, 0, 0, 0, 0]).unwrap().is_verified, "no certificate was shown");
}

/// The server's factory: its protocols echo, and call `made` when connected.
struct Recording {
    seen: Events,
    ends: Rc<RefCell<Vec<(Address, Address)>>>,
    made: Rc<dyn Fn(&Transport)>,
}

impl Factory for Recording {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        let (ends, made) = (Rc::clone(&self.ends), Rc::clone(&self.made));
        Some(Box::new(Probe::new(&self.seen, move |event, transport| {
            match event {
                Event::Made => {
                    ends.borrow_mut().push((transport.peer(), transport.host()));
                    made(transport);
                }
                Event::Data(data) => transport.write(data),
                _ => {}
            }
            Ok(())
        })))
    }
}

/// A server behind a proxy on a simulated network, and what its protocol saw.
struct Behind {
    simulation: Simulation,
    seen: Events,
    ends: Rc<RefCell<Vec<(Address, Address)>>>,
}

impl Behind {
    /// The server echoes, and calls `made` when connected.
    fn new(
        dress: impl FnOnce(ProxyProtocolFactory<Recording>) -> ProxyProtocolFactory<Recording>,
        made: impl Fn(&Transport) + 'static,
    ) -> Self {
        let simulation = Simulation::new(1);
        let (seen, ends) = (Events::default(), Rc::<RefCell<Vec<_>>>::default());
        let factory = Recording { seen: seen.clone(), ends: Rc::clone(&ends), made: Rc::new(made) };
        let server = simulation.host("10.0.0.1");
        server.listen_tcp("0.0.0.0:7", dress(ProxyProtocolFactory::new(factory))).unwrap();
        Self { simulation, seen, ends }
    }

    /// What a client receives that does this when connected, until nothing more happens.
    fn answer(&self, made: impl FnMut(&Transport) -> Result + 'static) -> Events {
        self.answer_at("10.0.0.1:7", "10.0.0.2", made)
    }

    /// The same for a client on another host, which connects to another address.
    fn answer_at(&self, address: &str, client: &str, made: impl FnMut(&Transport) -> Result + 'static) -> Events {
        let (client, events) = (self.simulation.host(client), Events::default());
        let (told, mut made) = (events.clone(), Some(made));
        let factory = move |_peer: Address| {
            let mut made = made.take();
            Probe::new(&told, move |event, transport| match event {
                Event::Made => made.take().map_or(Ok(()), |mut made| made(transport)),
                _ => Ok(()),
            })
        };
        client.connect_tcp(address, factory).unwrap();
        self.simulation.run_for(Duration::from_secs(5)).unwrap();
        events
    }

    fn answer_to(&self, pieces: &[&[u8]]) -> Events {
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        self.answer(move |transport| {
            for (place, piece) in (0_u32..).zip(pieces.clone()) {
                let later = transport.clone();
                transport.reactor().call_later(Duration::from_millis(10) * place, move || later.write(piece));
            }
            Ok(())
        })
    }

    /// How the server's connections ended.
    fn reasons(&self) -> Vec<String> {
        let log = self.simulation.log().on("10.0.0.1");
        log.named("connection_lost")
            .entries()
            .iter()
            .map(|entry| entry.event.reason.as_deref().unwrap_or("").to_owned())
            .collect()
    }
}

fn undressed(factory: ProxyProtocolFactory<Recording>) -> ProxyProtocolFactory<Recording> {
    factory
}

#[test]
fn after_the_header_the_connection_is_the_clients_however_the_bytes_arrive() {
    for bytes in [LINE.to_vec(), header().with_tlv(Tlv::new(Tlv::ALPN, b"h2")).to_bytes(ProxyVersion::V2)] {
        let whole = [&bytes[..], b"hello"].concat();
        for cut in 1..whole.len() {
            let behind = Behind::new(undressed, |_| {});
            let answer = behind.answer_to(&[&whole[..cut], &whole[cut..]]);
            assert_eq!(answer.data(), b"hello", "cut after {cut} bytes");
            assert_eq!(*behind.ends.borrow(), [(tcp("192.0.2.1:49152"), tcp("198.51.100.7:443"))]);
        }
    }
}

#[test]
fn a_proxy_that_speaks_for_itself_has_its_own_addresses() {
    let behind = Behind::new(undressed, |transport| assert_eq!(transport.proxy_header(), Some(&ProxyHeader::local())));
    assert_eq!(behind.answer_to(&[&ProxyHeader::local().to_bytes(ProxyVersion::V2), b"hello"]).data(), b"hello");
    let (peer, host) = behind.ends.borrow()[0].clone();
    assert_eq!(peer.ip().map(|ip| ip.to_string()).as_deref(), Some("10.0.0.2"));
    assert_eq!(host, tcp("10.0.0.1:7"));
}

#[test]
fn no_protocol_is_built_for_one_that_sends_no_header_or_a_wrong_one_or_none_in_time() {
    let wrong: [(&[u8], &str); 3] =
        [(b"GET / HTTP/1.1\r\n", "ProxyHeader"), (b"PROXY TCP4 \r\n", "ProxyHeader"), (b"PROX", "TimedOut")];
    for (bytes, reason) in wrong {
        let behind = Behind::new(undressed, |_| {});
        let answer = behind.answer_to(&[bytes]);
        behind.simulation.run_for(Duration::from_secs(5)).unwrap();
        assert!(answer.lost() && answer.data().is_empty());
        assert!(behind.seen.all().is_empty());
        assert_eq!(behind.reasons(), [reason]);
    }
    let behind = Behind::new(undressed, |_| {});
    let left = behind.answer(|transport| {
        transport.write(b"PROXY TCP4");
        transport.lose_connection();
        Ok(())
    });
    assert!(left.lost());
    assert_eq!(behind.reasons(), ["ProxyHeader"]);
    assert!(behind.seen.all().is_empty());
}

#[test]
fn a_header_in_time_ends_the_wait_for_it() {
    let behind = Behind::new(undressed, |_| {});
    behind.answer_to(&[LINE]);
    behind.simulation.run_for(Duration::from_secs(60)).unwrap();
    assert!(behind.reasons().is_empty());
}

#[test]
fn a_peer_that_is_not_a_proxy_is_refused_or_served_as_a_client() {
    let behind = Behind::new(|factory| factory.trust(|_| ProxyTrust::Refused), |_| {});
    assert!(behind.answer_to(&[LINE]).lost());
    assert!(behind.seen.all().is_empty());
    let behind = Behind::new(|factory| factory.trust(|_| ProxyTrust::Client), |_| {});
    assert_eq!(behind.answer_to(&[LINE]).data(), LINE, "it is data like any other");
    assert_ne!(behind.ends.borrow()[0].0, tcp("192.0.2.1:49152"));
}

#[test]
fn a_protocol_that_pauses_at_once_gets_what_came_with_the_header_when_it_resumes() {
    let behind = Behind::new(undressed, |transport| {
        transport.pause_producing();
        let later = transport.clone();
        transport.reactor().call_later(Duration::from_secs(1), move || later.resume_producing());
    });
    let answer = behind.answer_to(&[&[LINE, b"hello"].concat()]);
    assert_eq!(answer.data(), b"hello");
}

#[test]
fn a_factory_that_refuses_the_client_closes_the_connection() {
    let simulation = Simulation::new(1);
    let limited = LimitConnectionsByPeer::new(|_peer| torsade::wire::Echo, 1);
    simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", ProxyProtocolFactory::new(limited)).unwrap();
    let lost: Vec<Events> = (0..3).map(|_| Events::default()).collect();
    for (place, client) in [(0, 1), (1, 1), (2, 2)] {
        let events = lost[place].clone();
        let header = ProxyHeader::new(tcp(&format!("192.0.2.{client}:1")), tcp("198.51.100.7:443")).to_bytes(ProxyVersion::V2);
        let probe = move |_peer: Address| {
            let header = header.clone();
            Probe::new(&events, move |event, transport| {
                if matches!(event, Event::Made) {
                    transport.write(&header);
                }
                Ok(())
            })
        };
        simulation.host("10.0.0.2").connect_tcp("10.0.0.1:7", probe).unwrap();
        simulation.run_for(Duration::from_secs(1)).unwrap();
    }
    assert_eq!(lost.iter().map(Events::lost).collect::<Vec<_>>(), [false, true, false]);
}

/// Has a client converse with the server through a forwarder that announces whose connection it is.
fn through_a_forwarder(behind: &Behind, made: impl FnMut(&Transport) -> Result + 'static) -> Events {
    let forward = PortForward::new(|reactor, target| reactor.connect_tcp("10.0.0.1:7", target));
    behind.simulation.host("10.0.0.2").listen_tcp("0.0.0.0:8", forward.proxy_header(ProxyVersion::V2)).unwrap();
    let events = behind.answer_at("10.0.0.2:8", "10.0.0.3", made);
    let ends = behind.ends.borrow();
    let (peer, host) = ends.first().expect("a protocol was built");
    assert_eq!(peer.ip().map(|ip| ip.to_string()).as_deref(), Some("10.0.0.3"));
    assert_eq!(host, &tcp("10.0.0.2:8"));
    events
}

#[test]
fn a_forwarder_says_whose_connection_it_passes_on() {
    let behind = Behind::new(undressed, |_| {});
    let answer = through_a_forwarder(&behind, |transport| {
        transport.write(b"hello");
        Ok(())
    });
    assert_eq!(answer.data(), b"hello");
}

#[test]
fn compression_begins_after_the_header_even_in_the_same_segment() {
    for format in support::formats() {
        let behind = Behind::new(undressed, |transport| transport.set_detection(Detect::AtStart));
        let much = pattern(0, 10_000);
        let sent = much.clone();
        let answer = through_a_forwarder(&behind, move |transport| {
            transport.set_compression(format)?;
            transport.write(&sent);
            Ok(())
        });
        assert!(behind.seen.data() == much, "{format}: the server got something else");
        assert!(answer.data() == much, "{format}: the client got something else");
    }
}

#[cfg(feature = "tls")]
#[test]
fn tls_begins_after_the_header_even_in_the_same_segment() {
    use support::keys;
    let behind = Behind::new(|factory| factory.tls(keys::server()), |_| {});
    let client = keys::client_builder().server_name("server.test").build().unwrap();
    let answer = through_a_forwarder(&behind, move |transport| {
        transport.start_tls(&client)?;
        transport.write(b"hello");
        Ok(())
    });
    assert_eq!(answer.data(), b"hello");
}
