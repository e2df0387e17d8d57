//! A chat served by several threads: each worker has a reactor and the members it accepted, and passes what they say to the other
//! workers.
//!
//! Run:    cargo run --example workers_chat [ADDRESS] [WORKERS]     (default 127.0.0.1:8123 and 2)
//! Try:    nc -C 127.0.0.1 8123 in several windows
//! Expect: every line goes to everyone, whichever worker they are on; members are told which one they got.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;

use torsade::prelude::*;
use torsade::{Worker, workers};

/// The members of one worker, only used on its thread.
#[derive(Default)]
struct Room(RefCell<HashMap<u64, LineTransport>>);

struct Member {
    worker: usize,
    workers: Arc<[ReactorHandle]>,
}

impl LineProtocol for Member {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line(format!("You are on worker {}.", self.worker));
        room(transport.reactor()).0.borrow_mut().insert(transport.id(), transport.clone());
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        let line: Arc<[u8]> = line.into();
        for worker in self.workers.iter() {
            let line = Arc::clone(&line);
            // A stopped worker has no members.
            let _ = worker.call_from_thread(move |reactor| {
                room(reactor).0.borrow().values().for_each(|member| member.send_line(&line));
            });
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        room(transport.reactor()).0.borrow_mut().remove(&transport.id());
        Ok(())
    }
}

fn room(reactor: &Reactor) -> std::rc::Rc<Room> {
    reactor.local(|_| Room::default())
}

/// Serves on a socket that all workers share.
fn serve(worker: &Worker, listener: &TcpListener) -> Result {
    let (index, handles) = (worker.index(), Arc::clone(worker.handles()));
    worker.adopt_stream_port(listener.try_clone()?, move |_peer| {
        LineReceiver::new(Member { worker: index, workers: Arc::clone(&handles) })
    })?;
    Ok(())
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8123".into());
    let count = args.next().map_or(Ok(2), |count| count.parse())?;
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(workers(count, |worker| serve(worker, &listener))?)
}
