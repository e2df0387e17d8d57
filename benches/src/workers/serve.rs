//! The workers: they report what they have used for each line of standard input, and stop when it ends.

use std::cell::Cell;
use std::net::TcpListener;
use std::sync::{Arc, Barrier};
use std::thread;

use torsade::wire::Echo;
use torsade::{Worker, prelude::*, reuse_port_listener, workers};

use crate::{chat, line};

#[derive(Default)]
struct Done {
    worker: Cell<usize>,
    connections: Cell<u64>,
}

pub fn run(work: &str, listening: &str, count: usize) -> Result {
    let first = reuse_port_listener("127.0.0.1:0".parse()?)?;
    let address = first.local_addr()?;
    // The clients may connect only when all workers listen.
    let all = Barrier::new(count);
    workers(count, |worker| {
        let own = listening == "own" && worker.index() > 0;
        let listener = if own { reuse_port_listener(address) } else { first.try_clone() };
        let opened = listener.map_err(Into::into).and_then(|listener| open(worker, listener, work));
        all.wait();
        opened?;
        if worker.index() == 0 {
            println!("{address}");
            answer(Arc::clone(worker.handles()));
        }
        Ok(())
    })?;
    Ok(())
}

fn open(worker: &Worker, listener: TcpListener, work: &str) -> Result {
    let done = worker.local(|_| Done::default());
    done.worker.set(worker.index());
    let count = move || done.connections.set(done.connections.get() + 1);
    if work == "chat" {
        let room = chat::room_of(worker);
        worker.adopt_stream_port(listener, move |_peer| {
            count();
            line::receiver(chat::Member::new(&room))
        })?;
    } else {
        worker.adopt_stream_port(listener, move |_peer| {
            count();
            Echo
        })?;
    }
    Ok(())
}

/// Has each worker print its number, its connections and the seconds of its thread, for each line of standard input.
fn answer(workers: Arc<[ReactorHandle]>) {
    thread::spawn(move || {
        for _ in std::io::stdin().lines() {
            for worker in &*workers {
                worker.call_from_thread(say).ok();
            }
        }
        worker_stop(&workers);
    });
}

fn say(reactor: &Reactor) {
    let done = reactor.local(|_| Done::default());
    println!("{} {} {}", done.worker.get(), done.connections.get(), torsade_bench::cpu_seconds());
}

fn worker_stop(workers: &[ReactorHandle]) {
    if let Some(first) = workers.first() {
        first.call_from_thread(|reactor| reactor.stop().unwrap_or(())).ok();
    }
}
