//! A request of an HTTP/2 connection, while it is answered.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use hyper::body::{Body, Buf, Bytes, Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use torsade::Reactor;
use torsade::spi::catch;

use super::connections::Open;
use super::logging::Chain;

/// How much of an answer hyper is given at a time: a longer piece would leave here at once, and whether the client takes it could
/// not be seen.
const PIECE: usize = 64 << 10;

/// A request being answered.
pub(super) struct Stream {
    open: Rc<Open>,
    key: usize,
    /// When a piece of the answer was passed to hyper; `None` once hyper has asked for another, as it does when the client's
    /// window allows more.
    given: Cell<Option<Duration>>,
    stalled: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Stream {
    pub(super) fn begin(open: &Rc<Open>) -> Rc<Self> {
        Rc::new_cyclic(|stream| Self {
            open: Rc::clone(open),
            key: open.add_stream(stream.clone()),
            given: Cell::new(None),
            stalled: Cell::new(false),
            waker: RefCell::default(),
        })
    }

    /// Ends it if the client has allowed no more of the answer since `then`.
    pub(super) fn check(&self, then: Duration) {
        if self.given.get().is_some_and(|given| given <= then) {
            self.stalled.set(true);
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    /// Returns whether the client was found to take none of the answer; otherwise wakes `context` when it is.
    fn poll_stalled(&self, context: &Context<'_>) -> bool {
        if self.stalled.get() {
            log::debug!("HTTP/2 stream of {}: the peer does not read the response", self.open.transport().peer());
            return true;
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        false
    }
}

pin_project! {
    /// Answers a request until the client is found to take none of the answer: dropping the answer then resets the stream.
    struct UntilStalled<F> {
        #[pin]
        answering: F,
        stream: Option<Rc<Stream>>,
    }
}

impl<F: Future<Output = ()>> Future for UntilStalled<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let Some(stream) = this.stream else { return this.answering.poll(context) };
        if stream.poll_stalled(context) {
            return Poll::Ready(());
        }
        catch(|| this.answering.poll(context)).unwrap_or_else(|panic| {
            log::error!("the HTTP service failed for {}: {panic}", stream.open.transport().peer());
            Poll::Ready(())
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.open.remove_stream(self.key);
    }
}

/// Runs the answers of the requests of an HTTP/2 connection, each as a task: a panic ends only that request.
#[derive(Clone)]
pub(super) struct Streams {
    reactor: Reactor,
    /// The stream whose request was just passed to the service: hyper executes its answer next.
    next: Rc<RefCell<Option<Rc<Stream>>>>,
}

impl Streams {
    pub(super) fn new(reactor: &Reactor) -> Self {
        Self { reactor: reactor.clone(), next: Rc::default() }
    }

    pub(super) fn begin(&self, open: &Rc<Open>) -> Rc<Stream> {
        let stream = Stream::begin(open);
        self.next.replace(Some(Rc::clone(&stream)));
        stream
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        self.reactor.execute(UntilStalled { answering: future, stream: self.next.take() });
    }
}

pin_project! {
    /// The body of an answer, in pieces of limited length.
    pub(super) struct Pieces<B> {
        #[pin]
        body: B,
        // The rest of a piece that was too long.
        rest: Bytes,
        stream: Rc<Stream>,
    }
}

impl<B> Pieces<B> {
    pub(super) const fn new(body: B, stream: Rc<Stream>) -> Self {
        Self { body, rest: Bytes::new(), stream }
    }
}

impl<B> Body for Pieces<B>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let (rest, stream) = (this.rest, this.stream);
        stream.given.set(None);
        if rest.is_empty() {
            match ready!(this.body.poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Ok(frame)) => match frame.map_data(|mut data| data.copy_to_bytes(data.remaining())).into_data() {
                    Ok(data) => *rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Some(Err(error)) => {
                    let error = error.into();
                    log::error!("an HTTP response to {} broke off: {}", stream.open.transport().peer(), Chain(&*error));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        stream.given.set(Some(stream.open.now()));
        let count = rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(rest.split_to(count)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // hyper asks before it takes the first piece.
        self.body.size_hint()
    }
}
