//! The scripts of the vectors for policies, `FileSender` and the wire services.

use std::cell::{Cell, RefCell};
use std::io::Cursor;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use torsade::policies::{LimitTotalConnectionsFactory, ThrottlingFactory, TimeoutFactory, TimeoutMixin, TrafficLoggingFactory};
use torsade::prelude::*;
use torsade::testing::{StringTransport, StringTransportWithDisconnection};
use torsade::{Clock, FileSender, wire};

use super::events::{Events, kind, shown};
use crate::json::Json;

/// What all protocols of one vector share.
#[derive(Clone, Default)]
struct Shared {
    events: Events,
    /// The number of the connection that is being made.
    number: Rc<Cell<usize>>,
    /// The transports as the protocols see them, above the policy.
    transports: Rc<RefCell<Vec<Option<Transport>>>>,
    producer: bool,
    echo: bool,
}

/// Records what it receives.
struct Sink {
    shared: Shared,
    number: usize,
    busy: bool,
}

impl Sink {
    fn new(shared: &Shared, busy: bool) -> Self {
        Self { shared: shared.clone(), number: shared.number.get(), busy }
    }

    fn note(&self, name: &str, rest: &[Json]) {
        self.shared.events.note([vec![self.number.into(), name.into()], rest.to_vec()].concat());
    }
}

impl Protocol for Sink {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.shared.transports.borrow_mut()[self.number] = Some(transport.clone());
        if self.busy {
            self.note("overflow", &[]);
            transport.write("busy");
            transport.lose_connection();
            return Ok(());
        }
        self.note("made", &[]);
        if self.shared.producer {
            transport.register_producer(Self::new(&self.shared, false), true)?;
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.note("data", &[shown(data)]);
        if self.shared.echo {
            transport.write(data);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, reason: &Reason) -> Result {
        self.note("lost", &[kind(reason)]);
        self.note("gone", &[]);
        Ok(())
    }
}

impl Producer for Sink {
    fn resume_producing(&mut self, _: &Transport) -> Result {
        self.note("producer_resume", &[]);
        Ok(())
    }

    fn pause_producing(&mut self, _: &Transport) -> Result {
        self.note("producer_pause", &[]);
        Ok(())
    }

    fn stop_producing(&mut self) {
        self.note("producer_stop", &[]);
    }
}

type Connection = StringTransportWithDisconnection<Box<dyn Protocol>>;

/// Several connections on one clock, with protocols from one factory.
struct World {
    shared: Shared,
    clock: Rc<Clock>,
    connections: Vec<Option<Connection>>,
}

impl World {
    fn new(shared: Shared) -> Self {
        Self { shared, clock: Rc::new(Clock::new()), connections: Vec::new() }
    }

    fn sinks(&self) -> impl Factory + 'static {
        let shared = self.shared.clone();
        move |_| Sink::new(&shared, false)
    }

    fn play(&mut self, mut factory: impl Factory, steps: &[Json]) {
        for step in steps {
            if let Some(by) = step.get("advance") {
                self.clock.advance(seconds(by));
            } else {
                let args = step.get("args").map_or(&[][..], Json::list);
                self.call(&mut factory, step.get("call").expect("a step advances or calls").text(), args);
            }
            self.connections.iter_mut().flatten().for_each(Connection::settle);
        }
    }

    fn call(&mut self, factory: &mut impl Factory, name: &str, args: &[Json]) {
        if name == "connect" {
            self.connect(factory);
            return;
        }
        let number = args[0].index();
        let Some(Some(connection)) = self.connections.get_mut(number) else { return };
        if connection.reason().is_some() {
            return;
        }
        let above = self.shared.transports.borrow()[number].clone().expect("it was made");
        match name {
            "deliver" => connection.deliver(&args[1].hex()),
            "write" => above.write(args[1].hex()),
            "lose" => above.lose_connection(),
            other => panic!("unknown call {other}"),
        }
    }

    fn connect(&mut self, factory: &mut impl Factory) {
        let number = self.connections.len();
        self.shared.number.set(number);
        self.shared.transports.borrow_mut().push(None);
        let transport = StringTransport::with_clock(&self.clock);
        let Some(protocol) = factory.build_protocol(&transport.peer()) else {
            self.shared.events.note([number.into(), "refused".into()]);
            self.connections.push(None);
            return;
        };
        self.shared.events.observe(&transport, vec![number.into()]);
        let mut connection = StringTransportWithDisconnection::with_transport(transport, protocol);
        connection.make_connection();
        self.connections.push(Some(connection));
    }
}

fn seconds(number: &Json) -> Duration {
    Duration::from_secs_f64(number.number().expect("a number of seconds"))
}

fn limit(config: &Json, name: &str) -> Option<u64> {
    config.get(name).and_then(Json::number).map(|limit| limit as u64)
}

fn throttle(config: &Json, steps: &[Json]) -> Events {
    let mut world = World::new(Shared { producer: config.get("producer").is_some_and(Json::is_true), ..Shared::default() });
    let mut factory = ThrottlingFactory::new(world.sinks()).max_connection_count(config.get("max").unwrap().index());
    if let Some(bytes) = limit(config, "read_limit") {
        factory = factory.read_limit(bytes);
    }
    if let Some(bytes) = limit(config, "write_limit") {
        factory = factory.write_limit(bytes);
    }
    world.play(factory, steps);
    world.shared.events.clone()
}

fn timeout(config: &Json, steps: &[Json]) -> Events {
    let mut world = World::new(Shared { echo: config.get("echo").is_some_and(Json::is_true), ..Shared::default() });
    let factory = TimeoutFactory::new(world.sinks()).period(seconds(config.get("period").unwrap()));
    world.play(factory, steps);
    world.shared.events.clone()
}

fn limit_total(config: &Json, steps: &[Json]) -> Events {
    let mut world = World::new(Shared::default());
    let most = config.get("limit").and_then(Json::number).map_or(usize::MAX, |limit| limit as usize);
    let mut factory = LimitTotalConnectionsFactory::new(world.sinks(), most);
    if config.get("overflow").is_some_and(Json::is_true) {
        let shared = world.shared.clone();
        factory = factory.overflow(move |_| Sink::new(&shared, true));
    }
    world.play(factory, steps);
    world.shared.events.clone()
}

/// A log in memory that the test can read.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn traffic_log(_: &Json, steps: &[Json]) -> Events {
    let mut world = World::new(Shared { echo: true, ..Shared::default() });
    let logs: Rc<RefCell<Vec<Log>>> = Rc::default();
    let opened = Rc::clone(&logs);
    let factory = TrafficLoggingFactory::new(world.sinks(), move |_| {
        opened.borrow_mut().push(Log::default());
        Ok(opened.borrow().last().cloned().unwrap())
    });
    world.play(factory, steps);
    for (number, log) in logs.borrow().iter().enumerate() {
        let text = String::from_utf8(log.0.borrow().clone()).unwrap();
        for line in text.lines() {
            // Each side has its own text for a reason.
            let line = line.replace("connection was closed cleanly", "<lost>");
            world.shared.events.note(["log".into(), number.into(), line.into()]);
        }
    }
    world.shared.events.clone()
}

/// Sets, resets and clears its timeout as the script says.
struct Idle(Rc<TimeoutMixin>);

impl Protocol for Idle {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        self.0.reset_timeout();
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, _: &Reason) -> Result {
        self.0.set_timeout(transport, None);
        Ok(())
    }
}

fn timeout_mixin(config: &Json, steps: &[Json]) -> Events {
    let events = Events::default();
    let (noted, keep_open) = (events.clone(), config.get("keep_open").is_some_and(Json::is_true));
    let timeout = Rc::new(TimeoutMixin::with(move |transport| {
        noted.note(["timeout".into()]);
        if !keep_open {
            transport.lose_connection();
        }
    }));
    let mut connection = StringTransportWithDisconnection::new(Idle(Rc::clone(&timeout)));
    events.observe(&connection, Vec::new());
    connection.make_connection();
    for step in steps {
        if connection.reason().is_some() {
            break;
        } else if let Some(by) = step.get("advance") {
            connection.advance(seconds(by));
        } else if let Some(data) = step.get("deliver") {
            connection.deliver(&data.hex());
        } else {
            let period = &step.get("args").unwrap().list()[0];
            let period = period.number().map(Duration::from_secs_f64);
            let previous = timeout.set_timeout(&connection, period);
            events.note(["previous".into(), previous.map_or(Json::Null, |previous| Json::Number(previous.as_secs_f64()))]);
        }
    }
    if let Some(reason) = connection.reason() {
        events.note(["lost".into(), kind(reason)]);
    }
    events
}

fn file_sender(config: &Json, steps: &[Json]) -> Events {
    let events = Events::default();
    let transport = StringTransport::new();
    events.observe(&transport, Vec::new());
    let (size, seed) = (config.get("size").unwrap().index(), config.get("seed").unwrap().index());
    let content: Vec<u8> = (0..size).map(|i| ((i * 7 + i / 251 + seed) & 255) as u8).collect();
    let mut sender = FileSender::new(Cursor::new(content));
    match config.get("transform").unwrap().text() {
        "upper" => sender = sender.transform(|chunk| chunk.to_ascii_uppercase()),
        "double" => sender = sender.transform(|chunk| chunk.repeat(2)),
        _ => {}
    }
    let noted = events.clone();
    let done = move |_: &Transport, sent: std::result::Result<Option<u8>, _>| {
        match sent {
            Ok(last) => noted.note(["sent".into(), shown(last.as_slice())]),
            Err(_) => noted.note(["failed".into()]),
        }
        Ok(())
    };
    sender.begin_file_transfer(&transport, done).unwrap();
    for step in steps {
        if transport.producer().is_none() {
            break;
        } else if step.get("call").unwrap().text() == "produce" {
            transport.resume_producer().unwrap();
            events.note(["turn".into()]);
        } else {
            transport.stop_producer();
        }
    }
    events
}

fn wire_service(config: &Json, steps: &[Json]) -> Events {
    let events = Events::default();
    let now = UNIX_EPOCH + seconds(config.get("now").unwrap());
    let clock = move || -> SystemTime { now };
    let service: Box<dyn Protocol> = match config.get("service").unwrap().text() {
        "echo" => Box::new(wire::Echo),
        "discard" => Box::new(wire::Discard),
        "chargen" => Box::new(wire::Chargen),
        "qotd" => Box::<wire::Qotd>::default(),
        "who" => Box::<wire::Who>::default(),
        "time" => Box::new(wire::Time::new(clock)),
        "daytime" => Box::new(wire::Daytime::new(clock)),
        other => panic!("unknown service {other}"),
    };
    let mut connection = StringTransportWithDisconnection::new(service);
    events.observe(&connection, Vec::new());
    connection.make_connection();
    for step in steps {
        match step.get("deliver") {
            Some(data) => connection.deliver(&data.hex()),
            None => connection.call(|transport| transport.resume_producer().unwrap()),
        }
    }
    if let Some(reason) = connection.reason() {
        events.note(["lost".into(), kind(reason)]);
    }
    events
}

/// The events of a vector's script; `None` if it is not one of these.
pub fn play(target: &str, config: &Json, steps: &[Json]) -> Option<Vec<Json>> {
    let play = match target {
        "throttle" => throttle,
        "timeout" => timeout,
        "timeout_mixin" => timeout_mixin,
        "limit_total" => limit_total,
        "traffic_log" => traffic_log,
        "file_sender" => file_sender,
        "wire" => wire_service,
        _ => return None,
    };
    Some(play(config, steps).finish())
}
