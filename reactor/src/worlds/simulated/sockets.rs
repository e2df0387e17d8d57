//! The simulated world, as one host's program sees it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::address::Address;
use crate::backend::{
    Backend, Command, DatagramOptions, Datagrams, Descriptor, Direction, Job, ListenOptions, Listener, PeerCredentials, Resolved,
    Signal, SocketOptions, Spawned, Stream, TcpOptions, Token, UnixSocket, Wake, Wakeups,
};
use crate::panic::catch;
use crate::report::report_error;

use super::datagrams::SimulatedDatagrams;
use super::link::{End, LinkId, Medium, Side, Stage};
use super::network::Network;
use super::process::{Descriptors, StandardStreams};
use super::queue::Happening;
use super::world::World;

/// EMFILE, which has no `ErrorKind`.
const OUT_OF_DESCRIPTORS: i32 = if cfg!(windows) { 10024 } else { 24 };

/// The backend of one host's program.
pub(super) struct HostBackend {
    world: Rc<World>,
    host: usize,
    waker: Arc<Flag>,
    /// The streams its program was started with, if it is a process.
    descriptors: Rc<Descriptors>,
}

impl HostBackend {
    pub(super) fn new(world: Rc<World>, host: usize, descriptors: Rc<Descriptors>) -> Self {
        let waker = Arc::new(Flag { set: AtomicBool::new(false), any: Arc::clone(&world.called) });
        Self { world, host, waker, descriptors }
    }
}

impl Backend for HostBackend {
    fn now(&self) -> Duration {
        self.world.now()
    }

    fn poll(&self, timeout: Option<Duration>, wakeups: &mut Wakeups) -> io::Result<()> {
        if timeout != Some(Duration::ZERO) && !self.waker.is_set() && !self.world.is_scripted() {
            self.world.advance_for(self.host, timeout, &self.waker)?;
        }
        self.waker.clear();
        self.world.network.borrow_mut().take_ready(self.host, wakeups);
        Ok(())
    }

    fn nudge(&self) {
        self.world.network.borrow_mut().stir(self.host);
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::<Flag>::clone(&self.waker)
    }

    fn listen(&self, address: &Address, options: ListenOptions) -> io::Result<Box<dyn Listener>> {
        let id = self.world.network.borrow_mut().listen(self.host, address, options)?;
        Ok(Box::new(SimulatedListener { world: Rc::clone(&self.world), id }))
    }

    fn connect(&self, address: &Address, from: Option<SocketAddr>, _: SocketOptions) -> io::Result<Box<dyn Stream>> {
        if self.world.network.borrow().is_out_of_descriptors(self.host) {
            return Err(io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS));
        }
        let id = self.world.network.borrow_mut().connect(self.host, address, from)?;
        Ok(Box::new(SimulatedStream::new(&self.world, self.host, id, Side::Client)))
    }

    fn bind_datagram(&self, address: &Address, options: DatagramOptions) -> io::Result<Box<dyn Datagrams>> {
        Ok(Box::new(SimulatedDatagrams::bind(&self.world, self.host, address, options)?))
    }

    fn standard_io(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(StandardStreams::take(&self.descriptors)?))
    }

    fn spawn(&self, command: &Command) -> io::Result<Spawned> {
        self.world.spawn(self.host, command)
    }

    fn resolve(&self, name: String, resolved: Resolved) {
        let network = &mut *self.world.network.borrow_mut();
        let time = network.now() + network.rng.duration(&network.faults.lookup);
        let found = network.look_up(&name);
        network.queue.push(time, Happening::Call(Box::new(|| resolved(found))));
    }

    fn run_in_thread(&self, job: Job) {
        let network = &mut *self.world.network.borrow_mut();
        let time = network.now() + network.rng.duration(&network.faults.job);
        let job = || {
            if let Err(panic) = catch(job) {
                report_error("thread pool job", format_args!("a job of the thread pool {panic}"));
            }
        };
        network.queue.push(time, Happening::Call(Box::new(job)));
    }

    fn open_streams(&self) -> usize {
        self.world.network.borrow().streams(self.host)
    }

    fn descriptor_limit(&self) -> Option<usize> {
        Some(self.world.network.borrow().faults.descriptors).filter(|limit| *limit < usize::MAX)
    }

    fn random(&self) -> u64 {
        self.world.network.borrow_mut().random(self.host)
    }

    fn watch_signals(&self, signals: &[Signal]) -> io::Result<()> {
        self.world.network.borrow_mut().watch_signals(self.host, signals);
        Ok(())
    }
}

/// Ends a wait. Real threads set it too, so that their calls into a simulated reactor are not lost.
pub(super) struct Flag {
    set: AtomicBool,
    /// Set together with each flag of the world.
    any: Arc<AtomicBool>,
}

impl Flag {
    pub(super) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    fn clear(&self) {
        self.set.store(false, Ordering::Release);
    }
}

impl Wake for Flag {
    fn wake(&self) {
        self.set.store(true, Ordering::Release);
        self.any.store(true, Ordering::Release);
    }
}

pub(super) struct SimulatedStream {
    world: Rc<World>,
    id: LinkId,
    side: Side,
    medium: Medium,
    direction: Direction,
}

impl SimulatedStream {
    fn new(world: &Rc<World>, host: usize, id: LinkId, side: Side) -> Self {
        let mut network = world.network.borrow_mut();
        network.add_stream(host);
        let link = network.links.get(&id);
        let (medium, direction) = link.map_or((Medium::Network, Direction::Both), |link| (link.medium, link.end(side).direction));
        drop(network);
        Self { world: Rc::clone(world), id, side, medium, direction }
    }

    /// Two connected streams without addresses, for the programs of `hosts`: a UNIX socket pair or, if the first only writes or
    /// only reads, a pipe. Nothing is lost between them, and each holds as much as its buffers do.
    pub(super) fn pair(world: &Rc<World>, hosts: [usize; 2], direction: Direction) -> [Self; 2] {
        let id = world.network.borrow_mut().add_pair(hosts, direction);
        [(hosts[0], Side::Client), (hosts[1], Side::Server)].map(|(host, side)| Self::new(world, host, id, side))
    }

    /// Makes readiness reported under `token`.
    pub(super) fn watch(&self, token: Token) -> io::Result<()> {
        self.with_end(|end| end.token = Some(token))?;
        self.network().wake(self.id, self.side);
        Ok(())
    }

    /// Writes everything, as a program that blocks.
    pub(super) fn write_all(&self, data: &[u8]) {
        self.network().write_all(self.id, self.side, data);
    }

    /// The socket in the network; it exists until this is dropped or the simulation ends.
    fn with_end<T>(&self, look: impl FnOnce(&mut End) -> T) -> io::Result<T> {
        Ok(look(self.network().end(self.id, self.side).ok_or(ErrorKind::NotConnected)?))
    }

    fn network(&self) -> std::cell::RefMut<'_, Network> {
        self.world.network.borrow_mut()
    }
}

impl Stream for SimulatedStream {
    fn direction(&self) -> Direction {
        self.direction
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.watch(token)
    }

    fn is_connected(&self) -> io::Result<bool> {
        self.with_end(|end| match end.error.take() {
            Some(kind) => Err(kind.into()),
            None => Ok(end.stage == Stage::Open && !end.is_finished()),
        })?
    }

    fn short_io_ends_edge(&self) -> bool {
        self.with_end(|end| end.reported.is_none()).unwrap_or(true)
    }

    fn pause(&self) {}

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.network().read(self.id, self.side, buffer)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.network().write(self.id, self.side, data)
    }

    fn unacknowledged(&self) -> Option<usize> {
        match self.medium {
            Medium::Network => self.with_end(|end| end.unacknowledged()).ok(),
            // Written bytes are the peer's at once.
            Medium::Machine => Some(0),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.network().shutdown_write(self.id, self.side)
    }

    fn reset_on_close(&self) -> io::Result<()> {
        match self.medium {
            Medium::Network => self.with_end(|end| end.reset_on_close = true),
            Medium::Machine => Err(ErrorKind::Unsupported.into()),
        }
    }

    fn lingers(&self) -> bool {
        self.direction == Direction::Both
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.with_end(|end| end.error.take().map(io::Error::from))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.with_end(|end| end.local.clone())
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        Err(io::Error::new(ErrorKind::Unsupported, "a simulated socket has no descriptor"))
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        (self.medium == Medium::Network).then_some(self as &dyn TcpOptions)
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        (self.medium == Medium::Machine && self.direction == Direction::Both).then_some(self as &dyn UnixSocket)
    }
}

impl TcpOptions for SimulatedStream {
    fn nodelay(&self) -> io::Result<bool> {
        self.with_end(|end| end.nodelay)
    }

    fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.with_end(|end| end.nodelay = on)
    }

    fn keepalive(&self) -> io::Result<bool> {
        self.with_end(|end| end.keepalive)
    }

    fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.with_end(|end| end.keepalive = on)
    }
}

impl UnixSocket for SimulatedStream {
    /// Each program is a process of its own, run by the superuser.
    fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        let network = self.network();
        let peer = network.links.get(&self.id).ok_or(ErrorKind::NotConnected)?.end(self.side.other());
        let pid = u32::try_from(peer.host).unwrap_or(u32::MAX).saturating_add(1);
        Ok(PeerCredentials { pid, uid: 0, gid: 0 })
    }

    fn send_descriptor(&self, descriptor: Descriptor) -> io::Result<()> {
        self.with_end(|end| end.passing.queue(descriptor))?
    }

    fn set_descriptor_limit(&self, limit: usize) {
        // The end is missing only if nothing can arrive.
        self.with_end(|end| end.passing.limit = limit).ok();
    }

    fn take_descriptor(&self) -> Option<Descriptor> {
        self.with_end(|end| end.passing.take()).ok()?
    }

    fn was_cut_short(&self) -> bool {
        self.with_end(|end| end.passing.cut_short).unwrap_or(false)
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        self.network().close(self.id, self.side);
    }
}

struct SimulatedListener {
    world: Rc<World>,
    id: u64,
}

impl SimulatedListener {
    fn next(&self) -> io::Result<(SimulatedStream, Address)> {
        let mut network = self.world.network.borrow_mut();
        let listener = network.listeners.get_mut(&self.id).ok_or(ErrorKind::NotConnected)?;
        let id = listener.waiting.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let server = &network.links.get(&id).ok_or(ErrorKind::ConnectionAborted)?.server;
        let (host, peer) = (server.host, server.remote.clone());
        drop(network);
        Ok((SimulatedStream::new(&self.world, host, id, Side::Server), peer))
    }
}

impl Listener for SimulatedListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        let mut network = self.world.network.borrow_mut();
        network.listeners.get_mut(&self.id).ok_or(ErrorKind::NotConnected)?.token = Some(token);
        network.wake_listener(self.id);
        Ok(())
    }

    fn accept(&self) -> io::Result<(Box<dyn Stream>, Address)> {
        let (full, aborted) = {
            let network = &mut *self.world.network.borrow_mut();
            if let Some(error) = network.script.as_mut().and_then(|script| script.accept_error.take()) {
                return Err(error);
            }
            let listener = network.listeners.get(&self.id).ok_or(ErrorKind::NotConnected)?;
            if listener.waiting.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            let out = network.is_out_of_descriptors(listener.host);
            let full = network.rng.chance(network.faults.accept_out_of_descriptors) || out;
            (full, network.rng.chance(network.faults.accept_aborted))
        };
        if full {
            return Err(io::Error::new(ErrorKind::QuotaExceeded, io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS)));
        }
        let (stream, peer) = self.next()?;
        if aborted && stream.medium == Medium::Network {
            stream.reset_on_close()?;
            return Err(ErrorKind::ConnectionAborted.into());
        }
        Ok((Box::new(stream), peer))
    }

    fn refuse(&self) -> io::Result<()> {
        self.next().map(drop)
    }

    fn local_address(&self) -> io::Result<Address> {
        let network = self.world.network.borrow();
        Ok(network.listeners.get(&self.id).ok_or(ErrorKind::NotConnected)?.address.clone())
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        Err(io::Error::new(ErrorKind::Unsupported, "a simulated socket has no descriptor"))
    }
}

impl Drop for SimulatedListener {
    fn drop(&mut self) {
        let mut network = self.world.network.borrow_mut();
        if let Some((host, address)) =
            network.listeners.get(&self.id).map(|listening| (listening.host, listening.address.clone()))
        {
            network.remove_socket_file(host, &address);
        }
        network.close_listener(self.id);
    }
}
