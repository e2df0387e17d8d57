//! The chat's processes and HAProxy in front of them; ended by their process ids.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::broker::{Broker, free_port};

/// The folder of the example.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/cluster_chat")
}

/// What has this binary be a process of the chat: the name of its test, and the variable with the arguments.
pub(crate) const PROCESS: (&str, &str) = ("the_process_of_a_chat", "CLUSTER_CHAT_ARGUMENTS");

/// A program that was started, and listens at a port of its own; killed when it is dropped.
pub(crate) struct Program {
    pub(crate) port: u16,
    command: Box<dyn Fn(u16) -> Command>,
    ready: fn(&mut Child, u16, &Lines) -> bool,
    lines: Lines,
    child: Option<Child>,
}

/// What it has printed, in all of its lives.
type Lines = Arc<Mutex<Vec<String>>>;

impl Program {
    /// A process of the chat.
    pub(crate) fn chat(hub: &str) -> Self {
        let hub = hub.to_owned();
        let command = move |port| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args([PROCESS.0, "--exact", "--nocapture", "--test-threads=1"]);
            command.env(PROCESS.1, format!("--listen 127.0.0.1:{port} --hub {hub} --proxy")).stdout(Stdio::piped());
            command
        };
        Self::start(Box::new(command), |child, _, lines| {
            let mut printed = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
            // Its first line comes behind the test's name.
            let is_ready = printed.by_ref().any(|line| line.contains("listening on "));
            let lines = Arc::clone(lines);
            std::thread::spawn(move || printed.for_each(|line| lines.lock().unwrap().push(line)));
            is_ready
        })
    }

    /// HAProxy with the example's own configuration, which is told what to do by a socket at `admin`; none where it is not
    /// installed.
    pub(crate) fn haproxy(one: u16, two: u16, admin: PathBuf) -> Option<Self> {
        let installed = ["haproxy", "/usr/sbin/haproxy"]
            .into_iter()
            .find(|program| Command::new(program).arg("-v").stdout(Stdio::null()).status().is_ok());
        let Some(program) = installed else {
            println!("skipped: haproxy is not installed");
            return None;
        };
        let command = move |port| {
            let mut command = Command::new(program);
            command.arg("-db").arg("-f").arg(folder().join("haproxy.cfg")).stdout(Stdio::null()).stderr(Stdio::null());
            command.env("CHAT_FRONT", format!("127.0.0.1:{port}"));
            command.env("CHAT_ONE", format!("127.0.0.1:{one}")).env("CHAT_TWO", format!("127.0.0.1:{two}"));
            command.env("CHAT_ADMIN", &admin);
            command
        };
        Some(Self::start(Box::new(command), |child, port, _| {
            loop {
                if child.try_wait().unwrap().is_some() {
                    break false;
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    break true;
                }
                std::thread::yield_now();
            }
        }))
    }

    fn start(command: Box<dyn Fn(u16) -> Command>, ready: fn(&mut Child, u16, &Lines) -> bool) -> Self {
        let mut program = Self { port: 0, command, ready, lines: Lines::default(), child: None };
        let started = (0..50).any(|_| {
            program.port = free_port();
            program.try_again()
        });
        assert!(started, "it does not start on any of 50 free ports");
        program
    }

    /// Begins it again at the same port.
    pub(crate) fn again(&mut self) {
        // Somebody's connection may have that port for a moment.
        assert!((0..50).any(|_| self.try_again()), "it does not start again");
    }

    fn try_again(&mut self) -> bool {
        let mut child = (self.command)(self.port).stdin(Stdio::null()).spawn().expect("it is there");
        if !(self.ready)(&mut child, self.port, &self.lines) {
            child.kill().ok();
            child.wait().unwrap();
            return false;
        }
        self.child = Some(child);
        true
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is ours");
            child.wait().expect("it has ended");
        }
    }

    /// Stops it as whoever replaces it does (SIGTERM), and waits for its end. False where there is no `kill` command.
    pub(crate) fn stop(&mut self) -> bool {
        let is_told = self.signal("-TERM");
        if let Some(mut child) = self.child.take_if(|_| is_told) {
            child.wait().expect("it has ended");
        }
        is_told
    }

    /// Has it hang: its connections stay, and nothing answers. False where there is no `kill` command.
    pub(crate) fn freeze(&self) -> bool {
        self.signal("-STOP")
    }

    /// Goes on after [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) -> bool {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> bool {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let is_sent = Command::new("kill").args([signal, &pid]).status().is_ok_and(|status| status.success());
        if !is_sent {
            println!("skipped: there is no kill command");
        }
        is_sent
    }

    /// How many descriptors it has open, where the system tells (Linux does).
    pub(crate) fn descriptors(&self) -> Option<usize> {
        let pid = self.child.as_ref()?.id();
        Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it has printed since it listens, in all of its lives.
    pub(crate) fn printed(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The socket by which HAProxy is told what to do; removed with the broker's folder.
fn admin(broker: &Broker) -> PathBuf {
    broker.folder().join("haproxy.sock")
}

/// Two processes of the chat, with a broker behind them and HAProxy before them.
pub(crate) struct Cluster {
    pub(crate) broker: Broker,
    pub(crate) one: Program,
    pub(crate) two: Program,
    pub(crate) haproxy: Program,
}

impl Cluster {
    /// None where there is no broker, or no HAProxy.
    pub(crate) fn start(broker: Option<Broker>) -> Option<Self> {
        let broker = broker?;
        let (one, two) = (Program::chat(&broker.url()), Program::chat(&broker.url()));
        let haproxy = Program::haproxy(one.port, two.port, admin(&broker))?;
        Some(Self { broker, one, two, haproxy })
    }

    /// Has HAProxy do something, and gives what it says to that.
    pub(crate) fn haproxy_command(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(admin(&self.broker)).expect("it listens there");
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }
}
