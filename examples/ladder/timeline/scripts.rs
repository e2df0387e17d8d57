//! What happens in each picture: a step of the ladder on one host, and peers on others that say what they are told to.

use std::time::Duration;

use torsade::event_log::Log;
use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Simulation};

use super::keys::Keys;
use super::steps;

/// How long everything is on its way: one length, so that an arrival tells when it was sent.
pub const LATENCY: Duration = Duration::from_millis(1);

/// What is drawn.
pub struct Story {
    pub name: &'static str,
    pub title: &'static str,
    pub log: Log,
    /// The lanes: the address of a host, and who it is.
    pub hosts: &'static [(&'static str, &'static str)],
    /// What is known to have been said: the log has only lengths and hashes.
    pub said: &'static [&'static str],
    /// What the network did, and when.
    pub marks: Vec<(Duration, &'static str)>,
    /// Whether the hooks of factories and every timer are drawn too.
    pub everything: bool,
}

const SERVER: &str = "10.0.0.1";
const ADA: &str = "10.0.0.2";
const BEN: &str = "10.0.0.3";
const TWO: &[(&str, &str)] = &[(SERVER, "server"), (ADA, "Ada")];
const THREE: &[(&str, &str)] = &[(ADA, "Ada"), (SERVER, "server"), (BEN, "Ben")];
const GREETING: &str = "Hello! Say something now and then.\n";

/// A peer that says each piece so many milliseconds after it has connected, and drops what it hears.
#[derive(Clone, Copy)]
struct Peer(&'static [(u64, &'static str)]);

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        for &(at, text) in self.0 {
            let peer = transport.clone();
            transport.reactor().call_later(Duration::from_millis(at), move || match text {
                "(ends)" => peer.lose_connection(),
                "(stops reading)" => peer.pause_producing(),
                "(floods)" => peer.write("a line of forty bytes, so many of them\n\n".repeat(8000)),
                text => peer.write(text),
            });
        }
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

fn network() -> Simulation {
    let faults = Faults { latency: LATENCY..=LATENCY, bandwidth: None, segment: 65536..=65536, ..Faults::calm() };
    Simulation::with_faults(1, faults)
}

fn connect(host: &Host, endpoint: &str, says: &'static [(u64, &'static str)]) -> Result {
    host.connect(endpoint, move |_peer| Peer(says))?;
    Ok(())
}

fn after(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All of them, in order.
pub fn stories() -> Result<Vec<Story>> {
    Ok(vec![echo()?, lines()?, room()?, time()?, client()?, bounds()?, compression()?, tls()?, simulated()?, all()?])
}

fn echo() -> Result<Story> {
    let simulation = network();
    steps::echo::start(&simulation.host(SERVER), "tcp:8000")?;
    connect(&simulation.host(ADA), "10.0.0.1:8000", &[(1000, "hello\n"), (2000, "(ends)")])?;
    simulation.run_for(after(3))?;
    let title = "Step 1: a socket that echoes";
    Ok(Story { name: "01_echo", title, log: simulation.log(), hosts: TWO, said: &["hello\n"], marks: vec![], everything: true })
}

fn lines() -> Result<Story> {
    let simulation = network();
    steps::lines::start(&simulation.host(SERVER), "tcp:8000")?;
    connect(&simulation.host(ADA), "10.0.0.1:8000", &[(1000, "hel"), (2000, "lo\nwor"), (3000, "ld\n")])?;
    simulation.run_for(after(4))?;
    let said = &["hel", "lo\nwor", "ld\n", "1: hello\n", "2: world\n"];
    let title = "Step 2: two lines that come in three pieces";
    Ok(Story { name: "02_lines", title, log: simulation.log(), hosts: TWO, said, marks: vec![], everything: false })
}

fn room() -> Result<Story> {
    let simulation = network();
    steps::room::start(&simulation.host(SERVER), "tcp:8000")?;
    connect(&simulation.host(ADA), "10.0.0.1:8000", &[(1000, "hello\n"), (3000, "(ends)")])?;
    connect(&simulation.host(BEN), "10.0.0.1:8000", &[(2000, "hi, Ada\n"), (4000, "anybody?\n")])?;
    simulation.run_for(after(5))?;
    let said = &["hello\n", "hi, Ada\n", "anybody?\n"];
    Ok(Story {
        name: "03_room",
        title: "Step 3: a room",
        log: simulation.log(),
        hosts: THREE,
        said,
        marks: vec![],
        everything: false,
    })
}

fn time() -> Result<Story> {
    let simulation = network();
    steps::time::start(&simulation.host(SERVER), "tcp:8000")?;
    connect(&simulation.host(ADA), "10.0.0.1:8000", &[(20_000, "hello\n")])?;
    simulation.run_for(after(90))?;
    let title = "Step 4: a greeting after a second, the end after a minute of silence";
    Ok(Story {
        name: "04_time",
        title,
        log: simulation.log(),
        hosts: TWO,
        said: &["hello\n", GREETING],
        marks: vec![],
        everything: false,
    })
}

fn client() -> Result<Story> {
    let simulation = network();
    let server = simulation.host(SERVER);
    steps::time::start(&server, "tcp:8000")?;
    steps::client::start(&simulation.host(ADA), "10.0.0.1:8000")?;
    simulation.run_for(after(2))?;
    server.kill();
    simulation.run_for(after(2))?;
    steps::time::start(&server.restart(), "tcp:8000")?;
    simulation.run_for(after(6))?;
    let marks = vec![(after(2), "the server is killed"), (after(4), "it is started again")];
    let title = "Step 5: the client comes back by itself";
    Ok(Story {
        name: "05_client",
        title,
        log: simulation.log(),
        hosts: TWO,
        said: &["Here I am.\n", GREETING],
        marks,
        everything: false,
    })
}

fn bounds() -> Result<Story> {
    let simulation = network();
    simulation.set_faults(Faults { send_buffer: 65536..=65536, receive_buffer: 65536..=65536, ..simulation.faults() });
    steps::bounds::start(&simulation.host(SERVER), "tcp:8000")?;
    connect(&simulation.host(ADA), "10.0.0.1:8000", &[(2000, "(stops reading)")])?;
    connect(&simulation.host(BEN), "10.0.0.1:8000", &[(3000, "(floods)")])?;
    simulation.run_for(after(5))?;
    let title = "Step 6: Ada stops reading, Ben says 320,000 bytes";
    Ok(Story {
        name: "06_bounds",
        title,
        log: simulation.log(),
        hosts: THREE,
        said: &[GREETING],
        marks: vec![],
        everything: false,
    })
}

fn compression() -> Result<Story> {
    let simulation = network();
    steps::compression::start(&simulation.host(SERVER), "tcp:8000")?;
    connect(&simulation.host(ADA), "10.0.0.1:8000", &[(2000, "hello, hello, hello\n")])?;
    connect(&simulation.host(BEN), "10.0.0.1:8000", &[])?;
    simulation.run_for(after(5))?;
    let said = &["hello, hello, hello\n", GREETING];
    let title = "Step 7: the same with compression: the protocols see plain bytes";
    Ok(Story { name: "07_compression", title, log: simulation.log(), hosts: THREE, said, marks: vec![], everything: false })
}

fn tls() -> Result<Story> {
    let (simulation, keys) = (network(), Keys::make()?);
    simulation.add_name("example.com", SERVER);
    let folder = keys.folder();
    let endpoint = format!("ssl:8000:privateKey={folder}/server.key:certKey={folder}/server.pem");
    steps::tls::start(&simulation.host(SERVER), &endpoint)?;
    let there = format!("tls:example.com:8000:trustRoots={folder}");
    connect(&simulation.host(ADA), &there, &[(1500, "hello\n")])?;
    connect(&simulation.host(BEN), "10.0.0.1:8000", &[(2000, "hello, without TLS\n")])?;
    simulation.run_for(after(5))?;
    let title = "Step 8: Ada speaks TLS, Ben does not";
    Ok(Story {
        name: "08_tls",
        title,
        log: simulation.log(),
        hosts: THREE,
        said: &["hello\n", GREETING],
        marks: vec![],
        everything: false,
    })
}

fn simulated() -> Result<Story> {
    let simulation = Simulation::with_faults(3, Faults::lossy());
    steps::simulated::everybody_is_heard(&simulation)?;
    let said = &["Ada: 1\n", "Ada: 2\n", "Ada: 3\n", "Ben: 1\n", "Ben: 2\n", "Ben: 3\n", GREETING];
    let title = "Step 9: a bad network, seed 3";
    Ok(Story { name: "09_simulated", title, log: simulation.log(), hosts: THREE, said, marks: vec![], everything: false })
}

fn all() -> Result<Story> {
    let (simulation, keys) = (network(), Keys::make()?);
    steps::all::play(&simulation, &keys.folder())?;
    let marks = vec![(after(30), "Ada is cut off"), (after(130), "the network heals")];
    let title = "Step 10: compressed, over TLS, through a partition";
    Ok(Story {
        name: "10_all",
        title,
        log: simulation.log(),
        hosts: THREE,
        said: &["Ada\n", "Ben\n", GREETING],
        marks,
        everything: false,
    })
}
