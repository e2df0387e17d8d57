//! Socket options: read back from the system, on accepted and connected sockets.

use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::wire::{Discard, Echo};
use torsade::{Keepalive, SocketOptions};

use crate::support::{LIMIT, address, connect, once, run, stop};

const SECOND: Duration = Duration::from_secs(1);

fn options() -> SocketOptions {
    SocketOptions {
        keepalive: Some(Keepalive { idle: 30 * SECOND, interval: 5 * SECOND, retries: 4 }),
        user_timeout: cfg!(target_os = "linux").then_some(20 * SECOND),
        tos: Some(0x10),
        send_buffer: Some(40_000),
        receive_buffer: Some(50_000),
    }
}

#[derive(Debug, PartialEq)]
struct Found {
    keepalive: Option<(Duration, Duration, u32)>,
    user_timeout: Option<Duration>,
    tos: u32,
    traffic_class: u32,
    send_buffer: usize,
    receive_buffer: usize,
}

fn found(transport: &Transport) -> Found {
    let look = |socket: SockRef<'_>| -> std::io::Result<Found> {
        let keepalive = || {
            Ok::<_, std::io::Error>((
                socket.tcp_keepalive_time()?,
                socket.tcp_keepalive_interval()?,
                socket.tcp_keepalive_retries()?,
            ))
        };
        Ok(Found {
            keepalive: if socket.keepalive()? { Some(keepalive()?) } else { None },
            #[cfg(target_os = "linux")]
            user_timeout: socket.tcp_user_timeout()?,
            #[cfg(not(target_os = "linux"))]
            user_timeout: None,
            tos: socket.tos_v4()?,
            traffic_class: if transport.host().ip().is_some_and(|ip| ip.is_ipv6()) { socket.tclass_v6()? } else { 0 },
            send_buffer: socket.send_buffer_size()?,
            receive_buffer: socket.recv_buffer_size()?,
        })
    };
    transport.with_descriptor(|descriptor| look(SockRef::from(&descriptor))).expect("it is a socket").expect("it can be queried")
}

/// What was requested. Linux doubles the sizes of buffers.
fn expected(is_ipv6: bool) -> Found {
    let times = if cfg!(target_os = "linux") { 2 } else { 1 };
    Found {
        keepalive: Some((30 * SECOND, 5 * SECOND, 4)),
        user_timeout: options().user_timeout,
        tos: 0x10,
        traffic_class: if is_ipv6 { 0x10 } else { 0 },
        send_buffer: times * 40_000,
        receive_buffer: times * 50_000,
    }
}

/// Gives each of its transports to the test.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<Transport>>>);

impl Protocol for Kept {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Runs until this many connections are made.
fn run_until(reactor: &Reactor, kept: &Kept, count: usize, then: impl FnOnce(&[Transport]) + 'static) {
    let (there, asked, stopper) = (kept.clone(), kept.clone(), reactor.clone());
    once(
        reactor,
        move || there.0.borrow().len() == count,
        move || {
            then(&asked.0.borrow());
            stop(&stopper);
        },
    );
    run(reactor);
}

#[test]
fn what_is_asked_for_holds_for_accepted_and_for_connected_sockets() {
    for listening in ["127.0.0.1:0", "[::1]:0"] {
        if TcpListener::bind(listening).is_err() {
            println!("skipped {listening}: this host has no such address");
            continue;
        }
        let (reactor, accepted) = (Reactor::new().unwrap(), Kept::default());
        let server = accepted.clone();
        let with = ListenOptions { socket: options(), ..ListenOptions::default() };
        let port = reactor.listen(ServerEndpoint::tcp(listening).unwrap().options(with), move |_peer| server.clone()).unwrap();
        let client = accepted.clone();
        let endpoint = ClientEndpoint::tcp(address(&port)).unwrap();
        let endpoint = endpoint.options(ConnectOptions { socket: options(), ..ConnectOptions::default() });
        reactor.connect(endpoint, move |_peer| client.clone()).unwrap();
        run_until(&reactor, &accepted, 2, move |transports| {
            for transport in transports {
                assert_eq!(found(transport), expected(listening.starts_with('[')), "{transport:?}");
            }
        });
    }
}

#[test]
fn a_connection_of_ipv4_that_a_port_of_ipv6_takes_has_them_too() {
    let (reactor, accepted) = (Reactor::new().unwrap(), Kept::default());
    let server = accepted.clone();
    let with = ListenOptions { socket: options(), only_v6: Some(false), ..ListenOptions::default() };
    let endpoint = ServerEndpoint::tcp("[::]:0").unwrap().options(with);
    let Ok(port) = reactor.listen(endpoint, move |_peer| server.clone()) else {
        return println!("skipped: this host has no IPv6");
    };
    let _peer = connect(([127, 0, 0, 1], address(&port).port()).into());
    run_until(&reactor, &accepted, 1, |transports| assert_eq!(found(&transports[0]).tos, 0x10));
}

#[test]
fn a_socket_that_listens_already_stays_as_it_is_and_what_it_accepts_has_the_options() {
    let (reactor, accepted) = (Reactor::new().unwrap(), Kept::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let shared = listener.try_clone().unwrap();
    let at = listener.local_addr().unwrap();
    // One connection is already waiting.
    let _early = connect(at);
    let with = ListenOptions { socket: options(), ..ListenOptions::default() };
    let server = accepted.clone();
    reactor.listen(ServerEndpoint::inherited(listener).options(with), move |_peer| server.clone()).unwrap();
    let _late = connect(at);
    run_until(&reactor, &accepted, 2, move |transports| {
        for transport in transports {
            let Found { send_buffer: _, receive_buffer, .. } = found(transport);
            assert_eq!(found(transport).keepalive, expected(false).keepalive);
            assert_eq!(receive_buffer, expected(false).receive_buffer);
        }
        assert!(!SockRef::from(&shared).keepalive().unwrap(), "others may hold it");
    });
}

#[test]
fn ports_say_what_they_were_opened_with() {
    let reactor = Reactor::new().unwrap();
    let open = |options| {
        let endpoint = ServerEndpoint::tcp("[::]:0").unwrap().options(options);
        reactor.listen(endpoint, |_peer| Echo)
    };
    if open(ListenOptions::default()).is_err() {
        return println!("skipped: this host has no IPv6");
    }
    for on in [false, true] {
        let port = open(ListenOptions { only_v6: Some(on), reuse_port: on, ..ListenOptions::default() }).unwrap();
        let (only_v6, shared) = port
            .with_descriptor(|descriptor| {
                let socket = SockRef::from(&descriptor);
                (socket.only_v6().unwrap(), socket.reuse_port().unwrap())
            })
            .unwrap();
        assert_eq!((only_v6, shared), (on, on));
        if on {
            let endpoint = ServerEndpoint::from(address(&port));
            let shared = ListenOptions { reuse_port: true, ..ListenOptions::default() };
            assert!(reactor.listen(endpoint.clone().options(shared), |_peer| Echo).is_ok(), "both ask for it");
            assert!(reactor.listen(endpoint, |_peer| Echo).is_err(), "this one does not");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_backlog_is_as_long_as_was_asked_for() {
    let reactor = Reactor::new().unwrap();
    let options = ListenOptions { backlog: 2, ..ListenOptions::default() };
    let port = reactor.listen(ServerEndpoint::tcp("127.0.0.1:0").unwrap().options(options), |_peer| Echo).unwrap();
    // Linux queues one more than that. Nothing is accepted, since the loop does not run.
    let waiting: Vec<_> = (0..3).map(|_| connect(address(&port))).collect();
    let one_more = std::net::TcpStream::connect_timeout(&address(&port), Duration::from_millis(50));
    assert!(one_more.is_err(), "{} wait", waiting.len());
}

#[test]
fn the_error_names_the_option_that_cannot_be_set() {
    let reactor = Reactor::new().unwrap();
    let keepalive = Some(Keepalive { idle: Duration::ZERO, ..Keepalive::default() });
    let socket = SocketOptions { keepalive, ..SocketOptions::default() };
    let endpoint = ServerEndpoint::tcp("127.0.0.1:0").unwrap().options(ListenOptions { socket, ..ListenOptions::default() });
    let error = reactor.listen(endpoint, |_peer| Echo).unwrap_err().to_string();
    assert!(error.contains("the option keepalive cannot be set"), "{error}");
    let inherited = ServerEndpoint::inherited(TcpListener::bind("127.0.0.1:0").unwrap());
    let error =
        reactor.listen(inherited.options(ListenOptions { socket, ..ListenOptions::default() }), |_peer| Echo).unwrap_err();
    assert!(error.to_string().contains("the option keepalive cannot be set"), "{error}");
}

#[test]
fn connections_to_several_servers_come_from_one_port_at_the_same_time() {
    let reactor = Reactor::new().unwrap();
    let from = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = [(); 2].map(|()| address(&reactor.listen("127.0.0.1:0", |_peer| Echo).unwrap()));
    let client = reactor.clone();
    let connecting = async move {
        let mut connected = Vec::new();
        for server in servers {
            let options = ConnectOptions { bind_address: Some(from), timeout: LIMIT, ..ConnectOptions::default() };
            let endpoint = ClientEndpoint::tcp(server)?.options(options);
            connected.push(client.connect_protocol(endpoint, Discard).await?);
        }
        assert!(connected.iter().all(|transport| transport.is_connected() && transport.host() == from.into()), "{connected:?}");
        Ok(())
    };
    crate::support::run_until(&reactor, connecting).unwrap();
}

#[test]
fn a_simulated_host_takes_them_and_has_no_descriptor() {
    let simulation = Simulation::new(1);
    let (host, kept) = (simulation.host("10.0.0.1"), Kept::default());
    let server = kept.clone();
    let endpoint = ServerEndpoint::tcp("10.0.0.1:7").unwrap();
    let port = host
        .listen(endpoint.options(ListenOptions { socket: options(), ..ListenOptions::default() }), move |_peer| server.clone());
    let endpoint = ClientEndpoint::tcp("10.0.0.1:7").unwrap();
    host.connect(endpoint.options(ConnectOptions { socket: options(), ..ConnectOptions::default() }), |_peer| Discard).unwrap();
    simulation.run_for(SECOND).unwrap();
    let transport = kept.0.borrow()[0].clone();
    for error in [transport.with_descriptor(|_| ()).unwrap_err(), port.unwrap().with_descriptor(|_| ()).unwrap_err()] {
        assert_eq!(error.kind(), std::io::ErrorKind::Unsupported, "{error}");
    }
}

#[test]
fn what_looks_at_the_descriptor_may_call_the_transport_and_a_closed_one_has_none() {
    let (reactor, accepted) = (Reactor::new().unwrap(), Kept::default());
    let server = accepted.clone();
    let port = reactor.listen("127.0.0.1:0", move |_peer| server.clone()).unwrap();
    let mut peer = connect(address(&port));
    let kept = accepted.clone();
    let (closed, stopper) = (port.clone(), reactor.clone());
    once(
        &reactor,
        move || !kept.0.borrow().is_empty(),
        move || {
            let transport = accepted.0.borrow()[0].clone();
            transport
                .with_descriptor(|_descriptor| {
                    transport.write("bye");
                    transport.lose_connection();
                })
                .unwrap();
            closed.stop_listening();
            once(
                &stopper.clone(),
                move || !transport.is_connected(),
                move || {
                    assert_eq!(closed.with_descriptor(|_| ()).unwrap_err().kind(), std::io::ErrorKind::NotConnected);
                    assert_eq!(
                        accepted.0.borrow()[0].with_descriptor(|_| ()).unwrap_err().kind(),
                        std::io::ErrorKind::NotConnected
                    );
                    stop(&stopper);
                },
            );
        },
    );
    let talk = std::thread::spawn(move || crate::support::drain(&mut peer).0);
    run(&reactor);
    assert_eq!(talk.join().unwrap(), b"bye");
}
