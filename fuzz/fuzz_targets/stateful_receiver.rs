//! A chain of states chosen by the input never panics, spins or loses a byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torsade_fuzz::Cut;
use torsade_protocols::testing::StringTransportWithDisconnection;
use torsade_protocols::{FrameTransport, ProtocolState, Result, StatefulProtocol, StatefulReceiver};

struct Chain;

impl Chain {
    /// Each state's first byte is the length of the next.
    fn next(&mut self, transport: &FrameTransport, data: &[u8]) -> Result<Option<ProtocolState<Self>>> {
        transport.write(data);
        Ok(data.first().map(|wanted| ProtocolState::new(Self::next, usize::from(*wanted))))
    }
}

impl StatefulProtocol for Chain {
    fn initial_state(&mut self) -> ProtocolState<Self> {
        ProtocolState::new(Self::next, 1)
    }
}

fn written(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut connection = StringTransportWithDisconnection::new(StatefulReceiver::new(Chain));
    pieces.iter().for_each(|piece| connection.deliver(piece));
    (connection.value(), connection.reason().is_some())
}

fuzz_target!(|input: &[u8]| {
    let Some(cut) = Cut::new(input) else { return };
    let whole = written(&[cut.whole]);
    assert!(cut.whole.starts_with(&whole.0));
    assert_eq!(written(&cut.pieces), whole);
});
