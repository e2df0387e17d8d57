//! Topics and patterns.

use std::borrow::Borrow;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The maximum length of a topic or a pattern, in bytes.
const MAX_LENGTH: usize = 200;

/// A name that messages are published on: words separated by dots, such as `room.lobby`; a cheap handle.
///
/// A word consists of one or more printable ASCII characters, except space, `*` and `>`. A topic has at most 200 bytes, and does
/// not begin with `$` or `_`, which are reserved for the broker and the hub.
///
/// # Examples
/// ```
/// use torsade::hub::Topic;
///
/// assert!("room.lobby".parse::<Topic>().is_ok());
/// assert_eq!("room..lobby".parse::<Topic>().unwrap_err().to_string(), "\"room..lobby\" is not a topic: a word is empty");
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Topic(Arc<str>);

/// The topics that a subscriber wants: one topic, or all that match wildcards.
///
/// In a pattern, the word `*` matches any one word, and `>`, as the last word, matches one or more: `room.*`, `room.>`. This is
/// the syntax of NATS. Wildcards never match the hub's own topics.
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
    /// Returns its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes the hub's own topic `_text`, which no pattern of a program matches.
    pub(crate) fn internal(text: &str) -> Self {
        Self(format!("_{text}").into())
    }

    /// Returns whether it is one of the hub's own topics.
    pub(crate) fn is_internal(&self) -> bool {
        Self::is_internal_name(&self.0)
    }

    /// Returns whether `text` names one of the hub's own topics.
    pub(crate) fn is_internal_name(text: &str) -> bool {
        text.starts_with('_')
    }
}

impl Pattern {
    /// Returns its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the topic, if the pattern has no wildcard.
    #[must_use]
    pub fn topic(&self) -> Option<Topic> {
        let is_wild = self.0.split('.').any(|word| matches!(word, "*" | ">"));
        (!is_wild).then(|| Topic(Arc::clone(&self.0)))
    }

    /// Returns whether `topic` matches.
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
        return Err("topics that begin with $ or _ are reserved for the broker and the hub");
    }
    let mut words = text.split('.').peekable();
    while let Some(word) = words.next() {
        match word {
            "" => return Err("a word is empty"),
            "*" if wild => {}
            ">" if wild && words.peek().is_none() => {}
            ">" if wild => return Err("> stands for all words from there on, so it must be the last"),
            _ if word.contains(['*', '>']) && wild => return Err("* and > stand for whole words, not for parts of one"),
            _ if word.contains(['*', '>']) => return Err("* and > are allowed in patterns only"),
            _ if !word.bytes().all(|byte| byte.is_ascii_graphic()) => {
                return Err("it may contain only printable ASCII without spaces");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Why a text is not a [`Topic`] or a [`Pattern`].
#[derive(Clone, Eq, PartialEq)]
pub struct TopicError {
    text: String,
    what: &'static str,
    problem: &'static str,
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a {}: {}", self.text, self.what, self.problem)
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

/// Allows topics to be looked up by text.
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
