//! Connects standard input and output to any endpoint, as `nc` does for a few kinds.
//!
//! Run:    cargo run --features tls,zstd --example endpoint_cat ENDPOINT
//!         (tcp:localhost:8000, unix:/tmp/echo.sock, tls:example.org:443, compress:zstd:tcp:localhost:8000 and more)
//! Try:    start endpoint_echo tcp:8000, then type; Ctrl-D ends it
//! Expect: each line comes back; without a server, the reason, and exit code 1.

use torsade::{Callback, prelude::*};

/// Stops the program when standard input and output end.
struct Terminal(Box<dyn Protocol>);

impl Protocol for Terminal {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        if let Callback::ConnectionLost(reason) = callback {
            if !reason.is_clean() {
                std::process::exit(1);
            }
            // They may also end because the reactor is stopping.
            transport.reactor().stop().ok();
        }
        callback.dispatch(&mut *self.0, transport)
    }
}

fn main() -> Result {
    env_logger::init_from_env(env_logger::Env::new().default_filter_or("warn")); // says why there is no connection
    let endpoint = std::env::args().nth(1).ok_or("usage: endpoint_cat ENDPOINT, such as tcp:localhost:8000")?;
    let reactor = Reactor::new()?;
    let mut joined = PortForward::new(move |reactor, server| reactor.connect(&endpoint, server));
    reactor.listen("stdio:", move |peer| joined.build_protocol(&peer).map(Terminal))?;
    reactor.run()
}
