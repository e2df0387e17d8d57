//! Exercise 8: tell each guest which version of TLS is in use, with the line `You speak TLS 1.3`.
//!
//! With TLS, a protocol has one more callback: `handshake_completed`, with the same arguments as `connection_made`, called once
//! both sides have agreed. Then `transport.tls_info()` has the details, and its `version` can be formatted. (Needs the feature
//! `tls`.)

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use torsade::prelude::*;

/// Everybody who is connected, by the number of the connection.
type Room = Rc<RefCell<BTreeMap<u64, LineTransport>>>;

struct Guest {
    room: Room,
    silence: TimeoutMixin,
}

impl LineProtocol for Guest {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.set_compression("deflate")?;
        transport.set_write_buffer_cap(100_000); // the most that may wait for this guest; beyond it the connection ends
        self.room.borrow_mut().insert(transport.id(), transport.clone());
        let guest = transport.clone();
        transport.reactor().call_later(Duration::from_secs(1), move || guest.send_line("Hello! Say something now and then."));
        self.silence.set_timeout(transport, Some(Duration::from_secs(60)));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.silence.reset_timeout();
        for (id, other) in &*self.room.borrow() {
            if *id != transport.id() {
                other.send_line(line);
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        println!("{} has left: {reason}", transport.peer());
        self.room.borrow_mut().remove(&transport.id());
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let room = Room::default();
    let guest = move || Guest { room: room.clone(), silence: TimeoutMixin::new() };
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(guest()).delimiter(b"\n").max_length(1000))?)
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    let port = start(&reactor, "ssl:8000:interface=127.0.0.1:privateKey=keys/server.key:certKey=keys/server.pem")?;
    println!("listening on {}", port.address());
    reactor.run()
}

#[cfg(test)]
pub mod check {
    use std::cell::RefCell;
    use std::rc::Rc;

    use torsade::prelude::*;
    use torsade::simulated::{Simulation, SimulationError};

    use super::start;

    /// A certificate of example.com and its key. They are in public: never use them but for this.
    const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBWzCCAQ2gAwIBAgIUYKNSs5OBni7WYfoJE7XRVTVXFP8wBQYDK2VwMBYxFDAS
BgNVBAMMC2V4YW1wbGUuY29tMCAXDTI2MTEzMDE1MzAxNFoYDzIxMjYxMTA2MTUz
MDE0WjAWMRQwEgYDVQQDDAtleGFtcGxlLmNvbTAqMAUGAytlcAMhAHeoKBnTxQBt
3REkViheUqdW1TZwu0z3AG1SEvuhX0h0o2swaTAdBgNVHQ4EFgQUSuApQPrg3OvD
pneNhiboLZR3PZcwHwYDVR0jBBgwFoAUSuApQPrg3OvDpneNhiboLZR3PZcwDwYD
VR0TAQH/BAUwAwEB/zAWBgNVHREEDzANggtleGFtcGxlLmNvbTAFBgMrZXADQQCv
A2eW/xqE90es9p+RHRlhyAtbNbbyEApibx15Xzf8QBV8gmRWnknR+OtKu7pStEIL
w+6Nx4TQPbZpVSFnWxUI
-----END CERTIFICATE-----\n";
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIKMrCiHB9hzpZmBNKQoNBRLFIC6BrvpT/74q9/ZnJmQn
-----END PRIVATE KEY-----\n";

    /// Keeps what comes.
    struct Client(Rc<RefCell<Vec<u8>>>);

    impl Protocol for Client {
        fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
            self.0.borrow_mut().extend_from_slice(data);
            Ok(())
        }
    }

    #[test]
    pub fn the_version_of_tls_is_reported() -> Result<(), SimulationError> {
        let folder =
            std::env::temp_dir().join(format!("torsade-exercise-8-{}-{:?}", std::process::id(), std::thread::current().id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("server.pem"), CERTIFICATE).expect("a file");
        std::fs::write(folder.join("server.key"), KEY).expect("a file");
        let keys = torsade::quote_string_argument(&folder.to_string_lossy());

        let simulation = Simulation::new(1);
        simulation.add_name("example.com", "10.0.0.1");
        let server = format!("ssl:8000:privateKey={keys}/server.key:certKey={keys}/server.pem");
        start(&simulation.host("10.0.0.1"), &server).expect("it starts");
        let heard = Rc::<RefCell<Vec<u8>>>::default();
        let (kept, there) = (heard.clone(), format!("tls:example.com:8000:trustRoots={keys}"));
        simulation.host("10.0.0.2").connect(&*there, move |_peer| Client(kept.clone())).expect("an address");
        simulation.run_for(std::time::Duration::from_secs(2))?;
        std::fs::remove_dir_all(&folder).ok();
        let heard = String::from_utf8_lossy(&heard.borrow()).into_owned();
        assert!(heard.contains("You speak TLS 1.3\n"), "the guest heard {heard:?}");
        Ok(())
    }
}
