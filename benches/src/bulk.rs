//! Bulk data in one direction: `discard` drops it, `chargen` produces it.

use torsade::prelude::*;

/// The 8-byte little-endian number that begins each request, assembled from any number of pieces.
#[derive(Default)]
pub struct Count {
    bytes: [u8; 8],
    length: usize,
}

impl Count {
    /// Takes what it needs from `data`; returns the number once it is complete.
    pub fn feed(&mut self, data: &mut &[u8]) -> Option<u64> {
        let take = data.len().min(8 - self.length);
        let (head, rest) = data.split_at(take);
        self.bytes[self.length..self.length + take].copy_from_slice(head);
        self.length += take;
        *data = rest;
        (self.length == 8).then(|| {
            self.length = 0;
            u64::from_le_bytes(self.bytes)
        })
    }
}

#[derive(Default)]
pub struct Discard {
    count: Count,
    /// How many bytes are announced, and how many of them are still missing.
    expected: Option<(u64, u64)>,
}

impl Protocol for Discard {
    fn data_received(&mut self, transport: &Transport, mut data: &[u8]) -> Result {
        loop {
            let Some((all, left)) = self.expected else {
                let Some(count) = self.count.feed(&mut data) else { return Ok(()) };
                self.expected = Some((count, count));
                continue;
            };
            let taken = left.min(data.len() as u64);
            data = &data[taken as usize..];
            if left > taken {
                self.expected = Some((all, left - taken));
                return Ok(());
            }
            self.expected = None;
            transport.write(all.to_le_bytes());
        }
    }
}

#[derive(Default)]
pub struct Chargen {
    count: Count,
}

/// Produces the bytes of one request, a piece in each call.
struct Source {
    pattern: Vec<u8>,
    place: usize,
    left: u64,
}

const PERIOD: usize = 65_536;

impl Protocol for Chargen {
    fn data_received(&mut self, transport: &Transport, mut data: &[u8]) -> Result {
        while let Some(left) = self.count.feed(&mut data) {
            let pattern = (0..PERIOD).map(|k| ((k * 31) ^ (k >> 7)) as u8).collect();
            transport.register_producer(Source { pattern, place: 0, left }, false)?;
        }
        Ok(())
    }
}

impl Producer for Source {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        let piece = self.left.min((PERIOD - self.place) as u64) as usize;
        consumer.write(&self.pattern[self.place..self.place + piece]);
        self.place = (self.place + piece) % PERIOD;
        self.left -= piece as u64;
        if self.left == 0 {
            consumer.unregister_producer();
        }
        Ok(())
    }
}
