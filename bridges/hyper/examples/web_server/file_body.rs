//! A file as the body of an answer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use send_wrapper::SendWrapper;
use torsade::{Deferred, Reactor};

/// How many bytes are read at once.
const PIECE: u64 = 64 << 10;

/// A part of a file. It is read on another thread, one piece at a time, when the connection has room for it.
pub struct FileBody(SendWrapper<Inner>);

struct Inner {
    reactor: Reactor,
    position: u64,
    left: u64,
    /// The file, while no read is in progress.
    file: Option<File>,
    reading: Option<Deferred<(File, Vec<u8>)>>,
}

impl FileBody {
    /// `count` bytes of `file` from byte `first` on.
    pub fn new(reactor: &Reactor, file: File, first: u64, count: u64) -> Self {
        let inner = Inner { reactor: reactor.clone(), position: first, left: count, file: Some(file), reading: None };
        Self(SendWrapper::new(inner))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let inner = &mut *self.0;
        if let Some(file) = inner.file.take_if(|_| inner.left > 0) {
            let (first, count) = (inner.position, inner.left.min(PIECE));
            inner.reading = Some(inner.reactor.defer_to_thread(move || Ok(read(file, first, count)?)));
        }
        let Some(reading) = &mut inner.reading else {
            return Poll::Ready(None);
        };
        let read = ready!(Pin::new(reading).poll(context));
        inner.reading = None;
        Poll::Ready(Some(match read {
            Ok((_, piece)) if piece.is_empty() => Err("the file was cut while it was sent".into()),
            Ok((file, piece)) => {
                inner.file = Some(file);
                inner.position += piece.len() as u64;
                inner.left -= piece.len() as u64;
                Ok(Frame::data(piece.into()))
            }
            Err(error) => Err(error.to_string()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.left)
    }
}

fn read(mut file: File, first: u64, count: u64) -> io::Result<(File, Vec<u8>)> {
    file.seek(SeekFrom::Start(first))?;
    let mut piece = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    (&file).take(count).read_to_end(&mut piece)?;
    Ok((file, piece))
}
