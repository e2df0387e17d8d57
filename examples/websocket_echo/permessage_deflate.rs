//! Compressed messages, RFC 7692: each is a piece of one deflate stream, its last four bytes left out.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::{Code, MESSAGE, PROTOCOL, TOO_BIG};

/// What a flush ends with, and a message has not.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Both streams of a connection, some 430 KB.
pub struct PermessageDeflate {
    deflate: Compress,
    inflate: Decompress,
    agreed: Parameters,
    /// Payloads: sent and got, each plain and as they were on the wire.
    pub counts: [usize; 4],
}

#[derive(Default)]
struct Parameters {
    /// Whose messages each begin with no history.
    server_resets: bool,
    client_resets: bool,
    /// As a power of two; 15 unless the client wants less.
    server_window: Option<u8>,
}

impl Parameters {
    /// Reads one offer; none if it asks for what we cannot do, or what nobody knows.
    fn parse(offer: &str) -> Option<Self> {
        let mut parts = offer.split(';').map(str::trim);
        if parts.next() != Some("permessage-deflate") {
            return None;
        }
        let mut found = Self::default();
        let mut client_window = false;
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value.trim_matches('"'))));
            let bits = value.map(str::parse::<u8>);
            let again = match (name, bits) {
                ("server_no_context_takeover", None) => std::mem::replace(&mut found.server_resets, true),
                ("client_no_context_takeover", None) => std::mem::replace(&mut found.client_resets, true),
                // It may use less; we can read any.
                ("client_max_window_bits", None | Some(Ok(8..=15))) => std::mem::replace(&mut client_window, true),
                // Our encoder has no window of 256 bytes.
                ("server_max_window_bits", Some(Ok(bits @ 9..=15))) => found.server_window.replace(bits).is_some(),
                _ => return None,
            };
            if again {
                return None;
            }
        }
        Some(found)
    }
}

impl PermessageDeflate {
    /// Takes the first offer that we can take, and says what to answer.
    pub fn agree(offers: &str) -> Option<(Self, String)> {
        let agreed = offers.split(',').find_map(Parameters::parse)?;
        let mut answer = String::from("permessage-deflate");
        for (agreed, parameter) in
            [(agreed.server_resets, "; server_no_context_takeover"), (agreed.client_resets, "; client_no_context_takeover")]
        {
            answer += if agreed { parameter } else { "" };
        }
        if let Some(bits) = agreed.server_window {
            answer += &format!("; server_max_window_bits={bits}");
        }
        let deflate = Compress::new_with_window_bits(Compression::default(), false, agreed.server_window.unwrap_or(15));
        Some((Self { deflate, inflate: Decompress::new(false), agreed, counts: [0; 4] }, answer))
    }

    pub fn pack(&mut self, plain: &[u8]) -> Result<Vec<u8>, Code> {
        // Room for all of it, and a flush is over when there is room left.
        let mut wire = Vec::with_capacity(plain.len() * 9 / 8 + 64);
        let mut taken = 0;
        while taken < plain.len() || wire.len() == wire.capacity() {
            wire.reserve(64);
            let before = self.deflate.total_in();
            self.deflate.compress_vec(&plain[taken..], &mut wire, FlushCompress::Sync).map_err(|_| Code(1011))?;
            taken += (self.deflate.total_in() - before) as usize;
        }
        wire.truncate(wire.len() - TAIL.len());
        if self.agreed.server_resets {
            self.deflate.reset();
        }
        self.counts[0] += plain.len();
        self.counts[1] += wire.len();
        Ok(wire)
    }

    /// Never takes more memory than twice the longest message, whatever it would become.
    pub fn unpack(&mut self, mut wire: Vec<u8>) -> Result<Vec<u8>, Code> {
        self.counts[3] += wire.len();
        wire.extend(TAIL);
        let (mut plain, mut taken) = (Vec::new(), 0);
        loop {
            plain.reserve(4 << 10);
            let before = self.inflate.total_in();
            let status = self.inflate.decompress_vec(&wire[taken..], &mut plain, FlushDecompress::Sync);
            taken += (self.inflate.total_in() - before) as usize;
            if plain.len() > MESSAGE {
                return Err(TOO_BIG);
            }
            match status {
                Err(_) => return Err(PROTOCOL),
                // Whoever ends the stream in a message goes on with a new one.
                Ok(Status::StreamEnd) => self.inflate.reset(false),
                Ok(_) if plain.len() == plain.capacity() => continue,
                Ok(_) if taken < wire.len() => return Err(PROTOCOL), // it would spin
                Ok(_) => break,
            }
        }
        if self.agreed.client_resets {
            self.inflate.reset(false);
        }
        self.counts[2] += plain.len();
        Ok(plain)
    }
}
