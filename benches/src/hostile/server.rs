//! The server under attack.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use torsade::prelude::*;
use torsade::{AfterEnd, ReactorHandle};
use torsade_bench::cpu_seconds;

use super::input::Way;

/// A server in its own thread, stopped when dropped.
pub struct Server {
    /// Where hostile peers connect.
    pub hostile: SocketAddr,
    /// Where an echo is served.
    pub echo: SocketAddr,
    used: Arc<Used>,
    handle: ReactorHandle,
    thread: Option<JoinHandle<()>>,
}

/// What the server's thread has done: turns, nanoseconds of processor time, and polls of the tasks that yield.
#[derive(Default)]
struct Used {
    turns: AtomicU64,
    polls: AtomicU64,
    nanoseconds: AtomicU64,
}

/// These numbers at one moment.
#[derive(Clone, Copy)]
pub struct Moment {
    turns: u64,
    polls: u64,
    nanoseconds: u64,
}

impl Moment {
    /// Milliseconds of processor time per turn between two moments.
    pub fn turn_until(self, later: Self) -> f64 {
        (later.nanoseconds - self.nanoseconds) as f64 / 1e6 / (later.turns - self.turns).max(1) as f64
    }
}

impl Moment {
    /// How often tasks were polled between two moments.
    pub fn polls_until(self, later: Self) -> f64 {
        (later.polls - self.polls) as f64
    }
}

/// Yields for ever, and counts the polls.
async fn yield_for_ever(used: Arc<Used>) {
    poll_fn(|context| {
        used.polls.fetch_add(1, Ordering::Relaxed);
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    })
    .await;
}

/// Drops what it receives, decompressing it if it is a stream.
struct Sink(Option<&'static str>);

impl Protocol for Sink {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let Some(format) = self.0 else { return Ok(()) };
        let format: Format = format.parse()?;
        // Only work is limited: a peer that gives nothing would just reconnect.
        let options = Decompression::from(format).after_end(AfterEnd::NextStream).max_skipped(u64::MAX).max_ratio(None);
        Ok(transport.expect_compression::<Decompression>(options, b"")?)
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl LineProtocol for Sink {
    fn line_received(&mut self, _: &LineTransport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl StringProtocol for Sink {
    fn string_received(&mut self, _: &StringFrameTransport, _: &[u8]) -> Result {
        Ok(())
    }
}

fn listen(reactor: &Reactor, way: Way) -> Result<Port> {
    const ANY: &str = "127.0.0.1:0";
    Ok(match way {
        Way::Plain | Way::Beside(_) => reactor.listen_tcp(ANY, |_peer| Sink(None))?,
        Way::Lines => reactor.listen_tcp(ANY, |_peer| LineReceiver::new(Sink(None)))?,
        Way::Netstrings => reactor.listen_tcp(ANY, |_peer| NetstringReceiver::new(Sink(None)))?,
        Way::Stream(format) => reactor.listen_tcp(ANY, move |_peer| Sink(Some(format)))?,
        #[cfg(feature = "tls")]
        Way::Tls => {
            let own = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
            let own = PrivateCertificate::from_pem(own.cert.pem(), own.signing_key.serialize_pem())?;
            reactor.listen_tls(ANY, &TlsServerConfig::builder().certificate(own).build()?, |_peer| Sink(None))?
        }
    })
}

/// Records from time to time what the thread has used.
fn note(reactor: Reactor, used: Arc<Used>) {
    used.turns.store(reactor.turn_number(), Ordering::Relaxed);
    used.nanoseconds.store((cpu_seconds() * 1e9) as u64, Ordering::Relaxed);
    let again = reactor.clone();
    reactor.call_later(Duration::from_millis(1), move || note(again, used));
}

impl Server {
    pub fn start(way: Way) -> Result<Self> {
        let (tell, told) = channel();
        let used = Arc::<Used>::default();
        let noted = Arc::clone(&used);
        let thread = thread::spawn(move || {
            let run = || -> Result {
                let reactor = Reactor::new()?;
                let hostile = listen(&reactor, way)?;
                let echo = reactor.listen_tcp("127.0.0.1:0", |_peer| torsade::wire::Echo)?;
                if let (Address::Tcp(hostile), Address::Tcp(echo)) = (hostile.address(), echo.address()) {
                    tell.send((hostile, echo, reactor.handle()))?;
                }
                if let Way::Beside(tasks) = way {
                    (0..tasks).for_each(|_| drop(reactor.spawn(yield_for_ever(Arc::clone(&noted)))));
                }
                note(reactor.clone(), noted);
                reactor.run()
            };
            run().expect("a server");
        });
        let (hostile, echo, handle) = told.recv()?;
        Ok(Self { hostile, echo, used, handle, thread: Some(thread) })
    }

    pub fn used(&self) -> Moment {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Moment { turns: of(&self.used.turns), polls: of(&self.used.polls), nanoseconds: of(&self.used.nanoseconds) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.call_from_thread(|reactor| reactor.crash().unwrap_or(())).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
