//! An IMAP client that switches compression on in mid-stream (RFC 4978), and lists the mailboxes and the inbox.
//!
//! Run:    cargo run --example imap_client ENDPOINT USER PASSWORD     (a server without TLS: try one of your own)
//! Expect: the server's responses, from inside the compressed stream, and the bytes this saved; exit code 0.

use torsade::{Escaped, prelude::*};

struct Client {
    login: String,
    /// Commands still to be sent, in reverse order; each waits for the answer to the previous one.
    commands: Vec<&'static str>,
    running: Option<String>,
    sent: usize,
}

impl Client {
    fn next(&mut self, transport: &LineTransport) {
        let command = self.commands.pop().map(|command| if command == "LOGIN" { &self.login } else { command });
        self.sent += 1;
        self.running = command.map(|command| {
            transport.send_line(format!("a{} {command}", self.sent));
            command.to_owned()
        });
    }
}

impl LineProtocol for Client {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let line = String::from_utf8_lossy(line);
        println!("{}", Escaped(&line));
        let answer = line.strip_prefix(&format!("a{} ", self.sent));
        match answer {
            None if self.sent == 0 => self.next(transport), // the greeting
            None => {}                                      // part of an answer
            Some(answer) if answer.starts_with("OK") => {
                if self.running.as_deref() == Some("COMPRESS DEFLATE") {
                    // Both directions are compressed from here on, and bytes buffered after this line belong to the stream.
                    transport.set_compression("deflate-raw")?;
                    transport.expect_compression("deflate-raw")?;
                }
                self.next(transport);
            }
            Some(refused) if self.running.as_deref() == Some("COMPRESS DEFLATE") => {
                eprintln!("going on without compression: {refused}");
                self.next(transport);
            }
            Some(refused) => return Err(format!("{:?} was answered {refused}", self.running).into()),
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        if let Some(stats) = transport.compression_stats() {
            println!("compression {stats}");
        }
        println!("{reason}");
        Ok(transport.reactor().stop()?)
    }
}

/// Starts the client on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str, user: &str, password: &str) -> Result<Connector> {
    let login = format!("LOGIN {user} {password}");
    let commands =
        ["LOGOUT", "FETCH 1:* (FLAGS ENVELOPE)", "EXAMINE INBOX", "LIST \"\" *", "CAPABILITY", "COMPRESS DEFLATE", "LOGIN"];
    let client = move |_peer| Client { login: login.clone(), commands: commands.into(), running: None, sent: 0 };
    // Envelopes may be long.
    Ok(reactor.connect(endpoint, move |peer| LineReceiver::new(client(peer)).max_length(1 << 20))?)
}

fn main() -> Result {
    env_logger::init_from_env(env_logger::Env::new().default_filter_or("warn")); // says why there is no connection
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, user, password] = args.as_slice() else {
        return Err("usage: imap_client ENDPOINT USER PASSWORD".into());
    };
    let reactor = Reactor::new()?;
    start(&reactor, endpoint, user, password)?;
    reactor.run()
}
