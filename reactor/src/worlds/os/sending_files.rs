//! Sending files to a socket without copying them through this process: sendfile(2).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use rustix::fs::sendfile;
use rustix::io::Errno;

/// SIGPIPE in the signal masks of proc(5).
const SIGPIPE: u64 = 1 << (13 - 1);

/// See [`Stream::send_file`](crate::backend::Stream::send_file).
pub(super) fn send_file(socket: impl AsFd, file: &File, limit: usize) -> io::Result<Option<usize>> {
    if !outlives_sigpipe() {
        return Ok(None);
    }
    match sendfile(socket, file, None, limit) {
        Ok(count) => Ok(Some(count)),
        Err(error) if is_socket_error(error) => Err(error.into()),
        // Not a file on a disk, a file system without support, or a disk error: reading will tell.
        Err(_) => Ok(None),
    }
}

const fn is_socket_error(error: Errno) -> bool {
    matches!(
        error,
        Errno::AGAIN
            | Errno::INTR
            | Errno::PIPE
            | Errno::CONNABORTED
            | Errno::CONNREFUSED
            | Errno::CONNRESET
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::NOTCONN
            | Errno::TIMEDOUT
    )
}

/// Returns whether this process survives SIGPIPE, as every Rust program does unless it changes that. sendfile raises it if the
/// peer is gone; only send(2) can suppress it. Checked once.
fn outlives_sigpipe() -> bool {
    static OUTLIVES: OnceLock<bool> = OnceLock::new();
    *OUTLIVES.get_or_init(|| fs::read_to_string("/proc/self/status").is_ok_and(|status| is_ignored_or_caught(&status)))
}

fn is_ignored_or_caught(status: &str) -> bool {
    let mask = |name| status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix(name)?.trim(), 16).ok());
    [mask("SigIgn:"), mask("SigCgt:")].into_iter().flatten().any(|mask| mask & SIGPIPE != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_a_lost_peer_would_kill_sends_no_files_this_way() {
        let status = |ignored, caught| format!("Name:\tserver\nSigBlk:\t1000\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\n");
        assert!(is_ignored_or_caught(&status("0000000000001000", "0000000000000000")));
        assert!(is_ignored_or_caught(&status("0000000000000000", "0000000180005002")));
        assert!(!is_ignored_or_caught(&status("0000000000000fff", "0000000000002000")));
        assert!(!is_ignored_or_caught("no masks\n"));
        assert!(outlives_sigpipe(), "this one is a program of Rust");
    }
}
