//! Descriptors that go with the bytes of a simulated UNIX socket. They are real ones of this process.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use crate::backend::Descriptor;

/// The most that one message takes, as on Linux.
const MOST: usize = 253;

/// What an end sends, and what it receives.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// They wait for bytes to go with.
    unsent: Vec<Descriptor>,
    /// How many bytes were written so far.
    written: u64,
    /// How many bytes were read so far.
    read: u64,
    /// What comes, each before the byte of this number.
    coming: VecDeque<(u64, Vec<Descriptor>)>,
    pub(super) limit: usize,
    received: VecDeque<Descriptor>,
    pub(super) cut_short: bool,
}

impl Passing {
    pub(super) fn queue(&mut self, descriptor: Descriptor) -> io::Result<()> {
        if self.unsent.len() == MOST {
            return Err(io::Error::new(ErrorKind::QuotaExceeded, format!("{MOST} descriptors wait for bytes to go with")));
        }
        self.unsent.push(descriptor);
        Ok(())
    }

    pub(super) fn take(&mut self) -> Option<Descriptor> {
        self.received.pop_front()
    }

    /// So many bytes are written: the first of them takes along what waits.
    pub(super) fn write(&mut self, count: usize, peer: &mut Self) {
        if count > 0 && !self.unsent.is_empty() {
            peer.coming.push_back((self.written, std::mem::take(&mut self.unsent)));
        }
        self.written += count as u64;
    }

    /// How many bytes a read may take at most: a message with descriptors is read by itself.
    pub(super) fn readable(&self) -> usize {
        let next = self.coming.iter().map(|(place, _)| *place).find(|place| *place > self.read);
        next.map_or(usize::MAX, |place| usize::try_from(place - self.read).unwrap_or(usize::MAX))
    }

    /// So many bytes were read, of as many as might be.
    ///
    /// # Errors
    /// `QuotaExceeded` if more descriptors came with them than may.
    pub(super) fn note_read(&mut self, count: usize, most: usize) -> io::Result<()> {
        let due = count > 0 && self.coming.front().is_some_and(|(place, _)| *place == self.read);
        let came = if due { self.coming.pop_front() } else { None };
        self.read += count as u64;
        self.cut_short = came.is_some() || count == most;
        let came = came.map_or_else(Vec::new, |(_, descriptors)| descriptors);
        if self.limit > 0 && came.len() > self.limit {
            let text = format!("the peer passes more descriptors at once than {}", self.limit);
            return Err(io::Error::new(ErrorKind::QuotaExceeded, text));
        }
        if self.limit > 0 {
            self.received.extend(came);
        }
        Ok(())
    }
}
