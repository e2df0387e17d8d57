//! One script, or many random ones; a difference is made small.

use std::ops::RangeInclusive;
use std::time::Duration;

use torsade::prelude::*;

use super::command_text::CommandText;
use super::grammar::Grammar;
use super::play::Pair;
use super::random::random_script;
use super::script::Script;
use super::shrink::shrink;
use super::timeline::{Timeline, Verdict};

/// How many scripts are played at most to make one small.
const BUDGET: usize = 400;

/// How long a difference has to last at first, while a script is made small: many are played that differ. Longer than the 250 ms
/// that an end of stream may take.
const HURRIED: Duration = Duration::from_millis(400);

/// What is compared, and how patiently.
#[derive(Clone, Debug)]
pub struct Check {
    pub commands: [CommandText; 2],
    /// How long both programs are at rest before a difference counts.
    pub patience: Duration,
}

/// A difference.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed whose script has shown it first.
    pub seed: u64,
    /// The smallest script that shows it.
    pub script: Script,
    pub timeline: Timeline,
    /// What both programs had printed last.
    pub printed: [String; 2],
}

impl Check {
    /// Of the original's command and the port's. A difference counts after two seconds.
    pub fn new(original: &str, port: &str) -> Result<Self, String> {
        let commands = [CommandText::parse(original)?, CommandText::parse(port)?];
        Ok(Self { commands, patience: Duration::from_secs(2) })
    }

    /// Plays a script against both programs, which are started for it.
    pub async fn play(&self, reactor: &Reactor, script: &Script) -> Result<(Timeline, [String; 2])> {
        self.play_within(reactor, script, self.patience).await
    }

    async fn play_within(&self, reactor: &Reactor, script: &Script, patience: Duration) -> Result<(Timeline, [String; 2])> {
        let pair = Pair::start(reactor, &self.commands).await?;
        let timeline = pair.play(script, patience).await;
        pair.end().await?;
        Ok((timeline?, pair.printed()))
    }

    /// Plays a random script for each seed, until one shows a difference, and makes that one small.
    ///
    /// The programs are started once, and again when they have ended: a difference may come of what earlier seeds have left
    /// behind, and then those are a part of the script.
    pub async fn play_seeds(&self, reactor: &Reactor, grammar: &Grammar, seeds: RangeInclusive<u64>) -> Result<Option<Found>> {
        let mut pair = Pair::start(reactor, &self.commands).await?;
        let (mut all, mut found) = (Script::default(), None);
        for seed in seeds {
            if pair.has_ended() {
                pair.end().await?;
                pair = Pair::start(reactor, &self.commands).await?;
                all = Script::default();
            }
            let script = random_script(grammar, seed, &format!("s{seed}"));
            let timeline = pair.play(&script, self.patience).await.map_err(|error| format!("seed {seed}: {error}"))?;
            all.endpoints.extend(script.endpoints);
            all.steps.extend(script.steps.into_iter().take(timeline.rounds.len()));
            match timeline.verdict {
                Verdict::Same => {}
                Verdict::Different => {
                    found = Some((seed, timeline));
                    break;
                }
                Verdict::Unmet(_) => {
                    pair.end().await?;
                    return Err(format!("seed {seed}: the grammar does not suit the programs\n{timeline}").into());
                }
            }
        }
        pair.end().await?;
        let Some((seed, timeline)) = found else { return Ok(None) };
        let mut alone = random_script(grammar, seed, "");
        alone.steps.truncate(timeline.rounds.len());
        for script in [alone, all] {
            if let Some((script, timeline, printed)) = self.made_small(reactor, script).await? {
                return Ok(Some(Found { seed, script, timeline, printed }));
            }
        }
        Err(format!(
            "seed {seed} showed a difference once, but not again with restarted programs: \
             what they do depends on chance or time\n{timeline}"
        )
        .into())
    }

    /// The smallest script that shows a difference, if this one does.
    async fn made_small(&self, reactor: &Reactor, script: Script) -> Result<Option<(Script, Timeline, [String; 2])>> {
        let (timeline, printed) = self.play(reactor, &script).await?;
        if !timeline.is_different() {
            return Ok(None);
        }
        // The second pass is for when the first has mistaken something late for a difference.
        for patience in [HURRIED.min(self.patience), self.patience] {
            let shows = async |script: &Script| {
                let (timeline, _) = self.play_within(reactor, script, patience).await?;
                Ok::<_, Box<dyn std::error::Error>>(timeline.is_different())
            };
            let mut smallest = shrink(script.clone(), BUDGET, shows).await?;
            let (last, told) = self.play(reactor, &smallest).await?;
            if last.is_different() {
                smallest.steps.truncate(last.rounds.len());
                smallest.keep_possible();
                return Ok(Some((smallest, last, told)));
            }
        }
        Ok(Some((script, timeline, printed)))
    }
}
