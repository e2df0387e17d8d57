//! Plays a script against both programs, step by step, side by side.

use std::time::Duration;

use torsade::prelude::*;

use super::action::Action;
use super::command_text::CommandText;
use super::script::{Script, Step};
use super::side::Side;
use super::timeline::{Round, Timeline, Verdict};

/// How often it is looked whether the programs are at rest: that nothing more comes is no event.
const LOOK: Duration = Duration::from_millis(2);

/// So many looks in a row at programs at rest that have shown the same end a step. Where the system tells who is at rest, few are
/// enough.
const QUIET: u32 = if cfg!(target_os = "linux") { 3 } else { 50 };

/// After so many looks in which bytes of ours do not arrive, a program does not read them.
const STUCK: u32 = 50;

/// How long a step may take in all.
const LONGEST: Duration = Duration::from_secs(180);

/// Both programs, running.
pub struct Pair {
    reactor: Reactor,
    sides: [Side; 2],
}

impl Pair {
    /// Starts both, at once, and waits until they are up.
    pub async fn start(reactor: &Reactor, commands: &[CommandText; 2]) -> Result<Self> {
        let (begun, command) = (reactor.clone(), commands[1].clone());
        let port = reactor.spawn(async move { Side::start(&begun, "port", &command).await });
        let original = Side::start(reactor, "original", &commands[0]).await?;
        Ok(Self { reactor: reactor.clone(), sides: [original, port.into_deferred().await?] })
    }

    /// Plays the script up to its end or the first difference. `patience` is how long both programs have to be at rest before a
    /// difference counts; time in which one of them still works does not count, so that a slow machine shows none.
    pub async fn play(&self, script: &Script, patience: Duration) -> Result<Timeline> {
        self.sides.iter().for_each(|side| side.begin(&script.endpoints));
        let mut rounds = Vec::new();
        for step in &script.steps {
            self.sides.iter().for_each(Side::next_step);
            for side in &self.sides {
                step.0.iter().for_each(|action| side.act(action));
            }
            for action in &step.0 {
                if let Action::Wait(time) = action {
                    self.reactor.sleep(*time).await?;
                }
            }
            let verdict = self.settle(step, patience).await?;
            rounds.push(Round { step: step.clone(), seen: [self.sides[0].seen(), self.sides[1].seen()] });
            if verdict != Verdict::Same {
                return Ok(Timeline { rounds, verdict });
            }
        }
        Ok(Timeline { rounds, verdict: Verdict::Same })
    }

    /// Waits until both have shown the same, and nothing more comes; or until it is certain that they do not.
    async fn settle(&self, step: &Step, patience: Duration) -> Result<Verdict> {
        let begun = self.reactor.now();
        let (mut quiet, mut at_rest, mut changes, mut on_its_way) = (0, Duration::ZERO, 0, 0);
        loop {
            self.reactor.sleep(LOOK).await?;
            self.sides.iter().for_each(Side::accept);
            let changed = std::mem::replace(&mut changes, self.sides.iter().map(Side::changes).sum()) != changes;
            let delivered = on_its_way == STUCK || self.sides.iter().all(Side::is_delivered);
            if changed || !delivered || !self.sides.iter().all(|side| side.program.is_at_rest()) {
                on_its_way = if changed { 0 } else { on_its_way + u32::from(!delivered) };
                quiet = 0;
                if self.reactor.now() - begun > LONGEST || self.sides.iter().any(Side::is_flooded) {
                    return Err(format!("the programs do not become idle after `{step}`: they go on sending or working").into());
                }
                continue;
            }
            // One look counts as one, however late this program was run again.
            quiet += 1;
            at_rest += LOOK;
            if quiet < QUIET {
                continue;
            }
            let [original, port] = [&self.sides[0], &self.sides[1]];
            let same = original.seen().is_like(&port.seen(), step.is_concurrent());
            match (original.unmet(), port.unmet()) {
                (None, None) if same => return Ok(Verdict::Same),
                _ if at_rest < patience => {}
                (Some(unmet), Some(_)) if same => return Ok(Verdict::Unmet(unmet)),
                _ => return Ok(Verdict::Different),
            }
        }
    }

    /// Whether one of the programs has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.sides.iter().any(|side| side.program.end().is_some())
    }

    /// What the programs have printed last.
    pub fn printed(&self) -> [String; 2] {
        [self.sides[0].program.printed(), self.sides[1].program.printed()]
    }

    /// Ends both programs.
    pub async fn end(&self) -> Result {
        self.sides[0].end().await?;
        self.sides[1].end().await
    }
}
