//! Connections in `async` code pass the conformance kit, and behave like a protocol of callbacks.

use std::cell::Cell;

use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use torsade::conformance::{Conformance, Notes};
use torsade::prelude::*;
use torsade::wire::Echo;
use torsade::{AsyncProtocol, Callback};

use crate::support::async_echo;

/// Gives its connection to a function, whose task ends with the connection.
struct InAsync<S> {
    serve: Option<S>,
    told: Option<AsyncProtocol>,
}

impl<S, F> InAsync<S>
where
    S: FnOnce(AsyncConnection) -> F + 'static,
    F: Future<Output = Result> + 'static,
{
    fn boxed(serve: S) -> Box<dyn Protocol> {
        Box::new(Self { serve: Some(serve), told: None })
    }
}

impl<S, F> Protocol for InAsync<S>
where
    S: FnOnce(AsyncConnection) -> F + 'static,
    F: Future<Output = Result> + 'static,
{
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.told.as_mut().map_or(Ok(()), |told| told.data_received(transport, data))
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        if let Some(serve) = self.serve.take() {
            let (connection, told) = AsyncConnection::from_protocol(transport, b"");
            self.told = Some(told);
            transport.spawn(move |_| serve(connection));
        }
        self.told.as_mut().map_or(Ok(()), |told| callback.dispatch(told, transport))
    }
}

/// Makes the one protocol and the other in alternate replays, so that the kit finds any difference between them.
fn taking_turns(
    one: impl Fn(&Notes) -> Box<dyn Protocol>,
    other: impl Fn(&Notes) -> Box<dyn Protocol>,
) -> impl Fn(&Notes) -> Box<dyn Protocol> {
    let turn = Cell::new(false);
    move |notes| if turn.replace(!turn.get()) { one(notes) } else { other(notes) }
}

#[test]
fn an_async_echo_is_the_same_however_its_bytes_arrive() {
    let summary = Conformance::new(|_| InAsync::boxed(async_echo::<7>)).send("so it is").send("and so it stays").check().unwrap();
    assert!(summary.compressed && summary.replays > 100, "{summary:?}");
    assert_eq!(summary.tls, cfg!(feature = "tls"));
}

#[test]
fn an_async_echo_and_one_of_callbacks_are_the_same_however_their_bytes_come() {
    let echoes = taking_turns(|_| InAsync::boxed(async_echo::<7>), |_| Box::new(Echo));
    Conformance::new(echoes).send("so it is").send("and so it stays").assert();
}

/// Records and answers each line, in callbacks.
struct Lines(Notes);

impl LineProtocol for Lines {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.0.note(line.escape_ascii().to_string());
        transport.send_line([b"got ", line].concat());
        Ok(())
    }
}

/// The same in `async` code; bytes without a line end are no line.
async fn answer_lines(notes: Notes, mut connection: AsyncConnection) -> Result {
    loop {
        let mut line = Vec::new();
        connection.read_until(b'\n', &mut line).await?;
        if line.pop() != Some(b'\n') {
            return Ok(connection.close().await?);
        }
        notes.note(line.escape_ascii().to_string());
        connection.write_all(&[b"got ", &line[..], b"\n"].concat()).await?;
    }
}

#[test]
fn lines_in_async_code_and_in_callbacks_are_the_same_however_they_arrive() {
    let in_callbacks = |notes: &Notes| Box::new(LineReceiver::new(Lines(notes.clone())).delimiter(b"\n")) as Box<dyn Protocol>;
    let in_async = |notes: &Notes| {
        let notes = notes.clone();
        InAsync::boxed(move |connection| answer_lines(notes, connection))
    };
    Conformance::new(taking_turns(in_async, in_callbacks)).send("one\n\ntwo").send("\nthree\nhalf").assert();
}

/// Checks that alternating finds a difference, even a rare one.
#[test]
fn an_async_echo_that_loses_the_end_is_found_beside_one_of_callbacks() {
    /// Drops its connection with unsent bytes: that is an abort.
    async fn hasty(mut connection: AsyncConnection) -> Result {
        let mut buffer = [0; 7];
        loop {
            match connection.read(&mut buffer).await? {
                0 => return Ok(()),
                count => connection.write_all(&buffer[..count]).await?,
            }
        }
    }

    let echoes = taking_turns(|_| InAsync::boxed(hasty), |_| Box::new(Echo));
    let difference = Conformance::new(echoes).send("so it is").check().unwrap_err();
    assert!(difference.to_string().contains("aborted"), "{difference}");
}
