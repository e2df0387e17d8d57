//! Members: one encoding for all, and a limit for each.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Encoding, Hub, Member, Message, Overflow};
use torsade::prelude::*;

use crate::heard::Heard;
use crate::world::{Process, World, in_every_world};

const TOPIC: &str = "room.lobby";

/// What a member's connection is made with.
type Ready = dyn Fn(Member) -> Member;

/// A server in a hub's process whose every connection joins the topic.
struct Door {
    hub: Hub,
    encoding: Encoding,
    ready: Rc<Ready>,
    lost: Rc<Cell<usize>>,
}

impl Protocol for Door {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let member = (self.ready)(Member::new(transport, &self.encoding));
        // The lost connection ends the membership.
        self.hub.join(TOPIC, member)?;
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, _reason: &Reason) -> Result {
        self.lost.set(self.lost.get() + 1);
        Ok(())
    }
}

/// Opens a door; returns its address, and the number of lost connections.
fn door(
    process: &Process,
    hub: &Hub,
    encoding: &Encoding,
    ready: impl Fn(Member) -> Member + 'static,
) -> (Address, Rc<Cell<usize>>) {
    let (ready, lost): (Rc<Ready>, _) = (Rc::new(ready), Rc::<Cell<usize>>::default());
    let (hub, encoding, count) = (hub.clone(), encoding.clone(), Rc::clone(&lost));
    let make =
        move |_peer| Door { hub: hub.clone(), encoding: encoding.clone(), ready: Rc::clone(&ready), lost: Rc::clone(&count) };
    let port = process.reactor.listen_tcp(format!("{}:0", process.address), make).expect("a free port");
    (port.address(), lost)
}

/// What a client has received, and its connection while it has one.
#[derive(Clone, Default)]
struct Client(Rc<RefCell<(Vec<u8>, Option<Transport>)>>);

impl Client {
    fn connect(world: &World, process: &Process, address: &Address) -> Self {
        let client = Self::default();
        let there = client.clone();
        process.reactor.connect_tcp(address.to_string(), move |_peer| there.clone()).expect("an address");
        world.run_until("a connection", || client.0.borrow().1.is_some());
        client
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0.borrow().0)
            .lines()
            .map(str::to_owned)
            .filter(|line| line != crate::heard::GREETING)
            .collect()
    }

    fn has(&self, line: &str) -> bool {
        self.lines().iter().any(|got| got == line)
    }

    fn transport(&self) -> Transport {
        self.0.borrow().1.clone().expect("connected")
    }

    fn is_lost(&self) -> bool {
        self.0.borrow().1.is_none()
    }
}

impl Protocol for Client {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.borrow_mut().1 = Some(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().0.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, _reason: &Reason) -> Result {
        self.0.borrow_mut().1 = None;
        Ok(())
    }
}

/// A hub with a door, its publisher in another process, and the process of the clients.
struct Party {
    publisher: Hub,
    hub: Hub,
    address: Address,
    lost: Rc<Cell<usize>>,
    clients: Process,
    _processes: [Process; 2],
}

impl Party {
    fn new(world: &World, encoding: &Encoding, ready: impl Fn(Member) -> Member + 'static) -> Self {
        let config = world.config();
        let ((one, publisher), (two, hub)) = (world.hub(&config), world.hub(&config));
        let (address, lost) = door(&two, &hub, encoding, ready);
        Self { publisher, hub, address, lost, clients: world.process(), _processes: [one, two] }
    }

    fn client(&self, world: &World) -> Client {
        let client = Client::connect(world, &self.clients, &self.address);
        // Until it is a member.
        world.repeat_until("a greeting", || {
            drop(self.publisher.publish(TOPIC, crate::heard::GREETING));
            !client.0.borrow().0.is_empty()
        });
        client
    }
}

/// Lines of which so few fill what a connection may hold unsent.
fn long(number: usize) -> String {
    format!("{number} {}", "x".repeat(8192))
}

fn numbers(client: &Client) -> Vec<usize> {
    let lines = client.lines();
    let number = |line: &String| line.split(' ').next().and_then(|number| number.parse().ok());
    lines.iter().filter(|line| line.len() > 8192).filter_map(number).collect()
}

in_every_world! {
    fn a_message_is_encoded_once_whatever_the_number_of_members(world: &World) {
        let encoded = Rc::<Cell<u32>>::default();
        let count = Rc::clone(&encoded);
        let encoding = Encoding::new(move |message: &Message| {
            if message.payload()[..] != *crate::heard::GREETING.as_bytes() {
                count.set(count.get() + 1);
            }
            [message.topic().as_str().as_bytes(), b": ", message.payload(), b"\n"].concat()
        });
        let party = Party::new(world, &encoding, |member| member);
        let clients: Vec<_> = (0..20).map(|_| party.client(world)).collect();
        for number in 0..10 {
            world.publish(&party.publisher, TOPIC, number.to_string());
        }
        for client in &clients {
            world.run_until("the last line", || client.has("room.lobby: 9"));
            let lines: Vec<_> = client.lines().into_iter().filter(|line| !line.ends_with(crate::heard::GREETING)).collect();
            assert_eq!(lines, (0..10).map(|number| format!("room.lobby: {number}")).collect::<Vec<_>>());
        }
        assert_eq!(encoded.get(), 10);
    }

    fn a_member_leaves_when_its_connection_is_lost(world: &World) {
        let party = Party::new(world, &Encoding::lines(), |member| member);
        let (stays, goes) = (party.client(world), party.client(world));
        goes.transport().lose_connection();
        world.run_until("a departure", || party.lost.get() == 1 && goes.is_lost());
        world.publish(&party.publisher, TOPIC, "after");
        world.run_until("a line", || stays.has("after"));
        assert!(!goes.has("after"));
    }

    fn a_filter_keeps_a_members_own_messages_from_it(world: &World) {
        let party = Party::new(world, &Encoding::lines(), |member| member.filter(|message| !message.payload().starts_with(b"not ")));
        let client = party.client(world);
        for text in ["one", "not two", "three"] {
            world.publish(&party.publisher, TOPIC, text);
        }
        world.run_until("the last", || client.has("three"));
        assert_eq!(client.lines(), ["one", "three"]);
    }

    fn who_never_reads_loses_the_oldest_within_its_bound_and_the_others_lose_nothing(world: &World) {
        let dropped = with_a_sleeper(world, Overflow::DropOldest, |kept, total| {
            assert!(kept.contains(&(total - 1)), "the newest is kept: {kept:?}");
        });
        assert!(dropped > 0);
    }

    fn who_never_reads_loses_the_newest_where_that_is_asked(world: &World) {
        let dropped = with_a_sleeper(world, Overflow::DropNewest, |kept, total| {
            assert!(!kept.contains(&(total - 1)), "the newest is dropped: {kept:?}");
            assert_eq!(*kept, (0..kept.len()).collect::<Vec<_>>());
        });
        assert!(dropped > 0);
    }

    fn who_never_reads_is_disconnected_where_that_is_asked(world: &World) {
        let party = Party::new(world, &Encoding::lines(), |member| member.limit(10, 1 << 20).overflow(Overflow::Disconnect));
        let (reads, sleeps) = (party.client(world), party.client(world));
        sleeps.transport().pause_producing();
        let mut number = 0;
        world.repeat_until("a message too many", || {
            if party.publisher.publish(TOPIC, long(number)).is_ok() {
                number += 1;
            }
            party.hub.stats().disconnected_slow > 0
        });
        world.run_until("the end of who never reads", || party.lost.get() == 1);
        world.publish(&party.publisher, TOPIC, "after");
        world.run_until("the rest", || reads.has("after"));
        assert_eq!(numbers(&reads), (0..number).collect::<Vec<_>>());
        assert_eq!(party.hub.stats().disconnected_slow, 1);
        // It notices the end once it reads again.
        if !sleeps.is_lost() {
            sleeps.transport().resume_producing();
        }
        world.run_until("its end", || sleeps.is_lost());
    }
}

/// One reads and one does not, until something was dropped for the latter; then it reads too. Gives how many were dropped.
fn with_a_sleeper(world: &World, overflow: Overflow, check: impl Fn(&Vec<usize>, usize)) -> u64 {
    const LIMIT: usize = 16;
    let told = Rc::<Cell<u64>>::default();
    let sum = Rc::clone(&told);
    let encoding = Encoding::lines().gaps(move |gap| {
        if let torsade::hub::Gap::Slow { dropped } = gap {
            sum.set(sum.get() + dropped);
        }
        Some(b"(gap)\n".to_vec())
    });
    let party = Party::new(world, &encoding, move |member| member.limit(LIMIT, 1 << 20).overflow(overflow));
    let (reads, sleeps) = (party.client(world), party.client(world));
    sleeps.transport().pause_producing();
    let before = party.hub.stats().dropped_slow;
    let mut total = 0;
    world.repeat_until("a drop", || {
        // Not faster than the other reads.
        if numbers(&reads).len() == total {
            world_publish(&party.publisher, long(total));
            total += 1;
        }
        party.hub.stats().dropped_slow - before >= 2 * LIMIT as u64
    });
    world.run_until("all for who reads", || numbers(&reads).len() == total);
    assert_eq!(numbers(&reads), (0..total).collect::<Vec<_>>());
    assert!(!reads.has("(gap)"));
    sleeps.transport().resume_producing();
    let mut last = 0;
    world.run_until("the rest for who slept", || {
        last = numbers(&sleeps).len();
        let dropped = party.hub.stats().dropped_slow - before;
        last as u64 + dropped >= total as u64
    });
    world.run_for(Duration::from_millis(50));
    let (kept, dropped) = (numbers(&sleeps), party.hub.stats().dropped_slow - before);
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "{kept:?}");
    assert_eq!(kept.len() as u64 + dropped, total as u64, "what did not come is counted");
    assert_eq!(told.get(), dropped, "what did not come is told");
    assert!(sleeps.has("(gap)"));
    check(&kept, total);
    // From then on it is a member like any other.
    let ears = Heard::default();
    let _subscription = party.hub.subscribe(TOPIC, ears.clone()).unwrap();
    world.until_heard(&party.publisher, TOPIC, &ears);
    world.publish(&party.publisher, TOPIC, "again");
    world.run_until("one more line", || sleeps.has("again") && reads.has("again"));
    dropped
}

fn world_publish(hub: &Hub, text: String) {
    hub.publish(TOPIC, text).expect("there is room");
}
