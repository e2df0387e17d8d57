//! The server of `compare` on Torsade.

use torsade::prelude::*;

/// The length of a GET's answer and of a PUT's body.
const BULK: usize = 256 << 20;

#[derive(Default)]
struct Server {
    /// How much of a PUT is still missing.
    awaited: usize,
}

/// The rest of an answer, a piece in each call.
struct Bulk {
    left: usize,
    piece: Vec<u8>,
}

impl Protocol for Server {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if self.awaited == 0 && data.starts_with(b"PUT ") {
            self.awaited = BULK;
        }
        if self.awaited > 0 {
            self.awaited = self.awaited.saturating_sub(data.len());
            if self.awaited == 0 {
                transport.write("done");
            }
        } else if data.starts_with(b"GET ") {
            transport.write("HTTP/1.0 200 OK\r\n\r\n");
            transport.register_producer(Bulk { left: BULK, piece: vec![b'x'; 65_536] }, false)?;
        } else {
            transport.write(data);
        }
        Ok(())
    }
}

impl Producer for Bulk {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        consumer.write(&self.piece);
        self.left -= self.piece.len();
        if self.left == 0 {
            consumer.unregister_producer();
            consumer.lose_connection();
        }
        Ok(())
    }
}

fn main() -> Result {
    let [address, certificate, key] = std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "ADDRESS CERT KEY")?;
    let config = TlsServerConfig::from_pem_files(certificate, key)?;
    let reactor = Reactor::new()?;
    reactor.listen_tls(address, &config, |_peer| Server::default())?;
    reactor.run()
}
