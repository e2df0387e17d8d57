//! What all connections of one reactor share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use torsade_protocols::spi::Turn;
use torsade_reactor::Reactor;

use crate::compression::{EncoderPool, SharedPool};
use crate::connection::LingeringSockets;
use crate::connection::buffers::Buffers;

/// The most bytes that one connection reads, and that are decompressed for it, per turn.
pub(crate) const READ_SIZE: usize = 65_536;

/// The default number of unsent bytes at which a connection is congested.
pub(crate) const HIGH_WATERMARK: usize = 64 << 10;

/// The buffers and encoders of one reactor. An idle connection has none of its own.
pub(crate) struct Shared {
    pub(crate) reactor: Reactor,
    pub(crate) read_buffer: RefCell<Box<[u8]>>,
    /// The output of layers for the bytes that were read.
    plain_buffer: Cell<Vec<u8>>,
    pub(crate) encoders: SharedPool,
    pub(crate) lingering: RefCell<LingeringSockets>,
    /// The connections' shares of a turn.
    pub(crate) turn: Rc<Turn>,
    /// For unsent output.
    pub(crate) buffers: Buffers,
    last_id: Cell<u64>,
}

impl Shared {
    /// The shared values of this reactor.
    pub(crate) fn of(reactor: &Reactor) -> Rc<Self> {
        reactor.local(|reactor| Self {
            reactor: reactor.clone(),
            read_buffer: RefCell::new(vec![0; READ_SIZE].into_boxed_slice()),
            plain_buffer: Cell::default(),
            encoders: EncoderPool::of(reactor),
            lingering: RefCell::default(),
            turn: Rc::default(),
            buffers: Buffers::default(),
            last_id: Cell::new(0),
        })
    }

    /// A number for the next connection.
    pub(crate) fn next_id(&self) -> u64 {
        self.last_id.set(self.last_id.get() + 1);
        self.last_id.get()
    }

    /// An empty buffer for the output of layers. There is a second one only while the first is in use: when a connection delivers
    /// to another one above it.
    pub(crate) fn take_plain_buffer(&self) -> Vec<u8> {
        self.plain_buffer.take()
    }

    pub(crate) fn give_plain_buffer(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.plain_buffer.set(buffer);
    }
}
