//! A client that asks one question after another, ported: `inlineCallbacks` become an `async` function. The original is
//! `original.py`.
//!
//! Run:    cargo run --example port_questions [ENDPOINT]     (default 127.0.0.1:8128; start `nc -lC 127.0.0.1 8128` first)
//! Expect: its questions in the window of nc, where each line typed is an answer; exit code 1 if the server closes.

use torsade::prelude::*;
use torsade::{DeferredQueue, react};

type Answers = DeferredQueue<Option<Vec<u8>>>;

/// Passes answers on to whoever awaits them; none is the end.
struct Questions {
    answers: Answers,
    lost: Option<Firer<()>>,
}

impl LineProtocol for Questions {
    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        // Bounded, which Twisted's is not: more unasked answers than that close the connection.
        Ok(self.answers.put(Some(line.to_vec()))?)
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        self.answers.put(None)?;
        self.lost.take().into_iter().for_each(|lost| lost.callback(()));
        Ok(())
    }
}

async fn ask(transport: &Transport, answers: &Answers, question: Vec<u8>) -> Result<Vec<u8>> {
    transport.write_sequence(&[&question, b"\r\n"]);
    Ok(answers.get().await?.ok_or("there is nobody any more")?)
}

/// What `main` runs.
pub async fn conversation(reactor: Reactor, endpoint: String) -> Result {
    let answers = Answers::new(1_000, 1);
    let (lost, firer) = Deferred::new();
    let questions = Questions { answers: answers.clone(), lost: Some(firer) };
    let transport = reactor.connect_protocol(&endpoint, LineReceiver::new(questions)).await?;
    let name = ask(&transport, &answers, b"Who are you?".to_vec()).await?;
    for number in 1..4 {
        let question = [&name[..], format!(", what is {number}?").as_bytes()].concat();
        if ask(&transport, &answers, question).await? == b"enough" {
            break;
        }
    }
    transport.write("Thank you.\r\n");
    transport.lose_connection();
    // The original needs this, since Twisted's stop drops what is not sent yet; ours would send it.
    Ok(lost.await?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8128".into());
    react(|reactor| conversation(reactor, endpoint))
}
