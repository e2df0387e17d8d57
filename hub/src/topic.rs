//! What messages are published on, and what subscribers ask for.

use std::borrow::Borrow;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// How many bytes a topic or a pattern may have.
const MAX_LENGTH: usize = 200;

/// A name that messages are published on: words with dots between them, such as `room.lobby`; a cheap handle.
///
/// A word is of one or more printable ASCII characters, without spaces, `*` and `>`. A topic has at most 200 bytes, and does not
/// begin with `$` or `_`, which are the broker's and the hub's own.
///
/// # Examples
/// ```
/// use torsade::hub::Topic;
///
/// assert!("room.lobby".parse::<Topic>().is_ok());
/// assert_eq!("room..lobby".parse::<Topic>().unwrap_err().to_string(), "\"room..lobby\" is no topic: a word of it is empty");
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic(Arc<str>);

/// The topics that a subscriber wants: one of them, or all that look alike.
///
/// It is written as a topic in which the word `*` stands for any one word, and `>`, as the last, for one or more: `room.*`,
/// `room.>`. These are NATS's. The hub's own topics match none.
///
/// # Examples
/// ```
/// use torsade::hub::{Pattern, Topic};
///
/// let (lobby, corner): (Topic, Topic) = ("room.lobby".parse()?, "room.lobby.corner".parse()?);
/// let pattern: Pattern = "room.*".parse()?;
/// assert!(pattern.matches(&lobby) && !pattern.matches(&corner));
/// assert!("room.>".parse::<Pattern>()?.matches(&corner));
/// # Ok::<(), torsade::hub::TopicError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Pattern(Arc<str>);

impl Topic {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A topic of the hub's own, which no pattern of a program's matches: `_` and this.
    pub(crate) fn internal(text: &str) -> Self {
        Self(format!("_{text}").into())
    }

    /// Whether it is the hub's own.
    pub(crate) fn is_internal(&self) -> bool {
        Self::is_internal_name(&self.0)
    }

    /// Whether this text would be the hub's own topic.
    pub(crate) fn is_internal_name(text: &str) -> bool {
        text.starts_with('_')
    }
}

impl Pattern {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one topic that it is, if it has no wildcard.
    #[must_use]
    pub fn topic(&self) -> Option<Topic> {
        let is_wild = self.0.split('.').any(|word| matches!(word, "*" | ">"));
        (!is_wild).then(|| Topic(Arc::clone(&self.0)))
    }

    /// Whether it asks for `topic`.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        if self.0 == topic.0 {
            return true;
        }
        if topic.is_internal() {
            return false;
        }
        let mut words = topic.0.split('.');
        for wanted in self.0.split('.') {
            match (wanted, words.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (_, word) if word == Some(wanted) => {}
                _ => return false,
            }
        }
        words.next().is_none()
    }
}

impl From<Topic> for Pattern {
    fn from(topic: Topic) -> Self {
        Self(topic.0)
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let wrong = |problem| TopicError { text: text.to_owned(), what: "topic", problem };
        check(text, false).map_err(wrong)?;
        Ok(Self(text.into()))
    }
}

impl FromStr for Pattern {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let wrong = |problem| TopicError { text: text.to_owned(), what: "topic or pattern", problem };
        check(text, true).map_err(wrong)?;
        Ok(Self(text.into()))
    }
}

fn check(text: &str, wild: bool) -> Result<(), &'static str> {
    if text.len() > MAX_LENGTH {
        return Err("it has more than 200 bytes");
    }
    if text.starts_with(['$', '_']) {
        return Err("a first character of $ or _ is kept for the broker and the hub");
    }
    let mut words = text.split('.').peekable();
    while let Some(word) = words.next() {
        match word {
            "" => return Err("a word of it is empty"),
            "*" if wild => {}
            ">" if wild && words.peek().is_none() => {}
            ">" if wild => return Err("> stands for all words from there on, so it has to be the last"),
            _ if word.contains(['*', '>']) && wild => return Err("* and > stand for whole words, not for parts of one"),
            _ if word.contains(['*', '>']) => return Err("* and > are for those who subscribe"),
            _ if !word.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Err("only printable ASCII without spaces may be in it");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Text that is no [`Topic`] or no [`Pattern`], and why.
#[derive(Clone, Eq, PartialEq)]
pub struct TopicError {
    text: String,
    what: &'static str,
    problem: &'static str,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no {}: {}", self.text, self.what, self.problem)
    }
}

torsade_reactor::debug_as_display!(TopicError);

impl Error for TopicError {}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So that topics are looked up by text.
impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &Topic) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(topic)
    }

    #[test]
    fn wildcards_stand_for_words() {
        let topic = "a.b.c".parse().unwrap();
        let patterns = ["a.b.c", "*.b.*", "a.>", ">", "a.b.>", "a.b", "a.b.c.>", "a.*", "*.*.*.*", "b.>"];
        let found: Vec<_> = patterns.into_iter().filter(|pattern| matches(pattern, &topic)).collect();
        assert_eq!(found, ["a.b.c", "*.b.*", "a.>", ">", "a.b.>"]);
    }

    #[test]
    fn the_hubs_own_topics_are_matched_by_no_wildcard() {
        let topic = Topic::internal("presence.a");
        assert!(!matches(">", &topic) && !matches("*.a", &topic) && Pattern::from(topic.clone()).matches(&topic));
    }

    #[test]
    fn text_that_is_no_topic_is_refused_with_the_reason() {
        let long = "a".repeat(201);
        for text in ["", ".a", "a..b", "a b", "a.é", "_a", "$a", "a.*", "a.>", &long] {
            assert!(text.parse::<Topic>().is_err(), "{text:?}");
        }
        for text in ["a.>.b", "a*", "a.b>", "", "_a.>"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }
}
