//! Real brokers, started by the test on free ports of the loopback and ended by their process id.
//!
//! A suite takes this file by `#[path = "../support/broker.rs"] mod broker;`.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot start its broker has failed")]

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Which program it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    Redis,
    Nats,
}

/// A broker of its own port and folder, which keeps on disk what it has confirmed; killed, and its folder removed, when it is
/// dropped.
pub struct Broker {
    program: Program,
    settings: String,
    port: u16,
    folder: PathBuf,
    running: Option<Running>,
}

struct Running {
    child: Child,
    said: Said,
}

/// The last lines that a broker has printed.
type Said = Arc<Mutex<VecDeque<String>>>;

/// Ports below those that systems give to clients: a client that tries to reach a broker which is down must not meet itself.
const PORTS: std::ops::Range<u16> = 10_000..22_000;

impl Broker {
    /// Starts `redis-server`; none, which is printed, where it is not installed.
    pub fn redis() -> Option<Self> {
        Self::with_settings(Program::Redis, "")
    }

    /// Starts `nats-server` with JetStream; none, which is printed, where it is not installed.
    pub fn nats() -> Option<Self> {
        Self::with_settings(Program::Nats, "")
    }

    /// Starts a broker with further lines in its configuration, in which `{port}` and `{folder}` stand for its own. Where they
    /// name a port (as for TLS), the one that is given here is not replaced.
    pub fn with_settings(program: Program, settings: &str) -> Option<Self> {
        if !is_installed(program) {
            return None;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("torsade-{}-{}-{number}", program.name(), std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the broker");
        let mut broker = Self { program, settings: settings.to_owned(), port: 0, folder, running: None };
        let last = (0..50).find_map(|_| {
            broker.port = free_port();
            broker.try_to_start().ok()
        });
        assert!(last.is_some(), "{} does not start on any of 50 free ports", program.name());
        Some(broker)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// For files that its settings name.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a hub finds it.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.program.scheme(), self.port)
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Ends it as a crash does: SIGKILL, by its id.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.child.kill().expect("it is ours");
            running.child.wait().expect("it has ended");
        }
    }

    /// Ends it as an operator does (SIGTERM), after it has said goodbye to others. False where there is no `kill` command.
    pub fn stop(&mut self) -> bool {
        let is_told = self.signal("-TERM");
        if let Some(mut running) = self.running.take_if(|_| is_told) {
            running.child.wait().expect("it has ended");
        }
        is_told
    }

    /// Begins it again on the same port, with what it has on disk; comes back when it takes connections.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "it runs");
        // Somebody's connection may have that port for a moment.
        let tries: Vec<_> = (0..50).map_while(|_| self.try_to_start().err()).collect();
        assert!(tries.len() < 50, "{} does not start again: {}", self.program.name(), tries.join("\n"));
    }

    /// Begins it again, such that clients can publish on this topic alone.
    pub fn allow_publishing_only_on(&mut self, topic: &str) {
        self.kill();
        self.settings += &match self.program {
            Program::Redis => format!("\nuser default on nopass ~* resetchannels &{topic} +@all"),
            Program::Nats => format!(
                "\nauthorization {{ users: [{{ user: any, password: any, permissions: {{ \
                 publish: {{ allow: [\"{topic}\", \"_INBOX.>\", \"$JS.>\"] }} }} }}] }}\nno_auth_user: any"
            ),
        };
        self.start();
    }

    /// Removes what it has on disk, while it does not run.
    pub fn lose_data(&mut self) {
        assert!(self.running.is_none(), "it runs");
        for name in ["appendonlydir", "dump.rdb", "jetstream"] {
            let path = self.folder.join(name);
            drop(fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)));
        }
    }

    /// Stops it without ending it (SIGSTOP): its connections stay, and nothing answers. False where there is no `kill` command.
    pub fn freeze(&self) -> bool {
        self.signal("-STOP")
    }

    /// Goes on after [`freeze`](Self::freeze).
    pub fn thaw(&self) -> bool {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> bool {
        let pid = self.pid().expect("it runs").to_string();
        Command::new("kill").args([signal, &pid]).status().is_ok_and(|status| status.success())
    }

    /// The last lines that it has printed.
    pub fn said(&self) -> Vec<String> {
        let said = self.running.as_ref().map(|running| running.said.lock().unwrap().iter().cloned().collect());
        said.unwrap_or_default()
    }

    fn try_to_start(&mut self) -> Result<(), String> {
        let mut command = self.program.command(self.port, &self.folder, &self.settings);
        let mut child = command.stdin(Stdio::null()).spawn().expect("it is installed");
        let said = Said::default();
        // Read until it ends: a program whose output nobody reads stops, or is ended by SIGPIPE.
        let lines: Box<dyn Read + Send> = match self.program {
            Program::Redis => Box::new(child.stdout.take().expect("it is piped")),
            Program::Nats => Box::new(child.stderr.take().expect("it is piped")),
        };
        let mut lines = BufReader::new(lines).lines().map_while(Result::ok);
        let ready = lines.by_ref().any(|line| {
            let ready = line.contains(self.program.ready());
            keep(&said, line);
            ready
        });
        if !ready {
            child.wait().expect("it has ended");
            let said: Vec<_> = said.lock().unwrap().drain(..).collect();
            return Err(said.join("\n"));
        }
        let reader = Arc::clone(&said);
        thread::spawn(move || lines.for_each(|line| keep(&reader, line)));
        self.running = Some(Running { child, said });
        Ok(())
    }
}

impl Program {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Nats => "nats-server",
        }
    }

    const fn scheme(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
        }
    }

    /// What it prints once it takes connections, all of what it has on disk read.
    const fn ready(self) -> &'static str {
        match self {
            Self::Redis => "Ready to accept connections",
            Self::Nats => "Server is ready",
        }
    }

    fn command(self, port: u16, folder: &Path, settings: &str) -> Command {
        let settings = settings.replace("{port}", &port.to_string()).replace("{folder}", &folder.display().to_string());
        let file = folder.join("configuration");
        let mut command = Command::new(self.name());
        let text = match self {
            Self::Redis => {
                command.arg(&file).stdout(Stdio::piped()).stderr(Stdio::null());
                // What was confirmed is on disk.
                let folder = folder.display();
                format!(
                    "bind 127.0.0.1\nport {port}\ndir \"{folder}\"\nappendonly yes\nappendfsync always\nsave \"\"\n{settings}\n"
                )
            }
            Self::Nats => {
                command.arg("--config").arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
                let folder = folder.display();
                format!("listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{folder}\" }}\n{settings}\n")
            }
        };
        fs::write(&file, text).expect("a configuration");
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            drop(running.child.kill().and_then(|()| running.child.wait()));
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Whether a broker can be started here; where not, that is printed.
pub fn is_installed(program: Program) -> bool {
    let version = Command::new(program.name()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if let Err(error) = &version {
        println!("skipped: {} is not installed: {error}", program.name());
    }
    version.is_ok()
}

/// A port that nobody has at this moment. Who loses it to another process tries the next.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Test binaries that run beside each other begin at different places.
    let start = u16::try_from(std::process::id().wrapping_mul(61) % u32::from(count)).unwrap();
    loop {
        let port = PORTS.start + (start + NEXT.fetch_add(1, Ordering::Relaxed) % count) % count;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn keep(said: &Said, line: String) {
    let mut said = said.lock().unwrap();
    if said.len() == 100 {
        said.pop_front();
    }
    said.push_back(line);
}
