//! What a program may do at any time.

use std::rc::Rc;
use std::time::Duration;

use super::chance::Chance;
use super::side::Side;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    Abort,
    Barrier,
    Cap,
    CloseTimeout,
    Fail,
    FlushCompression,
    HalfClose,
    Later,
    Limits,
    Lose,
    OtherSide,
    Panic,
    Pause,
    PullProducer,
    PushProducer,
    ReadWhileCongested,
    Resume,
    StopReactor,
    Unregister,
    Write,
    WriteNothing,
}

/// Each action with the weights that a scenario chooses from: never, rarely, often.
const ACTIONS: &[(Action, [u32; 3])] = &[
    (Action::Abort, [0, 0, 4]),
    (Action::Barrier, [0, 2, 8]),
    (Action::Cap, [0, 0, 3]),
    (Action::CloseTimeout, [0, 2, 4]),
    (Action::Fail, [0, 0, 3]),
    (Action::FlushCompression, [0, 2, 8]),
    (Action::HalfClose, [0, 1, 8]),
    (Action::Later, [10, 20, 40]),
    (Action::Limits, [2, 5, 20]),
    (Action::Lose, [0, 1, 8]),
    (Action::OtherSide, [0, 5, 20]),
    (Action::Panic, [0, 0, 3]),
    (Action::Pause, [0, 4, 20]),
    (Action::PullProducer, [0, 3, 15]),
    (Action::PushProducer, [0, 3, 15]),
    (Action::ReadWhileCongested, [0, 0, 4]),
    (Action::Resume, [2, 4, 20]),
    (Action::StopReactor, [0, 0, 1]),
    (Action::Unregister, [0, 1, 4]),
    (Action::Write, [20, 60, 100]),
    (Action::WriteNothing, [0, 1, 2]),
];

/// What a callback does after an action.
pub enum Outcome {
    Go,
    Fail,
    Panic,
}

/// How likely each action is in one scenario.
pub fn draw_weights(chance: &mut Chance) -> Vec<u32> {
    ACTIONS.iter().map(|(_, weights)| *chance.pick(weights)).collect()
}

impl Side {
    /// Does something random, in a callback of this side or outside.
    pub fn act(&mut self, in_callback: bool) -> Outcome {
        let world = self.world();
        if world.passive.get() || world.actions.get() == 0 {
            return Outcome::Go;
        }
        world.actions.set(world.actions.get() - 1);
        let action = self.draw_action(&world.weights);
        self.trace(action);
        match action {
            Action::Fail if in_callback => return Outcome::Fail,
            Action::Panic if in_callback => return Outcome::Panic,
            Action::OtherSide => self.act_elsewhere(),
            Action::Later => self.act_later(),
            Action::StopReactor => {
                let home = &world.homes[self.home];
                home.stopping.set(home.stopping.get() || home.reactor.stop().is_ok());
            }
            action => self.act_on_transport(action),
        }
        Outcome::Go
    }

    fn draw_action(&mut self, weights: &[u32]) -> Action {
        let mut drawn = self.chance.below(weights.iter().sum::<u32>().into()) as u32;
        for ((action, _), weight) in ACTIONS.iter().zip(weights) {
            if drawn < *weight {
                return *action;
            }
            drawn -= weight;
        }
        Action::WriteNothing
    }

    fn act_on_transport(&mut self, action: Action) {
        let Some(transport) = self.transport.clone() else { return };
        match action {
            Action::Abort => {
                transport.abort_connection();
                self.aborted |= self.is_live();
            }
            // A zstd stream continues in a new frame, which a reader that expects plain bytes after the end takes for such.
            Action::Barrier if !cfg!(feature = "zstd") => transport.compression_barrier(),
            Action::Cap => self.set_cap(),
            Action::CloseTimeout => {
                let timeout = Duration::from_millis(1 + self.chance.size(60_000));
                transport.set_close_timeout(timeout);
                // Set after the end of the connection, it does not affect the socket that lingers.
                if self.is_live() {
                    self.close_timeout = timeout;
                }
            }
            Action::FlushCompression => transport.flush_compression(),
            Action::HalfClose => {
                transport.lose_write_connection();
                let tick = self.world().tick.get();
                self.halved = self.halved.or(Some(tick).filter(|_| self.is_live()));
            }
            Action::Limits => self.set_limits(),
            Action::Lose => {
                transport.lose_connection();
                self.begin_close();
            }
            Action::Pause => {
                transport.pause_producing();
                self.paused = true;
                if self.chance.below(4) > 0 {
                    self.resume_later();
                }
            }
            Action::PullProducer => self.register_producer(false),
            Action::PushProducer => self.register_producer(true),
            Action::ReadWhileCongested => {
                self.read_while_congested = self.chance.one_in(2);
                transport.set_read_while_congested(self.read_while_congested);
                self.limits_set = self.turn();
            }
            Action::Resume => self.resume(),
            Action::Unregister => self.unregister_producer(),
            Action::Write => {
                let size = self.chance.size(self.world().write_size);
                self.write(size);
            }
            _ => transport.write(b""),
        }
        self.check_unsent(&transport, 0);
    }

    /// A limit that is exceeded now and then.
    fn set_cap(&mut self) {
        let Some(transport) = &self.transport else { return };
        self.cap = self.cap.min(transport.unsent() + 500 + self.chance.size(20_000) as usize);
        transport.set_write_buffer_cap(self.cap);
    }

    fn set_limits(&mut self) {
        let Some(transport) = &self.transport else { return };
        let high = self.chance.size(2000) as usize;
        let low = self.chance.below(high as u64 + 1) as usize;
        transport.set_write_buffer_limits(low, high);
        // The low watermark is below the high one, which is at least one byte.
        self.high = high.max(1);
        self.low = low.min(self.high - 1);
        self.limits_set = self.turn();
    }

    pub fn resume(&mut self) {
        let Some(transport) = self.transport.clone() else { return };
        transport.resume_producing();
        self.resumed |= std::mem::replace(&mut self.paused, false);
    }

    /// Closes or aborts the connection, if there is one.
    pub fn finish(&mut self, abort: bool) {
        self.unregister_producer();
        self.act_on_transport(if abort { Action::Abort } else { Action::Lose });
    }

    fn resume_later(&mut self) {
        let wait = self.chance.wait(Duration::from_secs(5));
        let (world, number) = (self.world(), self.number);
        let inner = Rc::clone(&world);
        world.later(self.home, wait, move || inner.side(number).borrow_mut().resume());
    }

    /// Does something later, outside the connection's callbacks.
    pub fn act_later(&mut self) {
        let wait = self.chance.wait(Duration::from_secs(10));
        let (world, number) = (self.world(), self.number);
        let inner = Rc::clone(&world);
        world.later(self.home, wait, move || {
            let side = inner.side(number);
            for _ in 0..3 {
                side.borrow_mut().act(false);
            }
        });
    }

    /// Does something to another connection of the same program.
    fn act_elsewhere(&mut self) {
        let world = self.world();
        let sides = world.sides.borrow().clone();
        let other = self.chance.pick(&sides);
        if let Ok(mut other) = other.try_borrow_mut()
            && other.home == self.home
            && let Some(size) = Some(self.chance.size(world.write_size))
        {
            let action = *self.chance.pick(&[Action::Write, Action::Lose, Action::Pause, Action::Resume, Action::HalfClose]);
            other.trace((action, "from elsewhere"));
            if action == Action::Write {
                other.write(size);
            } else if world.weights[ACTIONS.iter().position(|(known, _)| *known == action).unwrap_or(0)] > 0 {
                other.act_on_transport(action);
            }
        }
    }
}
