//! What is done to both programs: steps, and the lines that they are written in.

use std::collections::BTreeSet;
use std::fmt;

use super::action::Action;
use super::place::{Endpoints, place};

/// What is done at once: several actions are concurrent, and what they do to different connections has no order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step(pub Vec<Action>);

/// Steps, one after the other, and how their connections are opened.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Script {
    pub endpoints: Endpoints,
    pub steps: Vec<Step>,
}

impl Step {
    /// Whether it acts on several connections, so that what a third one hears of them has no order.
    pub fn is_concurrent(&self) -> bool {
        self.0.iter().filter_map(Action::connection).collect::<BTreeSet<_>>().len() > 1
    }
}

impl Script {
    /// Reads a script: one action a line; `&` before it has it done together with the line before; `#` begins a comment. A line
    /// `place` holds for the whole script.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at_line = |error| format!("line {}: {error}: {line}", number + 1);
            if let Some(rest) = line.strip_prefix("place ") {
                script.endpoints.extend([place(rest).map_err(at_line)?]);
                continue;
            }
            let (joined, action) = match line.strip_prefix('&') {
                Some(rest) => (true, rest.trim_start()),
                None => (false, line),
            };
            let action = Action::parse(action).map_err(at_line)?;
            match script.steps.last_mut() {
                Some(step) if joined => step.0.push(action),
                None if joined => return Err(at_line("& joins it to the previous line, but there is none".into())),
                _ => script.steps.push(Step(vec![action])),
            }
        }
        script.check()?;
        Ok(script)
    }

    /// That each connection is used between its beginning and its end.
    fn check(&self) -> Result<(), String> {
        let mut possible = self.clone();
        possible.keep_possible();
        match self
            .steps
            .iter()
            .zip(possible.steps.iter().map(Some).chain(std::iter::repeat(None)))
            .find(|(step, kept)| Some(*step) != *kept)
        {
            None => Ok(()),
            Some((step, _)) => Err(format!(
                "not possible here: {}: a connection is opened or accepted once, in a step before those that use it, and not used after close or reset",
                step.to_string().replace('\n', "; ")
            )),
        }
    }

    /// Drops what cannot be done: actions on connections that are not there, or that the checker has ended. And endpoints by
    /// which nothing is opened.
    pub fn keep_possible(&mut self) {
        let (mut begun, mut here, mut ended) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for step in &mut self.steps {
            let before = here.clone();
            step.0.retain(|action| {
                let Some(name) = action.connection().map(str::to_owned) else { return true };
                if action.begins() {
                    here.insert(name.clone());
                    return begun.insert(name);
                }
                let writes = matches!(action, Action::Send(..) | Action::End(_));
                let possible = before.contains(&name) && here.contains(&name) && !(writes && ended.contains(&name));
                match action {
                    Action::End(_) => drop(ended.insert(name)),
                    Action::Close(_) | Action::Reset(_) => drop(here.remove(&name)),
                    _ => {}
                }
                possible
            });
        }
        self.steps.retain(|step| !step.0.is_empty());
        let actions = self.steps.iter().flat_map(|step| &step.0);
        self.endpoints
            .retain(|number, _| actions.clone().any(|action| matches!(action, Action::Open(_, place) if place == number)));
    }

    /// The connections that are there after the last step, in the order of their names.
    pub fn left_open(&self) -> BTreeSet<String> {
        let mut open = BTreeSet::new();
        for action in self.steps.iter().flat_map(|step| &step.0) {
            match action {
                Action::Open(name, _) | Action::Accept(name, _) => drop(open.insert(name.clone())),
                Action::Close(name) | Action::Reset(name) => drop(open.remove(name)),
                _ => {}
            }
        }
        open
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, action) in self.0.iter().enumerate() {
            write!(f, "{}{action}", if number == 0 { "" } else { "\n& " })?;
        }
        Ok(())
    }
}

/// A script that can be read again.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoints.iter().try_for_each(|(number, endpoint)| writeln!(f, "place {number} {endpoint}"))?;
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
