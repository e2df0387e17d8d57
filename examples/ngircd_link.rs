//! A server link to ngIRCd, compressed in both directions (flag Z): it joins as a server, introduces a user, and reads what is
//! said.
//!
//! ngircd: [Server] with Name = link.example.org, MyPassword = ours, PeerPassword = theirs, Passive = yes
//! Run:    cargo run --example ngircd_link [ENDPOINT [PASSWORD]]     (default 127.0.0.1:6667 and "ours")
//! Try:    join #torsade with any IRC client of that server, and say "count"
//! Expect: the lines of the link, decompressed, and the user's answer in the channel; Ctrl-C ends it and prints the bytes saved.

use torsade::{Escaped, prelude::*};

const NAME: &str = "link.example.org";

struct Link {
    password: String,
    /// The other server's PASS has announced compression.
    compresses: bool,
    heard: u32,
}

impl LineProtocol for Link {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line(format!("PASS {} 0210-IRC+ ngIRCd|26.1:CHLMSXZ PZ", self.password));
        transport.send_line(format!("SERVER {NAME} 1 :a link made with torsade"));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let line = String::from_utf8_lossy(line);
        println!("{}", Escaped(&line));
        let without_source = if line.starts_with(':') { line.split_once(' ').map_or("", |(_, rest)| rest) } else { &line };
        let words: Vec<&str> = without_source.split(' ').collect();
        match words[..] {
            ["PASS", _, _, _, flags, ..] => self.compresses = flags.contains('Z'),
            ["SERVER", other, "1", ..] => {
                if self.compresses {
                    // After each side's SERVER line, everything in that direction is one endless zlib stream.
                    transport.expect_compression("deflate")?;
                    // ngIRCd uses zlib, for which the shorter form of a flush will do.
                    transport.set_compression(Compression::deflate().flush(Flush::Partial))?;
                }
                // In IRC+, this ends a server's description of itself.
                transport.send_line(format!(":{NAME} 376 {other} :End of MOTD command"));
                transport.send_line(format!(":{NAME} NICK parrot 1 parrot {NAME} 1 + :A bird"));
                transport.send_line(":parrot JOIN #torsade");
                transport.send_line(":parrot PRIVMSG #torsade :hello");
            }
            ["PING", ..] => transport.send_line(format!(":{NAME} PONG {NAME}")),
            ["PRIVMSG", "#torsade", ..] => {
                self.heard += 1;
                transport.send_line(format!(":parrot PRIVMSG #torsade :that was number {}", self.heard));
            }
            ["ERROR", ..] => return Err(line.into_owned().into()),
            _ => {}
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        if let Some(stats) = transport.compression_stats() {
            println!("compression {stats}");
        }
        println!("{reason}");
        // It may already be stopping.
        transport.reactor().stop().or(Ok(()))
    }
}

/// Starts the link on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str, password: &str) -> Result<Connector> {
    let password = password.to_owned();
    let link = move |_peer| LineReceiver::new(Link { password: password.clone(), compresses: false, heard: 0 });
    Ok(reactor.connect(endpoint, link)?)
}

fn main() -> Result {
    env_logger::init_from_env(env_logger::Env::new().default_filter_or("warn")); // says why there is no connection
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or_else(|| "127.0.0.1:6667".into());
    let password = args.next().unwrap_or_else(|| "ours".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint, &password)?;
    reactor.run()
}
