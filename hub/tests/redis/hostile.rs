//! A hostile broker, which sends anything.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{HubConfig, Start};
use torsade::prelude::*;
use torsade::simulated::Simulation;

use crate::heard;
use crate::notes::notes;
use crate::scripted_redis::Value;
use crate::scripted_redis::wire::CommandDecoder;

/// Answers a login as Redis does, and all that follows with these bytes, one after the other.
struct Hostile {
    answers: Rc<RefCell<Vec<Vec<u8>>>>,
    asked: usize,
    said: Rc<Cell<usize>>,
    is_cluster: bool,
}

const CLUSTER: &[u8] = b"%3\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$7\r\ncluster\r\n";

const LOGIN: [&[u8]; 4] = [
    b"%4\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n",
    b"+PONG\r\n",
    b"+OK\r\n",
    b"*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n",
];

impl FrameProtocol<CommandDecoder> for Hostile {
    fn frame_received(&mut self, transport: &FrameTransport, _command: Vec<Vec<u8>>) -> Result {
        let answers = self.answers.borrow();
        match LOGIN.get(self.asked) {
            Some(_) if self.is_cluster && self.asked == 0 => transport.write(CLUSTER),
            Some(answer) => transport.write(answer),
            None if answers.is_empty() => transport.write(b"+OK\r\n"),
            None => {
                let at = self.said.get();
                self.said.set(at + 1);
                transport.write(&answers[at % answers.len()]);
            }
        }
        self.asked += 1;
        Ok(())
    }
}

/// Runs a hub with all that it has against a broker that answers so; nothing of it may panic, and it may not spin.
fn endure(seed: u64, answers: Vec<Vec<u8>>) {
    endure_as(seed, answers.clone(), false);
    endure_as(seed, answers, true);
}

fn endure_as(seed: u64, answers: Vec<Vec<u8>>, is_cluster: bool) {
    let simulation = Simulation::new(seed);
    let answers = Rc::new(RefCell::new(answers));
    let said = Rc::new(Cell::new(0));
    simulation
        .host("10.0.0.9")
        .listen("10.0.0.9:6379", move |_peer| {
            let said = Rc::clone(&said);
            FrameReceiver::new(CommandDecoder, Hostile { answers: Rc::clone(&answers), asked: 0, said, is_cluster })
        })
        .unwrap();
    let config = HubConfig::new("redis://10.0.0.9").unwrap().replay("log.>", 10).unwrap();
    let hub = config.open(&simulation.host("10.0.0.1")).unwrap();
    let _seen = heard(&hub, "room.*");
    let (_seen, subscriber) = notes();
    hub.subscribe_from("log.all", Start::Oldest, subscriber).unwrap();
    let (_seen, subscriber) = notes();
    hub.subscribe_from("log.last", Start::Last(5), subscriber).unwrap();
    let _presence = hub.enter("room.a", "ada").unwrap();
    for number in 0..10 {
        hub.publish("room.a", number.to_string()).unwrap();
        hub.publish("log.all", number.to_string()).unwrap();
        let present = hub.present("room.a");
        present.add_both(|_| Ok(())).detach();
        simulation.run_for(Duration::from_secs(1)).unwrap();
    }
    let lost = hub.stats().connections_lost;
    assert!(lost < 200, "{lost} connections in 10 s");
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

#[test]
fn answers_of_every_wrong_form_end_the_connection_and_no_more() {
    let text = |text: &str| Value::text(text);
    let list = |items: &[Value]| Value::List(items.to_vec());
    let push = |items: &[Value]| Value::Push(items.to_vec());
    let values = [
        Value::Null,
        Value::Ok,
        Value::Number(-1),
        text(""),
        text("9-9"),
        Value::error("ERR no"),
        Value::error(""),
        Value::error("MOVED"),
        Value::error("MOVED 1 10.0.0.9:6379"),
        Value::error("ASK 99999 :"),
        Value::error("ASK 7 10.0.0.9:6379"),
        Value::error("MOVED 7 :6379"),
        Value::error("MOVED 7 10.0.0.8:6379"),
        Value::error("LOADING"),
        list(&[]),
        list(&[Value::Null]),
        list(&[list(&[text("1-1"), list(&[text("payload"), text("x")])])]),
        list(&[list(&[text("1-1"), list(&[text("odd")])])]),
        list(&[list(&[text("1-1"), Value::Null])]),
        list(&[list(&[text("no id"), list(&[])])]),
        list(&[list(&[text("18446744073709551615-18446744073709551615"), list(&[])])]),
        Value::Map(vec![]),
        Value::Map(vec![(text("length"), Value::Number(5)), (text("last-generated-id"), text("5-0"))]),
        Value::Map(vec![(text("log.all"), list(&[])), (text("log.none"), Value::Null), (Value::Number(3), Value::Null)]),
        push(&[]),
        push(&[Value::Null]),
        push(&[text("message")]),
        push(&[text("message"), text("room.a"), Value::Null]),
        push(&[text("pmessage"), text("room.*"), text("room.a"), text("hello")]),
        push(&[text("pmessage"), text("room.*"), text("no topic"), text("hello")]),
        push(&[text("subscribe"), text("room.a"), Value::Number(1)]),
        push(&[text("sunsubscribe"), text("room.a"), Value::Number(1)]),
        push(&[text("invalidate"), Value::Null]),
        push(&[text("invalidate"), list(&[text("log.all"), text("log.last"), Value::Null, text("none")])]),
    ];
    for (seed, value) in (1..).zip(&values) {
        endure(seed, vec![encoded(value)]);
    }
    for (seed, bytes) in
        (100..).zip([&b"\r\n"[..], b"$-1\r\n", b"*?\r\n", b"*9999999\r\n", b"$99999999\r\n", b"\0\0\0\0", b"+no end"])
    {
        endure(seed, vec![bytes.to_vec()]);
    }
    // Whatever comes in which order.
    let mut state = 1_u64;
    let mut draw = move |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound
    };
    for seed in 200..300 {
        let answers = (0..20).map(|_| encoded(&values[draw(values.len())])).collect();
        endure(seed, answers);
    }
}
