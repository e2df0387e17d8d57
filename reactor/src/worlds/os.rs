//! The real world: mio's poll, the system's clock, getaddrinfo on threads.

#[cfg(unix)]
mod child;
#[cfg(unix)]
mod child_exit;
mod datagrams;
#[cfg(unix)]
mod descriptor;
#[cfg(unix)]
mod descriptor_stream;
mod listener;
#[cfg(all(unix, feature = "systemd"))]
mod passed_sockets;
#[cfg(unix)]
mod passing;
#[cfg(unix)]
mod pooled_descriptor;
#[cfg(unix)]
mod reports;
#[cfg(target_os = "linux")]
mod send_queue;
#[cfg(target_os = "linux")]
mod sending_files;
#[cfg_attr(not(unix), path = "os/no_signals.rs")]
mod signals;
#[cfg(unix)]
mod socket_file;
#[cfg(unix)]
mod spawning;
#[cfg(unix)]
mod standard_io;
mod stopwatch;
mod stream;
mod tcp_socket;
mod thread_pool;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod unix_datagrams;
#[cfg(unix)]
mod unix_name;

use std::cell::RefCell;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::ops::Deref;
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Event;
#[cfg(unix)]
use mio::unix::SourceFd;

use crate::address::Address;
#[cfg(unix)]
use crate::backend::Interest;
use crate::backend::{
    Backend, Command, DatagramOptions, Datagrams, Descriptor, Inherited, Job, ListenOptions, Listener, PassedSocket, Ready,
    Resolved, Signal, SocketDomain, SocketOptions, Spawned, Stream, Token, Wake, Wakeups, no_link,
};
use crate::report::report_error;

use datagrams::OsUdp;
pub use listener::reuse_port_listener;
use listener::{ListeningSocket, ListeningTcp, OsListener};
#[cfg(unix)]
use reports::Reports;
use signals::SignalThread;
use stopwatch::Stopwatch;
use stream::OsStream;
use thread_pool::ThreadPool;

/// A token that the source table never uses, because it leaves out the highest generations.
const WAKER: mio::Token = mio::Token(usize::MAX);

/// The initial maximum of events per poll; doubled whenever a poll reaches it.
const EVENTS: usize = 256;

pub(crate) struct Os {
    poll: RefCell<(mio::Poll, mio::Events)>,
    registry: Rc<Registry>,
    waker: Arc<mio::Waker>,
    signals: RefCell<Option<SignalThread>>,
    threads: Rc<ThreadPool>,
    reserve: Rc<Reserve>,
    begin: Instant,
    laps: Stopwatch,
}

impl Os {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        let registry = Rc::new(Registry {
            poll: poll.registry().try_clone()?,
            process: std::process::id(),
            #[cfg(unix)]
            reports: Arc::new(Reports::new(Arc::clone(&waker))),
        });
        let reserve = Rc::new(Reserve(RefCell::new(None)));
        reserve.refill();
        Ok(Self {
            poll: RefCell::new((poll, mio::Events::with_capacity(EVENTS))),
            registry,
            waker,
            signals: RefCell::default(),
            threads: Rc::default(),
            reserve,
            begin: Instant::now(),
            laps: Stopwatch::new(),
        })
    }
}

impl Os {
    fn listen_with(&self, socket: impl ListeningSocket + 'static) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(OsListener::new(socket, Rc::clone(&self.registry), Rc::clone(&self.reserve))))
    }
}

impl Backend for Os {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn lap(&self, longest: Duration) -> Option<Duration> {
        self.laps.lap(longest)
    }

    fn poll(&self, timeout: Option<Duration>, wakeups: &mut Wakeups) -> io::Result<()> {
        let (poll, events) = &mut *self.poll.borrow_mut();
        match poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let mut count = 0;
        for event in events.iter() {
            count += 1;
            match event.token() {
                WAKER => {
                    if let Some(signals) = &*self.signals.borrow() {
                        wakeups.signals.extend(signals.take());
                    }
                    #[cfg(unix)]
                    self.registry.reports.take(&mut wakeups.ready);
                }
                token => wakeups.ready.push((Token::from_usize(token.0), readiness(event))),
            }
        }
        self.laps.begin();
        if count >= events.capacity() {
            *events = mio::Events::with_capacity(2 * count);
        }
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::<mio::Waker>::clone(&self.waker)
    }

    fn listen(&self, address: &Address, options: ListenOptions) -> io::Result<Box<dyn Listener>> {
        #[cfg(unix)]
        if let Address::Unix(name) = address {
            return self.listen_with(unix::ListeningUnix::bind(name, options)?);
        }
        self.listen_with(ListeningTcp::bind(address.to_tcp()?, options)?)
    }

    fn adopt(&self, listener: Inherited, options: SocketOptions) -> io::Result<Box<dyn Listener>> {
        match listener {
            Inherited::Tcp(listener) => self.listen_with(ListeningTcp::adopt(listener, options)?),
            #[cfg(unix)]
            Inherited::Unix(listener) => self.listen_with(unix::ListeningUnix::adopt(listener, None)?),
        }
    }

    #[cfg(all(unix, feature = "systemd"))]
    fn take_passed(&self, socket: &PassedSocket, domain: Option<SocketDomain>) -> io::Result<Inherited> {
        passed_sockets::take(socket, domain)
    }

    #[cfg(not(all(unix, feature = "systemd")))]
    fn take_passed(&self, socket: &PassedSocket, _: Option<SocketDomain>) -> io::Result<Inherited> {
        let text = format!("{socket} cannot be taken: build torsade with the feature `systemd`, on a UNIX system");
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    #[cfg(unix)]
    fn adopt_stream(&self, socket: Descriptor) -> io::Result<(Box<dyn Stream>, Address)> {
        unix::adopt_stream(socket, &self.registry)
    }

    fn connect(&self, address: &Address, from: Option<SocketAddr>, options: SocketOptions) -> io::Result<Box<dyn Stream>> {
        #[cfg(unix)]
        if let Address::Unix(name) = address {
            return Ok(Box::new(unix::UnixStream::connect(name, Rc::clone(&self.registry))?));
        }
        let socket = tcp_socket::connect(address.to_tcp()?, from, &options)?;
        // This fails only if the attempt has failed, which is reported later.
        socket.set_nodelay(true).ok();
        Ok(Box::new(OsStream::new(socket, Rc::clone(&self.registry))))
    }

    fn bind_datagram(&self, address: &Address, options: DatagramOptions) -> io::Result<Box<dyn Datagrams>> {
        match address {
            Address::Udp(address) => Ok(Box::new(OsUdp::bind(*address, options, Rc::clone(&self.registry))?)),
            #[cfg(unix)]
            Address::Unix(_) | Address::Unnamed => {
                Ok(Box::new(unix_datagrams::UnixDatagrams::bind(address, options, Rc::clone(&self.registry))?))
            }
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, format!("datagrams cannot be sent to {address} on this system"))),
        }
    }

    fn adopt_datagram(&self, socket: UdpSocket) -> io::Result<Box<dyn Datagrams>> {
        Ok(Box::new(OsUdp::adopt(socket, Rc::clone(&self.registry))?))
    }

    #[cfg(unix)]
    fn standard_io(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(standard_io::open(&self.registry, &self.threads)?))
    }

    #[cfg(not(unix))]
    fn standard_io(&self) -> io::Result<Box<dyn Stream>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system cannot wait for standard input"))
    }

    #[cfg(unix)]
    fn spawn(&self, command: &Command) -> io::Result<Spawned> {
        spawning::spawn(command, &self.registry)
    }

    #[cfg(not(unix))]
    fn spawn(&self, _: &Command) -> io::Result<Spawned> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this system cannot wait for pipes"))
    }

    /// The one function for interface names that exists on every system. Numbers are not looked up, so it does not block.
    fn link_number(&self, name: &str) -> io::Result<u32> {
        let found = (format!("fe80::%{name}").as_str(), 0).to_socket_addrs().ok().and_then(|mut found| found.next());
        match found {
            Some(SocketAddr::V6(address)) => Ok(address.scope_id()),
            _ => Err(no_link(name)),
        }
    }

    fn resolve(&self, name: String, resolved: Resolved) {
        look_up(name, resolved);
    }

    fn run_in_thread(&self, job: Job) {
        self.threads.run(job);
    }

    fn suggest_thread_pool_size(&self, threads: usize) {
        self.threads.set_limit(threads);
    }

    fn open_streams(&self) -> usize {
        stream::open_streams()
    }

    #[cfg(unix)]
    fn descriptor_limit(&self) -> Option<usize> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
        usize::try_from(limit).ok()
    }

    #[cfg(not(unix))]
    fn descriptor_limit(&self) -> Option<usize> {
        None
    }

    fn random(&self) -> u64 {
        // The standard library seeds the first state of a thread from the system, and each state has other keys.
        RandomState::new().hash_one(0)
    }

    #[cfg(unix)]
    fn watch_descriptor(&self, descriptor: BorrowedFd<'_>, token: Token, interest: Interest, again: bool) -> io::Result<()> {
        let (number, token) = (descriptor.as_raw_fd(), mio::Token(token.to_usize()));
        let interest = match interest {
            Interest::Readable => mio::Interest::READABLE,
            Interest::Writable => mio::Interest::WRITABLE,
            Interest::Both => mio::Interest::READABLE | mio::Interest::WRITABLE,
        };
        if again {
            self.registry.reregister(&mut SourceFd(&number), token, interest)
        } else {
            self.registry.register(&mut SourceFd(&number), token, interest)
        }
    }

    #[cfg(unix)]
    fn forget_descriptor(&self, descriptor: BorrowedFd<'_>) {
        if !self.registry.is_forked() {
            // This fails if the descriptor was closed; then it is already deregistered.
            self.registry.deregister(&mut SourceFd(&descriptor.as_raw_fd())).ok();
        }
    }

    fn watch_signals(&self, signals: &[Signal]) -> io::Result<()> {
        let mut thread = self.signals.borrow_mut();
        if signals.is_empty() {
            *thread = None;
            return Ok(());
        }
        if self.registry.is_forked() {
            let text =
                "this process was forked from the one that made the reactor, and would take its events: make a new reactor";
            return Err(io::Error::other(text));
        }
        let thread = match &mut *thread {
            Some(thread) => thread,
            none => none.insert(SignalThread::new(Arc::clone(&self.waker))?),
        };
        thread.watch(signals)
    }
}

/// Looks up a name on a thread of its own, so that the half minute it may take holds up nothing else.
fn look_up(name: String, resolved: Resolved) {
    // `resolved` is passed once the thread exists, so that it can be called with an error otherwise.
    let (give, given) = mpsc::channel::<Resolved>();
    let work = move || {
        if let Ok(resolved) = given.recv() {
            resolved((name.as_str(), 0).to_socket_addrs().map(Iterator::collect));
        }
    };
    match thread::Builder::new().name("torsade-look-up".to_owned()).spawn(work) {
        // The thread is waiting for this.
        Ok(_) => drop(give.send(resolved)),
        Err(error) => resolved(Err(error)),
    }
}

/// A duplicate of a socket's descriptor.
#[cfg(unix)]
fn copy_descriptor(socket: &impl AsFd) -> io::Result<Descriptor> {
    socket.as_fd().try_clone_to_owned()
}

#[cfg(not(unix))]
fn copy_descriptor<S>(_: &S) -> io::Result<Descriptor> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the sockets of this system are not descriptors"))
}

/// Where sockets are registered, and by which process.
///
/// A forked process shares the poll: if it deregistered its copy of a socket, that would deregister it for both.
struct Registry {
    poll: mio::Registry,
    process: u32,
    #[cfg(unix)]
    reports: Arc<Reports>,
}

impl Registry {
    fn is_forked(&self) -> bool {
        std::process::id() != self.process
    }
}

impl Deref for Registry {
    type Target = mio::Registry;

    fn deref(&self) -> &mio::Registry {
        &self.poll
    }
}

impl Wake for mio::Waker {
    fn wake(&self) {
        if let Err(error) = Self::wake(self) {
            report_error("wake", format_args!("waking the reactor failed: {error}"));
        }
    }
}

fn readiness(event: &Event) -> Ready {
    let flags = [
        (event.is_readable(), Ready::READABLE),
        // For a full pipe that has lost its reader the system reports only the error: writing finds it.
        (event.is_writable() || event.is_write_closed(), Ready::WRITABLE),
        (event.is_read_closed(), Ready::READ_CLOSED),
        (event.is_error(), Ready::ERROR),
    ];
    flags.into_iter().filter(|(set, _)| *set).fold(Ready::NONE, |ready, (_, flag)| ready | flag)
}

/// A spare descriptor, closed to refuse a connection when no descriptor is left to accept it with. Where sockets are not
/// descriptors there is none.
struct Reserve(RefCell<Option<File>>);

impl Reserve {
    fn release(&self) -> bool {
        self.0.borrow_mut().take().is_some()
    }

    fn refill(&self) {
        if cfg!(unix) && self.0.borrow().is_none() {
            *self.0.borrow_mut() = File::open("/dev/null").ok();
        }
    }
}
