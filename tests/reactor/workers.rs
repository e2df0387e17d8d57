//! Workers: several reactors on one port, which end together.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::connect;
use torsade::prelude::*;
use torsade::{ReactorHandle, Worker, WorkerError, reuse_port_listener, workers};

/// Answers everything with its worker's number.
struct Number(u8);

impl Protocol for Number {
    fn data_received(&mut self, transport: &Transport, _data: &[u8]) -> Result {
        transport.write([self.0]);
        Ok(())
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn serve(worker: &Worker, listener: TcpListener) -> Result {
    let number = worker.index() as u8;
    worker.adopt_stream_port(listener, move |_peer| Number(number))?;
    Ok(())
}

/// Runs three workers, and `client` once they are set up; then stops one of them.
fn with_workers(set_up: impl Fn(&Worker) -> Result + Sync, client: impl FnOnce()) -> Result<(), WorkerError> {
    let (ready, started) = channel::<ReactorHandle>();
    let ready = Mutex::new(ready);
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            workers(3, |worker| {
                set_up(worker)?;
                Ok(ready.lock().expect("nothing panics while holding it").send(worker.handle())?)
            })
        });
        let handles: Vec<_> = started.iter().take(3).collect();
        client();
        handles[1].call_from_thread(|reactor| reactor.stop().expect("it runs")).expect("it has not stopped");
        running.join().expect("workers do not panic")
    })
}

fn ask(mut peer: &TcpStream) -> u8 {
    let mut answer = [0];
    peer.write_all(b"?").expect("it is served");
    peer.read_exact(&mut answer).expect("it is answered");
    answer[0]
}

#[test]
fn workers_share_a_socket_that_is_passed_to_them_and_stop_together() {
    let (listener, address) = listener();
    let served = with_workers(
        |worker| serve(worker, listener.try_clone()?),
        || {
            let peers: Vec<_> = (0..50).map(|_| connect(address)).collect();
            for peer in &peers {
                let worker = ask(peer);
                assert!(worker < 3);
                assert_eq!(ask(peer), worker, "a connection stays where it was accepted");
            }
        },
    );
    assert!(served.is_ok(), "{served:?}");
}

#[test]
fn a_socket_that_others_hold_too_can_be_passed_to_a_reactor_again_after_its_port_has_stopped() {
    let (listener, address) = listener();
    let reactor = Reactor::new().expect("descriptors");
    reactor.start_running().expect("it is new");
    for round in 0..3 {
        let port = reactor.adopt_stream_port(listener.try_clone().expect("a descriptor"), |_peer| Number(0));
        let port = port.unwrap_or_else(|error| panic!("in round {round}: {error}"));
        assert_eq!(port.address(), address.into());
        port.stop_listening();
        reactor.iterate(Some(std::time::Duration::ZERO)).expect("it runs");
    }
}

#[test]
fn a_panic_in_the_loop_of_one_worker_ends_the_others() {
    let result = workers(3, |worker| {
        if worker.index() == 1 {
            worker.set_observer(|_event| panic!("an observer must not do that"));
            worker.call_when_running(|| {});
        }
        Ok(())
    });
    let Err(WorkerError::Panicked { worker: 1, panic }) = result else { panic!("{result:?}") };
    assert!(panic.to_string().contains("must not do that"), "{panic}");
}

#[test]
fn with_a_socket_each_connections_are_dealt_out() {
    // The first socket finds a free port, which the others share.
    let first = reuse_port_listener(([127, 0, 0, 1], 0).into()).expect("a port");
    let address = first.local_addr().expect("an address");
    let first = Mutex::new(Some(first));
    let served = with_workers(
        |worker| {
            let kept = first.lock().expect("nothing panics while holding it").take();
            serve(worker, kept.map_or_else(|| reuse_port_listener(address), Ok)?)
        },
        || {
            let peers: Vec<_> = (0..100).map(|_| connect(address)).collect();
            let numbers: HashSet<u8> = peers.iter().map(ask).collect();
            assert_eq!(numbers.len(), 3, "the chance that a worker gets none of 100 is 3 * (2/3)^100");
        },
    );
    assert!(served.is_ok(), "{served:?}");
}

#[test]
fn a_port_that_is_not_shared_is_taken_for_the_second_worker_and_that_ends_the_first() {
    let (probe, address) = listener();
    drop(probe);
    let result = workers(2, |worker| {
        worker.listen_tcp(address, |_peer| Number(0))?;
        Ok(())
    });
    let Err(WorkerError::Failed { error, .. }) = result else { panic!("{result:?}") };
    assert!(error.contains(&address.to_string()), "{error}");
}

#[test]
fn a_panic_in_the_set_up_of_one_worker_ends_the_others() {
    let result = workers(3, |worker| {
        assert_ne!(worker.index(), 1, "this worker is a bad one");
        Ok(())
    });
    let Err(WorkerError::Panicked { worker: 1, panic }) = result else { panic!("{result:?}") };
    assert!(panic.to_string().contains("a bad one"), "{panic}");
}

#[test]
fn messages_between_workers_keep_their_order_and_none_is_lost() {
    const COUNT: usize = 10_000;
    let got = Arc::new(Mutex::new(Vec::new()));
    let result = workers(2, |worker| {
        if worker.index() == 0 {
            let (to, got) = (worker.handles()[1].clone(), Arc::clone(&got));
            worker.call_when_running(move || {
                for number in 0..COUNT {
                    let got = Arc::clone(&got);
                    let take = move |_: &Reactor| got.lock().expect("nothing panics while holding it").push(number);
                    to.call_from_thread(take).expect("it runs");
                }
                to.call_from_thread(|reactor| reactor.stop().expect("it runs")).expect("it runs");
            });
        }
        Ok(())
    });
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(*got.lock().expect("all threads have ended"), (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn no_workers_are_done_at_once() {
    assert!(workers(0, |_| Ok(())).is_ok());
}
