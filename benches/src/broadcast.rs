//! One message to many connections, by `write` and by `write_shared`: `broadcast [MEMBERS..]`.
//!
//! Times are this thread's processor time for each delivery, including system time. The connections are UNIX socket pairs, and
//! reading the other ends between two messages is not counted. Memory is the growth of the process's resident memory (VmRSS) for
//! each of 10,000 members that do not read, in a simulated network that buffers nothing.

use std::cell::RefCell;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use torsade::MemoryReactor;
use torsade::prelude::*;
use torsade_bench::{best, time};

/// Message sizes in bytes.
const SIZES: [usize; 6] = [64, 512, 1024, 2048, 4096, 65_536];
const ROUNDS: usize = 5;
/// Deliveries in each round, and at least one message to all.
const DELIVERIES: usize = 10_000;
/// The number of members that do not read.
const SLOW: usize = 10_000;
const UNREAD: usize = 16_384;

type Room = Rc<RefCell<Vec<Transport>>>;

/// Joins the room, and ignores what it receives.
struct Member(Room);

impl Protocol for Member {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Way {
    shared: bool,
    /// Something short is written before the message.
    header: bool,
}

impl Way {
    fn send(self, room: &Room, message: &SharedBytes) {
        for member in &*room.borrow() {
            if self.header {
                member.write("12345678");
            }
            if self.shared {
                member.write_shared(message);
            } else {
                member.write(message);
            }
        }
    }
}

struct Broadcast {
    reactor: Reactor,
    room: Room,
    peers: Vec<UnixStream>,
    buffer: Vec<u8>,
}

impl Broadcast {
    fn new(members: usize) -> Result<Self> {
        let reactor = Reactor::new()?;
        reactor.set_slow_callback_duration(Duration::MAX);
        reactor.start_running()?;
        let room = Room::default();
        let mut peers = Vec::new();
        for _ in 0..members {
            let (ours, theirs) = UnixStream::pair()?;
            theirs.set_nonblocking(true)?;
            reactor.adopt_stream_connection(ours, Member(room.clone()))?;
            peers.push(theirs);
        }
        while room.borrow().len() < members {
            reactor.iterate(Some(Duration::ZERO))?;
        }
        Ok(Self { reactor, room, peers, buffer: vec![0; 1 << 18] })
    }

    /// Nanoseconds per delivery.
    fn round(&mut self, way: Way, message: &SharedBytes) -> f64 {
        let messages = DELIVERIES.div_ceil(self.peers.len());
        let mut taken = 0.0;
        for _ in 0..messages {
            taken += time(|| {
                way.send(&self.room, message);
                self.turn();
            });
            for mut peer in &self.peers {
                while peer.read(&mut self.buffer).is_ok_and(|count| count > 0) {}
            }
            // Handling these edges is not counted.
            self.turn();
        }
        taken * 1e9 / (messages * self.peers.len()) as f64
    }

    fn turn(&self) {
        if let Err(error) = self.reactor.iterate(Some(Duration::ZERO)) {
            eprintln!("{error}");
        }
    }
}

fn times(members: usize) -> Result {
    let mut broadcast = match Broadcast::new(members) {
        Ok(broadcast) => broadcast,
        Err(error) => {
            println!("{members} members: {error}: raise the limit of open files (ulimit -n)");
            return Ok(());
        }
    };
    println!(
        "\n{members} members: ns a delivery        write  write_shared   ratio   behind 8 bytes: write  write_shared   ratio"
    );
    for size in SIZES {
        let message = SharedBytes::from(vec![b'x'; size]);
        let ways = [(false, false), (true, false), (false, true), (true, true)].map(|(shared, header)| Way { shared, header });
        let cell = RefCell::new(&mut broadcast);
        let mut run = ways.map(|way| {
            let (cell, message) = (&cell, &message);
            move || cell.borrow_mut().round(way, message)
        });
        let [write, shared, behind, shared_behind] = best(ROUNDS, run.each_mut().map(|run| run as &mut dyn FnMut() -> f64));
        println!(
            "{size:>22} bytes {write:>10.0} {shared:>13.0} {:>7.2} {behind:>23.0} {shared_behind:>13.0} {:>7.2}",
            shared / write,
            shared_behind / behind
        );
    }
    Ok(())
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    Ok(kilobytes.ok_or("the system does not say how much memory a process has")?.trim().parse::<usize>()? * 1024)
}

/// The memory that each member's unsent message takes, in bytes.
fn memory(way: Way) -> Result<usize> {
    let (reactor, room) = (MemoryReactor::new(), Room::default());
    let joining = room.clone();
    let port = reactor.reactor().listen_tcp("127.0.0.1:4000", move |_peer| Member(joining.clone()))?;
    for _ in 0..SLOW {
        reactor.connect_peer("127.0.0.1:5000".parse::<std::net::SocketAddr>()?, port.address())?.set_room(0);
    }
    reactor.advance(Duration::ZERO);
    let before = resident()?;
    way.send(&room, &SharedBytes::from(vec![b'x'; UNREAD]));
    reactor.advance(Duration::ZERO);
    Ok(resident()?.saturating_sub(before) / SLOW)
}

fn main() -> Result {
    let members: Vec<usize> = std::env::args().skip(1).map(|count| count.parse()).collect::<Result<_, _>>()?;
    let way = |shared, header| Way { shared, header };
    println!("bytes of memory for each of {SLOW} members who do not read, a message of {UNREAD} bytes:");
    println!("    write_shared {:>7}, behind 8 bytes {:>7}", memory(way(true, false))?, memory(way(true, true))?);
    println!("    write        {:>7}", memory(way(false, false))?);
    let members = if members.is_empty() { vec![100, 1000, 10_000] } else { members };
    members.into_iter().try_for_each(times)
}
