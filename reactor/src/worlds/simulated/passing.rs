//! Descriptors passed with the bytes of a simulated UNIX socket. They are real descriptors of this process.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use crate::backend::Descriptor;

/// The most descriptors in one message, as on Linux.
const MOST: usize = 253;

/// The descriptors that an end sends and receives.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// Descriptors waiting for bytes to be sent with.
    unsent: Vec<Descriptor>,
    written: u64,
    read: u64,
    /// Incoming descriptors, each with the number of the byte before which it comes.
    coming: VecDeque<(u64, Vec<Descriptor>)>,
    pub(super) limit: usize,
    received: VecDeque<Descriptor>,
    pub(super) cut_short: bool,
}

impl Passing {
    pub(super) fn queue(&mut self, descriptor: Descriptor) -> io::Result<()> {
        if self.unsent.len() == MOST {
            return Err(io::Error::new(
                ErrorKind::QuotaExceeded,
                format!("{MOST} descriptors already wait for bytes to be sent"),
            ));
        }
        self.unsent.push(descriptor);
        Ok(())
    }

    pub(super) fn take(&mut self) -> Option<Descriptor> {
        self.received.pop_front()
    }

    /// Bytes were written: the waiting descriptors go with the first of them.
    pub(super) fn write(&mut self, count: usize, peer: &mut Self) {
        if count > 0 && !self.unsent.is_empty() {
            peer.coming.push_back((self.written, std::mem::take(&mut self.unsent)));
        }
        self.written += count as u64;
    }

    /// The most bytes that one read may take: a message with descriptors is read by itself.
    pub(super) fn readable(&self) -> usize {
        let next = self.coming.iter().map(|(place, _)| *place).find(|place| *place > self.read);
        next.map_or(usize::MAX, |place| usize::try_from(place - self.read).unwrap_or(usize::MAX))
    }

    /// Records that `count` of at most `most` bytes were read.
    ///
    /// # Errors
    /// `QuotaExceeded` if more descriptors came with them than allowed.
    pub(super) fn record_read(&mut self, count: usize, most: usize) -> io::Result<()> {
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
