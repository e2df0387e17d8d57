//! Bulk data in one direction, compressed: each request is answered with a new zlib stream.

use std::rc::Rc;

use torsade::prelude::*;

use crate::bulk::Count;

/// Bytes given to the compressor between two flushes.
const PIECE: usize = 16 << 10;
/// Flushed pieces for one write, few enough to keep turns short.
const PIECES: usize = 8;

pub struct CompressedBulk {
    corpus: Rc<[u8]>,
    count: Count,
}

impl CompressedBulk {
    pub fn new(corpus: &Rc<[u8]>) -> Self {
        Self { corpus: Rc::clone(corpus), count: Count::default() }
    }
}

impl Protocol for CompressedBulk {
    fn data_received(&mut self, transport: &Transport, mut data: &[u8]) -> Result {
        while let Some(left) = self.count.feed(&mut data) {
            // The generator counts the bytes of each stream from its header on, and expects no announcement.
            transport.set_compression(Compression::deflate().announce(false).flush(Flush::Manual))?;
            transport.register_producer(Source { corpus: Rc::clone(&self.corpus), place: 0, left }, false)?;
        }
        Ok(())
    }
}

/// Compresses the corpus from its start, over and over, a few pieces in each call.
struct Source {
    corpus: Rc<[u8]>,
    place: usize,
    left: u64,
}

impl Producer for Source {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        for _ in 0..PIECES {
            let piece = PIECE.min(self.corpus.len() - self.place).min(usize::try_from(self.left)?);
            consumer.write(&self.corpus[self.place..self.place + piece]);
            self.place = (self.place + piece) % self.corpus.len();
            self.left -= piece as u64;
            if self.left == 0 {
                consumer.end_compression();
                consumer.unregister_producer();
                return Ok(());
            }
            consumer.flush_compression();
        }
        Ok(())
    }
}

/// The content of the file `$BENCH_CORPUS`.
pub fn corpus() -> Result<Rc<[u8]>> {
    let path = std::env::var("BENCH_CORPUS").unwrap_or_else(|_| "/tmp/bench-corpora/json.txt".into());
    let corpus = std::fs::read(&path).map_err(|error| format!("{path}: {error}; set BENCH_CORPUS to a file of text"))?;
    if corpus.is_empty() { Err(format!("{path} is empty").into()) } else { Ok(corpus.into()) }
}
