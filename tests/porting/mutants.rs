//! Ports with a fault planted in them, each of a kind that porters make.

use std::time::Duration;

use torsade::Callback;
use torsade::prelude::*;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutation {
    /// Takes what comes at once for one whole line.
    ChunkIsALine,
    /// Takes the first line of what comes at once, and drops the others.
    OneLineAChunk,
    /// Closes when nothing stands in a line.
    ClosesOnAnEmptyLine,
    /// Is never told that a connection was lost.
    ForgetsTheLost,
    /// Says nothing at first.
    NoGreeting,
    /// Does not close when the peer's stream has ended.
    IgnoresTheEnd,
    /// Resets when the peer's stream has ended.
    ResetsAtTheEnd,
    /// Closes after so many bytes.
    ClosesAtFortyBytes,
    /// Loses the last byte of what comes at once, if that is long.
    LosesAByte,
    /// Ends as a whole when a connection is reset.
    EndsAtAReset,
    /// Greets half a second late, and closes at the third of short lines.
    GreetsLate,
    /// With TLS: asks for certificates, and takes those who have none.
    TakesThoseWithoutACertificate,
    /// Of a client: says that all went well, whatever did.
    ClaimsSuccess,
    /// Of a client: connects twice.
    ConnectsTwice,
}

impl Mutation {
    pub const ALL: [Self; 14] = [
        Self::ChunkIsALine,
        Self::OneLineAChunk,
        Self::ClosesOnAnEmptyLine,
        Self::ForgetsTheLost,
        Self::NoGreeting,
        Self::IgnoresTheEnd,
        Self::ResetsAtTheEnd,
        Self::ClosesAtFortyBytes,
        Self::LosesAByte,
        Self::EndsAtAReset,
        Self::GreetsLate,
        Self::TakesThoseWithoutACertificate,
        Self::ClaimsSuccess,
        Self::ConnectsTwice,
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutation| format!("{mutation:?}") == name)
    }
}

/// Makes protocols with a fault, or without one.
pub struct Mutant<F> {
    factory: F,
    mutation: Option<Mutation>,
}

impl<F> Mutant<F> {
    pub fn new(factory: F, mutation: Option<Mutation>) -> Self {
        Self { factory, mutation }
    }
}

impl<F: Factory> Factory for Mutant<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        Some(match self.mutation {
            Some(mutation) => Box::new(Faulty { protocol, mutation, bytes: 0 }),
            None => protocol,
        })
    }
}

struct Faulty {
    protocol: Box<dyn Protocol>,
    mutation: Mutation,
    bytes: usize,
}

impl Protocol for Faulty {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.bytes += data.len();
        let mut changed = data.to_vec();
        match self.mutation {
            Mutation::ChunkIsALine if !data.ends_with(b"\n") => changed.extend(b"\r\n"),
            Mutation::OneLineAChunk => {
                if let Some(end) = data.iter().position(|byte| *byte == b'\n') {
                    changed.truncate(end + 1);
                }
            }
            Mutation::ClosesOnAnEmptyLine if data.starts_with(b"\r\n") => transport.lose_connection(),
            Mutation::GreetsLate if self.bytes > 6 => transport.lose_connection(),
            Mutation::ClosesAtFortyBytes if self.bytes > 40 => transport.lose_connection(),
            Mutation::LosesAByte if data.len() > 12 => drop(changed.pop()),
            _ => {}
        }
        self.protocol.data_received(transport, &changed)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        match (self.mutation, callback) {
            (Mutation::ForgetsTheLost, Callback::ConnectionLost(_)) => Ok(()),
            (Mutation::NoGreeting, Callback::ConnectionMade) => Ok(()),
            (Mutation::GreetsLate, Callback::ConnectionMade) => {
                let late = transport.clone();
                transport.reactor().call_later(Duration::from_millis(500), move || late.write("What's your name?\r\n"));
                Ok(())
            }
            (Mutation::IgnoresTheEnd, Callback::ReadConnectionLost) => Ok(()),
            (Mutation::ResetsAtTheEnd, Callback::ReadConnectionLost) => {
                transport.abort_connection();
                Ok(())
            }
            (Mutation::EndsAtAReset, Callback::ConnectionLost(Reason::ConnectionLost(_))) => std::process::exit(3),
            _ => callback.dispatch(&mut *self.protocol, transport),
        }
    }
}
