//! File descriptors of other libraries on the loop.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{Interest, Watch};

use crate::support::*;

/// The readiness reported for a descriptor, call by call.
type Told = Rc<RefCell<Vec<Interest>>>;

#[test]
fn a_descriptor_is_reported_again_in_a_later_turn_as_long_as_it_is_ready_and_delays_nobody() {
    let reactor = Reactor::new().unwrap();
    let (ours, mut other) = UnixStream::pair().unwrap();
    let (ours, turns, got) = (Rc::new(ours), Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let (reading, one, list, all, stopping) = (ours.clone(), reactor.clone(), turns.clone(), got.clone(), reactor.clone());
    let _watch = reactor
        .watch(ours, Interest::Readable, move |ready| {
            assert_eq!(ready, Interest::Readable);
            list.borrow_mut().push(one.turn_number());
            // Reads one of the bytes, with a read that could block: the rest must be reported again.
            let mut byte = [0];
            (&*reading).read_exact(&mut byte).unwrap();
            all.borrow_mut().push(byte[0]);
            if byte == *b"!" {
                stop(&stopping);
            }
        })
        .unwrap();
    let others = Rc::new(Cell::new(0));
    fn every_turn(reactor: &Reactor, count: &Rc<Cell<u32>>) {
        count.set(count.get() + 1);
        let (again, count) = (reactor.clone(), count.clone());
        reactor.call_later(std::time::Duration::ZERO, move || every_turn(&again, &count));
    }
    every_turn(&reactor, &others);
    other.write_all(b"hello").unwrap();
    other.write_all(b", world!").unwrap();
    run(&reactor);
    assert_eq!(*got.borrow(), b"hello, world!");
    assert!(turns.borrow().windows(2).all(|pair| pair[1] == pair[0] + 1), "once a turn: {:?}", turns.borrow());
    assert!(others.get() >= 13, "a timer was called {} times", others.get());
}

#[test]
fn what_arrives_later_is_reported_although_everything_was_read_before() {
    let reactor = Reactor::new().unwrap();
    let (ours, other) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let (ours, other) = (Rc::new(ours), Rc::new(other));
    let (reading, answering, count, stopping) = (ours.clone(), other.clone(), Cell::new(0), reactor.clone());
    let _watch = reactor
        .watch(ours, Interest::Readable, move |_| {
            let mut buffer = [0; 100];
            while (&*reading).read(&mut buffer).is_ok_and(|count| count > 0) {}
            count.set(count.get() + 1);
            if count.get() == 100 {
                return stop(&stopping);
            }
            (&*answering).write_all(b"again").unwrap();
        })
        .unwrap();
    (&*other).write_all(b"once").unwrap();
    run(&reactor);
}

#[test]
fn interest_can_change_and_the_end_of_a_stream_is_readable() {
    let reactor = Reactor::new().unwrap();
    let (ours, other) = UnixStream::pair().unwrap();
    let told = Told::default();
    let own: Rc<RefCell<Option<Watch>>> = Rc::default();
    let (list, watch, other, stopping) = (told.clone(), own.clone(), RefCell::new(Some(other)), reactor.clone());
    *own.borrow_mut() = Some(
        reactor
            .watch(ours, Interest::Writable, move |ready| {
                list.borrow_mut().push(ready);
                let watch = watch.borrow();
                let watch = watch.as_ref().unwrap();
                match list.borrow().len() {
                    3 => watch.set_interest(Interest::Readable).unwrap(),
                    4 => watch.set_interest(Interest::Both).unwrap(),
                    5 => stop(&stopping),
                    _ => {}
                }
                if list.borrow().len() == 3 {
                    drop(other.borrow_mut().take());
                }
            })
            .unwrap(),
    );
    run(&reactor);
    use Interest::{Both, Readable, Writable};
    assert_eq!(*told.borrow(), [Writable, Writable, Writable, Readable, Both]);
}

#[test]
fn a_watch_that_is_dropped_in_its_own_call_or_anywhere_else_is_over_and_closes_the_descriptor() {
    let reactor = Reactor::new().unwrap();
    let (ours, mut other) = UnixStream::pair().unwrap();
    let own: Rc<RefCell<Option<Watch>>> = Rc::default();
    let (watch, count) = (own.clone(), Rc::new(Cell::new(0)));
    let counter = count.clone();
    *own.borrow_mut() = Some(
        reactor
            .watch(ours, Interest::Readable, move |_| {
                counter.set(counter.get() + 1);
                drop(watch.borrow_mut().take());
            })
            .unwrap(),
    );
    other.write_all(b"twice at least").unwrap();
    let stopping = reactor.clone();
    let others = other.try_clone().unwrap();
    once(&reactor, move || (&others).write_all(b"!").is_err(), move || stop(&stopping));
    run(&reactor);
    assert_eq!(count.get(), 1);
    let idle = Reactor::new().unwrap();
    drop(idle.watch(other, Interest::Readable, |_| {}).unwrap());
    assert_eq!(idle.source_count(), 0);
}

#[test]
fn a_panic_in_the_call_ends_the_watch_and_nothing_else() {
    let reactor = Reactor::new().unwrap();
    let (ours, mut other) = UnixStream::pair().unwrap();
    let _watch = reactor.watch(ours, Interest::Readable, |_| panic!("a fault of the program")).unwrap();
    other.write_all(b"!").unwrap();
    let (one, stopping) = (reactor.clone(), reactor.clone());
    once(&reactor, move || one.source_count() == 0, move || stop(&stopping));
    run(&reactor);
}

#[test]
fn watches_end_with_the_reactor() {
    let reactor = Reactor::new().unwrap();
    let (ours, _other) = UnixStream::pair().unwrap();
    let watch = reactor.watch(ours, Interest::Readable, |_| {}).unwrap();
    let stopping = reactor.clone();
    reactor.call_when_running(move || stop(&stopping));
    run(&reactor);
    assert_eq!(reactor.source_count(), 0);
    watch.set_interest(Interest::Both).unwrap();
    drop(watch);
    let (late, _other) = UnixStream::pair().unwrap();
    let error = reactor.watch(late, Interest::Readable, |_| {}).unwrap_err();
    assert!(error.to_string().contains("the reactor is stopping"), "{error}");
    assert_eq!(reactor.source_count(), 0);
}

#[test]
fn what_cannot_be_watched_is_an_error() {
    let reactor = Reactor::new().unwrap();
    let (ours, _other) = UnixStream::pair().unwrap();
    let ours = Rc::new(ours);
    let _watch = reactor.watch(ours.clone(), Interest::Readable, |_| {}).unwrap();
    if cfg!(target_os = "linux") {
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(reactor.watch(file, Interest::Readable, |_| {}).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(reactor.watch(ours.clone(), Interest::Readable, |_| {}).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
    // A copy counts as another descriptor, so that a library can watch each direction separately.
    let copy = ours.as_fd().try_clone_to_owned().unwrap();
    let _other_watch = reactor.watch(copy, Interest::Writable, |_| {}).unwrap();
    assert_eq!(reactor.source_count(), 2);
    let simulation = Simulation::new(1);
    assert_eq!(simulation.host("10.0.0.1").watch(ours, Interest::Readable, |_| {}).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[cfg(target_os = "linux")]
#[test]
fn files_that_change_are_reported_by_inotify_and_time_by_a_timer() {
    use rustix::fs::inotify;
    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
    let reactor = Reactor::new().unwrap();
    let folder = std::env::temp_dir().join(format!("torsade-watching-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let changes = Rc::new(inotify::init(inotify::CreateFlags::CLOEXEC).unwrap());
    inotify::add_watch(&*changes, &folder, inotify::WatchFlags::CREATE).unwrap();
    let created = Rc::new(RefCell::new(String::new()));
    let (reading, name, stopping) = (changes.clone(), created.clone(), reactor.clone());
    let _changes = reactor
        .watch(changes, Interest::Readable, move |_| {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
            let mut events = inotify::Reader::new(&*reading, &mut buffer);
            let event = events.next().unwrap();
            *name.borrow_mut() = event.file_name().unwrap().to_str().unwrap().to_owned();
            stop(&stopping);
        })
        .unwrap();
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).unwrap();
    let soon = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: never, it_value: soon }).unwrap();
    let (timer, file) = (Rc::new(timer), folder.join("new"));
    let reading = timer.clone();
    let _timer = reactor
        .watch(timer, Interest::Readable, move |_| {
            let mut expired = [0; 8];
            assert_eq!(rustix::io::read(&*reading, &mut expired).unwrap(), 8);
            std::fs::write(&file, b"").unwrap();
        })
        .unwrap();
    run(&reactor);
    assert_eq!(*created.borrow(), "new");
    std::fs::remove_dir_all(folder).unwrap();
}
