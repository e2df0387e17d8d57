//! Twisted's `stdiodemo.py`: a command console that checks web pages while further commands are typed.
//!
//! Run:    cargo run --example stdiodemo
//! Try:    help, check http://127.0.0.1:8000/ (python3 -m http.server makes one), quit
//! Expect: the commands; the size of the page in bytes, or why it could not be fetched; and the end.

use torsade::prelude::*;

/// The console's commands.
struct WebChecker;

const HELP: &str = "Valid commands: check help quit";

impl WebChecker {
    fn check(transport: &LineTransport, url: Option<&str>) -> Result {
        let console = transport.clone();
        let page = get(transport.reactor(), url.ok_or("check needs a URL")?)?;
        let told = page.add_both(move |page: Result<Vec<u8>, Failure>| match page {
            Ok(page) => console.send_line(format!("Success: got {} bytes.", page.len())),
            Err(failure) => console.send_line(format!("Failure: {failure}")),
        });
        told.detach();
        Ok(())
    }
}

impl LineProtocol for WebChecker {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("Web checker console. Type 'help' for help.");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_whitespace();
        match words.next().map(str::to_lowercase).as_deref() {
            None => {}
            Some("help") => transport.send_line(HELP),
            Some("quit") => {
                transport.send_line("Goodbye.");
                transport.lose_connection();
            }
            Some("check") => {
                if let Err(error) = Self::check(transport, words.next()) {
                    transport.send_line(format!("Error: {error}"));
                }
            }
            Some(_) => transport.send_line("Error: no such command."),
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        transport.reactor().stop().ok();
        Ok(())
    }
}

/// Reads an HTTP/1.0 response, which ends with the connection.
struct Page {
    request: String,
    answer: Vec<u8>,
    done: Option<Firer<Vec<u8>>>,
}

impl Protocol for Page {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(&self.request);
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.answer.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        let head = self.answer.windows(4).position(|window| window == b"\r\n\r\n");
        match (self.done.take(), head) {
            (Some(done), Some(head)) if reason.is_clean() => done.callback(self.answer.split_off(head + 4)),
            (Some(done), _) => done.errback(format!("no whole answer: {reason}")),
            (None, _) => {}
        }
        Ok(())
    }
}

/// Fetches the body of a page.
fn get(reactor: &Reactor, url: &str) -> Result<Deferred<Vec<u8>>> {
    let place = url.strip_prefix("http://").ok_or("give a URL that begins with http://")?;
    let (host, path) = place.split_once('/').unwrap_or((place, ""));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let (body, done) = Deferred::new();
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    let page = Page { request, answer: Vec::new(), done: Some(done) };
    Ok(reactor.connect_protocol(ClientEndpoint::tcp(address)?, (page, body)).add_callback(|body| body))
}

/// Starts the console on any reactor; it stops the reactor at the end.
pub fn start(reactor: &Reactor) -> Result {
    // A terminal's line end; telnet's CR LF is the default.
    Ok(reactor.standard_io(LineReceiver::new(WebChecker).delimiter(b"\n"))?)
}

fn main() -> Result {
    env_logger::init();
    let reactor = Reactor::new()?;
    start(&reactor)?;
    reactor.run()
}
