//! Names of UNIX sockets: their files, their owners, and the error messages.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use super::place::{Attempts, Folder, connect_once, end};
use super::support::*;
use torsade::prelude::*;
use torsade::wire::Discard;

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The error message when listening fails.
fn refusal(reactor: &Reactor, path: impl Into<UnixName>, options: ListenOptions) -> String {
    reactor.listen_unix_with(path, options, |_peer| Echo).expect_err("it is refused").to_string()
}

fn without_lock() -> ListenOptions {
    ListenOptions { lock: false, ..ListenOptions::default() }
}

#[test]
fn a_server_and_its_client_talk_and_know_each_other_by_the_path() {
    let folder = Folder::new();
    let path = folder.path("echo");
    let reactor = Reactor::new().unwrap();
    let (server, client) = (Events::default(), Events::default());
    let seen = server.clone();
    let echo = move |peer: Address| {
        assert_eq!(peer, Address::Unnamed);
        Probe::new(&seen, |event, transport| {
            assert!(matches!(transport.host(), Address::Unix(_)) || event.name() == "lost", "{:?}", transport.host());
            if let Event::Data(data) = event {
                transport.write(data);
            }
            Ok(())
        })
    };
    let port = reactor.listen_unix(&path, echo).unwrap();
    assert_eq!(port.address(), Address::Unix(UnixName::Path(path.clone())));
    let (seen, stopper, there) = (client.clone(), reactor.clone(), port.address());
    let talk = move |peer: Address| {
        assert_eq!(peer, there);
        let (seen, stopper, told) = (seen.clone(), stopper.clone(), seen.clone());
        Probe::new(&seen, move |event, transport| {
            match event {
                Event::Made => transport.write(b"hello"),
                Event::Data(_) if told.data() == b"hello" => transport.lose_connection(),
                Event::Lost(_) => stop(&stopper),
                _ => {}
            }
            Ok(())
        })
    };
    reactor.connect_unix(&path, talk).unwrap();
    run(&reactor);
    assert_eq!((server.data(), client.data()), (b"hello".to_vec(), b"hello".to_vec()));
    assert!(client.reason().is_clean(), "{}", client.reason());
    assert!(server.reason().is_clean(), "{}", server.reason());
    assert_eq!(folder.files(), [""; 0], "the files end with the reactor");
}

#[test]
fn callbacks_of_a_connection_that_takes_no_time_come_from_the_loop() {
    let folder = Folder::new();
    let reactor = Reactor::new().unwrap();
    reactor.listen_unix(folder.path("s"), |_peer| Echo).unwrap();
    let attempts = Attempts::default();
    let connector = attempts.connect(&reactor, folder.path("s"));
    assert_eq!(attempts.ended(), 0);
    assert_eq!(connector.state(), torsade::ConnectorState::Connecting);
}

#[test]
fn everybody_may_connect_unless_the_mode_says_otherwise() {
    let folder = Folder::new();
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen_unix(folder.path("open"), |_peer| Echo).unwrap();
    assert_eq!(mode(&folder.path("open")), 0o666);
    let options = ListenOptions { mode: 0o600, ..ListenOptions::default() };
    reactor.listen_unix_with(folder.path("ours"), options, |_peer| Echo).unwrap();
    assert_eq!(mode(&folder.path("ours")), 0o600);
    assert_eq!(mode(&folder.path("open.lock")), 0o600, "nothing else uses the lock");
    drop(port);
}

#[test]
fn two_servers_cannot_share_a_path_and_the_second_gets_the_reason() {
    let folder = Folder::new();
    let path = folder.path("s");
    let (first, second) = (Reactor::new().unwrap(), Reactor::new().unwrap());
    first.listen_unix(&path, |_peer| Echo).unwrap();
    let text = refusal(&second, &path, ListenOptions::default());
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(text.contains("another program has locked") && text.contains("stop it, or choose another path"), "{text}");
    UnixStream::connect(&path).expect("the first one is as it was");
    end(&first);
    second.listen_unix(&path, |_peer| Echo).expect("it is free now");
}

#[test]
fn what_a_killed_server_has_left_does_not_get_in_the_way() {
    let name = "names::what_a_killed_server_has_left_does_not_get_in_the_way";
    if is_child(name) {
        let path = std::env::var_os("SOCKET_PATH").expect("the parent has set it");
        let reactor = Reactor::new().unwrap();
        reactor.listen_unix(std::path::PathBuf::from(path), |_peer| Echo).unwrap();
        println!("\nready");
        reactor.run().unwrap();
        return;
    }
    let folder = Folder::new();
    let path = folder.path("s");
    let mut child = child(name).env("SOCKET_PATH", &path).spawn().expect("this binary");
    lines(&mut child).find(|line| line == "ready").expect("the child listens");
    let reactor = Reactor::new().unwrap();
    refusal(&reactor, &path, ListenOptions::default());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(folder.files(), ["s", "s.lock"], "it had no time to tidy up");
    assert_eq!(connect_once(&path).as_deref(), Some("connection refused: nothing listens there"));
    reactor.listen_unix(&path, |_peer| Echo).expect("it is replaced");
    UnixStream::connect(&path).expect("by one that is listening");
    end(&reactor);
    assert_eq!(folder.files(), [""; 0]);
}

#[test]
fn without_a_lock_any_file_is_in_the_way() {
    let folder = Folder::new();
    let path = folder.path("s");
    drop(UnixListener::bind(&path).unwrap());
    let reactor = Reactor::new().unwrap();
    let text = refusal(&reactor, &path, without_lock());
    assert!(text.contains("remove it if no program listens there, or listen with a lock"), "{text}");
    std::fs::remove_file(&path).unwrap();
    reactor.listen_unix_with(&path, without_lock(), |_peer| Echo).unwrap();
    assert_eq!(folder.files(), ["s"]);
}

#[test]
fn a_server_that_uses_no_lock_keeps_its_path_as_long_as_it_listens() {
    let folder = Folder::new();
    let path = folder.path("s");
    let other = UnixListener::bind(&path).unwrap();
    let reactor = Reactor::new().unwrap();
    let text = refusal(&reactor, &path, ListenOptions::default());
    assert!(text.contains("another program listens there, without a lock"), "{text}");
    assert_eq!(folder.files(), ["s"], "the lock is given back");
    drop(other);
    reactor.listen_unix(&path, |_peer| Echo).expect("nothing listens any more");
}

#[test]
fn a_file_that_is_not_a_socket_is_never_removed() {
    let folder = Folder::new();
    let path = folder.path("precious");
    std::fs::write(&path, "data").unwrap();
    let reactor = Reactor::new().unwrap();
    let text = refusal(&reactor, &path, ListenOptions::default());
    assert!(text.contains("there is a file that is not a socket"), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
    std::os::unix::fs::symlink(&path, folder.path("s.lock")).unwrap();
    let text = refusal(&reactor, folder.path("s"), ListenOptions::default());
    assert!(text.contains("is a symbolic link"), "it is not followed elsewhere: {text}");
}

#[test]
fn a_socket_that_has_taken_the_place_of_ours_is_not_removed_at_the_end() {
    let folder = Folder::new();
    let path = folder.path("s");
    let reactor = Reactor::new().unwrap();
    reactor.listen_unix_with(&path, without_lock(), |_peer| Echo).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    end(&reactor);
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
}

#[test]
fn the_files_are_removed_when_the_port_stops_whatever_the_working_directory_is() {
    let folder = Folder::new();
    let path = folder.path("s");
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen_unix(&path, |_peer| Echo).unwrap();
    let stopper = reactor.clone();
    reactor.call_later(Duration::ZERO, move || port.stop_listening());
    let there = path.clone();
    once(&reactor, move || !there.exists(), move || stop(&stopper));
    run(&reactor);
    assert_eq!(folder.files(), [""; 0]);
    assert!(connect_once(&path).is_some_and(|error| error.contains("start its server, or check where it listens")));
}

#[test]
fn errors_name_what_is_wrong_with_the_path() {
    let folder = Folder::new();
    let reactor = Reactor::new().unwrap();
    let text = refusal(&reactor, folder.path("none/s"), without_lock());
    assert!(text.contains("the directory does not exist"), "{text}");
    let text = refusal(&reactor, folder.path("none/s"), ListenOptions::default());
    assert!(text.contains("none/s.lock") && text.contains("the directory does not exist"), "{text}");
    let text = refusal(&reactor, folder.path(&"x".repeat(200)), ListenOptions::default());
    assert!(text.contains("bytes, but at most 10") && text.contains("choose a shorter one"), "{text}");
    assert!(refusal(&reactor, "", ListenOptions::default()).contains("the name is empty"));
    assert!(connect_once(&folder.path(&"x".repeat(200))).is_some_and(|error| error.contains("choose a shorter one")));
    assert_eq!(folder.files(), [""; 0], "what failed has left nothing");
}

#[test]
#[cfg(target_os = "linux")]
fn abstract_names_have_no_file_and_end_with_their_socket() {
    use std::os::linux::net::SocketAddrExt;

    let name = format!("torsade-test-{}", std::process::id());
    let there = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen_unix(format!("\0{name}"), |_peer| Discard).unwrap();
    assert_eq!(port.address().to_string(), format!("@{name}"));
    UnixStream::connect_addr(&there).expect("it listens");
    let text = refusal(&Reactor::new().unwrap(), format!("\0{name}"), ListenOptions::default());
    assert!(text.contains("in use"), "{text}");
    end(&reactor);
    UnixStream::connect_addr(&there).expect_err("it has ended");
}

#[test]
fn a_client_waits_for_room_among_those_who_wait_to_be_accepted() {
    let folder = Folder::new();
    let path = folder.path("s");
    let reactor = Reactor::new().unwrap();
    reactor.set_accept_limit(0);
    let options = ListenOptions { backlog: 0, ..ListenOptions::default() };
    reactor.listen_unix_with(&path, options, |_peer| Echo).unwrap();
    let attempts = Attempts::default();
    for _ in 0..5 {
        attempts.connect(&reactor, &path);
    }
    let (first, server) = (attempts.clone(), reactor.clone());
    // Those that fit into the queue are connected before they are accepted.
    once(&reactor, move || first.ended() > 0, move || server.set_accept_limit(100));
    let (all, stopper) = (attempts.clone(), reactor.clone());
    once(&reactor, move || all.ended() == 5, move || stop(&stopper));
    run(&reactor);
    assert_eq!(attempts.connected.borrow().len(), 5, "{:?}", attempts.errors);
}
