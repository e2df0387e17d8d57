//! The room: what is said in it and who is in it are on a topic of the hub, which all processes share.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Encoding, Hub, HubConfig, Member, Presence, PresenceChange, Publication, PublishError, Start};
use torsade::prelude::*;

const TOPIC: &str = "room";
/// How many lines the broker keeps: many more than the 1,024 that each process queues while the broker is away. When it is back, all
/// of them arrive at once, and the oldest must still be there when the other processes read them.
const KEEP: u64 = 10_000;

/// The time between two questions to the broker.
const LOOK: Duration = Duration::from_millis(20);

/// How long a newcomer waits for an unreachable broker.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Room {
    hub: Hub,
    lines: Encoding,
    /// The people on this process.
    here: RefCell<BTreeMap<String, LineTransport>>,
    /// The claims of all processes, as reported by the hub.
    claims: RefCell<BTreeSet<String>>,
}

/// Somebody with a name, which is free again when this is dropped.
pub struct Talker {
    pub name: String,
    /// A unique number, by which people's own lines are recognized.
    number: String,
    _claims: [Presence; 2],
}

impl Room {
    pub fn open(reactor: &Reactor, hub: &str) -> Result<Rc<Self>> {
        let hub = HubConfig::new(hub)?.replay(TOPIC, KEEP)?.presence_period(Duration::from_secs(6)).open(reactor)?;
        let lines = Encoding::lines().gaps(|gap| Some(format!("* some lines are missing here: {gap}\r\n").into()));
        let room = Rc::new(Self { hub: hub.clone(), lines, here: RefCell::default(), claims: RefCell::default() });
        let told = Rc::clone(&room);
        hub.watch(TOPIC, move |change| told.told(change))?;
        Ok(room)
    }

    /// Takes a name; returns `None` if it is taken, on whichever process.
    ///
    /// If several people want a name at the same moment, exactly one gets it. Each of them enters the topic with the name and a
    /// random number, waits until the others can see this claim, and then looks at theirs: a claim gives way to one with a
    /// smaller number, and waits until those with greater numbers have given way or one of them has taken the name. When no other
    /// claim is left, the name is taken: it also enters without a number, which sorts before all claims.
    pub async fn claim(&self, transport: &Transport, name: &str) -> Result<Option<Talker>> {
        let reactor = transport.reactor();
        let number = format!("{:016x}", reactor.random());
        let claim = format!("{name} {number}");
        // `present` is sorted, so the first is the smallest.
        let other = |present: Vec<String>| present.into_iter().find(|other| *other != claim && name_of(other) == name);
        let end = reactor.now() + PATIENCE;
        while !self.hub.is_connected() && reactor.now() < end {
            reactor.sleep(LOOK).await?;
        }
        if other(self.hub.present(TOPIC).await?).is_some() {
            return Ok(None);
        }
        let entered = self.hub.enter(TOPIC, &claim)?;
        while !self.claims.borrow().contains(&claim) {
            reactor.sleep(LOOK).await?;
        }
        loop {
            match other(self.hub.present(TOPIC).await?) {
                Some(other) if other < claim => return Ok(None),
                Some(_) => reactor.sleep(LOOK).await?,
                None => break,
            }
        }
        let taken = self.hub.enter(TOPIC, format!("{name} "))?;
        Ok(Some(Talker { name: name.to_owned(), number, _claims: [entered, taken] }))
    }

    /// Tells a newcomer who is there, what was said last, and what others say from now on.
    pub fn join(&self, talker: &Talker, transport: &LineTransport) -> Result {
        let there: BTreeSet<_> = self.claims.borrow().iter().map(|claim| name_of(claim).to_owned()).collect();
        there.iter().filter(|other| **other != talker.name).for_each(|other| transport.send_line(format!("* {other} is here")));
        let own = talker.number.clone();
        let member = Member::new(transport, &self.lines).start(Start::Last(20));
        self.hub.join(TOPIC, member.filter(move |message| message.header("From") != Some(&own)))?;
        self.here.borrow_mut().insert(talker.name.clone(), transport.clone());
        Ok(())
    }

    pub fn say(&self, talker: &Talker, line: &[u8]) -> Result<(), PublishError> {
        let text = [b"<", talker.name.as_bytes(), b"> ", line].concat();
        self.hub.publish(TOPIC, Publication::from(text).header("From", &talker.number))
    }

    /// Forgets somebody. The lost connection ends the subscription, and dropping the claims frees the name.
    pub fn leave(&self, talker: &Talker) {
        self.here.borrow_mut().remove(&talker.name);
    }

    /// Tells the people on this process that somebody came or went on any process.
    fn told(&self, change: &PresenceChange) {
        let (claim, what) = match change {
            PresenceChange::Entered(claim) => (claim, "is here"),
            PresenceChange::Left(claim) => (claim, "has gone"),
            _ => return,
        };
        self.claims.borrow_mut().remove(claim);
        let name = name_of(claim);
        let is_still_there = self.claims.borrow().iter().any(|other| name_of(other) == name);
        if matches!(change, PresenceChange::Entered(_)) {
            self.claims.borrow_mut().insert(claim.clone());
        }
        for (_, transport) in self.here.borrow().iter().filter(|(other, _)| !is_still_there && *other != name) {
            transport.send_line(format!("* {name} {what}"));
        }
    }
}

fn name_of(claim: &str) -> &str {
    claim.split_once(' ').map_or(claim, |(name, _)| name)
}
