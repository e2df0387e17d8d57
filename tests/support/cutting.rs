//! An operating system whose reads and writes take less than they could.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use torsade::spi::{
    Backend, Datagrams, Direction, Job, Listener, Ready, Resolved, Spawned, Stream, TcpOptions, Token, UnixSocket, Wake, Wakeups,
};
use torsade::{Address, Command, DatagramOptions, Descriptor, ListenOptions, Reactor, Signal, SocketOptions};

/// How many reads, and how many writes, of each socket are cut to a few bytes: a handshake and what follows it. All others are
/// cut less, so that megabytes pass in time.
const SMALL: u64 = 400;

/// A reactor whose sockets are cut.
pub fn reactor() -> Reactor {
    let inner = Reactor::new().expect("a reactor");
    Reactor::with_backend(Rc::new(Cutting { inner, owed: Rc::default() }))
}

/// What has to be reported at the next poll: a caller that got less than there was thinks it got everything, and waits.
type Owed = Rc<RefCell<Vec<(Token, Ready)>>>;

struct Cutting {
    /// Never turned: only its backend is used.
    inner: Reactor,
    owed: Owed,
}

impl Cutting {
    fn cut(&self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        cut(stream, &self.owed)
    }
}

fn cut(stream: Box<dyn Stream>, owed: &Owed) -> Box<dyn Stream> {
    Box::new(CutStream { stream, token: None, owed: Rc::clone(owed), reads: Cell::new(0), writes: Cell::new(0) })
}

impl Backend for Cutting {
    fn now(&self) -> Duration {
        self.inner.backend().now()
    }

    fn poll(&self, timeout: Option<Duration>, wakeups: &mut Wakeups) -> io::Result<()> {
        let owed = self.owed.take();
        self.inner.backend().poll(if owed.is_empty() { timeout } else { Some(Duration::ZERO) }, wakeups)?;
        wakeups.ready.extend(owed);
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.inner.backend().waker()
    }

    fn listen(&self, address: &Address, options: ListenOptions) -> io::Result<Box<dyn Listener>> {
        let listener = self.inner.backend().listen(address, options)?;
        Ok(Box::new(CutListener { listener, owed: Rc::clone(&self.owed) }))
    }

    fn connect(&self, address: &Address, from: Option<SocketAddr>, options: SocketOptions) -> io::Result<Box<dyn Stream>> {
        Ok(self.cut(self.inner.backend().connect(address, from, options)?))
    }

    fn bind_datagram(&self, address: &Address, options: DatagramOptions) -> io::Result<Box<dyn Datagrams>> {
        self.inner.backend().bind_datagram(address, options)
    }

    fn standard_io(&self) -> io::Result<Box<dyn Stream>> {
        self.inner.backend().standard_io()
    }

    fn spawn(&self, command: &Command) -> io::Result<Spawned> {
        let Spawned { child, streams } = self.inner.backend().spawn(command)?;
        let streams = streams.into_iter().map(|(descriptor, stream)| (descriptor, self.cut(stream))).collect();
        Ok(Spawned { child, streams })
    }

    fn resolve(&self, name: String, resolved: Resolved) {
        self.inner.backend().resolve(name, resolved);
    }

    fn run_in_thread(&self, job: Job) {
        self.inner.backend().run_in_thread(job);
    }

    fn open_streams(&self) -> usize {
        self.inner.backend().open_streams()
    }

    fn descriptor_limit(&self) -> Option<usize> {
        self.inner.backend().descriptor_limit()
    }

    fn random(&self) -> u64 {
        self.inner.backend().random()
    }

    fn watch_signals(&self, signals: &[Signal]) -> io::Result<()> {
        self.inner.backend().watch_signals(signals)
    }
}

struct CutListener {
    listener: Box<dyn Listener>,
    owed: Owed,
}

impl Listener for CutListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.listener.register(token)
    }

    fn accept(&self) -> io::Result<(Box<dyn Stream>, Address)> {
        let (stream, peer) = self.listener.accept()?;
        Ok((cut(stream, &self.owed), peer))
    }

    fn refuse(&self) -> io::Result<()> {
        self.listener.refuse()
    }

    fn local_address(&self) -> io::Result<Address> {
        self.listener.local_address()
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        self.listener.copy_descriptor()
    }
}

struct CutStream {
    stream: Box<dyn Stream>,
    token: Option<Token>,
    owed: Owed,
    reads: Cell<u64>,
    writes: Cell<u64>,
}

impl CutStream {
    /// How much of `length` the next read or write may take.
    fn limit(&self, count: &Cell<u64>, length: usize) -> usize {
        let number = count.replace(count.get() + 1);
        // Spread over all sizes, and the same in every run.
        let chance = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize;
        let most = if number < SMALL { 7 } else { 9000 };
        length.min(1 + chance % most)
    }

    /// Records that a call took all it was allowed, but less than it could have.
    fn owe(&self, count: usize, limit: usize, length: usize, ready: Ready) {
        if let Some(token) = self.token.filter(|_| count == limit && limit < length) {
            self.owed.borrow_mut().push((token, ready));
        }
    }
}

impl Stream for CutStream {
    fn direction(&self) -> Direction {
        self.stream.direction()
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = Some(token);
        self.stream.register(token)
    }

    fn is_connected(&self) -> io::Result<bool> {
        self.stream.is_connected()
    }

    fn short_io_ends_edge(&self) -> bool {
        self.stream.short_io_ends_edge()
    }

    fn pause(&self) {
        self.stream.pause();
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (length, limit) = (buffer.len(), self.limit(&self.reads, buffer.len()));
        let count = self.stream.read(&mut buffer[..limit])?;
        self.owe(count, limit, length, Ready::READABLE);
        Ok(count)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        let limit = self.limit(&self.writes, data.len());
        let count = self.stream.write(&data[..limit])?;
        self.owe(count, limit, data.len(), Ready::WRITABLE);
        Ok(count)
    }

    fn unacknowledged(&self) -> Option<usize> {
        self.stream.unacknowledged()
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown_write()
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.stream.reset_on_close()
    }

    fn lingers(&self) -> bool {
        self.stream.lingers()
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.take_error()
    }

    fn local_address(&self) -> io::Result<Address> {
        self.stream.local_address()
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        self.stream.copy_descriptor()
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        self.stream.tcp()
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        self.stream.unix()
    }
}
