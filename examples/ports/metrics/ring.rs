//! Consistent hashing: who gets which name; one who is added takes names of all the others, and no others change.

use sha1_smol::Sha1;

/// How often each stands on the ring.
const REPLICAS: usize = 100;

/// A ring of places, each of them somebody's.
#[derive(Debug)]
pub struct Ring(Vec<(u32, Vec<u8>, usize)>);

impl Ring {
    /// Of names; what is found by it are their places in the list.
    pub fn new(names: &[&[u8]]) -> Self {
        let replicas = |(index, name): (usize, &&[u8])| {
            let name = name.to_vec();
            (0..REPLICAS).map(move |replica| (position(&[&name, format!(":{replica}").as_bytes()].concat()), name.clone(), index))
        };
        let mut places: Vec<_> = names.iter().enumerate().flat_map(replicas).collect();
        places.sort();
        Self(places)
    }

    /// Whose this name is; nobody's if there is nobody.
    pub fn get(&self, key: &[u8]) -> Option<usize> {
        let position = position(key);
        let next = self.0.partition_point(|(place, ..)| *place < position);
        self.0.get(next).or_else(|| self.0.first()).map(|(.., index)| *index)
    }
}

fn position(key: &[u8]) -> u32 {
    let [first, second, third, fourth, ..] = Sha1::from(key).digest().bytes();
    u32::from_be_bytes([first, second, third, fourth])
}
