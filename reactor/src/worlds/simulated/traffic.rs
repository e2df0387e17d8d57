//! What is sent through the network, and its effect on arrival.

use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::backend::Ready;

use super::link::{Fate, LinkId, Medium, Segment, Side, Stage};
use super::local::LOCAL_LATENCY;
use super::network::Network;
use super::queue::Happening;

/// The overhead of a segment: the headers of IPv4 and TCP.
const HEADER: usize = 40;
/// How often a connect is retried.
const SYN_RETRIES: u32 = 6;
/// Segments of one direction arrive at different times, so that each is an edge of its own.
pub(super) const GAP: Duration = Duration::from_nanos(1);

/// The result of one step of the network.
pub(super) enum Step {
    /// Program code to call, which may use the network.
    Call(Box<dyn FnOnce()>),
    Done,
    /// Nothing is due now.
    Nothing,
}

impl Network {
    pub(super) fn next_time(&mut self) -> Option<Duration> {
        while let Some((time, happening)) = self.queue.first() {
            if !self.is_stale(happening) {
                return Some(time);
            }
            self.queue.pop();
        }
        None
    }

    /// Performs the first due event.
    pub(super) fn step(&mut self) -> Step {
        let now = self.now();
        if self.next_time().is_none_or(|time| time > now) {
            return Step::Nothing;
        }
        match self.queue.pop() {
            None => return Step::Nothing,
            Some(Happening::Call(call)) => return Step::Call(call),
            Some(Happening::Abandon(id, side)) => {
                self.reset(id, side);
                self.forget_if_over(id);
            }
            Some(Happening::ChildEnd(place)) => self.report_end(place),
            Some(Happening::Datagram(flight)) => self.arrive_datagram(*flight),
            Some(Happening::Deliver(id, side)) => self.deliver(id, side),
            Some(Happening::GiveUp(id, side, _)) => self.die(id, side, ErrorKind::TimedOut),
            Some(Happening::NoAnswer(id, kind)) => self.die(id, Side::Client, kind),
            Some(Happening::Refused(id, to)) => self.refuse_datagrams(id, &to),
            Some(Happening::Room(id, side)) => self.report_room(id, side),
            Some(Happening::Syn(id, attempt)) => self.syn(id, attempt),
        }
        Step::Done
    }

    fn is_stale(&self, happening: &Happening) -> bool {
        let connecting = |id: &LinkId| {
            let client = self.links.get(id).map(|link| &link.client);
            client.is_some_and(|client| client.stage == Stage::Connecting && !client.released)
        };
        match happening {
            Happening::Abandon(id, side) => self.links.get(id).is_none_or(|link| {
                let end = link.end(*side);
                end.stage != Stage::Open || end.fin_sent
            }),
            Happening::Call(_) | Happening::ChildEnd(_) | Happening::Datagram(_) => false,
            Happening::Deliver(id, _) | Happening::Room(id, _) => !self.links.contains_key(id),
            Happening::GiveUp(id, side, since) => {
                self.links.get(id).is_none_or(|link| link.end(*side).stalled_since != Some(*since))
            }
            Happening::Refused(id, _) => !self.datagrams.contains_key(id),
            Happening::NoAnswer(id, _) | Happening::Syn(id, _) => !connecting(id),
        }
    }

    /// A connect request reaches the server, or not.
    fn syn(&mut self, id: LinkId, attempt: u32) {
        let Some(link) = self.links.get(&id) else { return };
        if link.server.stage != Stage::Connecting {
            return;
        }
        let (host, fate) = (link.server.host, link.fate);
        let listener = self.find_listener(host, &link.server.local);
        let full = listener.and_then(|id| self.listeners.get(&id)).is_some_and(|listener| {
            // Linux allows one more than requested.
            listener.waiting.len() + listener.half_open > listener.backlog
        });
        if full || fate == Fate::Hanging || self.are_partitioned(link.client.host, host) {
            if attempt < SYN_RETRIES {
                self.queue.push(self.now() + Duration::from_secs(1 << attempt), Happening::Syn(id, attempt + 1));
            }
            return;
        }
        let listener = listener.filter(|_| fate == Fate::Answered).and_then(|id| self.listeners.get_mut(&id));
        let mut taken_by = host;
        let answer = if let Some(listener) = listener {
            listener.half_open += 1;
            taken_by = listener.host;
            Segment::SynAck
        } else {
            Segment::Reset
        };
        if let Some(link) = self.links.get_mut(&id) {
            // The listener may belong to a process of the host.
            link.server.host = taken_by;
            link.server.stage = if matches!(answer, Segment::SynAck) { Stage::HalfOpen } else { Stage::Dead };
        }
        self.send(id, Side::Server, answer);
    }

    /// Puts a segment in transit, after everything the side has sent before.
    pub(super) fn send(&mut self, id: LinkId, side: Side, segment: Segment) {
        if self.script.is_some() {
            return self.arrive(id, side.other(), segment);
        }
        let now = self.now();
        let latency = if self.is_local(id) { LOCAL_LATENCY } else { self.network_latency() };
        let Some(end) = self.links.get_mut(&id).map(|link| link.end_mut(side)) else { return };
        let size = HEADER + if let Segment::Data(data) = &segment { data.len() } else { 0 };
        end.line_free = end.line_free.max(now) + end.bandwidth.map_or(Duration::ZERO, |bandwidth| time_for(size, bandwidth));
        end.last_arrival = (end.line_free + latency).max(end.last_arrival + GAP);
        end.in_flight.push_back((end.last_arrival, segment));
        self.queue.push(end.last_arrival, Happening::Deliver(id, side));
    }

    fn network_latency(&mut self) -> Duration {
        let latency = self.latency();
        if self.rng.chance(self.faults.loss) { latency + self.rng.duration(&self.faults.retransmission) } else { latency }
    }

    /// Sends what is unsent as far as the peer has room, then the FIN if we write no more.
    pub(super) fn pump(&mut self, id: LinkId, side: Side) {
        while let Some(link) = self.links.get_mut(&id) {
            let window = link.window(side);
            let resets = if link.medium == Medium::Network { self.faults.reset } else { 0.0 };
            let end = link.end_mut(side);
            if end.stage != Stage::Open {
                return;
            }
            if end.unsent.is_empty() && end.shut && !end.fin_sent && (window > 0 || end.until_stuck != Some(0)) {
                end.fin_sent = true;
                let end = if end.released && end.reset_on_close { Segment::Reset } else { Segment::Fin };
                return self.send(id, side, end);
            }
            let size = self.rng.size(&self.faults.segment).min(window).min(end.unsent.len());
            if size == 0 {
                return;
            }
            let data: Vec<u8> = end.unsent.drain(..size).collect();
            end.flying += size;
            end.until_stuck = end.until_stuck.map(|left| left.saturating_sub(size));
            self.send(id, side, Segment::Data(data));
            if self.rng.chance(resets) {
                return self.send(id, side, Segment::Cut);
            }
        }
    }

    fn deliver(&mut self, id: LinkId, from: Side) {
        let now = self.now();
        while let Some(link) = self.links.get_mut(&id) {
            let (a, b) = (link.client.host, link.server.host);
            if link.end(from).in_flight.front().is_none_or(|(arrival, _)| *arrival > now) {
                break;
            }
            if link.medium == Medium::Network && self.are_partitioned(a, b) {
                return self.stall(id, from);
            }
            let front = self.links.get_mut(&id).and_then(|link| link.end_mut(from).in_flight.pop_front());
            if let Some((_, segment)) = front {
                self.arrive(id, from.other(), segment);
            }
        }
        self.forget_if_over(id);
    }

    fn stall(&mut self, id: LinkId, side: Side) {
        let now = self.now();
        let Some(end) = self.end(id, side) else { return };
        if end.stalled_since.is_none() {
            end.stalled_since = Some(now);
            self.queue.push(now.saturating_add(self.faults.retransmission_timeout), Happening::GiveUp(id, side, now));
        }
    }

    /// Retransmits what was held back by partitions that are now healed.
    pub(super) fn release_stalled(&mut self) {
        let now = self.now();
        let partitioned = |network: &Self, id: &LinkId| {
            network.links.get(id).is_none_or(|link| network.are_partitioned(link.client.host, link.server.host))
        };
        let free: Vec<LinkId> = self.links.keys().filter(|id| !partitioned(self, id)).copied().collect();
        for (id, side) in free.into_iter().flat_map(|id| [(id, Side::Client), (id, Side::Server)]) {
            let Some(end) = self.links.get_mut(&id).map(|link| link.end_mut(side)) else { continue };
            if end.stalled_since.take().is_none() {
                continue;
            }
            let mut earliest = now + self.rng.duration(&self.faults.retransmission);
            for (arrival, _) in &mut end.in_flight {
                *arrival = earliest.max(*arrival);
                earliest = *arrival + GAP;
                self.queue.push(*arrival, Happening::Deliver(id, side));
            }
            end.last_arrival = end.last_arrival.max(earliest);
        }
    }

    fn arrive(&mut self, id: LinkId, to: Side, segment: Segment) {
        match segment {
            Segment::SynAck => self.arrive_answer(id),
            Segment::Ack => self.arrive_acknowledgement(id),
            Segment::Data(data) => self.arrive_data(id, to, &data),
            Segment::Fin => self.arrive_fin(id, to),
            Segment::Reset => self.die(id, to, ErrorKind::ConnectionReset),
            Segment::Cut => {
                self.die(id, to, ErrorKind::ConnectionReset);
                self.send(id, to, Segment::Reset);
            }
        }
    }

    fn arrive_answer(&mut self, id: LinkId) {
        let Some(client) = self.links.get_mut(&id).map(|link| &mut link.client) else { return };
        if client.released || client.stage != Stage::Connecting {
            return self.reset(id, Side::Client);
        }
        client.stage = Stage::Open;
        self.wake(id, Side::Client);
        self.send(id, Side::Client, Segment::Ack);
    }

    fn arrive_acknowledgement(&mut self, id: LinkId) {
        let Some(server) = self.links.get_mut(&id).map(|link| &mut link.server) else { return };
        if server.stage != Stage::HalfOpen {
            return;
        }
        server.stage = Stage::Open;
        let (host, address) = (server.host, server.local.clone());
        let Some(listener) = self.find_listener(host, &address) else { return self.reset(id, Side::Server) };
        if let Some(link) = self.links.get_mut(&id) {
            link.server.released = false;
        }
        if let Some(listening) = self.listeners.get_mut(&listener) {
            listening.half_open = listening.half_open.saturating_sub(1);
            listening.waiting.push_back(id);
        }
        self.wake_listener(listener);
    }

    fn arrive_data(&mut self, id: LinkId, to: Side, data: &[u8]) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let from = link.end_mut(to.other());
        from.flying = from.flying.saturating_sub(data.len());
        let end = link.end_mut(to);
        if end.released || end.stage == Stage::Dead {
            // Within one machine the sender was told when the end was closed.
            if !self.is_local(id) {
                self.reset(id, to);
            }
            return;
        }
        end.received.extend(data);
        end.window = end.window.saturating_sub(data.len());
        self.wake(id, to);
        self.report_room(id, to.other());
        self.pump(id, to.other());
    }

    fn arrive_fin(&mut self, id: LinkId, to: Side) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.end(to).stage == Stage::Dead {
            return self.reset(id, to);
        }
        link.end_mut(to).ended = true;
        link.end_mut(to.other()).fin_taken = true;
        self.wake(id, to);
        self.wake(id, to.other());
    }

    /// Reports room to a writer that found none, if there is some.
    pub(super) fn report_room(&mut self, id: LinkId, side: Side) {
        let now = self.now();
        let Some(end) = self.end(id, side) else { return };
        if end.wants_room && end.stage == Stage::Open && end.has_room(now) {
            end.wants_room = false;
            self.wake(id, side);
        }
    }

    /// Resets the connection from this side: the peer sees the reset after what is in transit.
    pub(super) fn reset(&mut self, id: LinkId, side: Side) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let peer_lives = link.end(side.other()).stage != Stage::Dead;
        let end = link.end_mut(side);
        end.unsent.clear();
        if end.stage == Stage::HalfOpen {
            self.forget_half_open(id);
        }
        if let Some(end) = self.end(id, side) {
            end.stage = Stage::Dead;
        }
        if peer_lives {
            self.send(id, side, Segment::Reset);
        }
    }

    /// The socket is lost because of an error from outside.
    pub(super) fn die(&mut self, id: LinkId, side: Side, kind: ErrorKind) {
        let local = self.is_local(id);
        let Some(end) = self.end(id, side) else { return };
        if end.stage == Stage::Dead || end.is_finished() {
            return;
        }
        let kind = match kind {
            kind if local => kind,
            ErrorKind::ConnectionReset if end.stage == Stage::Connecting => ErrorKind::ConnectionRefused,
            // This is how Linux reports a reset after the peer's FIN.
            ErrorKind::ConnectionReset if end.ended => ErrorKind::BrokenPipe,
            kind => kind,
        };
        let half_open = end.stage == Stage::HalfOpen;
        end.error = Some(kind);
        // A UNIX socket reports its error even after the end.
        end.ended &= !local;
        end.stage = Stage::Dead;
        end.unsent.clear();
        end.in_flight.clear();
        end.flying = 0;
        end.stalled_since = None;
        if half_open {
            self.forget_half_open(id);
        }
        self.wake(id, side);
        self.forget_if_over(id);
    }

    fn forget_half_open(&mut self, id: LinkId) {
        let Some(server) = self.links.get(&id).map(|link| &link.server) else { return };
        let listener = self.find_listener(server.host, &server.local);
        if let Some(listener) = listener.and_then(|id| self.listeners.get_mut(&id)) {
            listener.half_open = listener.half_open.saturating_sub(1);
        }
    }

    pub(super) fn close(&mut self, id: LinkId, side: Side) {
        let Some(end) = self.end(id, side) else { return };
        if std::mem::replace(&mut end.released, true) {
            // The system closed it when the program ended.
            return;
        }
        self.remove_stream(id, side);
        if self.is_local(id) {
            return self.close_local(id, side);
        }
        let Some(end) = self.end(id, side) else { return };
        match end.stage {
            Stage::Connecting | Stage::HalfOpen => end.stage = Stage::Dead,
            Stage::Dead => {}
            // Unread data would be lost silently, so the peer is told (RFC 2525, 2.17).
            Stage::Open if (end.reset_on_close || !end.received.is_empty()) && !end.is_finished() => self.reset(id, side),
            Stage::Open => {
                end.shut = true;
                self.pump(id, side);
                let timeout = self.now().saturating_add(self.faults.retransmission_timeout);
                if self.links.get(&id).is_some_and(|link| !link.end(side).fin_sent) {
                    self.queue.push(timeout, Happening::Abandon(id, side));
                }
            }
        }
        // What the peer could not send for lack of room is sent now, and answered with a reset.
        self.pump(id, side.other());
        self.forget_if_over(id);
    }

    /// A listening socket is closed: connections waiting in it are reset.
    pub(super) fn close_listener(&mut self, id: u64) {
        let Some(listener) = self.listeners.remove(&id) else { return };
        for link in listener.waiting {
            if let Some(link) = self.links.get_mut(&link) {
                link.server.released = true;
            }
            self.reset(link, Side::Server);
            self.forget_if_over(link);
        }
    }

    /// The power of a socket's host fails: it sends nothing more, and what it sent last does not arrive.
    pub(super) fn vanish(&mut self, id: LinkId, side: Side) {
        let Some(end) = self.end(id, side) else { return };
        end.released = true;
        end.stage = Stage::Dead;
        end.received.clear();
        end.unsent.clear();
        end.in_flight.clear();
        end.flying = 0;
        self.pump(id, side.other());
        self.forget_if_over(id);
    }

    pub(super) fn forget_if_over(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id).filter(|link| link.is_over()) else { return };
        if link.server.stage == Stage::HalfOpen {
            self.forget_half_open(id);
        }
        self.links.remove(&id);
    }

    pub(super) fn read(&mut self, id: LinkId, side: Side, buffer: &mut [u8]) -> io::Result<usize> {
        let segment = *self.faults.segment.end();
        let end = self.end(id, side).ok_or(ErrorKind::NotConnected)?;
        let most = end.passing.readable().min(buffer.len());
        let read = end.read(&mut buffer[..most]);
        if let Ok(count) = read {
            end.passing.record_read(count, most)?;
        }
        if end.open_window(segment) {
            self.pump(id, side.other());
        }
        self.rearm(id, side, read)
    }

    pub(super) fn write(&mut self, id: LinkId, side: Side, data: &[u8]) -> io::Result<usize> {
        let now = self.now();
        let scripted = self.script.is_some();
        let link = self.links.get_mut(&id).ok_or(ErrorKind::NotConnected)?;
        if link.medium == Medium::Machine && link.end(side.other()).released {
            return Err(ErrorKind::BrokenPipe.into());
        }
        // If a test plays the peer, the test alone decides how much can be written.
        let most = if scripted { link.window(side) } else { usize::MAX };
        let end = link.end_mut(side);
        let mut size = end.room_to_write(now)?.min(data.len()).min(most);
        if size > 0 && self.rng.chance(self.faults.short_write) {
            size = usize::try_from(self.rng.below(size as u64)).unwrap_or(0);
            end.blocked_until = now + self.rng.duration(&self.faults.latency).max(GAP);
            self.queue.push(end.blocked_until, Happening::Room(id, side));
        }
        end.unsent.extend(&data[..size]);
        link.pass_descriptors(side, size);
        let end = link.end_mut(side);
        end.wants_room |= size < data.len();
        self.pump(id, side);
        let written = if size == 0 && !data.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(size) };
        self.rearm(id, side, written)
    }

    /// After `WouldBlock`, the readiness of a socket without edges is reported again.
    fn rearm(&mut self, id: LinkId, side: Side, result: io::Result<usize>) -> io::Result<usize> {
        let blocked = matches!(&result, Err(error) if error.kind() == ErrorKind::WouldBlock);
        let reported = self.end(id, side).and_then(|end| end.reported.as_mut());
        if let Some(reported) = reported.filter(|_| blocked) {
            *reported = Ready::NONE;
            self.wake(id, side);
        }
        result
    }

    pub(super) fn shutdown_write(&mut self, id: LinkId, side: Side) -> io::Result<()> {
        let end = self.end(id, side).ok_or(ErrorKind::NotConnected)?;
        let open = end.stage == Stage::Open && !end.is_finished();
        end.shut |= open;
        // Linux wakes waiting programs even if this fails: a shut socket is writable.
        self.wake(id, side);
        if !open {
            return Err(ErrorKind::NotConnected.into());
        }
        self.pump(id, side);
        Ok(())
    }
}

pub(super) fn time_for(size: usize, bandwidth: u64) -> Duration {
    let nanos = size as u128 * 1_000_000_000 / u128::from(bandwidth.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
}
