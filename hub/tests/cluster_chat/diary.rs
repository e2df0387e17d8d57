//! What people have said and heard, and what must hold for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::people::PEOPLE;

/// How long anything may take before it counts as hung: a machine with other work to do is slow.
const LIMIT: Duration = Duration::from_secs(300);

/// How long after something was written it is looked at, at the latest.
const LOOK: Duration = Duration::from_millis(100);

/// A connection of somebody, from the server's question on.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) who: String,
    /// The address from which it came.
    pub(crate) from: String,
    /// How many lines were sent; their numbers count from 0.
    pub(crate) said: u64,
    pub(crate) heard: Vec<(u64, Heard)>,
    /// When it was let in, if it was.
    pub(crate) welcomed: Option<u64>,
    pub(crate) has_ended: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    /// A line, by the index of its speaker's session and its number.
    Line {
        session: usize,
        number: u64,
    },
    /// The room says that lines are missing here.
    Gap(String),
    Here(String),
    Gone(String),
    /// Whatever else the chat has to say.
    Other(String),
}

/// How many lines everybody has to hear of each other to be talking.
const TALK: u64 = 20;

/// All sessions, in the order in which they began; shared by the people's thread and the test's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diary(Arc<(Mutex<Pages>, Condvar)>);

#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Counts whatever is written.
    clock: u64,
    pub(crate) sessions: Vec<Session>,
}

/// How far everybody was at a moment: their sessions, and how much they had said in these.
#[derive(Clone, Debug)]
struct Said {
    when: u64,
    said: BTreeMap<&'static str, (usize, u64)>,
}

/// What [`Pages::check`] has found.
#[derive(Debug, Default)]
pub(crate) struct Check {
    pub(crate) wrong: Vec<String>,
    /// What may still come.
    pub(crate) pending: Vec<String>,
    /// How many gaps were told.
    pub(crate) gaps: usize,
}

impl Diary {
    /// Writes something into it, at a time that it gives.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&mut Pages, u64) -> T) -> T {
        let mut pages = self.read();
        pages.clock += 1;
        let now = pages.clock;
        let result = write(&mut pages, now);
        self.0.1.notify_all();
        result
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, Pages> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the pages say so. They are shown when that takes too long.
    pub(crate) fn wait_until(&self, what: &str, mut happened: impl FnMut(&Pages) -> bool) {
        let end = Instant::now() + LIMIT;
        let mut pages = self.read();
        while !happened(&pages) {
            assert!(Instant::now() < end, "{what}: this never came.\n{}", pages.text());
            // To look at it after each line would take longer than to write it.
            let next = pages.clock + 20;
            pages =
                self.0.1.wait_timeout_while(pages, LOOK, |pages| pages.clock < next).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Diary {
    /// Waits until everybody is there, knows of everybody, and has heard of each other some lines that were said from now on.
    pub(crate) fn wait_until_everybody_talks(&self, what: &str) {
        let before = self.read().said();
        self.wait_until(what, |pages| pages.everybody_talks_since(&before));
    }

    /// Waits until nothing more is to come, and holds what was heard against what was said.
    pub(crate) fn wait_until_all_is_heard(&self) -> Check {
        self.wait_until("all has been heard", |pages| {
            let check = pages.check();
            check.pending.is_empty() || !check.wrong.is_empty()
        });
        let pages = self.read();
        let check = pages.check();
        assert!(check.wrong.is_empty(), "{}\n{}{}", check.wrong.join("\n"), pages.gaps(), pages.text());
        check
    }
}

impl Pages {
    /// The session that somebody has now, if he was let in.
    pub(crate) fn current(&self, who: &str) -> Option<usize> {
        let last = self.sessions.iter().rposition(|session| session.who == who)?;
        let session = &self.sessions[last];
        (session.welcomed.is_some() && !session.has_ended).then_some(last)
    }

    /// Whom somebody believes to be there, beside himself.
    pub(crate) fn believed(&self, session: usize) -> BTreeSet<&str> {
        let mut there = BTreeSet::new();
        for (_, heard) in &self.sessions[session].heard {
            match heard {
                Heard::Here(name) => _ = there.insert(name.as_str()),
                Heard::Gone(name) => _ = there.remove(name.as_str()),
                _ => {}
            }
        }
        there
    }

    /// How far everybody is at this moment.
    fn said(&self) -> Said {
        let last = |who: &str| self.sessions.iter().rposition(|session| session.who == who);
        let said = PEOPLE.into_iter().map(|who| (who, last(who).map_or((0, 0), |last| (last, self.sessions[last].said))));
        Said { when: self.clock, said: said.collect() }
    }

    /// Whether everybody is there, knows of everybody, and has heard of each other a line that was said so much later.
    fn everybody_talks_since(&self, since: &Said) -> bool {
        since.said.keys().all(|who| {
            let Some(session) = self.current(who) else { return false };
            let others: BTreeSet<_> = since.said.keys().copied().filter(|other| other != who).collect();
            let mut silent = others.clone();
            for (_, heard) in self.sessions[session].heard.iter().rev().take_while(|(when, _)| *when > since.when) {
                if let Heard::Line { session, number } = heard {
                    let other = self.sessions[*session].who.as_str();
                    if since.said.get(other).is_some_and(|(last, said)| (*session, *number) >= (*last, said + TALK)) {
                        silent.remove(other);
                    }
                }
            }
            silent.is_empty() && self.believed(session) == others
        })
    }

    /// The lines of each session that anybody has heard, which the room has kept therefore.
    pub(crate) fn kept(&self) -> BTreeMap<usize, BTreeSet<u64>> {
        let mut kept = BTreeMap::<usize, BTreeSet<u64>>::new();
        for (_, heard) in self.sessions.iter().flat_map(|session| &session.heard) {
            if let Heard::Line { session, number } = heard {
                kept.entry(*session).or_default().insert(*number);
            }
        }
        kept
    }

    /// Whether nothing is lost, and what else there is to say.
    ///
    /// What was heard of a session are its first lines, and all of them if it has not ended. Whoever has heard one line hears all
    /// that come after it, in their order, as long as his own session goes on, unless he is told of a gap.
    fn check(&self) -> Check {
        let (kept, mut check) = (self.kept(), Check::default());
        for (number, session) in self.sessions.iter().enumerate() {
            let lines = kept.get(&number).map_or(0, |lines| lines.len() as u64);
            let last = kept.get(&number).and_then(|lines| lines.last().copied());
            if last.is_some_and(|last| last + 1 != lines) {
                check
                    .wrong
                    .push(format!("of {}'s session {number}, {lines} lines were heard, but also its line {last:?}", session.who));
            }
            if !session.has_ended && lines != session.said {
                check.pending.push(format!(
                    "of {}'s session {number}, which goes on, {} lines were said and {lines} heard",
                    session.who, session.said
                ));
            }
            self.check_listener(number, &kept, &mut check);
        }
        check
    }

    /// The same for what came in one session.
    fn check_listener(&self, listener: usize, kept: &BTreeMap<usize, BTreeSet<u64>>, check: &mut Check) {
        let session = &self.sessions[listener];
        let (mut next, mut since) = (BTreeMap::<usize, u64>::new(), None);
        // After a gap any later line may be the next.
        let mut any = BTreeSet::<usize>::new();
        for (when, heard) in &session.heard {
            match heard {
                Heard::Gap(_) => {
                    check.gaps += 1;
                    any.extend(0..self.sessions.len());
                }
                Heard::Line { session: speaker, number } => {
                    let whole = since.is_some_and(|since| self.sessions[*speaker].welcomed > Some(since));
                    let expected = next.get(speaker).copied().or_else(|| whole.then_some(0));
                    let may_jump = any.remove(speaker);
                    match expected {
                        Some(expected) if *number > expected && !may_jump => {
                            check.wrong.push(format!(
                                "{} (session {listener}) missed what came from {expected} to before {number} of session {speaker}",
                                session.who
                            ));
                        }
                        Some(expected) if *number < expected => {
                            check.wrong.push(format!(
                                "{} (session {listener}) heard {number} of session {speaker} after {}",
                                session.who,
                                expected - 1
                            ));
                        }
                        _ => {}
                    }
                    next.insert(*speaker, number + 1);
                    since = since.or(Some(*when));
                }
                Heard::Here(_) | Heard::Gone(_) | Heard::Other(_) => {}
            }
        }
        if !session.has_ended {
            for (speaker, next) in next {
                let lines = kept.get(&speaker).and_then(|lines| lines.last()).map_or(0, |last| last + 1);
                if next != lines {
                    check.pending.push(format!(
                        "{} (session {listener}) heard {next} of the {lines} lines of session {speaker}",
                        session.who
                    ));
                }
            }
        }
    }

    /// The gaps that were told, each with what was heard around it.
    fn gaps(&self) -> String {
        let mut text = String::new();
        for (number, Session { who, heard, .. }) in self.sessions.iter().enumerate() {
            for (at, _) in heard.iter().enumerate().filter(|(_, (_, heard))| matches!(heard, Heard::Gap(_))) {
                let around = &heard[at.saturating_sub(3)..heard.len().min(at + 4)];
                writeln!(text, "gap told to {who} in session {number}: {around:?}").unwrap();
            }
        }
        text
    }

    /// For those who read why a test has failed: the last sessions, and the end of what was heard in it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (number, session) in self.sessions.iter().enumerate().skip(self.sessions.len().saturating_sub(30)) {
            let Session { who, said, welcomed, has_ended, heard, .. } = session;
            let last = &heard[heard.len().saturating_sub(12)..];
            writeln!(
                text,
                "{number} {who}: welcomed {welcomed:?}, said {said}, ended: {has_ended}, believes {:?}, last heard {last:?}",
                self.believed(number)
            )
            .unwrap();
        }
        text
    }
}
