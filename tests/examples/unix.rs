//! The examples that use UNIX sockets, as separate processes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::*;

/// An example that listens on a path; killed when dropped.
pub struct Server(Child);

impl Server {
    pub fn start(name: &str, args: &[&str]) -> Self {
        let mut child = Command::new(example(name)).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on "), "{line}");
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may already have exited.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A folder for one test, and paths in it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("torsade-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().unwrap()
    }

    pub fn endpoint(&self, name: &str) -> String {
        format!("unix:{}", self.path(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn unix_echo_server_answers_echo_client() {
    let folder = Folder::new("unix-echo");
    let endpoint = folder.endpoint("s");
    let _server = Server::start("unix_echo_server", &[&endpoint]);
    let client = Command::new(example("echo_client")).arg(&endpoint).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&client.stdout), "the server said: hello, world!\nconnection was closed cleanly\n");
    assert!(client.status.success());
    let alone = Command::new(example("echo_client")).arg(folder.endpoint("none")).output().unwrap();
    assert_eq!(alone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&alone.stderr).contains("start its server"), "{alone:?}");
}

#[test]
fn sendfd_passes_a_file_to_recvfd() {
    let folder = Folder::new("sendfd");
    let (path, file) = (folder.path("s"), folder.path("file"));
    std::fs::write(&file, "what is in it").unwrap();
    let _server = Server::start("sendfd", &[&path, &file]);
    let client = Command::new(example("recvfd")).arg(&path).output().unwrap();
    let expected = format!("received {file} with a descriptor; contents: \"what is in it\"\n");
    assert_eq!(String::from_utf8_lossy(&client.stdout), expected);
    let alone = Command::new(example("recvfd")).arg(folder.path("none")).output().unwrap();
    assert_eq!(alone.status.code(), Some(1), "it ends without a server: {alone:?}");
}

#[test]
fn forwarders_and_tunnels_take_unix_sockets() {
    let folder = Folder::new("tunnel");
    let [echo, far, near, front] = ["echo", "far", "near", "front"].map(|name| folder.endpoint(name));
    let _servers = [
        Server::start("unix_echo_server", &[&echo]),
        Server::start("compress_tunnel", &["far", &far, &echo]),
        Server::start("compress_tunnel", &["near", &near, &far]),
        Server::start("portforward", &[&front, &near]),
    ];
    let mut stream = UnixStream::connect(folder.path("front")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let sender = thread::spawn(move || {
        writer.write_all(&pattern(0, 1 << 20)).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    sender.join().unwrap();
    assert!(got == pattern(0, 1 << 20));
}
