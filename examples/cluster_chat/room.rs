//! The room as one process has it: what all share is the hub's topic, with what is said and who is there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Encoding, Hub, HubConfig, Member, Presence, PresenceChange, Publication, PublishError, Start};
use torsade::prelude::*;

const TOPIC: &str = "room";

/// Between two looks at what the broker knows.
const LOOK: Duration = Duration::from_millis(20);

/// How long a newcomer waits while the broker is away.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Room {
    hub: Hub,
    lines: Encoding,
    /// Who is on this process.
    here: RefCell<BTreeMap<String, LineTransport>>,
    /// What is claimed on any, as the hub has told it.
    claims: RefCell<BTreeSet<String>>,
}

/// Somebody who has a name, for as long as this is kept.
pub struct Talker {
    pub name: String,
    /// Nobody else's: by it one's own lines are known.
    number: String,
    _claims: [Presence; 2],
}

impl Room {
    pub fn open(reactor: &Reactor, hub: &str) -> Result<Rc<Self>> {
        let hub = HubConfig::new(hub)?.replay(TOPIC, 1000)?.presence_period(Duration::from_secs(6)).open(reactor)?;
        let lines = Encoding::lines().gaps(|gap| Some(format!("* some lines are missing here: {gap}\r\n").into()));
        let room = Rc::new(Self { hub: hub.clone(), lines, here: RefCell::default(), claims: RefCell::default() });
        let told = Rc::clone(&room);
        hub.watch(TOPIC, move |change| told.told(change))?;
        Ok(room)
    }

    /// Takes a name; none if it is taken, on whichever process.
    ///
    /// Of several who want a name at the same moment one gets it, and never two. Each enters under the name with a number, and
    /// asks once the others can see that: it gives way to a smaller number, and waits until a greater one has given way, or has
    /// taken the name. Whoever sees no other has taken it, and enters under the name without a number too, which is before all.
    pub async fn claim(&self, transport: &Transport, name: &str) -> Result<Option<Talker>> {
        let reactor = transport.reactor();
        let number = format!("{:016x}", reactor.random());
        let claim = format!("{name} {number}");
        // In order, so that the first is the smallest.
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

    /// Tells a newcomer who is there, what was said last, and all that is said from now on by others.
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

    /// The hub knows by the connection, and by the claims, that they are gone.
    pub fn leave(&self, talker: &Talker) {
        self.here.borrow_mut().remove(&talker.name);
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
