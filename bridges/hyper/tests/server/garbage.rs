//! Requests with random faults, cut anywhere, from clients that leave in any way: the server goes on, and nothing is left of
//! them.

use std::rc::Rc;

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use torsade_hyper::{HttpServer, RequestBody};

use crate::world::{Answer, World};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

fn conversation(http2: bool) -> Vec<u8> {
    let http1 = "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n\
        POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\nhello\
        PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nte: trailers\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n\
        CONNECT b:1 HTTP/1.1\r\nhost: b:1\r\n\r\ntunnel";
    let frames: [&[u8]; 9] = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\xff\xff",
        b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a",
        b"\0\0\x06\x01\x04\0\0\0\x03\x83\x86\x84\x41\x01a",
        b"\0\0\x05\0\0\0\0\0\x03hello",
        b"\0\0\x04\x08\0\0\0\0\0\0\0\x10\0",
        b"\0\0\x08\x06\0\0\0\0\0pingpong",
        b"\0\0\x05\0\x01\0\0\0\x03world",
        b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
    ];
    if http2 { frames.concat() } else { http1.as_bytes().to_vec() }
}

fn with_faults(mut data: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..random.below(4) {
        let place = random.below(data.len());
        match random.below(4) {
            0 => data[place] = random.below(256) as u8,
            1 => data[place] ^= 1 << random.below(8),
            2 => drop(data.drain(place..(place + random.below(20)).min(data.len()))),
            _ => {
                let again = data[place..(place + random.below(60)).min(data.len())].to_vec();
                data.splice(place..place, again);
            }
        }
        if data.is_empty() {
            data.push(b'x');
        }
    }
    data
}

async fn answer(request: Request<RequestBody>) -> Answer {
    // A broken body is no fault of the service.
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(Full::from(body)))
}

fn converse(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    // Each connection has a clone of the service, and so of this.
    let counted = Rc::new(());
    let there = Rc::clone(&counted);
    let world = World::new(HttpServer::new(service_fn(move |request| {
        let _counted = &there;
        answer(request)
    })));
    for host in 2..12 {
        let data = with_faults(conversation(random.below(2) == 0), &mut random);
        let client = world.client(&format!("10.0.0.{host}"), b"");
        world.run_for(1);
        let mut rest = &data[..];
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(1 + random.below(rest.len()));
            client.send(piece);
            world.simulation.run_for(std::time::Duration::from_millis(random.below(3) as u64)).expect("runs");
            rest = more;
        }
        match random.below(4) {
            0 => client.transport().abort_connection(),
            1 => client.transport().lose_connection(),
            2 => client.transport().lose_write_connection(),
            _ => {}
        }
    }
    let other = world.client("10.0.0.1", GET.as_bytes());
    world.run_for(1);
    assert!(other.text().starts_with("HTTP/1.1 200 OK"), "seed {seed}: {}", other.text());
    // Longer than the sum of the timeouts for a silent client.
    world.run_for(200);
    assert_eq!(Rc::strong_count(&counted), 2, "seed {seed}: a connection is left");
}

#[test]
fn random_faults_cost_the_server_nothing() {
    let seeds = std::env::var("TORSADE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(100);
    (0..seeds).for_each(converse);
}
