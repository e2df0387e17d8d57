//! What systemd is told, through a socket of the test's.

use std::cell::RefCell;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{MultiService, Service, StreamServerEndpointService, SystemdNotification, run_service};
use torsade::simulated::Simulation;
use torsade::wire::Discard;

use crate::support::{LIMIT, child, is_child, run, signal, socket_path};

const SECOND: Duration = Duration::from_secs(1);

/// Records each notification, and when it came.
struct Systemd(Reactor, Rc<RefCell<Vec<(u64, String)>>>);

impl DatagramProtocol for Systemd {
    fn datagram_received(&mut self, _: &DatagramTransport, data: &[u8], _: &Address) -> Result {
        self.1.borrow_mut().push((self.0.now().as_secs(), String::from_utf8(data.to_vec())?));
        Ok(())
    }
}

#[test]
fn the_start_the_stop_the_status_and_each_half_of_the_watchdogs_time_are_reported() {
    let simulation = Simulation::new(1);
    let (host, told) = (simulation.host("10.0.0.1"), Rc::default());
    host.listen_unix_datagram("/run/systemd/notify", Systemd((*host).clone(), Rc::clone(&told))).unwrap();
    let services = MultiService::new();
    let systemd = SystemdNotification::new("/run/systemd/notify", Some(20 * SECOND));
    systemd.set_status("before the start nobody is told");
    services.add_service(StreamServerEndpointService::new("10.0.0.1:80", |_peer| Discard).unwrap()).unwrap();
    services.add_service(systemd.clone()).unwrap();
    let (status, starter, stopped) = (systemd.clone(), host.clone(), services.clone());
    host.call_when_running(move || services.start_service(&starter).unwrap());
    host.call_later(15 * SECOND, move || status.set_status("serving\n2 clients"));
    host.call_later(35 * SECOND, move || stopped.stop_service().detach());
    simulation.run_for(100 * SECOND).unwrap();
    let expected = [
        (0, "READY=1"),
        (0, "WATCHDOG=1"),
        (10, "WATCHDOG=1"),
        (15, "STATUS=serving 2 clients"),
        (20, "WATCHDOG=1"),
        (30, "WATCHDOG=1"),
        (35, "STOPPING=1"),
    ];
    let told = told.take();
    assert_eq!(told.iter().map(|(when, text)| (*when, &**text)).collect::<Vec<_>>(), expected);
}

#[test]
fn a_service_that_does_not_start_is_never_ready() {
    let simulation = Simulation::new(1);
    let (host, told) = (simulation.host("10.0.0.1"), Rc::<RefCell<Vec<_>>>::default());
    host.listen_unix_datagram("/run/systemd/notify", Systemd((*host).clone(), Rc::clone(&told))).unwrap();
    let services = MultiService::new();
    services.add_service(StreamServerEndpointService::new("10.9.9.9:80", |_peer| Discard).unwrap()).unwrap();
    services.add_service(SystemdNotification::new("/run/systemd/notify", Some(SECOND))).unwrap();
    let starter = host.clone();
    host.call_when_running(move || assert!(services.start_service(&starter).is_err(), "the address is not ours"));
    simulation.run_for(10 * SECOND).unwrap();
    assert_eq!(told.take(), []);
}

fn systemd() -> (std::path::PathBuf, UnixDatagram) {
    let path = socket_path();
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    (path, socket)
}

fn next(socket: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = socket.recv(&mut message).expect("the program says something");
    String::from_utf8(message[..length].to_vec()).unwrap()
}

#[test]
fn a_program_finds_systemd_by_its_environment_and_a_signal_ends_it_gracefully() {
    const NAME: &str = "systemd_notification::a_program_finds_systemd_by_its_environment_and_a_signal_ends_it_gracefully";
    if is_child(NAME) {
        let services = MultiService::new();
        services.add_service(StreamServerEndpointService::new("127.0.0.1:0", |_peer| Discard).unwrap()).unwrap();
        services.add_service(SystemdNotification::from_env()).unwrap();
        return run_service(services, LIMIT).unwrap();
    }
    let (path, socket) = systemd();
    let mut program =
        child(NAME).env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000").stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(next(&socket), "READY=1");
    for _ in 0..5 {
        assert_eq!(next(&socket), "WATCHDOG=1");
    }
    if signal(&mut program, "-TERM") {
        let last = std::iter::repeat_with(|| next(&socket)).find(|message| message != "WATCHDOG=1");
        assert_eq!(last.as_deref(), Some("STOPPING=1"));
        assert!(program.wait().unwrap().success());
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_loop_that_hangs_says_nothing() {
    let (path, socket) = systemd();
    let (reactor, notification) = (Reactor::new().unwrap(), SystemdNotification::new(&*path, Some(Duration::from_millis(2))));
    notification.start_service(&reactor).unwrap();
    let (stopper, beating) = (reactor.clone(), notification.clone());
    reactor.call_later(Duration::from_millis(5), move || {
        socket.set_nonblocking(true).unwrap();
        let mut message = [0; 256];
        let told = std::iter::from_fn(|| socket.recv(&mut message).ok()).count();
        assert!(told >= 2, "it was ready, and the loop turned");
        // Blocks the loop for the time of twenty-five notifications.
        socket.set_nonblocking(false).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(25))).unwrap();
        assert!(socket.recv(&mut message).is_err(), "the loop hangs, and says so");
        beating.stop_service().detach();
        stopper.stop().unwrap();
    });
    run(&reactor);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn without_systemd_nothing_is_notified_and_a_missing_one_ends_nothing() {
    let reactor = Reactor::new().unwrap();
    let nobody = SystemdNotification::new(&*socket_path(), Some(SECOND));
    for notification in [SystemdNotification::from_env(), nobody] {
        notification.start_service(&reactor).unwrap();
        assert_eq!(reactor.source_count(), 0, "{notification:?}");
        notification.stop_service().detach();
    }
}
