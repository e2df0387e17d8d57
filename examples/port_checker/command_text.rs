//! A program's command, with places for the addresses that the checker chooses.

use torsade::prelude::*;
use torsade::{AtStop, ChildDescriptor};

use super::place::with_addresses;

/// Words, as a shell has them, but no shell: `NAME=VALUE` words in front set the environment, quotes keep blanks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandText {
    words: Vec<String>,
    /// How many `{listen}`s there are: addresses that the program is to listen on.
    pub listens: usize,
    /// How many `{peer}`s there are: addresses that it is to connect to.
    pub peers: usize,
}

impl CommandText {
    /// Reads a command. `{listen}` is the same as `{listen1}`; the numbers go up from 1 without a gap.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = words(text)?;
        if !words.iter().any(|word| variable(word).is_none()) {
            return Err(format!("no program in the command {text:?}"));
        }
        let words: Vec<_> =
            words.into_iter().map(|word| word.replace("{listen}", "{listen1}").replace("{peer}", "{peer1}")).collect();
        let count = |kind: &str| (1..).take_while(|number| has(&words, &format!("{{{kind}{number}}}"))).count();
        let (listens, peers) = (count("listen"), count("peer"));
        if listens + peers == 0 {
            return Err(format!(
                "the command {text:?} has neither {{listen}} nor {{peer}}: it says nowhere where to meet the program"
            ));
        }
        Ok(Self { words, listens, peers })
    }

    /// The command with its addresses in their places.
    pub fn command(&self, listens: &[String], peers: &[String]) -> Command {
        let mut words = self.words.iter().map(|word| with_addresses(&with_addresses(word, "listen", listens), "peer", peers));
        let mut variables = Vec::new();
        let program = loop {
            let word = words.next().unwrap_or_default();
            match variable(&word) {
                Some((name, value)) => variables.push((name.to_owned(), value.to_owned())),
                None => break word,
            }
        };
        let command = Command::new(program).args(words).stdin(ChildDescriptor::Null).at_stop(AtStop::Kill);
        variables.into_iter().fold(command, |command, (name, value)| command.env(name, value))
    }
}

fn has(words: &[String], part: &str) -> bool {
    words.iter().any(|word| word.contains(part))
}

fn variable(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some((name, value))
}

fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for char in text.chars() {
        match (quote, char) {
            (Some(open), char) if open == char => quote = None,
            (None, '"' | '\'') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, char) if char.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(format!("a quote is not closed in the command {text:?}")) } else { Ok(words) }
}
