//! Passed sockets: the same program is started by systemd-socket-activate, and by a Rust program.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{self, Stdio};

use torsade::prelude::*;

use crate::support::{is_child, lines, socket_path};

/// Echoes, until a peer sends `stop`.
struct Stoppable(Reactor);

impl Protocol for Stoppable {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        if data == b"stop" {
            self.0.stop()?;
        }
        Ok(())
    }
}

/// The program that is started: prints for each of these endpoints where it listens, or why not, and serves until it is stopped.
fn serve(endpoints: &[&str]) {
    let reactor = Reactor::new().unwrap();
    println!();
    for endpoint in endpoints {
        let echo = reactor.clone();
        match reactor.listen(*endpoint, move |_peer| Stoppable(echo.clone())) {
            Ok(port) => println!("listening on {}", port.address()),
            Err(error) => println!("{error}"),
        }
    }
    let opened = process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let opened = String::from_utf8(opened.stdout).unwrap();
    let sockets =
        opened.lines().filter(|line| ["3", "4", "5", "6"].iter().any(|number| line.contains(&format!(" {number} -> socket:"))));
    println!("children inherit {} sockets", sockets.count());
    crate::support::run(&reactor);
}

#[cfg(feature = "processes")]
#[test]
fn passed_sockets_are_taken_by_name_index_and_number_each_once_and_only_if_they_listen() {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixListener;
    use std::rc::Rc;

    use torsade::{ChildDescriptor, get_process_output};

    const NAME: &str = "passed::passed_sockets_are_taken_by_name_index_and_number_each_once_and_only_if_they_listen";
    if is_child(NAME) {
        return serve(&[
            "systemd:domain=INET6:index=0",
            "systemd:domain=INET:name=web",
            "systemd:domain=INET:name=web",
            "fd:4",
            "systemd:domain=INET:index=0",
            "fd:6",
            "systemd:domain=INET:index=9",
            "systemd:domain=INET:name=web",
            "systemd:domain=UNIX:name=no",
        ]);
    }
    let path = socket_path();
    let [first, second] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let (first_at, second_at) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    let mut peer = TcpStream::connect(second_at).unwrap();
    peer.write_all(b"stop").unwrap();
    let passed: [OwnedFd; 4] =
        [first.into(), UnixListener::bind(&path).unwrap().into(), second.into(), UdpSocket::bind("127.0.0.1:0").unwrap().into()];
    // What a starter does between fork and exec: it sets the process that the sockets are for.
    let named = ["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\""];
    let mut command = Command::new("sh").args(named).arg(std::env::current_exe().unwrap());
    command = command.args([NAME, "--exact", "--nocapture", "--test-threads=1"]).env("CHILD_OF", NAME);
    command = command.env("LISTEN_FDS", "4").env("LISTEN_FDNAMES", "web:control:web:datagrams");
    for (number, socket) in (3..).zip(passed) {
        command = command.descriptor(number, ChildDescriptor::Given(Rc::new(socket)));
    }
    let reactor = Reactor::new().unwrap();
    let starter = reactor.clone();
    let output = crate::support::run_until(&reactor, async move { Ok(get_process_output(&starter, command).await?) }).unwrap();
    let output = String::from_utf8(output).unwrap();
    std::fs::remove_file(&path).unwrap();
    let told: Vec<_> = output.lines().skip_while(|line| !line.starts_with("cannot listen")).take(10).collect();
    let expected = [
        "cannot listen: the passed socket 0 cannot be listened on: its domain is INET, not INET6",
        &format!("listening on {first_at}"),
        &format!("listening on {second_at}"),
        &format!("listening on {}", path.display()),
        "cannot listen: the passed socket 0 cannot be listened on: it was already taken: name each once",
        "cannot listen: the passed descriptor 6 cannot be listened on: not a listening socket: it is a datagram socket",
        "cannot listen: the passed socket 9 cannot be listened on: there is none (4 were passed): start this program with \
         systemd, with systemd-socket-activate, or with LISTEN_FDS and LISTEN_PID set",
        "cannot listen: the passed socket \"web\" cannot be listened on: it was already taken: name each once",
        "cannot listen: the passed socket \"no\" cannot be listened on: there is none (4 were passed): start this program with \
         systemd, with systemd-socket-activate, or with LISTEN_FDS and LISTEN_PID set",
        "children inherit 0 sockets",
    ];
    assert_eq!(told, expected, "{output}");
    assert_eq!(crate::support::drain(&mut peer).0, b"stop");
}

#[test]
fn what_was_passed_to_another_process_or_is_this_programs_own_is_not_taken() {
    const NAME: &str = "passed::what_was_passed_to_another_process_or_is_this_programs_own_is_not_taken";
    if is_child(NAME) {
        // LISTEN_FDS is too large: descriptor 3 is the poll or a socket of this program.
        let reactor = Reactor::new().unwrap();
        let error = reactor.listen(ServerEndpoint::descriptor(3), |_peer| crate::support::Echo).unwrap_err();
        return println!("\n{error}");
    }
    for (process, count, expected) in
        [("1", "2", "(0 were passed)"), ("$$", "2", "opened by this program itself"), ("$$", "4294967295", "more than 65536")]
    {
        let mut shell = process::Command::new("sh");
        shell.args(["-c", &format!("export LISTEN_PID={process}; exec \"$0\" \"$@\"")]).arg(std::env::current_exe().unwrap());
        shell.args([NAME, "--exact", "--nocapture", "--test-threads=1"]).env("CHILD_OF", NAME).env("LISTEN_FDS", count);
        let output = shell.stdin(Stdio::null()).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        assert!(output.contains(expected), "{output}");
    }
}

#[test]
fn systemd_socket_activate_starts_a_program_by_the_first_connection() {
    const NAME: &str = "passed::systemd_socket_activate_starts_a_program_by_the_first_connection";
    if is_child(NAME) {
        return serve(&["systemd:domain=UNIX:name=web", "systemd:domain=UNIX:index=0"]);
    }
    let (control, web) = (socket_path(), socket_path());
    let mut starter = process::Command::new("systemd-socket-activate");
    starter.arg("-l").arg(&control).arg("-l").arg(&web).args(["--fdname=control:web", "-E", &format!("CHILD_OF={NAME}")]);
    starter.arg(std::env::current_exe().unwrap()).args([NAME, "--exact", "--nocapture", "--test-threads=1"]);
    let mut starter = match starter.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(starter) => starter,
        Err(error) => return println!("skipped: systemd-socket-activate is not installed: {error}"),
    };
    let mut told = BufReader::new(starter.stderr.take().unwrap()).lines().map_while(Result::ok);
    let ready = told.find(|line| line.contains("as 4"));
    assert!(ready.is_some(), "both are listened on");
    let mut peer = UnixStream::connect(&web).unwrap();
    peer.write_all(b"stop").unwrap();
    assert_eq!(crate::support::drain(&mut peer).0, b"stop");
    let output: Vec<_> = lines(&mut starter).skip_while(|line| !line.starts_with("listening")).collect();
    let expected = [format!("listening on {}", web.display()), format!("listening on {}", control.display())];
    assert_eq!(output[..2], expected, "{output:?}");
    assert_eq!(output[2], "children inherit 0 sockets");
    assert!(starter.wait().unwrap().success());
    for path in [control, web] {
        std::fs::remove_file(path).unwrap();
    }
}
