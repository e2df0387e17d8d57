//! People who talk without end, and reconnect when they are disconnected; all on one thread.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use torsade::Backoff;
use torsade::prelude::*;

use crate::diary::{Diary, Heard, Session};

pub(crate) const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

/// Between two lines of one person.
const PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct People {
    handle: ReactorHandle,
    asked: Arc<Asked>,
    thread: Option<JoinHandle<()>>,
}

/// What the test asks of them.
#[derive(Default)]
struct Asked {
    hush: AtomicBool,
    /// Those who are to leave, and have not yet.
    leave: Mutex<BTreeSet<&'static str>>,
}

impl People {
    /// Has all of them connect to a chat, and talk.
    pub(crate) fn talk(address: &str, diary: &Diary) -> Self {
        let asked = Arc::<Asked>::default();
        let (address, diary, told) = (address.to_owned(), diary.clone(), Arc::clone(&asked));
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let reactor = Reactor::new().unwrap();
            for name in PEOPLE {
                let (diary, told) = (diary.clone(), Arc::clone(&told));
                let factory = ReconnectingClientFactory::with_backoff(move |backoff: Backoff| {
                    move |_peer| {
                        let (diary, backoff, asked) = (diary.clone(), backoff.clone(), Arc::clone(&told));
                        LineReceiver::new(Person(Rc::new(Inner { name, diary, backoff, asked, session: Default::default() })))
                    }
                });
                let factory = factory.initial_delay(Duration::from_millis(50)).max_delay(Duration::from_millis(400));
                reactor.connect_tcp(&address, factory).unwrap();
            }
            sender.send(reactor.handle()).unwrap();
            reactor.run().unwrap();
        });
        Self { handle: receiver.recv().unwrap(), asked, thread: Some(thread) }
    }

    /// Nobody says anything more.
    pub(crate) fn hush(&self) {
        self.asked.hush.store(true, Ordering::Relaxed);
    }

    /// These leave behind what they have said, and come again.
    pub(crate) fn come_again(&self, names: &[&'static str]) {
        self.asked.leave.lock().unwrap().extend(names);
    }
}

impl Drop for People {
    fn drop(&mut self) {
        // After a panic it has stopped already.
        self.handle.call_from_thread(|reactor| _ = reactor.stop().ok()).ok();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Person(Rc<Inner>);

struct Inner {
    name: &'static str,
    diary: Diary,
    backoff: Backoff,
    asked: Arc<Asked>,
    session: std::cell::Cell<usize>,
}

impl Inner {
    fn heard(&self, heard: Heard) {
        let session = self.session.get();
        self.diary.write(|pages, now| pages.sessions[session].heard.push((now, heard)));
    }

    /// Says one line after another, as long as the connection lasts.
    async fn talk(self: Rc<Self>, transport: LineTransport) -> Result {
        loop {
            transport.reactor().sleep(PAUSE).await?;
            if self.asked.hush.load(Ordering::Relaxed) {
                return Ok(());
            }
            if self.asked.leave.lock().unwrap().remove(self.name) {
                transport.lose_connection();
                return Ok(());
            }
            let session = self.session.get();
            let number = self.diary.write(|pages, _| {
                pages.sessions[session].said += 1;
                pages.sessions[session].said - 1
            });
            transport.send_line(format!("{session} {number}"));
        }
    }

    fn line(self: &Rc<Self>, transport: &LineTransport, line: &str) {
        if line == "What's your name?" {
            transport.send_line(self.name);
        } else if line == format!("Welcome, {}!", self.name) {
            self.backoff.reset_delay();
            let session = self.session.get();
            self.diary.write(|pages, now| pages.sessions[session].welcomed = Some(now));
            let (person, lines) = (Rc::clone(self), transport.clone());
            transport.spawn(|_| person.talk(lines));
        } else if let Some(heard) = read(line) {
            self.heard(heard);
        } else {
            // The name is still taken by the session of a dead process, or the room cannot be reached.
            self.heard(Heard::Other(line.to_owned()));
            let is_in = self.diary.read().sessions[self.session.get()].welcomed.is_some();
            if !is_in {
                let (name, lines) = (self.name, transport.clone());
                transport.spawn(move |transport| async move {
                    transport.reactor().sleep(Duration::from_millis(200)).await?;
                    lines.send_line(name);
                    Ok(())
                });
            }
        }
    }
}

/// What a line of the room says: somebody's words, or who is there.
fn read(line: &str) -> Option<Heard> {
    if let Some((_, words)) = line.strip_prefix('<').and_then(|line| line.split_once("> ")) {
        let (session, number) = words.split_once(' ')?;
        return Some(Heard::Line { session: session.parse().ok()?, number: number.parse().ok()? });
    }
    let told = line.strip_prefix("* ")?;
    let name = |end| told.strip_suffix(end).map(str::to_owned);
    let here = name(" is here").map(Heard::Here);
    here.or_else(|| name(" has gone").map(Heard::Gone)).or_else(|| told.contains("miss").then(|| Heard::Gap(told.to_owned())))
}

impl LineProtocol for Person {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        let session = Session { who: self.0.name.to_owned(), from: transport.host().to_string(), ..Session::default() };
        self.0.session.set(self.0.diary.write(|pages, _| {
            pages.sessions.push(session);
            pages.sessions.len() - 1
        }));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.0.line(transport, &String::from_utf8_lossy(line));
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        let session = self.0.session.get();
        self.0.diary.write(|pages, _| pages.sessions[session].has_ended = true);
        Ok(())
    }
}
