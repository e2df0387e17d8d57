//! What both programs have shown, step by step, as text.

use std::fmt;

use super::observed::Seen;
use super::script::Step;

/// One step, and what came of it: from the original, and from the port.
#[derive(Clone, Debug)]
pub struct Round {
    pub step: Step,
    pub seen: [Seen; 2],
}

/// What is known once a script was played.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Both have done the same in each step.
    Same,
    /// In the last round they differ.
    Different,
    /// Neither has done what the last step waits for: the script is wrong, or both programs are.
    Unmet(String),
}

/// All rounds, up to the first difference.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub rounds: Vec<Round>,
    pub verdict: Verdict,
}

impl Timeline {
    pub fn is_different(&self) -> bool {
        self.verdict == Verdict::Different
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, round) in self.rounds.iter().enumerate() {
            let last = number + 1 == self.rounds.len();
            let differs = last && self.is_different();
            writeln!(f, "{:>3}  {}{}", number + 1, round.step.to_string().replace('\n', "\n     "), mark(differs))?;
            round.tell(f)?;
        }
        match &self.verdict {
            Verdict::Same => writeln!(f, "the same in {} steps", self.rounds.len()),
            Verdict::Different => writeln!(f, "the first difference is in step {}", self.rounds.len()),
            Verdict::Unmet(text) => writeln!(f, "neither does what step {} waits for: {text}", self.rounds.len()),
        }
    }
}

fn mark(differs: bool) -> &'static str {
    if differs { "        <-- here they differ" } else { "" }
}

impl Round {
    /// What both did, once; what only one did, with its name.
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [original, port] = [self.seen[0].lines(), self.seen[1].lines()];
        for line in original.iter().filter(|line| port.contains(line)) {
            tell(f, "both", Some(line))?;
        }
        for (who, mine, other) in [("original", &original, &port), ("port", &port, &original)] {
            let mut own = mine.iter().filter(|line| !other.contains(line)).peekable();
            // Silence is told where the other one speaks.
            if own.peek().is_none() && other.iter().any(|line| !mine.contains(line)) {
                tell(f, who, None)?;
            }
            own.try_for_each(|line| tell(f, who, Some(line)))?;
        }
        Ok(())
    }
}

fn tell(f: &mut fmt::Formatter<'_>, who: &str, line: Option<&(String, String)>) -> fmt::Result {
    match line {
        None => writeln!(f, "       {who:<8}  nothing"),
        Some((name, heard)) if name.is_empty() => writeln!(f, "       {who:<8}  {heard}"),
        Some((name, heard)) => writeln!(f, "       {who:<8}  {name}: {heard}"),
    }
}
