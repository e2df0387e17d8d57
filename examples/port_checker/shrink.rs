//! From a script that shows a difference to the smallest one that still does.

use super::action::Action;
use super::script::{Script, Step};

/// Takes away of `script` what is not needed for `shows` to hold: steps, then actions that go together, then bytes.
///
/// It asks at most `budget` times: what is left then may not be the smallest, and still shows the difference.
pub async fn shrink<E>(
    script: Script,
    mut budget: usize,
    mut shows: impl AsyncFnMut(&Script) -> Result<bool, E>,
) -> Result<Script, E> {
    let mut smallest = script;
    loop {
        let before = smallest.clone();
        for smaller in [without_steps, without_actions, apart, joined, with_fewer_bytes] {
            // From large pieces to small ones; a success does not begin again at the large ones.
            let mut candidate = 0;
            while let Some(mut script) = smaller(&smallest, candidate) {
                script.keep_possible();
                if size(&script) >= size(&smallest) {
                    candidate += 1;
                    continue;
                }
                if budget == 0 {
                    return Ok(smallest);
                }
                budget -= 1;
                if shows(&script).await? { smallest = script } else { candidate += 1 }
            }
        }
        if smallest == before {
            return Ok(smallest);
        }
    }
}

/// What is made smaller: steps that go together, actions, then bytes.
fn size(script: &Script) -> (usize, usize, usize) {
    let actions = || script.steps.iter().flat_map(|step| &step.0);
    let bytes = |action: &Action| match action {
        Action::Send(_, bytes) | Action::Expect(_, bytes) => bytes.len(),
        _ => 0,
    };
    let together = script.steps.iter().map(|step| step.0.len() - 1).sum();
    (actions().count(), together, actions().map(bytes).sum())
}

/// The ranges to try to leave out of so many things, in order: halves, quarters, and so on to single ones, the last first.
fn ranges(count: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let lengths = std::iter::successors(Some(count.div_ceil(2)), |length| (*length > 1).then(|| length.div_ceil(2)));
    lengths.flat_map(move |length| {
        let starts = (0..count).rev().step_by(length.max(1));
        starts.map(move |last| (last + 1).saturating_sub(length)..last + 1)
    })
}

fn without_steps(script: &Script, number: usize) -> Option<Script> {
    let range = ranges(script.steps.len()).nth(number)?;
    let mut smaller = script.clone();
    smaller.steps.drain(range);
    Some(smaller)
}

/// But for a `wait` that belongs to a step: without it what comes by a timer would come at any step.
fn without_actions(script: &Script, number: usize) -> Option<Script> {
    let steps = script.steps.iter().enumerate().filter(|(_, step)| step.0.len() > 1);
    let actions = steps.flat_map(|(at, step)| step.0.iter().enumerate().map(move |(place, action)| (at, place, action)));
    let (step, action, _) = { actions }.filter(|(_, _, action)| !matches!(action, Action::Wait(_))).nth(number)?;
    let mut smaller = script.clone();
    smaller.steps[step].0.remove(action);
    Some(smaller)
}

/// What goes together in one step, one after the other.
fn apart(script: &Script, number: usize) -> Option<Script> {
    let step = script.steps.iter().enumerate().filter(|(_, step)| step.is_concurrent()).map(|(number, _)| number).nth(number)?;
    let mut smaller = script.clone();
    let actions = std::mem::take(&mut smaller.steps[step].0);
    smaller.steps.splice(step..=step, actions.into_iter().map(|action| Step(vec![action])));
    Some(smaller)
}

/// What is sent in two steps, sent in the first one.
fn joined(script: &Script, number: usize) -> Option<Script> {
    let sends: Vec<_> =
        script.steps.iter().enumerate().filter_map(|(step, actions)| Some((step, only_send(&actions.0)?))).collect();
    let pairs = sends.iter().enumerate().filter_map(|(at, (first, (name, bytes)))| {
        let (second, (_, more)) = sends[at + 1..].iter().find(|(_, (other, _))| other == name)?;
        Some((*first, *second, Action::Send((*name).into(), [bytes, *more].concat())))
    });
    let (first, second, whole) = { pairs }.nth(number)?;
    let mut smaller = script.clone();
    smaller.steps[first] = Step(vec![whole]);
    smaller.steps.remove(second);
    Some(smaller)
}

fn only_send(actions: &[Action]) -> Option<(&str, &[u8])> {
    if let [Action::Send(name, bytes)] = actions { Some((name, bytes)) } else { None }
}

fn with_fewer_bytes(script: &Script, number: usize) -> Option<Script> {
    let places = script
        .steps
        .iter()
        .enumerate()
        .flat_map(|(at, step)| step.0.iter().enumerate().map(move |(action, it)| (at, action, it)));
    let sends = places
        .filter_map(|(step, action, it)| if let Action::Send(_, bytes) = it { Some((step, action, bytes.len())) } else { None });
    let (step, action, range) =
        sends.flat_map(|(step, action, length)| ranges(length).map(move |range| (step, action, range))).nth(number)?;
    let mut smaller = script.clone();
    if let Action::Send(_, bytes) = &mut smaller.steps[step].0[action] {
        bytes.drain(range);
        if bytes.is_empty() {
            smaller.steps[step].0.remove(action);
        }
    }
    Some(smaller)
}
