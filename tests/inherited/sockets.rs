//! Your own listening sockets as endpoints, and descriptors that are none.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{Inherited, SocketDomain};

use crate::support::*;

#[test]
fn an_inherited_socket_is_listened_on_once_however_often_its_endpoint_is_cloned() {
    let reactor = Reactor::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = ServerEndpoint::inherited(listener);
    let (events, stopper) = (Events::default(), reactor.clone());
    let server = events.clone();
    let port = reactor.listen(endpoint.clone(), move |_peer: Address| {
        let stopper = stopper.clone();
        Probe::new(&server, in_callback("lost", move |_transport| Ok(stopper.stop()?)))
    });
    assert_eq!(port.unwrap().address(), address.into());
    let error = reactor.listen(endpoint, |_peer| Echo).unwrap_err();
    assert!(matches!(error, ListenError::Configuration(_)) && error.to_string().contains("only once"), "{error}");
    drop(connect(address));
    run(&reactor);
    assert!(events.reason().is_clean());
}

#[test]
fn what_a_descriptor_is_the_system_says() {
    let take = |descriptor: OwnedFd| Inherited::try_from(descriptor);
    let domain = |descriptor: OwnedFd| take(descriptor).unwrap().domain();
    let path = socket_path();
    assert_eq!(domain(TcpListener::bind("127.0.0.1:0").unwrap().into()), SocketDomain::Inet);
    assert_eq!(domain(UnixListener::bind(&path).unwrap().into()), SocketDomain::Unix);
    std::fs::remove_file(path).unwrap();
    if let Ok(listener) = TcpListener::bind("[::1]:0") {
        assert_eq!(domain(listener.into()), SocketDomain::Inet6);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let others: [(OwnedFd, &str); 3] = [
        (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "datagram socket"),
        (std::fs::File::open("/dev/null").unwrap().into(), "something else"),
        (connected.into(), if cfg!(target_vendor = "apple") { "" } else { "listen(2)" }),
    ];
    for (other, what) in others.into_iter().filter(|(_, what)| !what.is_empty()) {
        let error = take(other).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains(what), "{error}");
    }
}

#[test]
fn no_socket_of_the_process_is_one_of_a_simulated_host() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let own = ServerEndpoint::inherited(TcpListener::bind("127.0.0.1:0").unwrap());
    for endpoint in [own, ServerEndpoint::systemd(0), ServerEndpoint::descriptor(3)] {
        let error = host.listen(endpoint, |_peer| Echo).unwrap_err();
        assert!(error.to_string().contains("world"), "{error}");
    }
}

#[cfg(not(feature = "systemd"))]
#[test]
fn without_the_feature_an_error_says_so() {
    let error = Reactor::new().unwrap().listen(ServerEndpoint::systemd(0), |_peer| Echo).unwrap_err();
    assert!(error.to_string().contains("feature `systemd`"), "{error}");
}
