//! Producers, and the calls they may expect.

use std::rc::Rc;
use std::time::Duration;

use torsade::ProducerError;
use torsade::prelude::*;

use super::side::Side;
use super::world::SharedSide;

/// A registered producer, as its side knows it.
#[derive(Debug)]
pub struct Produced {
    /// Distinguishes it from others of the same side.
    serial: u64,
    pub streaming: bool,
    pub paused: bool,
    /// The last call of a pull producer wrote nothing.
    pub dry: bool,
    pub stopped: bool,
    /// How many more pieces it writes.
    pieces: u64,
}

struct Source {
    side: SharedSide,
    serial: u64,
}

impl Source {
    /// Checks a call of the producer and follows it. The side must know this producer.
    fn told(&self, call: &str, part: impl FnOnce(&mut Side) -> Result) -> Result {
        let mut side = self.side.borrow_mut();
        side.world().next_tick();
        if !side.is_live() || side.producer.as_ref().is_none_or(|produced| produced.serial != self.serial || produced.stopped) {
            side.complain(format_args!("{call} was called on a producer that is not registered"));
            return Ok(());
        }
        part(&mut side)
    }
}

impl Producer for Source {
    fn resume_producing(&mut self, _consumer: &Transport) -> Result {
        self.told("resume_producing", |side| {
            let Some(produced) = &mut side.producer else { return Ok(()) };
            if produced.streaming {
                if !std::mem::replace(&mut produced.paused, false) {
                    side.complain("resume_producing was called on a producer that was not paused");
                }
                return Ok(());
            }
            produced.pieces = produced.pieces.saturating_sub(1);
            let done = produced.pieces == 0;
            let dry = side.chance.one_in(5) || !side.write_piece();
            if let Some(produced) = &mut side.producer {
                produced.dry = dry;
            }
            if done || dry && side.chance.one_in(2) {
                side.unregister_producer();
            }
            if side.chance.one_in(60) && !side.is_ending() {
                side.failed = true;
                side.fail();
                return Err("a planned error".into());
            }
            Ok(())
        })
    }

    fn pause_producing(&mut self, _consumer: &Transport) -> Result {
        self.told("pause_producing", |side| {
            let Some(produced) = &mut side.producer else { return Ok(()) };
            if !produced.streaming || std::mem::replace(&mut produced.paused, true) {
                side.complain("pause_producing was called on a producer that is paused, or that pulls");
            }
            Ok(())
        })
    }

    fn stop_producing(&mut self) {
        let mut side = self.side.borrow_mut();
        side.world().next_tick();
        // A callback that failed has already detached it.
        let excused = side.failed || side.panicked || side.is_stopping();
        match &mut side.producer {
            Some(produced) if produced.serial == self.serial && !produced.stopped => produced.stopped = true,
            _ if excused => {}
            _ => side.complain("stop_producing was called on a producer that is not registered"),
        }
    }
}

impl Side {
    pub fn register_producer(&mut self, streaming: bool) {
        let world = self.world();
        let Some(transport) = self.transport.clone() else { return };
        let serial = world.tick.get() << 8 | self.chance.below(256);
        let source = Source { side: world.side(self.number), serial };
        match transport.register_producer(source, streaming) {
            Ok(()) => {
                if self.producer.is_some() || !self.is_live() {
                    self.complain("a second producer was taken");
                }
                let pieces = 1 + self.chance.below(6);
                self.producer = Some(Produced { serial, streaming, paused: false, dry: false, stopped: false, pieces });
                if streaming {
                    self.produce_later(serial);
                }
            }
            Err(ProducerError::AlreadyRegistered) if self.producer.is_some() => {}
            Err(ProducerError::Closed) if !self.is_open() => {}
            Err(error) => self.complain(format_args!("register_producer: {error}")),
        }
    }

    pub fn unregister_producer(&mut self) {
        if let Some(transport) = &self.transport {
            transport.unregister_producer();
        }
        self.end_producer();
    }

    fn write_piece(&mut self) -> bool {
        let size = self.chance.size(self.world().write_size);
        self.write(size)
    }

    /// A push producer writes on its own until it is paused.
    fn produce_later(&mut self, serial: u64) {
        let wait = self.chance.wait(Duration::from_secs(2));
        let (world, number) = (self.world(), self.number);
        let inner = Rc::clone(&world);
        world.later(self.home, wait, move || inner.side(number).borrow_mut().produce(serial));
    }

    fn produce(&mut self, serial: u64) {
        let Some(produced) = self.producer.as_mut().filter(|produced| produced.serial == serial && !produced.stopped) else {
            return;
        };
        if !produced.paused {
            produced.pieces = produced.pieces.saturating_sub(1);
            if produced.pieces == 0 {
                return self.unregister_producer();
            }
            self.write_piece();
        } else if self.world().passive.get() {
            return self.unregister_producer();
        }
        self.produce_later(serial);
    }
}
