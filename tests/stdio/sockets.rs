//! One socket for input and output, as inetd and `socat EXEC:` pass it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use crate::program::*;
use crate::support::*;

#[test]
fn a_socket_goes_both_ways_and_stays_blocking_for_others() {
    const NAME: &str = "sockets::a_socket_goes_both_ways_and_stays_blocking_for_others";
    if is_child(NAME) {
        return parrot(false);
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let program = Program::run(NAME, copy(&theirs), copy(&theirs));
    let sent = pattern(0, 1 << 20);
    let sending = std::thread::spawn({
        let (mut ours, sent) = (ours.try_clone().unwrap(), sent.clone());
        move || {
            ours.write_all(&sent).unwrap();
            ours.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut got = Vec::new();
    ours.read_to_end(&mut got).unwrap();
    sending.join().unwrap();
    assert!(after_begin(&got) == [&sent[..], b"[end]"].concat(), "{} bytes", got.len());
    assert!(is_blocking(&theirs));
    assert_eq!(program.told().last().unwrap(), "lost: ConnectionDone");
}

#[test]
fn a_half_close_ends_the_stream_of_the_socket() {
    const NAME: &str = "sockets::a_half_close_ends_the_stream_of_the_socket";
    if is_child(NAME) {
        return parrot(true);
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut program = Program::run(NAME, copy(&theirs), OwnedFd::from(theirs));
    ours.write_all(b"half\n").unwrap();
    let mut got = Vec::new();
    ours.read_to_end(&mut got).unwrap();
    assert_eq!(after_begin(&got), b"");
    program.tells("output ended");
    ours.write_all(b"still there\n").unwrap();
    drop(ours);
    assert_eq!(program.told()[..2], ["read still there\\n", "input ended"]);
}
