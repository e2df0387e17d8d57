//! The chat of Twisted's guide, which `chat_server` is, on any number of processes: what they share is a hub.
//!
//! Run:    cargo run --features hub --example cluster_chat -- [--listen ADDRESS] [--hub HUB] [--proxy]
//!         ADDRESS is 127.0.0.1:8123 unless given; HUB is local: unless it is redis:HOST:PORT or nats:HOST:PORT; with --proxy only
//!         HAProxy may connect, which says whose connection each is
//! Try:    examples/cluster_chat/run [redis|nats|local]: two processes, a broker and HAProxy, and what three people hear
//! Expect: as in chat_server, whichever process somebody is on: names are taken on all of them, everybody hears everybody, and is told
//!         who is there. Newcomers hear the last 20 lines. What a name's process knows of it is printed: where it is.
//!
//! Beside it are the files for HAProxy, Redis and NATS; `manual::many_machines` has what is promised, and what happens when something fails.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Encoding, Hub, HubConfig, Member, Presence, PresenceChange, Publication, Start};
use torsade::prelude::*;

/// The topic of what is said, and of who is there.
const ROOM: &str = "room";

/// The room as one process has it.
struct Room {
    hub: Hub,
    lines: Encoding,
    /// Who is on this process.
    here: RefCell<BTreeMap<String, LineTransport>>,
    /// Who is on any, each as [`claim`](Self::claim) has put it.
    claims: RefCell<BTreeSet<String>>,
}

/// Somebody who was let in.
struct Talker {
    name: String,
    /// A number of nobody else's, by which one's own lines are known.
    number: String,
    _presences: [Presence; 2],
}

impl Room {
    /// Enters under a name, with the number behind it; none if the name is taken, on whichever process.
    ///
    /// Of several who want a name at the same moment one gets it, and never two: each asks only once the others can see it, gives way to a smaller
    /// number, and waits until a greater one has given way, or has taken the name, which has it stand there without a number, before all.
    async fn claim(&self, reactor: &Reactor, name: &str, number: &str) -> Result<Option<[Presence; 2]>> {
        let claim = format!("{name} {number}");
        let others = |present: Vec<String>| present.into_iter().find(|other| *other != claim && name_of(other) == name);
        if others(self.hub.present(ROOM).await?).is_some() {
            return Ok(None);
        }
        let presence = self.hub.enter(ROOM, &claim)?;
        while !self.claims.borrow().contains(&claim) {
            reactor.sleep(Duration::from_millis(20)).await?;
        }
        loop {
            match others(self.hub.present(ROOM).await?) {
                Some(first) if first < claim => return Ok(None),
                Some(_) => reactor.sleep(Duration::from_millis(20)).await?,
                None => return Ok(Some([presence, self.hub.enter(ROOM, format!("{name} "))?])),
            }
        }
    }

    /// Lets somebody in, or says why not.
    async fn let_in(&self, transport: &LineTransport, name: &str) -> Result<Option<Talker>> {
        let number = format!("{:016x}", transport.reactor().random());
        let presences = match self.claim(transport.reactor(), name, &number).await {
            Ok(presences) => presences,
            Err(error) => {
                transport.send_line(format!("The room is not to be reached, please try again: {error}"));
                return Ok(None);
            }
        };
        let Some(presences) = presences else {
            transport.send_line("Name taken, please choose another.");
            return Ok(None);
        };
        println!("{name} is at {}", transport.peer());
        transport.send_line(format!("Welcome, {name}!"));
        let there: BTreeSet<_> = self.claims.borrow().iter().map(|claim| name_of(claim).to_owned()).collect();
        there.iter().filter(|other| *other != name).for_each(|other| transport.send_line(format!("* {other} is here")));
        let own = number.clone();
        let member = Member::new(transport, &self.lines).start(Start::Last(20));
        self.hub.join(ROOM, member.filter(move |message| message.header("From") != Some(&own)))?;
        self.here.borrow_mut().insert(name.to_owned(), transport.clone());
        Ok(Some(Talker { name: name.to_owned(), number, _presences: presences }))
    }

    /// Tells those on this process that somebody came or went, on any.
    fn told(&self, change: &PresenceChange) {
        let (claim, what) = match change {
            PresenceChange::Entered(claim) => (claim, "is here"),
            PresenceChange::Left(claim) => (claim, "has gone"),
            _ => return,
        };
        self.claims.borrow_mut().remove(claim);
        let name = name_of(claim);
        // Two may have claimed a name for a moment.
        let is_there = self.claims.borrow().iter().any(|other| name_of(other) == name);
        if matches!(change, PresenceChange::Entered(_)) {
            self.claims.borrow_mut().insert(claim.clone());
        }
        for (_, transport) in self.here.borrow().iter().filter(|(other, _)| !is_there && *other != name) {
            transport.send_line(format!("* {name} {what}"));
        }
    }
}

fn name_of(claim: &str) -> &str {
    claim.rsplit_once(' ').map_or(claim, |(name, _)| name)
}

struct Chat {
    room: Rc<Room>,
    talker: Rc<RefCell<Option<Talker>>>,
}

impl LineProtocol for Chat {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("What's your name?");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        if let Some(talker) = &*self.talker.borrow() {
            let text = [b"<", talker.name.as_bytes(), b"> ", line].concat();
            if let Err(error) = self.room.hub.publish(ROOM, Publication::from(text).header("From", &talker.number)) {
                transport.send_line(format!("* nobody hears you: {error}"));
            }
            return Ok(());
        }
        let Some(name) = str::from_utf8(line).ok().filter(|name| is_name(name)).map(str::to_owned) else {
            transport.send_line("A name is of 1 to 20 letters and digits, please choose another.");
            return Ok(());
        };
        // What comes behind it waits.
        transport.pause_producing();
        let (room, talker, lines) = (Rc::clone(&self.room), Rc::clone(&self.talker), transport.clone());
        transport.spawn(move |transport| async move {
            let let_in = room.let_in(&lines, &name).await?;
            talker.replace(let_in);
            transport.resume_producing();
            Ok(())
        });
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        if let Some(talker) = self.talker.take() {
            self.room.here.borrow_mut().remove(&talker.name);
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    (1..=20).contains(&text.chars().count()) && text.chars().all(char::is_alphanumeric)
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, listen: ServerEndpoint, hub: &str) -> Result<Port> {
    let hub = HubConfig::new(hub)?.replay(ROOM, 1000)?.presence_period(Duration::from_secs(6)).open(reactor)?;
    let lines = Encoding::lines().gaps(|gap| Some(format!("* some lines are missing here: {gap}\r\n").into_bytes()));
    let room = Rc::new(Room { hub: hub.clone(), lines, here: RefCell::default(), claims: RefCell::default() });
    let told = Rc::clone(&room);
    hub.watch(ROOM, move |change| told.told(change))?;
    Ok(reactor.listen(listen, move |_peer| LineReceiver::new(Chat { room: Rc::clone(&room), talker: Rc::default() }))?)
}

/// Serves as the arguments say.
pub fn run(mut arguments: impl Iterator<Item = String>) -> Result {
    let (mut listen, mut hub, mut is_proxied) = ("127.0.0.1:8123".to_owned(), "local:".to_owned(), false);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.by_ref()) {
            ("--proxy", _) => is_proxied = true,
            ("--listen", rest) => listen = rest.next().ok_or("--listen wants an address")?,
            ("--hub", rest) => hub = rest.next().ok_or("--hub wants local:, redis:HOST:PORT or nats:HOST:PORT")?,
            _ => return Err(format!("{argument:?} is none of --listen, --hub and --proxy").into()),
        }
    }
    let endpoint: ServerEndpoint = listen.parse()?;
    let reactor = Reactor::new()?;
    let port = start(&reactor, if is_proxied { endpoint.proxied() } else { endpoint }, &hub)?;
    println!("listening on {}", port.address());
    reactor.run()
}

fn main() -> Result {
    env_logger::init();
    run(std::env::args().skip(1))
}
