//! The places of programs: hosts, and the processes on them.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::backend::Signal;

use super::link::{Link, LinkId, Side};
use super::network::{FIRST_EPHEMERAL, Network, SocketId};
use super::rng::Rng;

/// The place of a program: a host, or a process on one.
pub(super) struct Place {
    pub(super) ip: IpAddr,
    further: Vec<IpAddr>,
    /// The place of the host it is on; for a host, its own.
    pub(super) machine: usize,
    /// Sockets with an edge that was not reported yet.
    pub(super) woken: VecDeque<SocketId>,
    pub(super) signals: Vec<Signal>,
    pub(super) watched: Vec<Signal>,
    /// The number of the program's connection sockets.
    pub(super) streams: usize,
    /// Whether it is in `stirred`.
    pub(super) stirred: bool,
    pub(super) next_port: u16,
    /// Whether all ports have been used once.
    pub(super) wrapped: bool,
    pub(super) random: Rng,
    /// Whether its power has failed.
    pub(super) off: bool,
}

impl Network {
    /// The place of the host with this address.
    pub(super) fn find_host(&self, ip: IpAddr) -> Option<usize> {
        self.places.iter().position(|host| host.ip == ip || host.further.contains(&ip))
    }

    pub(super) fn host_ip(&self, host: usize) -> IpAddr {
        self.places[host].ip
    }

    /// The addresses of a program's host, the main one first.
    pub(super) fn addresses(&self, host: usize) -> impl Iterator<Item = IpAddr> {
        let host = &self.places[self.machine(host)];
        std::iter::once(host.ip).chain(host.further.iter().copied())
    }

    pub(super) fn add_address(&mut self, host: usize, ip: IpAddr) {
        self.places[host].further.push(ip);
    }

    /// The address that a host's program uses towards another: one of the same IP version, if it has one.
    pub(super) fn source_ip(&self, host: usize, there: IpAddr) -> IpAddr {
        self.addresses(host).find(|own| own.is_ipv4() == there.is_ipv4()).unwrap_or_else(|| self.host_ip(host))
    }

    /// The machines, without the places of processes.
    pub(super) fn all_hosts(&self) -> impl Iterator<Item = usize> {
        (0..self.places.len()).filter(|place| self.machine(*place) == *place)
    }

    pub(super) fn add_host(&mut self, ip: IpAddr) -> usize {
        let name = ip.to_string();
        self.add_program(ip, self.places.len(), &name)
    }

    /// Adds a process on a machine.
    pub(super) fn add_place(&mut self, machine: usize) -> usize {
        let ip = self.places[machine].ip;
        let name = format!("{ip}/{}", self.places.len());
        self.add_program(ip, machine, &name)
    }

    fn add_program(&mut self, ip: IpAddr, machine: usize, name: &str) -> usize {
        // Each program has its own stream of random numbers, so that its draws do not affect the network's.
        let random = Rng::new(self.seed.wrapping_mul(31).wrapping_add(crate::event_log::fingerprint(name.as_bytes())));
        let (woken, signals, next_port) = (VecDeque::new(), Vec::new(), FIRST_EPHEMERAL);
        self.places.push(Place {
            ip,
            further: Vec::new(),
            machine,
            woken,
            signals,
            watched: Vec::new(),
            streams: 0,
            stirred: false,
            next_port,
            wrapped: false,
            random,
            off: false,
        });
        self.places.len() - 1
    }

    /// The place of a program's host.
    pub(super) fn machine(&self, place: usize) -> usize {
        self.places[place].machine
    }

    pub(super) fn processes_on(&self, machine: usize) -> Vec<usize> {
        (0..self.places.len()).filter(|place| *place != machine && self.machine(*place) == machine).collect()
    }

    pub(super) fn random(&mut self, host: usize) -> u64 {
        self.places[host].random.next()
    }

    pub(super) fn watch_signals(&mut self, host: usize, signals: &[Signal]) {
        self.places[host].watched = signals.to_vec();
    }

    /// Sends the program a signal. Returns false if it is not handled; signals that ask to stop always are.
    pub(super) fn signal(&mut self, host: usize, signal: Signal) -> bool {
        let Place { watched, signals, .. } = &mut self.places[host];
        let taken = signal.asks_to_stop() || watched.contains(&signal);
        if taken && (signal.asks_to_stop() || !signals.contains(&signal)) {
            signals.push(signal);
        }
        self.stir(host);
        taken
    }

    pub(super) fn streams(&self, host: usize) -> usize {
        self.places[host].streams
    }

    /// Counts a new connection socket of the host's program.
    pub(super) fn add_stream(&mut self, host: usize) {
        self.places[host].streams += 1;
    }

    pub(super) fn remove_stream(&mut self, id: LinkId, side: Side) {
        if let Some(link) = self.links.get(&id) {
            self.places[link.end(side).host].streams -= 1;
        }
    }

    /// Returns whether the host's program has as many descriptors as allowed.
    pub(super) fn is_out_of_descriptors(&self, host: usize) -> bool {
        self.places[host].streams >= self.faults.descriptors
    }

    /// Records that a host may have something to do.
    pub(super) fn stir(&mut self, host: usize) {
        if !std::mem::replace(&mut self.places[host].stirred, true) {
            self.stirred.push(host);
        }
    }

    pub(super) fn stir_all(&mut self) {
        for host in 0..self.places.len() {
            self.stir(host);
        }
    }

    /// Takes the hosts that may have something to do, in order of creation.
    pub(super) fn take_stirred(&mut self, stirred: &mut Vec<usize>) {
        stirred.clear();
        stirred.append(&mut self.stirred);
        stirred.sort_unstable();
        for host in &*stirred {
            self.places[*host].stirred = false;
        }
    }

    /// A host's program has ended. The system closes its sockets; without power there is no system, and peers are not told.
    pub(super) fn end_program(&mut self, host: usize, off: bool) {
        self.places[host].off |= off;
        let listeners: Vec<u64> = self.listeners.iter().filter(|(_, at)| at.host == host).map(|(id, _)| *id).collect();
        for id in listeners {
            if off { drop(self.listeners.remove(&id)) } else { self.close_listener(id) }
        }
        let ends =
            |(id, link): (&LinkId, &Link)| [(*id, Side::Client), (*id, Side::Server)].map(|end| (end, link.end(end.1).host));
        let ends: Vec<_> = self.links.iter().flat_map(ends).filter(|(_, at)| *at == host).map(|(end, _)| end).collect();
        for (id, side) in ends {
            if off { self.vanish(id, side) } else { self.close(id, side) }
        }
        self.places[host].streams = 0;
        self.datagrams.retain(|_, socket| socket.program != host);
    }

    /// A host has power and may run another program.
    pub(super) fn begin_program(&mut self, host: usize) {
        self.places[host].off = false;
        self.places[host].woken.clear();
        self.places[host].signals.clear();
        self.places[host].watched.clear();
        self.release_stalled();
    }
}
