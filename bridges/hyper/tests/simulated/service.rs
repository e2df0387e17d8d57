//! A service whose answers describe the request, and the checks of its clients.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::Display;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::http::HeaderMap;
use hyper::rt::{Sleep, Timer};
use hyper::{Request, Response};
use torsade::simulated::Simulation;
use torsade_hyper::TorsadeTimer;

pub type Failed = Box<dyn Error + Send + Sync>;

/// A request's body and its answer's, and when the request is cancelled, if it is.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub up: Shape,
    pub down: Shape,
    pub patience: Option<Duration>,
}

/// A body: its length, the length of the pieces and the delay between them; and whether the length is announced.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub length: usize,
    pub piece: usize,
    pub pause: Duration,
    pub sized: bool,
}

impl Shape {
    pub fn draw(simulation: &Simulation, most: usize) -> Self {
        let magnitude = 1 << simulation.draw(u64::from(most.ilog2()) + 1);
        let length = if simulation.draw(6) == 0 { 0 } else { magnitude + simulation.draw(magnitude) };
        Self {
            length: length as usize,
            piece: 1 + (length / (1 + simulation.draw(8))) as usize,
            pause: Duration::from_millis(if simulation.draw(3) == 0 { simulation.draw(2000) } else { 0 }),
            sized: simulation.draw(2) == 0,
        }
    }

    pub const fn of(length: usize) -> Self {
        Self { length, piece: 10_000, pause: Duration::ZERO, sized: true }
    }
}

impl Wanted {
    pub fn draw(simulation: &Simulation, most: usize) -> Self {
        Self { up: Shape::draw(simulation, most), down: Shape::draw(simulation, most), patience: None }
    }

    /// The request, whose path describes the answer.
    pub fn request(&self, timer: &TorsadeTimer, origin: &str) -> Request<Pieces> {
        let Shape { length, piece, pause, sized } = self.down;
        let uri = format!("{origin}/{length}/{piece}/{}/{sized}", pause.as_millis());
        let request = Request::post(uri).header("host", origin.rsplit('/').next().unwrap_or_default());
        request.body(Pieces::new(self.up, timer)).expect("a proper request")
    }

    /// Reads the answer, and checks that it describes the request and has the requested body.
    pub async fn check<B>(&self, response: Response<B>) -> Result<(), Failed>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Failed>,
    {
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, 200);
        assert_eq!(number(&parts.headers, "x-length"), self.up.length, "the request's body");
        assert_eq!(number(&parts.headers, "x-broken-at"), self.up.length, "the request's body");
        let (length, broken_at) = swallow(body).await.map_err(Into::into)?;
        assert_eq!((length, broken_at), (self.down.length, length), "the answer's body");
        Ok(())
    }
}

fn number(headers: &HeaderMap, name: &str) -> usize {
    headers[name].to_str().expect("text").parse().expect("a number")
}

/// Reads a body to its end: its length, and up to where it matches [`Pieces`].
async fn swallow<B: Body<Data = Bytes>>(body: B) -> Result<(usize, usize), B::Error> {
    let (mut body, mut length, mut good) = (pin!(body), 0, 0);
    while let Some(frame) = body.as_mut().frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let right = data.iter().zip(length..).take_while(|(byte, at)| **byte == byte_at(*at)).count();
        if good == length {
            good += right;
        }
        length += data.len();
    }
    Ok((length, good))
}

const fn byte_at(at: usize) -> u8 {
    (at ^ (at >> 8) ^ (at >> 16)) as u8
}

pub async fn answer<B>(timer: TorsadeTimer, request: Request<B>) -> Result<Response<Pieces>, Failed>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Failed>,
{
    let (parts, body) = request.into_parts();
    let asked: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
    let down = match asked[..] {
        [length, piece, pause, sized] => Shape {
            length: length.parse()?,
            piece: piece.parse()?,
            pause: Duration::from_millis(pause.parse()?),
            sized: sized.parse()?,
        },
        _ => Shape::of(5),
    };
    let (length, broken_at) = swallow(body).await.map_err(Into::into)?;
    let told = |number: &dyn Display| number.to_string();
    let response = Response::builder().header("x-length", told(&length)).header("x-broken-at", told(&broken_at));
    Ok(response.body(Pieces::new(down, &timer))?)
}

/// A body of some shape, generated as it is sent.
pub struct Pieces {
    shape: Shape,
    sent: usize,
    timer: TorsadeTimer,
    pause: Option<Pin<Box<dyn Sleep>>>,
}

impl Pieces {
    fn new(shape: Shape, timer: &TorsadeTimer) -> Self {
        Self { shape, sent: 0, timer: timer.clone(), pause: None }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let count = self.shape.piece.min(self.shape.length - self.sent);
        if count == 0 {
            return Poll::Ready(None);
        }
        let data: Bytes = (self.sent..self.sent + count).map(byte_at).collect();
        self.sent += count;
        self.pause = Some(self.timer.sleep(self.shape.pause)).filter(|_| !self.shape.pause.is_zero());
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.shape.length && self.shape.sized
    }

    fn size_hint(&self) -> SizeHint {
        if self.shape.sized { SizeHint::with_exact((self.shape.length - self.sent) as u64) } else { SizeHint::default() }
    }
}
