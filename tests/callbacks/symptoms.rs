//! The symptoms of ported Twisted programs, and that the line the manual's porting page gives for each one cures it.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::testing::StringTransport;
use torsade::wire::{Discard, Echo};

const AN_HOUR: Duration = Duration::from_secs(3600);

/// Writes a piece whenever it is resumed, and closes after the third.
struct Pieces(Rc<Cell<usize>>);

impl Producer for Pieces {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        self.0.set(self.0.get() + 1);
        consumer.write("a piece");
        if self.0.get() == 3 {
            consumer.unregister_producer();
            consumer.lose_connection();
        }
        Ok(())
    }
}

/// Registers it when connected.
struct Serves {
    streaming: bool,
    asked: Rc<Cell<usize>>,
}

impl Protocol for Serves {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.register_producer(Pieces(Rc::clone(&self.asked)), self.streaming)?)
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_pull_producer_that_is_registered_as_streaming_is_never_asked() -> Result {
    for (streaming, expected) in [(true, 0), (false, 3)] {
        let asked = Rc::new(Cell::new(0));
        let simulation = Simulation::new(1);
        let serves = Rc::clone(&asked);
        simulation.host("10.0.0.2").listen("10.0.0.2:7", move |_peer| Serves { streaming, asked: Rc::clone(&serves) })?;
        simulation.host("10.0.0.1").connect("10.0.0.2:7", |_peer| Discard)?;
        simulation.run_for(Duration::from_secs(60))?;
        assert_eq!(asked.get(), expected);
    }
    Ok(())
}

#[test]
fn a_deferred_that_is_fired_inside_a_borrow_meets_it_in_its_callbacks() {
    let sum = Rc::new(RefCell::new(0));
    let adding = || {
        let (answer, firer) = Deferred::new();
        let sum = Rc::clone(&sum);
        (answer.add_callback(move |number| *sum.borrow_mut() += number), firer)
    };

    let (added, firer) = adding();
    let borrowed = sum.borrow_mut();
    firer.callback(3);
    drop(borrowed);
    let error = added.into_result().expect("it has fired").expect_err("its callback has panicked");
    assert!(error.to_string().contains("borrow"), "{error}");

    let (added, firer) = adding();
    firer.callback(3);
    added.into_result().expect("it has fired").expect("nothing is borrowed");
    assert_eq!(*sum.borrow(), 3);
}

/// Answers each line with itself.
struct Lines;

impl LineProtocol for Lines {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.send_line(line);
        Ok(())
    }
}

#[test]
fn a_line_that_ends_with_lf_alone_is_not_a_line_until_the_delimiter_says_so() -> Result {
    let answer = |mut protocol: LineReceiver<Lines>, data: &[u8]| -> Result<Vec<u8>> {
        let transport = StringTransport::new();
        protocol.data_received(&transport, data)?;
        Ok(transport.value())
    };
    assert_eq!(answer(LineReceiver::new(Lines), b"one\r\ntwo\r\n")?, b"one\r\ntwo\r\n");
    assert_eq!(answer(LineReceiver::new(Lines), b"one\ntwo\n")?, b"");
    assert_eq!(answer(LineReceiver::new(Lines).delimiter(b"\n"), b"one\ntwo\n")?, b"one\ntwo\n");
    Ok(())
}

/// Goes on after the peer's end of stream, and says goodbye if `closes`.
struct TakesTheEnd {
    closes: bool,
    lost: Rc<Cell<bool>>,
}

impl Protocol for TakesTheEnd {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        if self.closes {
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, _: &Reason) -> Result {
        self.lost.set(true);
        Ok(())
    }
}

/// Ends its own stream at once.
struct HasNothingToSay;

impl Protocol for HasNothingToSay {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.lose_write_connection();
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_side_that_accepts_the_peers_end_and_does_not_close_stays_connected() -> Result {
    for closes in [false, true] {
        let lost = Rc::new(Cell::new(false));
        let simulation = Simulation::new(1);
        let told = Rc::clone(&lost);
        simulation.host("10.0.0.2").listen("10.0.0.2:7", move |_peer| TakesTheEnd { closes, lost: Rc::clone(&told) })?;
        simulation.host("10.0.0.1").connect("10.0.0.2:7", |_peer| HasNothingToSay)?;
        simulation.run_for(AN_HOUR)?;
        assert_eq!(lost.get(), closes);
    }
    Ok(())
}

#[test]
fn a_port_on_the_loopback_address_is_not_reached_from_another_host() -> Result {
    for (address, is_reached) in [("127.0.0.1:7", false), ("0.0.0.0:7", true), ("tcp:7", true)] {
        let simulation = Simulation::new(1);
        simulation.host("10.0.0.2").listen(address, |_peer| Echo)?;
        let client = simulation.host("10.0.0.1");
        let connected = client.connect_protocol("10.0.0.2:7", Discard);
        simulation.run_for(AN_HOUR)?;
        let connected = connected.into_result().expect("an attempt has an end");
        assert_eq!(connected.is_ok(), is_reached, "{address}");
    }
    Ok(())
}

/// Takes four bytes after each line `BODY`, and gives back what it received with them, from `from` on.
struct Bodies {
    from: usize,
}

impl LineProtocol for Bodies {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.send_line([b"line ", line].concat());
        if line == b"BODY" {
            transport.set_raw_mode();
        }
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        transport.send_line([b"body ", &data[..4]].concat());
        transport.set_line_mode(&data[self.from..]);
        Ok(())
    }
}

#[test]
fn what_was_used_and_is_still_given_back_comes_twice() -> Result {
    let answer = |from: usize| -> Result<Vec<u8>> {
        let transport = StringTransport::new();
        LineReceiver::new(Bodies { from }).data_received(&transport, b"BODY\r\nabcdnext\r\n")?;
        Ok(transport.value())
    };
    assert_eq!(answer(0)?, b"line BODY\r\nbody abcd\r\nline abcdnext\r\n");
    assert_eq!(answer(4)?, b"line BODY\r\nbody abcd\r\nline next\r\n");
    Ok(())
}

#[test]
fn the_time_of_a_reactor_is_not_the_time_of_day() -> Result {
    let reactor = Reactor::new()?;
    let day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    assert!(reactor.now() < day / 2, "it began with the reactor");
    let (before, simulation) = (reactor.now(), Simulation::new(1));
    assert_eq!(simulation.host("10.0.0.1").now(), Duration::ZERO);
    assert!(reactor.now() >= before);
    Ok(())
}

type Room<M> = Rc<RefCell<Vec<M>>>;

/// Speaks to a room of protocols, which it is in itself.
struct AmongProtocols {
    transport: Transport,
    room: Room<Rc<RefCell<Self>>>,
}

impl Protocol for AmongProtocols {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.room.borrow().iter().for_each(|member| member.borrow().transport.write(data));
        Ok(())
    }
}

/// Speaks to a room of transports.
struct AmongTransports(Room<Transport>);

impl Protocol for AmongTransports {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.0.borrow().iter().for_each(|member| member.write(data));
        Ok(())
    }
}

#[test]
fn a_room_of_protocols_finds_the_sender_borrowed_and_a_room_of_transports_does_not() -> Result {
    let transport = StringTransport::new();
    let room = Room::default();
    let member = Rc::new(RefCell::new(AmongProtocols { transport: Transport::clone(&transport), room: Rc::clone(&room) }));
    room.borrow_mut().push(Rc::clone(&member));
    let spoken = catch_unwind(AssertUnwindSafe(|| Rc::clone(&member).data_received(&transport, b"hello")));
    let panic = spoken.expect_err("the one that speaks is borrowed");
    let panic = panic.downcast_ref::<String>().expect("it has a text");
    assert!(panic.contains("already mutably borrowed"), "{panic}");
    room.take();

    let room = Room::default();
    room.borrow_mut().push(Transport::clone(&transport));
    AmongTransports(room).data_received(&transport, b"hello")?;
    assert_eq!(transport.value(), b"hello");
    Ok(())
}

/// Knows another one, and lets go of it at its end if it is to.
struct Knows {
    other: Rc<RefCell<Option<Rc<RefCell<Self>>>>>,
    lets_go: bool,
}

impl Protocol for Knows {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, _: &Reason) -> Result {
        if self.lets_go {
            self.other.take();
        }
        Ok(())
    }
}

#[test]
fn two_protocols_that_hold_each_other_are_freed_if_one_lets_go() -> Result {
    for lets_go in [false, true] {
        let simulation = Simulation::new(1);
        let [one, other] = [0, 1].map(|_| Rc::new(RefCell::new(Knows { other: Rc::default(), lets_go })));
        one.borrow().other.replace(Some(Rc::clone(&other)));
        other.borrow().other.replace(Some(Rc::clone(&one)));
        let kept = [&one, &other].map(Rc::downgrade);
        let mut waiting = vec![one, other];
        let port = simulation.host("10.0.0.2").listen("10.0.0.2:7", move |_peer| waiting.pop())?;
        for _ in 0..2 {
            simulation.host("10.0.0.1").connect("10.0.0.2:7", |_peer| HasNothingToSay)?;
        }
        simulation.run_for(AN_HOUR)?;
        port.stop_listening();
        simulation.run_for(AN_HOUR)?;
        assert_eq!(kept.map(|protocol| protocol.upgrade().is_none()), [lets_go; 2]);
    }
    Ok(())
}

#[test]
fn an_ipv6_address_is_printed_in_brackets_and_its_host_without_them() -> Result {
    let peer = Address::Tcp("[2001:db8::1]:80".parse()?);
    assert_eq!(peer.to_string(), "[2001:db8::1]:80");
    let Address::Tcp(peer) = peer else { return Err("it is one of TCP".into()) };
    assert_eq!(format!("{}:{}", peer.ip(), peer.port()), "2001:db8::1:80");
    Ok(())
}
