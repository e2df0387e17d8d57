//! Topics in a terminal: publishes each line that is typed, and shows what others publish, through any broker.
//!
//! Run:    cargo run --features hub --example hub_lines HUB TOPIC...     HUB: redis:HOST:PORT, nats:HOST:PORT, or local:
//! Try:    hub_lines redis:127.0.0.1 'news.*' log.door in two terminals; type news.today It rains.
//! Expect: the line in both. Topics that begin with `log.` are stored: a late subscriber first gets the last ten lines. TOPIC@GROUP joins
//!         a group, of which one member gets each message. Missed messages are reported.

use torsade::hub::{Encoding, Hub, HubConfig, Member, Message, Start, WhenDisconnected};
use torsade::{prelude::*, react};

struct Terminal {
    hub: Hub,
    topics: Vec<String>,
    ended: Option<Firer<()>>,
}

impl LineProtocol for Terminal {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        let encoding = Encoding::new(line_of).gaps(|gap| Some(format!("({gap})\n").into_bytes()));
        for topic in &self.topics {
            if let Some((topic, group)) = topic.split_once('@') {
                let terminal = transport.clone();
                let show = move |message: &Message| {
                    terminal.write(line_of(message));
                    Ok(())
                };
                self.hub.subscribe_in_group(topic, group, show)?;
            } else {
                let start = if topic.starts_with("log.") { Start::Last(10) } else { Start::Next };
                self.hub.join(topic, Member::new(transport, &encoding).start(start))?;
            }
        }
        let terminal = transport.clone();
        self.hub.when_connected().add_callback(move |()| terminal.send_line("(connected)")).detach();
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let text = String::from_utf8_lossy(line);
        let (topic, text) = text.split_once(' ').unwrap_or((&text, ""));
        if let Err(error) = self.hub.publish(topic, text) {
            transport.send_line(format!("(not published: {error})"));
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        if let Some(ended) = self.ended.take() {
            ended.callback(());
        }
        Ok(())
    }
}

/// The text to display for a message.
fn line_of(message: &Message) -> Vec<u8> {
    [message.topic().as_str().as_bytes(), b" ", message.payload(), b"\n"].concat()
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "local:".into());
    let topics = arguments.collect();
    react(|reactor| async move {
        let config = HubConfig::new(&url)?.replay("log.>", 1000)?.when_disconnected(WhenDisconnected::Queue);
        let hub = config.open(&reactor)?;
        let (end, ended) = Deferred::new();
        let terminal = Terminal { hub: hub.clone(), topics, ended: Some(ended) };
        reactor.standard_io(LineReceiver::new(terminal).delimiter(b"\n"))?;
        end.await?;
        // Closing sends the last lines typed.
        Ok(hub.close().await?)
    })
}
