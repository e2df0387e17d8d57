//! A script out of a seed: the same for the same seed and grammar.

use std::collections::BTreeMap;
use std::time::Duration;

use super::action::Action;
use super::grammar::{Grammar, Weights, What};
use super::script::{Script, Step};

/// The script of this seed. Its connections are called `c1`, `c2`, .. behind `prefix`, and all are ended at its end.
pub fn random_script(grammar: &Grammar, seed: u64, prefix: &str) -> Script {
    let mut draw =
        Draw { grammar, chance: Chance(seed), prefix, made: 0, open: Vec::new(), places: BTreeMap::new(), owed: BTreeMap::new() };
    let mut script = Script { endpoints: grammar.endpoints.clone(), steps: Vec::new() };
    for _ in 0..grammar.accept {
        let name = draw.name();
        script.steps.push(Step(vec![Action::Accept(name, 1)]));
    }
    for peer in 1..=grammar.peers {
        let name = draw.name();
        draw.places.insert(name.clone(), 0);
        script.steps.push(Step(vec![Action::Accept(name, peer)]));
    }
    let (least, most) = grammar.steps;
    let steps = least + draw.chance.below(most - least + 1);
    while script.steps.len() < steps {
        let mut steps = draw.step();
        for step in
            steps.iter_mut().filter(|step| step.0.iter().any(|action| matches!(action, Action::Send(..) | Action::Datagram(..))))
        {
            step.0.extend(grammar.wait.map(Action::Wait));
        }
        script.steps.extend(steps);
    }
    for name in script.left_open() {
        let ending = [Action::End, Action::Close, Action::Reset][draw.chance.below(3)];
        script.steps.push(Step(vec![ending(name)]));
    }
    // Connections that had ended their stream before are not ended again.
    script.keep_possible();
    for name in script.left_open() {
        script.steps.push(Step(vec![Action::Close(name)]));
    }
    script
}

struct Draw<'a> {
    grammar: &'a Grammar,
    chance: Chance,
    prefix: &'a str,
    made: usize,
    /// Those that the checker can still send on.
    open: Vec<String>,
    /// The address that a connection was opened to, if not to the first; 0 for one that was accepted.
    places: BTreeMap<String, usize>,
    /// The second part of a piece that was cut.
    owed: BTreeMap<String, Vec<u8>>,
}

impl Draw<'_> {
    fn name(&mut self) -> String {
        self.made += 1;
        let name = format!("{}c{}", self.prefix, self.made);
        self.open.push(name.clone());
        name
    }

    /// What is done next: one or two steps.
    fn step(&mut self) -> Vec<Step> {
        let can_open = self.grammar.accept == 0 && self.open.len() < self.grammar.connections;
        if self.open.is_empty() {
            let step = match (can_open, self.grammar.again) {
                (true, _) => return self.opened(),
                (_, true) => Action::Accept(self.name(), 1),
                // A client whose connections are all ended: only time can pass.
                _ => Action::Wait(Duration::from_millis(10)),
            };
            return vec![Step(vec![step])];
        }
        let Weights { open, send, cut, end, close, reset, pause, together, datagram } = self.grammar.weights.clone();
        let weights = [if can_open { open } else { 0 }, send, cut, end, close, reset, pause, together, datagram];
        let at = self.chance.below(self.open.len());
        let name = self.open[at].clone();
        let step = match self.chance.weighted(&weights) {
            0 => return self.opened(),
            2 => {
                let bytes = self.bytes(&name);
                let (first, second) = bytes.split_at(self.chance.below(bytes.len()));
                self.owed.insert(name.clone(), second.to_vec());
                if first.is_empty() {
                    return Vec::new();
                }
                Action::Send(name, first.to_vec())
            }
            3 => Action::End(self.open.remove(at)),
            4 => Action::Close(self.open.remove(at)),
            5 => Action::Reset(self.open.remove(at)),
            6 => return self.paused(&name),
            7 if self.open.len() > 1 => {
                let other = self.open[(at + 1 + self.chance.below(self.open.len() - 1)) % self.open.len()].clone();
                let sends = [name, other].map(|name| Action::Send(name.clone(), self.bytes(&name)));
                return vec![Step(sends.into())];
            }
            8 => Action::Datagram(1, self.pieces(Vec::new(), 1)),
            _ => {
                let bytes = self.bytes(&name);
                Action::Send(name, bytes)
            }
        };
        vec![Step(vec![step])]
    }

    fn opened(&mut self) -> Vec<Step> {
        let (name, place) = (self.name(), 1 + if self.grammar.places > 1 { self.chance.below(self.grammar.places) } else { 0 });
        self.places.insert(name.clone(), place);
        vec![Step(vec![Action::Open(name, place)])]
    }

    /// Something is sent while nothing is read, and read afterwards.
    fn paused(&mut self, name: &str) -> Vec<Step> {
        let bytes = self.bytes(name);
        let actions = [Action::Pause(name.into()), Action::Send(name.into(), bytes), Action::Resume(name.into())];
        actions.map(|action| Step(vec![action])).into()
    }

    /// One to three pieces, behind what is owed.
    fn bytes(&mut self, name: &str) -> Vec<u8> {
        let (owed, place) = (self.owed.remove(name).unwrap_or_default(), self.places.get(name).copied().unwrap_or(1));
        self.pieces(owed, place)
    }

    fn pieces(&mut self, mut bytes: Vec<u8>, place: usize) -> Vec<u8> {
        let pieces: Vec<_> = self.grammar.pieces.iter().filter(|piece| piece.place.is_none_or(|only| only == place)).collect();
        for _ in 0..[1, 1, 1, 2, 3][self.chance.below(5)] {
            match &pieces[self.chance.below(pieces.len())].what {
                What::Fixed(piece) => bytes.extend(piece),
                What::Drawn(least, most, alphabet) => {
                    let count = least + self.chance.below(most - least + 1);
                    bytes.extend((0..count).map(|_| alphabet[self.chance.below(alphabet.len())]));
                }
            }
        }
        bytes
    }
}

/// Numbers that look random and are the same in every run: Steele, Lea and Flood's SplitMix64.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.draw() >> 11) as usize % end
    }

    /// The place of one of the weights.
    fn weighted(&mut self, weights: &[u64]) -> usize {
        let sum: u64 = weights.iter().sum();
        let mut drawn = self.draw() % sum.max(1);
        for (place, weight) in weights.iter().enumerate() {
            match drawn.checked_sub(*weight) {
                Some(rest) => drawn = rest,
                None => return place,
            }
        }
        1
    }
}
