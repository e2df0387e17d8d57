//! Datagrams of any number and size between two hosts: on a calm network each arrives once, in order, whole or reported as
//! truncated; those too long to send are counted.
#![no_main]

use std::cell::RefCell;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use torsade::DatagramOptions;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade_fuzz::Cut;

/// The datagrams received, and whether each was whole.
type Heard = Rc<RefCell<Vec<(Vec<u8>, bool)>>>;

struct Listener(Heard);

impl DatagramProtocol for Listener {
    fn datagram_received(&mut self, _: &DatagramTransport, data: &[u8], _: &Address) -> Result {
        self.0.borrow_mut().push((data.to_vec(), true));
        Ok(())
    }

    fn datagram_truncated(&mut self, _: &DatagramTransport, data: &[u8], _: &Address) -> Result {
        self.0.borrow_mut().push((data.to_vec(), false));
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[limit, blow_up], rest)) = input.split_first_chunk() else { return };
    let Some(cut) = Cut::new(rest) else { return };
    // Repeated, so that some are longer than a datagram can be.
    let sent: Vec<_> = cut.pieces.iter().map(|piece| piece.repeat(1 + usize::from(blow_up) % 64)).collect();
    let max = usize::from(limit) + 1;

    let simulation = Simulation::with_faults(1, Faults::calm());
    let heard = Heard::default();
    let options = DatagramOptions { max_packet_size: max, ..DatagramOptions::default() };
    let server = simulation.host("10.0.0.1");
    let there = server.listen_udp_with("10.0.0.1:7", options, Listener(heard.clone())).expect("a free port");
    let client = simulation.host("10.0.0.2").listen_udp("10.0.0.2:0", Listener(Heard::default())).expect("a free port");
    sent.iter().for_each(|data| client.write_to(data, &there.host()));
    simulation.run_until_idle().expect("it becomes idle");

    let (short, long): (Vec<_>, Vec<_>) = sent.iter().partition(|data| data.len() <= 65_507);
    let wanted: Vec<_> = short.iter().map(|data| (data[..data.len().min(max)].to_vec(), data.len() <= max)).collect();
    assert_eq!(*heard.borrow(), wanted);
    assert_eq!(client.dropped(), long.len() as u64);
    assert_eq!(there.truncated(), wanted.iter().filter(|(_, whole)| !whole).count() as u64);
});
