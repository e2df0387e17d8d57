//! One small record each way, on a connection after its handshake.
//!
//! The peer makes all the records it may send beforehand, and does not decrypt what it receives, so neither is counted in a
//! round.

use std::io::{Read, Write};

use torsade::prelude::*;

use super::served::{Answer, Served};
use crate::{echo, keys, rustls_peer};

/// The maximum number of rounds; every run makes this many records.
const MOST: usize = 1_000;
const MESSAGE: [u8; 64] = [b'x'; 64];

pub fn echo(rounds: usize) -> Result {
    if rounds > MOST {
        return Err(format!("at most {MOST} rounds").into());
    }
    let config = keys::server()?;
    let mut served = Served::with(1, |reactor| Ok(reactor.listen_tls("127.0.0.1:0", &config, |_peer| echo::Echo)?))?;
    let mut tls = served.prepare(|socket| {
        let mut tls = rustls_peer::handshake(socket)?;
        // When this has come back, the server's tickets have been read as well.
        let mut stream = rustls::Stream::new(&mut tls, socket);
        stream.write_all(&MESSAGE)?;
        stream.read_exact(&mut MESSAGE.clone())?;
        Ok(tls)
    })?;
    let mut records = Vec::with_capacity(MOST);
    for _ in 0..MOST {
        let mut record = Vec::new();
        rustls_peer::record(&mut tls, &MESSAGE, &mut record)?;
        records.push(record);
    }
    served.run(rounds, &records, &Answer::Bytes(records[0].len()))
}
