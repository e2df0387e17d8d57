//! A transport that records which methods are called, and passes all calls on to another.
//!
//! The traits have no default methods, so a new method does not compile until it is listed here, and a test that claims to call
//! every method fails until it calls the new one.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::spi::{
    AlreadyReceived, Connection, ConnectionCompression, ConnectionLimits, ConnectionTls, ConnectionUnix, Registration,
    TcpOptions, Work,
};
use torsade::{
    CompressionError, CompressionStats, Delivery, Descriptor, PeerCredentials, ProducerError, ProxyHeader, StartTlsError,
    TaskGroup, TlsConfig, TlsInfo,
};

pub type Called = Rc<RefCell<BTreeSet<&'static str>>>;

struct Noting {
    below: Transport,
    called: Called,
}

/// `transport`, with each call recorded.
pub fn noting(transport: &Transport, called: &Called) -> Transport {
    Transport::new(Rc::new(Noting { below: transport.clone(), called: called.clone() }))
}

/// All names that can be recorded.
pub fn every_method() -> BTreeSet<&'static str> {
    [CONNECTION, LIMITS, COMPRESSION, TLS, TCP, UNIX].concat().into_iter().collect()
}

impl Noting {
    fn connection(&self) -> &dyn Connection {
        self.below.connection()
    }

    fn limits(&self) -> &dyn ConnectionLimits {
        self.connection().limits()
    }

    fn compression(&self) -> &dyn ConnectionCompression {
        self.connection().compression().expect("it can be compressed")
    }

    fn tls(&self) -> &dyn ConnectionTls {
        self.connection().tls().expect("it can be encrypted")
    }

    fn tcp(&self) -> &dyn TcpOptions {
        self.connection().tcp().expect("it is a TCP connection")
    }

    fn unix(&self) -> &dyn ConnectionUnix {
        self.connection().unix().expect("it is a connection of a socket")
    }
}

macro_rules! passed_on {
    ($all:ident, $group:ty, $below:ident, { $(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)* } $($other:item)*) => {
        const $all: &[&str] = &[$(stringify!($name)),*];

        impl $group for Noting {
            $(fn $name(&self $(, $argument: $type)*) $(-> $result)? {
                self.called.borrow_mut().insert(stringify!($name));
                self.$below().$name($($argument),*)
            })*
            $($other)*
        }
    };
}

passed_on!(CONNECTION, Connection, connection, {
    fn reactor() -> &Reactor;
    fn id() -> u64;
    fn peer() -> Address;
    fn host() -> Address;
    fn is_connected() -> bool;
    fn write(data: &[u8]);
    fn write_sequence(pieces: &[&[u8]]);
    fn write_shared(data: &SharedBytes);
    fn unsent() -> usize;
    fn delivery() -> Delivery;
    fn register_producer(producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError>;
    fn unregister_producer();
    fn add_consumer(registration: &Rc<Registration>);
    fn lose_connection();
    fn lose_write_connection();
    fn abort_connection();
    fn fail_with(reason: Reason);
    fn is_closing() -> bool;
    fn tasks() -> Option<TaskGroup>;
    fn pause_producing();
    fn resume_producing();
    fn is_reading() -> bool;
    fn can_deliver() -> bool;
    fn work() -> Option<&Work>;
    fn unread(data: &[u8]);
    fn accept_proxy_header(header: ProxyHeader, rest: &[u8]);
    fn proxy_header() -> Option<&ProxyHeader>;
    fn copy_descriptor() -> io::Result<Descriptor>;
}
    fn limits(&self) -> &dyn ConnectionLimits {
        self
    }
    fn compression(&self) -> Option<&dyn ConnectionCompression> {
        Some(self)
    }
    fn tls(&self) -> Option<&dyn ConnectionTls> {
        Some(self)
    }
    fn tcp(&self) -> Option<&dyn TcpOptions> {
        Some(self)
    }
    fn unix(&self) -> Option<&dyn ConnectionUnix> {
        Some(self)
    }
);

passed_on!(LIMITS, ConnectionLimits, limits, {
    fn write_buffer_limits() -> (usize, usize);
    fn is_congested() -> bool;
    fn when_unsent(at_most: usize) -> Deferred<()>;
    fn flush() -> bool;
    fn set_write_buffer_limits(low: usize, high: usize);
    fn set_write_buffer_cap(cap: usize);
    fn set_read_while_congested(on: bool);
    fn set_close_timeout(timeout: Duration);
});

passed_on!(COMPRESSION, ConnectionCompression, compression, {
    fn set_compression(compression: &Compression) -> Result<(), CompressionError>;
    fn flush_compression();
    fn compression_barrier();
    fn set_uncompressed(on: bool);
    fn end_compression();
    fn expect_compression(decompression: &Decompression, rest: &[u8]) -> Result<(), CompressionError>;
    fn set_detection(detect: Detect);
    fn set_decompression_limits(limits: &Decompression);
    fn take_trailing() -> Vec<u8>;
    fn compression_stats() -> Option<CompressionStats>;
});

passed_on!(TLS, ConnectionTls, tls, {
    fn start_tls(config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError>;
    fn is_handshaking() -> bool;
    fn tls_info() -> Option<TlsInfo>;
    fn set_tls_truncation_allowed(allowed: bool);
});

passed_on!(TCP, TcpOptions, tcp, {
    fn nodelay() -> io::Result<bool>;
    fn set_nodelay(on: bool) -> io::Result<()>;
    fn keepalive() -> io::Result<bool>;
    fn set_keepalive(on: bool) -> io::Result<()>;
});

passed_on!(UNIX, ConnectionUnix, unix, {
    fn peer_credentials() -> io::Result<PeerCredentials>;
    fn send_descriptor(descriptor: Descriptor) -> io::Result<()>;
    fn set_descriptor_limit(limit: usize) -> io::Result<()>;
});
