//! Peers that connect and do nothing useful: on a server with an idle timeout, one of the default limits ends each of them.

use super::handshakes::keys;
use super::*;
use torsade::policies::TimeoutFactory;

/// A server of lines: the request "much" gets a long answer.
struct Lines;

impl LineProtocol for Lines {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.send_line(if line == b"much" { vec![b'x'; 4 << 20] } else { line.to_vec() });
        Ok(())
    }
}

/// Says something when connected, then something else again at each interval.
#[derive(Clone, Copy)]
struct Conduct {
    port: u16,
    says: &'static str,
    again: Option<(Duration, &'static str)>,
    reads: bool,
}

impl Conduct {
    const fn says(port: u16, says: &'static str) -> Self {
        Self { port, says, again: None, reads: true }
    }
}

/// A peer that behaves so, and records when its connection was lost.
struct Peer(Conduct, Rc<Cell<Option<Duration>>>);

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if !self.0.reads {
            transport.pause_producing();
        }
        transport.write(self.0.says);
        say_again(transport, self.0);
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, _: &Reason) -> Result {
        self.1.set(Some(transport.reactor().now()));
        Ok(())
    }
}

fn say_again(transport: &Transport, conduct: Conduct) {
    let Some((after, text)) = conduct.again.filter(|_| transport.is_connected()) else { return };
    let transport = transport.clone();
    transport.reactor().clone().call_later(after, move || {
        transport.write(text);
        say_again(&transport, conduct);
    });
}

#[test]
fn a_server_with_an_idle_timeout_ends_every_peer_that_gives_nothing() {
    const PLAIN: u16 = 7;
    const TLS: u16 = 8;
    // A record of 16 KiB that contains the beginning of a ClientHello.
    const HELLO: &str = "\u{16}\u{3}\u{1}\u{40}\u{0}\u{1}\u{0}\u{3f}\u{0}\u{3}\u{3}";
    let minutes = |minutes: f64| minutes * 60.0;
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    let factory = || TimeoutFactory::new(|_peer: Address| LineReceiver::new(Lines));
    server.listen_tcp("0.0.0.0:7", factory()).unwrap();
    server.listen_tls("0.0.0.0:8", &keys::server(), factory()).unwrap();
    // How each peer behaves, and after how many seconds its connection is lost.
    let conducts = [
        ("says nothing", Conduct::says(PLAIN, ""), minutes(30.0)),
        ("says nothing more", Conduct::says(PLAIN, "a line\r\n"), minutes(30.0)),
        ("stops in a line", Conduct::says(PLAIN, "half a l"), minutes(1.0)),
        ("never ends a line", Conduct { again: Some((20 * SECOND, "x")), ..Conduct::says(PLAIN, "x") }, minutes(1.0)),
        ("says nothing over TLS", Conduct::says(TLS, ""), minutes(0.5)),
        ("stops in a handshake", Conduct::says(TLS, HELLO), minutes(0.5)),
        ("never ends a handshake", Conduct { again: Some((SECOND, "x")), ..Conduct::says(TLS, HELLO) }, minutes(0.5)),
        // It times out as idle, and then does not take what is left to send.
        ("reads nothing", Conduct { reads: false, ..Conduct::says(PLAIN, "much\r\n") }, minutes(32.3)),
    ];
    let lost: Vec<_> = conducts.iter().map(|(_, conduct, _)| watch(&simulation, *conduct)).collect();
    let welcome = watch(&simulation, Conduct { again: Some((600 * SECOND, "a line\r\n")), ..Conduct::says(PLAIN, "") });
    simulation.run_for(3600 * SECOND).unwrap();
    for ((name, _, seconds), lost) in conducts.iter().zip(lost) {
        let lost = lost.get().unwrap_or_else(|| panic!("one who {name} is still there")).as_secs_f64();
        assert!((seconds * 0.98..=seconds + 1.0).contains(&lost), "one who {name} was lost after {lost} s");
    }
    assert_eq!((welcome.get(), server.backend().open_streams()), (None, 1), "whoever says something now and then stays");
}

fn watch(simulation: &Simulation, conduct: Conduct) -> Rc<Cell<Option<Duration>>> {
    let lost = Rc::default();
    let noted = Rc::clone(&lost);
    let address = format!("10.0.0.1:{}", conduct.port);
    let factory = move |_peer: Address| Peer(conduct, Rc::clone(&noted));
    simulation.host("10.0.2.1").connect_tcp(address.as_str(), factory).unwrap();
    lost
}
