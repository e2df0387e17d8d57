//! Connections within one machine: UNIX sockets and pipes.
//!
//! Written bytes reach the peer at once, as far as it has room, so closing takes nothing back and nothing is lost. There is no
//! reset: closing an end with unread input gives the peer ECONNRESET, after everything written to it.

use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::address::{Address, UnixName};
use crate::backend::{Direction, ListenOptions, Ready};

use super::link::{Fate, Link, LinkId, Medium, Segment, Side, Stage};
use super::network::Network;

/// How long it takes until written bytes can be read: time has to advance while two programs talk.
pub(super) const LOCAL_LATENCY: Duration = Duration::from_micros(1);

impl Network {
    pub(super) fn is_local(&self, id: LinkId) -> bool {
        self.links.get(&id).is_some_and(|link| link.medium == Medium::Machine)
    }

    /// A pair of connected ends without addresses, for the programs of `hosts`; `direction` is that of the first.
    pub(super) fn add_pair(&mut self, hosts: [usize; 2], direction: Direction) -> LinkId {
        let id = LinkId(self.next_id());
        let opposite = match direction {
            Direction::Both => Direction::Both,
            Direction::Input => Direction::Output,
            Direction::Output => Direction::Input,
        };
        let [client, server] = [(hosts[0], direction), (hosts[1], opposite)].map(|(host, direction)| {
            let mut end = self.new_end(Medium::Machine, host, Address::Unnamed, Address::Unnamed);
            end.stage = Stage::Open;
            end.direction = direction;
            if direction != Direction::Both {
                // As descriptors of pipes are read and written.
                end.reported = Some(Ready::NONE);
            }
            match direction {
                Direction::Both => {}
                Direction::Input => (end.shut, end.fin_sent, end.fin_taken) = (true, true, true),
                Direction::Output => end.ended = true,
            }
            end
        });
        self.links.insert(id, Link { medium: Medium::Machine, client, server, fate: Fate::Answered });
        id
    }

    /// Gives a socket its name. Listening with a lock replaces a file left behind by a killed program.
    pub(super) fn bind_unix(&mut self, host: usize, name: &UnixName, options: ListenOptions) -> io::Result<Address> {
        let address = Address::Unix(name.clone());
        let in_use = |text: &str| Err(io::Error::new(ErrorKind::AddrInUse, text));
        if self.find_listener(host, &address).is_some() || self.find_named(host, name).is_some() {
            return in_use("another program listens there; stop it, or choose another path");
        }
        if let UnixName::Path(path) = name
            && !self.socket_files.insert((self.machine(host), path.clone()))
            && !options.lock
        {
            return in_use("a file is already there: remove it if no program listens there, or listen with a lock");
        }
        Ok(address)
    }

    /// The program closes a socket bound to `address`, which removes its file.
    pub(super) fn remove_socket_file(&mut self, host: usize, address: &Address) {
        if let Address::Unix(UnixName::Path(path)) = address {
            let file = (self.machine(host), path.clone());
            self.socket_files.remove(&file);
        }
    }

    /// The error of connecting to a name on which nothing listens.
    pub(super) fn nobody_at(&self, host: usize, address: &Address) -> ErrorKind {
        match address {
            Address::Unix(UnixName::Path(path)) if !self.socket_files.contains(&(self.machine(host), path.clone())) => {
                ErrorKind::NotFound
            }
            _ => ErrorKind::ConnectionRefused,
        }
    }

    /// Connects to a UNIX socket of the same host, which does not take any time.
    pub(super) fn connect_unix(&mut self, host: usize, address: &Address) -> io::Result<LinkId> {
        if self.script.is_some() {
            // The attempt hangs until the test decides.
            return Ok(self.add_link((host, &Address::Unnamed), (host, address), Fate::Hanging));
        }
        let Some(listener) = self.find_listener(host, address) else { return Err(self.nobody_at(host, address).into()) };
        if self.rng.chance(self.faults.connect_refused) {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let Some(listening) = self.listeners.get(&listener) else { return Err(ErrorKind::ConnectionRefused.into()) };
        // Linux allows one more than requested.
        if listening.waiting.len() > listening.backlog {
            return Err(ErrorKind::WouldBlock.into());
        }
        // The listener may belong to a process of the host.
        let there = listening.host;
        let id = self.add_link((host, &Address::Unnamed), (there, address), Fate::Answered);
        if let Some(link) = self.links.get_mut(&id) {
            (link.client.stage, link.server.stage) = (Stage::Open, Stage::Open);
            link.server.released = false;
        }
        if let Some(listening) = self.listeners.get_mut(&listener) {
            listening.waiting.push_back(id);
        }
        self.wake_listener(listener);
        Ok(id)
    }

    /// Takes everything regardless of room, as if the writer blocked in the system.
    pub(super) fn write_all(&mut self, id: LinkId, side: Side, data: &[u8]) {
        let read = self.links.get(&id).is_some_and(|link| !link.end(side.other()).released);
        if let Some(end) = self.end(id, side).filter(|end| read && !end.shut && end.stage == Stage::Open) {
            end.unsent.extend(data);
            self.pump(id, side);
        }
    }

    /// The program closes its end. The peer learns at once that it cannot write any more.
    pub(super) fn close_local(&mut self, id: LinkId, side: Side) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let peer = link.end_mut(side.other());
        // Bytes still in transit are unread as well.
        let sent = !peer.unsent.is_empty() || peer.flying > 0;
        peer.unsent.clear();
        let end = link.end_mut(side);
        let unread = !std::mem::take(&mut end.received).is_empty() || sent;
        end.shut = true;
        end.reset_on_close = unread;
        if end.direction == Direction::Input {
            self.die(id, side.other(), ErrorKind::BrokenPipe);
        } else if unread && end.fin_sent && end.stage == Stage::Open {
            self.send(id, side, Segment::Reset);
        } else {
            self.pump(id, side);
        }
        self.forget_if_over(id);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::backend::Stream;
    use crate::worlds::simulated::Faults;
    use crate::worlds::simulated::sockets::SimulatedStream;
    use crate::worlds::simulated::world::World;

    fn pair(faults: Faults, direction: Direction) -> (Rc<World>, [SimulatedStream; 2]) {
        let world = World::new(1, faults);
        let (here, _) = world.host("10.0.0.1".parse().unwrap());
        let ends = SimulatedStream::pair(&world, [here, here], direction);
        (world, ends)
    }

    /// Lets everything written arrive.
    fn settle(world: &World) {
        world.jump(world.now() + Duration::from_secs(1));
        world.let_happen();
    }

    fn read(stream: &SimulatedStream) -> io::Result<Vec<u8>> {
        let mut buffer = [0; 1024];
        stream.read(&mut buffer).map(|count| buffer[..count].to_vec())
    }

    fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn a_pair_has_no_addresses_and_passes_bytes_both_ways_without_loss_in_a_hostile_world() {
        let faults = Faults { receive_buffer: 64..=64, send_buffer: 64..=64, short_write: 0.0, reset: 1.0, ..Faults::hostile() };
        let (world, [a, b]) = pair(faults, Direction::Both);
        assert_eq!(a.local_address().unwrap(), Address::Unnamed);
        assert!(a.tcp().is_none());
        for (from, to) in [(&a, &b), (&b, &a)] {
            let (mut sent, mut got) = (Vec::new(), Vec::new());
            while sent.len() < 10_000 {
                let part: Vec<u8> = (0..100).map(|i| (sent.len() + i) as u8).collect();
                match from.write(&part) {
                    Ok(count) => sent.extend(&part[..count]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
                settle(&world);
                got.extend(read(to).unwrap_or_default());
                settle(&world);
            }
            while got.len() < sent.len() {
                got.extend(read(to).unwrap());
                settle(&world);
            }
            assert_eq!(got, sent);
        }
    }

    #[test]
    fn a_pair_holds_what_its_buffers_hold_and_then_makes_the_writer_wait() {
        let faults = Faults { receive_buffer: 100..=100, send_buffer: 50..=50, ..Faults::calm() };
        let (world, [a, b]) = pair(faults, Direction::Output);
        let mut written = 0;
        while let Ok(count) = a.write(&[7; 1000]) {
            written += count;
            settle(&world);
        }
        assert_eq!(written, 150);
        assert_eq!(read(&b).unwrap().len(), 100);
        settle(&world);
        assert!(a.write(&[7; 1000]).is_ok());
    }

    #[test]
    fn a_side_that_closes_with_unread_input_gives_the_peer_an_error_after_what_was_written_to_it() {
        let (world, [a, b]) = pair(Faults::calm(), Direction::Both);
        a.write(b"never read").unwrap();
        b.write(b"last words").unwrap();
        settle(&world);
        drop(b);
        assert_eq!(kind(a.write(b"more")), Some(ErrorKind::BrokenPipe));
        settle(&world);
        assert_eq!(read(&a).unwrap(), b"last words");
        assert_eq!(kind(read(&a)), Some(ErrorKind::ConnectionReset));
        assert_eq!(read(&a).unwrap(), b"");
    }

    #[test]
    fn the_error_comes_even_after_an_end_that_was_read() {
        let (world, [a, b]) = pair(Faults::calm(), Direction::Both);
        b.shutdown_write().unwrap();
        settle(&world);
        assert_eq!(read(&a).unwrap(), b"");
        a.write(b"never read").unwrap();
        settle(&world);
        drop(b);
        settle(&world);
        assert_eq!(kind(read(&a)), Some(ErrorKind::ConnectionReset));
    }

    #[test]
    fn a_side_that_closes_with_everything_read_sends_only_the_end_whatever_the_peer_writes_then() {
        let (world, [a, b]) = pair(Faults::calm(), Direction::Both);
        b.write(b"last words").unwrap();
        assert_eq!(kind(b.reset_on_close()), Some(ErrorKind::Unsupported));
        drop(b);
        settle(&world);
        assert_eq!(kind(a.write(b"more")), Some(ErrorKind::BrokenPipe));
        settle(&world);
        assert_eq!(read(&a).unwrap(), b"last words");
        assert_eq!(read(&a).unwrap(), b"");
        drop(a);
        settle(&world);
        assert!(world.network.borrow().links.is_empty());
    }

    #[test]
    fn a_pipe_goes_one_way_and_its_reader_sees_the_end_after_the_last_bytes() {
        let (world, [a, b]) = pair(Faults::calm(), Direction::Output);
        assert_eq!((a.direction(), b.direction()), (Direction::Output, Direction::Input));
        a.write(b"all there is").unwrap();
        drop(a);
        settle(&world);
        assert_eq!(read(&b).unwrap(), b"all there is");
        assert_eq!(read(&b).unwrap(), b"");
    }

    #[test]
    fn a_pipe_that_nobody_reads_any_more_is_broken() {
        let (world, [a, b]) = pair(Faults::calm(), Direction::Output);
        a.write(b"never read").unwrap();
        drop(b);
        settle(&world);
        assert_eq!(a.take_error().unwrap().map(|error| error.kind()), Some(ErrorKind::BrokenPipe));
        assert_eq!(kind(a.write(b"more")), Some(ErrorKind::BrokenPipe));
    }
}
