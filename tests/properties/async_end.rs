//! One end of a connection in `async` code: reads, writes, flushes, cancels, closes and drops as its seed says.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_lite::future::{or, poll_once, zip};
use futures_lite::{AsyncBufRead, AsyncRead, AsyncWrite};
use torsade::ReasonText;
use torsade::prelude::*;

use super::chance::Chance;
use super::plan;

/// What an end does, and what it has seen. Checks look at it between two polls.
pub struct End {
    pub name: String,
    /// Identifies the bytes that it writes.
    stream: u64,
    /// Identifies the peer's bytes, once known.
    incoming: u64,
    pub reactor: Reactor,
    connection: RefCell<Option<AsyncConnection>>,
    made: Cell<bool>,
    pub written: Cell<u64>,
    pub read: Cell<u64>,
    /// A graceful close has begun, so everything written has to arrive.
    pub closed: Cell<bool>,
    /// Nothing that it wrote has to arrive.
    pub aborted: Cell<bool>,
    /// It has read to the end of the peer's stream.
    pub read_ended: Cell<bool>,
    /// It reads nothing more.
    pub reads_no_more: Cell<bool>,
    pub failed: Cell<bool>,
    tls: bool,
    /// One direction is compressed: the options, and whether this end compresses it or decompresses.
    pub compression: Option<(Compression, bool)>,
    pub problems: RefCell<Vec<String>>,
}

impl End {
    pub fn new(
        name: &str,
        (stream, incoming): (u64, u64),
        reactor: &Reactor,
        tls: bool,
        compression: Option<(Compression, bool)>,
    ) -> Rc<Self> {
        Rc::new(Self {
            name: name.to_owned(),
            stream,
            incoming,
            reactor: reactor.clone(),
            connection: RefCell::default(),
            made: Cell::default(),
            written: Cell::default(),
            read: Cell::default(),
            closed: Cell::default(),
            aborted: Cell::default(),
            read_ended: Cell::default(),
            reads_no_more: Cell::default(),
            failed: Cell::default(),
            tls,
            compression,
            problems: RefCell::default(),
        })
    }

    pub fn connected(&self) -> bool {
        self.made.get()
    }

    pub fn complain(&self, problem: impl Into<String>) {
        self.problems.borrow_mut().push(format!("{}: {}", self.name, problem.into()));
    }

    /// Reads and writes until both streams have ended, or everything was dropped.
    pub async fn play(&self, mut connection: AsyncConnection, seed: u64, write_size: u64) {
        self.switch(&mut connection);
        self.connection.replace(Some(connection));
        self.made.set(true);
        let (mut reading, mut writing) = (Chance::new(seed, self.stream), Chance::new(seed, self.stream + 100));
        zip(self.read(&mut reading), self.write(&mut writing, write_size)).await;
        self.let_go();
    }

    /// Drops the connection, which is graceful after a close.
    pub fn let_go(&self) {
        let connection = self.connection.take();
        if connection.is_some() && !self.read_ended.get() {
            self.reads_no_more.set(true);
        }
        if connection.is_some() && !self.closed.get() {
            self.aborted.set(true);
        }
    }

    /// Polls the connection, if it still exists.
    async fn on<T>(
        &self,
        mut poll: impl FnMut(Pin<&mut AsyncConnection>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        poll_fn(|context| match &mut *self.connection.borrow_mut() {
            Some(connection) => poll(Pin::new(connection), context),
            None => Poll::Ready(Err(ErrorKind::NotConnected.into())),
        })
        .await
    }

    fn transport(&self) -> Option<Transport> {
        self.connection.borrow().as_ref().map(|connection| connection.transport().clone())
    }

    async fn sleep(&self, chance: &mut Chance, most: Duration) {
        // Nobody cancels this, so it does not fail.
        self.reactor.sleep(chance.wait(most)).await.ok();
    }

    /// Records why an operation failed; after our own close, writing has an error of its own.
    fn fail(&self, what: &str, error: &io::Error) {
        if self.connection.borrow().is_none() {
            return;
        }
        let reason = self.connection.borrow().as_ref().and_then(AsyncConnection::reason);
        let told = error.get_ref().and_then(|error| error.downcast_ref::<ReasonText>()).map(ReasonText::kind);
        let stopping = self.transport().is_some_and(|transport| transport.is_closing()) && !self.closed.get();
        if stopping && error.kind() == ErrorKind::BrokenPipe {
            return self.failed.set(true);
        }
        if told.is_none() || told != reason.as_ref().map(Reason::kind) {
            self.complain(format!("{what} failed with {error:?}, and the reason is {reason:?}"));
        }
        self.failed.set(true);
    }

    async fn read(&self, chance: &mut Chance) {
        let slow = chance.one_in(4);
        loop {
            if slow || chance.one_in(20) {
                self.sleep(chance, Duration::from_secs(2)).await;
            }
            // Now and then it cancels the wait.
            let patience = chance.one_in(6).then(|| chance.wait(Duration::from_millis(300)));
            let size = chance.size(20_000) as usize;
            let reading = self.read_some(size, chance.one_in(4));
            let read = match patience {
                None => Some(reading.await),
                Some(patience) => {
                    let reactor = &self.reactor;
                    or(async { Some(reading.await) }, async { reactor.sleep(patience).await.map_or(None, |()| None) }).await
                }
            };
            match read {
                None => {}
                Some(Ok(0)) => return self.read_ended.set(true),
                Some(Ok(_)) => {}
                Some(Err(error)) => return self.fail("a read", &error),
            }
        }
    }

    /// Reads and checks up to this many bytes, in one of two ways.
    async fn read_some(&self, size: usize, where_it_is: bool) -> io::Result<usize> {
        if where_it_is {
            return self
                .on(|mut connection, context| {
                    let there = std::task::ready!(connection.as_mut().poll_fill_buf(context))?;
                    if there.len() > 64 << 10 {
                        self.complain(format!("{} bytes wait to be read", there.len()));
                    }
                    let count = there.len().min(size);
                    self.take(&there[..count]);
                    connection.consume(count);
                    Poll::Ready(Ok(count))
                })
                .await;
        }
        let mut buffer = vec![0; size];
        self.on(|connection, context| {
            let count = std::task::ready!(connection.poll_read(context, &mut buffer))?;
            self.take(&buffer[..count]);
            Poll::Ready(Ok(count))
        })
        .await
    }

    fn take(&self, data: &[u8]) {
        if self.read_ended.get() {
            self.complain("bytes arrived after the end");
        }
        if !plan::is_at(self.incoming, self.read.get(), data) {
            self.complain(format!("other bytes arrived than were written, from {} on", self.read.get()));
        }
        self.read.set(self.read.get() + data.len() as u64);
    }

    async fn write(&self, chance: &mut Chance, write_size: u64) {
        for _ in 0..5 + chance.size(40) {
            let done = match chance.below(11) {
                0 => self.sleep_a_while(chance).await,
                1 => self.set_limits(chance, write_size),
                2 => self.flush(chance).await,
                3 if chance.one_in(3) => self.give_up_writing(chance, write_size).await,
                4 | 5 => self.write_pieces(chance, write_size).await,
                _ => self.write_some(chance, write_size).await,
            };
            if let Err(error) = done {
                return self.fail("a write", &error);
            }
            if chance.one_in(60) {
                return self.leave(chance).await;
            }
        }
        self.close(chance).await;
    }

    async fn sleep_a_while(&self, chance: &mut Chance) -> io::Result<()> {
        self.sleep(chance, Duration::from_secs(5)).await;
        Ok(())
    }

    fn set_limits(&self, chance: &mut Chance, write_size: u64) -> io::Result<()> {
        if let Some(transport) = self.transport() {
            // Not so low that a write takes thousands of turns.
            let high = (write_size / 100).max(chance.size(5000));
            transport.set_write_buffer_limits(chance.below(high + 1) as usize, high as usize);
        }
        Ok(())
    }

    /// Both ends agree on it: detection alone may miss an announcement that arrives in pieces.
    fn switch(&self, connection: &mut AsyncConnection) {
        let Some((compression, sends)) = &self.compression else { return };
        let switched = if *sends {
            connection.transport().set_compression(compression.clone())
        } else {
            connection.expect_compression(Decompression::from(compression.format))
        };
        // The connection may have been lost, which the next write reports.
        if let Some(error) = switched.err().filter(|_| connection.transport().is_connected()) {
            self.complain(format!("no compression: {error}"));
        }
    }

    fn took(&self, count: usize) {
        self.written.set(self.written.get() + count as u64);
        if count == 0 {
            self.complain("a write took nothing");
        }
        if let Some(transport) = self.transport().filter(|_| !self.tls && self.compression.is_none()) {
            let (unsent, (_, high)) = (transport.unsent(), transport.write_buffer_limits());
            if unsent > high {
                self.complain(format!("{unsent} bytes are unsent after a write, {high} are high"));
            }
        }
    }

    /// Writes all of some bytes, like `write_all`.
    async fn write_some(&self, chance: &mut Chance, size: u64) -> io::Result<()> {
        let mut left = &plan::bytes(self.stream, self.written.get(), chance.size(size) as usize)[..];
        while !left.is_empty() {
            let count = self.on(|connection, context| connection.poll_write(context, left)).await?;
            self.took(count);
            left = &left[count..];
        }
        Ok(())
    }

    async fn write_pieces(&self, chance: &mut Chance, size: u64) -> io::Result<()> {
        let bytes = plan::bytes(self.stream, self.written.get(), chance.size(size) as usize);
        let pieces: Vec<&[u8]> = bytes.chunks(1 + chance.size(size) as usize).collect();
        let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        slices.insert(chance.below(slices.len() as u64 + 1) as usize, IoSlice::new(b""));
        let count = self.on(|connection, context| connection.poll_write_vectored(context, &slices)).await?;
        self.took(count);
        Ok(())
    }

    /// Polls a write once or for some time, then drops it: what it has not taken is not written.
    async fn give_up_writing(&self, chance: &mut Chance, size: u64) -> io::Result<()> {
        let bytes = plan::bytes(self.stream, self.written.get(), chance.size(size) as usize);
        let writing = self.on(|connection, context| connection.poll_write(context, &bytes));
        let written = if chance.one_in(2) {
            poll_once(writing).await
        } else {
            let (reactor, patience) = (&self.reactor, chance.wait(Duration::from_millis(300)));
            or(async { Some(writing.await) }, async { reactor.sleep(patience).await.map_or(None, |()| None) }).await
        };
        written.transpose()?.into_iter().for_each(|count| self.took(count));
        Ok(())
    }

    /// After a complete flush nothing is unsent; a flush may also be cancelled.
    async fn flush(&self, chance: &mut Chance) -> io::Result<()> {
        let flushing = self.on(|connection, context| connection.poll_flush(context));
        if chance.one_in(4) {
            return poll_once(flushing).await.unwrap_or(Ok(()));
        }
        flushing.await?;
        // TLS itself may have something to send, in answer to what arrives.
        if let Some(unsent) = self.transport().map(|transport| transport.unsent()).filter(|unsent| *unsent > 0 && !self.tls) {
            self.complain(format!("{unsent} bytes are unsent after a flush"));
        }
        Ok(())
    }

    async fn close(&self, chance: &mut Chance) {
        if self.connection.borrow().is_none() {
            return;
        }
        self.closed.set(true);
        let closing = self.on(|connection, context| connection.poll_close(context));
        if chance.one_in(5) {
            // Begun, then dropped in one way or another.
            poll_once(closing).await;
            if chance.one_in(2) {
                self.let_go();
            }
            return;
        }
        if let Err(error) = closing.await {
            return self.fail("a close", &error);
        }
        if self.transport().is_some_and(|transport| transport.unsent() > 0) {
            self.complain("closed, and not everything is sent");
        }
        match self.on(|connection, context| connection.poll_write(context, b"more")).await {
            Err(error)
                if error.kind() == ErrorKind::BrokenPipe && error.get_ref().is_some_and(|inner| !inner.is::<ReasonText>()) => {}
            Err(error) => self.fail("a write after the end", &error),
            Ok(count) => self.complain(format!("{count} bytes were taken after the end")),
        }
    }

    /// Leaves in the middle: drops, aborts, or ends the whole program.
    async fn leave(&self, chance: &mut Chance) {
        match chance.below(4) {
            0 if self.reactor.stop().is_ok() => self.aborted.set(true),
            1 => {
                self.aborted.set(true);
                self.transport().iter().for_each(Transport::abort_connection);
            }
            2 => return self.close(chance).await,
            _ => self.let_go(),
        }
    }
}
