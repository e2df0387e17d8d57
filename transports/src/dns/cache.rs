//! Servers' answers, for as long as they are valid.

use std::collections::HashMap;
use std::time::Duration;

use super::answer::Answer;
use super::query::Question;

/// How many answers are kept. Each has at most 64 addresses.
const ENTRIES: usize = 1024;

/// Answers by question.
#[derive(Default)]
pub(super) struct Cache(HashMap<Question, Entry>);

struct Entry {
    answer: Answer,
    expires: Duration,
}

impl Cache {
    pub(super) fn get(&self, question: &Question, now: Duration) -> Option<Answer> {
        let entry = self.0.get(question).filter(|entry| now < entry.expires)?;
        Some(entry.answer.clone())
    }

    /// Keeps an answer. If the cache is full, it removes expired answers, or else the one that expires first.
    pub(super) fn insert(&mut self, question: Question, answer: Answer, now: Duration) {
        if answer.ttl.is_zero() {
            return;
        }
        if self.0.len() >= ENTRIES {
            self.0.retain(|_, entry| now < entry.expires);
        }
        if self.0.len() >= ENTRIES {
            let first = self.0.iter().min_by_key(|(_, entry)| entry.expires).map(|(question, _)| question.clone());
            first.and_then(|first| self.0.remove(&first));
        }
        let expires = now.saturating_add(answer.ttl);
        self.0.insert(question, Entry { answer, expires });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
