//! The scripts of the framing vectors, on Torsade's receivers.

use std::collections::VecDeque;

use torsade::prelude::*;
use torsade::testing::{StringTransport, StringTransportWithDisconnection};
use torsade::{
    FrameTransport, Int8StringReceiver, Int16StringReceiver, Int32StringReceiver, LineOnlyReceiver, NetstringReceiver,
    ProtocolState, StatefulProtocol, StatefulReceiver, StringFrameTransport, StringProtocol,
};

use super::events::{Events, kind, shown};
use crate::json::Json;

/// What a protocol does at the next message.
struct Script {
    events: Events,
    actions: VecDeque<Json>,
    keep_open: bool,
    raw_left: usize,
    states: Vec<(usize, Option<usize>)>,
    state: usize,
}

impl Script {
    fn new(config: &Json, events: &Events) -> Self {
        let states = config.get("states").map_or(&[][..], Json::list).iter();
        Self {
            events: events.clone(),
            actions: config.get("actions").map_or(&[][..], Json::list).iter().cloned().collect(),
            keep_open: config.get("keep_open").is_some_and(Json::is_true),
            raw_left: 0,
            states: states.map(|state| (state.list()[0].index(), state.list()[1].number().map(|next| next as usize))).collect(),
            state: 0,
        }
    }

    /// Records the event, and returns the calls that it leads to.
    fn got(&mut self, event: impl IntoIterator<Item = Json>) -> Vec<Json> {
        self.events.note(event);
        self.actions.pop_front().map(|actions| actions.list().to_vec()).unwrap_or_default()
    }
}

/// Makes a call that every transport has; returns false for others.
fn act(transport: &Transport, name: &str, args: &[Json]) -> Result<bool> {
    match name {
        "write" => transport.write(args[0].hex()),
        "lose" => transport.lose_connection(),
        "abort" => transport.abort_connection(),
        "pause" | "pause_transport" => transport.pause_producing(),
        "resume" => transport.resume_producing(),
        "fail" => return Err("as the script says".into()),
        _ => return Ok(false),
    }
    Ok(true)
}

impl LineProtocol for Script {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        for action in self.got(["line".into(), shown(line)]) {
            let [name, args @ ..] = action.list() else { continue };
            match name.text() {
                "send" => transport.send_line(args[0].hex()),
                "raw" => {
                    self.raw_left = args[0].index();
                    transport.set_raw_mode();
                }
                "clear" => self.events.note(["cleared".into(), shown(&transport.clear_line_buffer())]),
                "delimiter" => transport.set_delimiter(&args[0].hex()),
                "max" => transport.set_max_length(args[0].index()),
                name => assert!(act(transport, name, args)?, "{name}"),
            }
        }
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        self.events.note(["raw".into(), shown(data)]);
        if self.raw_left <= data.len() {
            transport.set_line_mode(&data[self.raw_left..]);
        }
        self.raw_left = self.raw_left.saturating_sub(data.len());
        Ok(())
    }

    fn line_length_exceeded(&mut self, transport: &LineTransport, line: LineTooLong<'_>) -> Result {
        self.events.note(["exceeded".into(), shown(line.data)]);
        if !self.keep_open {
            transport.lose_connection();
        }
        Ok(())
    }
}

/// A script for strings; netstrings have no event for one that is too long.
struct Strings {
    script: Script,
    tells_excess: bool,
}

impl StringProtocol for Strings {
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        for action in self.script.got(["string".into(), shown(string)]) {
            let [name, args @ ..] = action.list() else { continue };
            match name.text() {
                "send" => {
                    if let Err(error) = transport.send_string(args[0].hex()) {
                        self.script.events.note(["too_long".into(), error.length.into()]);
                    }
                }
                "clear" => self.script.events.note(["cleared".into(), shown(&transport.take_remaining())]),
                "max" => transport.set_max_length(args[0].index()),
                name => assert!(act(transport, name, args)?, "{name}"),
            }
        }
        Ok(())
    }

    fn length_limit_exceeded(&mut self, transport: &StringFrameTransport, length: usize) -> Result {
        if self.tells_excess {
            self.script.events.note(["exceeded".into(), length.into()]);
        }
        if !self.script.keep_open {
            transport.lose_connection();
        }
        Ok(())
    }
}

impl Script {
    fn state_received(&mut self, transport: &FrameTransport, data: &[u8]) -> Result<Option<ProtocolState<Self>>> {
        let (_, next) = self.states[self.state];
        for action in self.got(["state".into(), self.state.into(), shown(data)]) {
            let [name, args @ ..] = action.list() else { continue };
            assert!(act(transport, name.text(), args)?, "{name}");
        }
        Ok(next.map(|next| {
            self.state = next;
            ProtocolState::new(Self::state_received, self.states[next].0)
        }))
    }
}

impl StatefulProtocol for Script {
    fn initial_state(&mut self) -> ProtocolState<Self> {
        ProtocolState::new(Self::state_received, self.states[0].0)
    }
}

/// The protocol of a target.
fn protocol(target: &str, config: &Json, events: &Events) -> Box<dyn Protocol> {
    let script = Script::new(config, events);
    let max = config.get("max_length").map(Json::index);
    let delimiter = config.get("delimiter").map_or(b"\r\n".to_vec(), Json::hex);
    let strings = |script| Strings { script, tells_excess: target != "netstring" };
    match target {
        "line" => Box::new(LineReceiver::new(script).delimiter(&delimiter).max_length(max.unwrap_or(16_384))),
        "line_only" => Box::new(LineOnlyReceiver::new(script).delimiter(&delimiter).max_length(max.unwrap_or(16_384))),
        "netstring" => Box::new(NetstringReceiver::new(strings(script)).max_length(max.unwrap_or(99_999))),
        "int8" => Box::new(Int8StringReceiver::new(strings(script)).max_length(max.unwrap_or(99_999))),
        "int16" => Box::new(Int16StringReceiver::new(strings(script)).max_length(max.unwrap_or(99_999))),
        "int32" => Box::new(Int32StringReceiver::new(strings(script)).max_length(max.unwrap_or(99_999))),
        "stateful" => Box::new(StatefulReceiver::new(script)),
        other => panic!("unknown target {other}"),
    }
}

/// The events of a vector's script.
pub fn play(target: &str, config: &Json, steps: &[Json]) -> Vec<Json> {
    let events = Events::default();
    let transport = StringTransport::new();
    events.observe(&transport, Vec::new());
    let mut connection = StringTransportWithDisconnection::with_transport(transport, protocol(target, config, &events));
    connection.make_connection();
    for step in steps {
        if let Some(data) = step.get("deliver") {
            connection.deliver(&data.hex());
        } else {
            let name = step.get("call").expect("a step delivers or calls").text();
            connection.call(|transport| assert!(act(transport, name, &[]).unwrap(), "{name}"));
        }
    }
    if let Some(reason) = connection.reason() {
        events.note(["lost".into(), kind(reason)]);
    }
    events.finish()
}
