//! Standard input and output on a reactor.

use std::io;

use torsade_protocols::{Address, Protocol};
use torsade_reactor::Reactor;

use crate::ends::adopted::adopt;

/// Standard input and output as a connection.
pub trait ReactorStdio {
    /// Has `protocol` read standard input and write standard output.
    ///
    /// # Errors
    /// As the system says.
    #[doc(alias = "StandardIO")]
    fn standard_io<P: Protocol + 'static>(&self, protocol: P) -> io::Result<()>;
}

impl ReactorStdio for Reactor {
    fn standard_io<P: Protocol + 'static>(&self, protocol: P) -> io::Result<()> {
        let stream = self.backend().standard_io()?;
        adopt(self, stream, Address::Unnamed, Box::new(protocol), (Box::new(|_| {}), Box::new(|_| {})));
        Ok(())
    }
}
