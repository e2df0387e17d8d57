//! What is done with names: a file of rules, one a line.

use super::aggregate::Method;
use torsade::prelude::*;

/// `rewrite PATTERN = TEMPLATE`, and `sum PATTERN = TEMPLATE` with any of the methods.
#[derive(Debug, Default)]
pub struct Rules {
    pub rewrites: Vec<Rule>,
    pub aggregations: Vec<(Method, Rule)>,
}

/// What matches a pattern gets a new name: `*` is any word, and `<host>` too, which the template may use.
#[derive(Debug)]
pub struct Rule {
    pub text: Vec<u8>,
    pattern: Vec<Pattern>,
    template: Vec<Template>,
}

#[derive(Debug)]
enum Pattern {
    Word(Vec<u8>),
    Any,
}

#[derive(Debug)]
enum Template {
    Word(Vec<u8>),
    /// The word of the name at this place.
    Place(usize),
}

impl Rules {
    /// Reads rules; an error names the line.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut rules = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let words: Vec<_> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
            let wrong = || format!("not METHOD PATTERN = TEMPLATE: {}", line.escape_ascii());
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with(b"#") => {}
                [method, pattern, b"=", template] => {
                    let rule = Rule::new(words.join(&b' '), pattern, template)?;
                    match method {
                        b"rewrite" => rules.rewrites.push(rule),
                        _ => rules.aggregations.push((Method::named(method).ok_or_else(wrong)?, rule)),
                    }
                }
                _ => return Err(wrong().into()),
            }
        }
        Ok(rules)
    }

    /// In the order in which they are applied.
    pub fn all(&self) -> impl Iterator<Item = &Rule> {
        self.rewrites.iter().chain(self.aggregations.iter().map(|(_, rule)| rule))
    }
}

impl Rule {
    fn new(text: Vec<u8>, pattern: &[u8], template: &[u8]) -> Result<Self> {
        let (mut places, mut words) = (Vec::new(), Vec::new());
        for (place, word) in pattern.split(|byte| *byte == b'.').enumerate() {
            let Some(name) = placeholder(word) else {
                words.push(if word == b"*" { Pattern::Any } else { Pattern::Word(word.to_vec()) });
                continue;
            };
            let is_good = !name.is_empty() && name.iter().all(u8::is_ascii_lowercase);
            if !is_good || places.iter().any(|(known, _)| *known == name) {
                return Err(format!("not a new name of small letters: {}", word.escape_ascii()).into());
            }
            places.push((name, place));
            words.push(Pattern::Any);
        }
        let place = |name| places.iter().find(|(known, _)| *known == name).map(|(_, place)| *place);
        let template = template.split(|byte| *byte == b'.').map(|word| match placeholder(word) {
            None => Ok(Template::Word(word.to_vec())),
            Some(name) => place(name).map(Template::Place).ok_or_else(|| format!("not in the pattern: {}", word.escape_ascii())),
        });
        Ok(Self { text, pattern: words, template: template.collect::<Result<_, _>>()? })
    }

    /// The new name, if it matches.
    pub fn apply(&self, name: &[u8]) -> Option<Vec<u8>> {
        let mut words = name.split(|byte| *byte == b'.');
        let matches = self.pattern.iter().all(|pattern| match (pattern, words.next()) {
            (Pattern::Any, Some(word)) => !word.is_empty(),
            (Pattern::Word(wanted), Some(word)) => wanted == word,
            (_, None) => false,
        });
        if !matches || words.next().is_some() {
            return None;
        }
        let mut renamed = Vec::with_capacity(name.len());
        for (at, part) in self.template.iter().enumerate() {
            if at > 0 {
                renamed.push(b'.');
            }
            match part {
                Template::Word(word) => renamed.extend_from_slice(word),
                Template::Place(place) => {
                    name.split(|byte| *byte == b'.').nth(*place).into_iter().for_each(|word| renamed.extend_from_slice(word));
                }
            }
        }
        Some(renamed)
    }
}

fn placeholder(word: &[u8]) -> Option<&[u8]> {
    word.strip_prefix(b"<")?.strip_suffix(b">")
}
