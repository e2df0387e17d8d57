//! Ten complete programs, in Twisted and in Torsade.
//!
//! Each page below shows a Twisted program on the left and its port on the right, as they stand in `examples/ports`, and says
//! what changes in the port and why. A test plays 200 random scripts of connections against each original and its port, wherever
//! Python with Twisted is installed, and both have to answer the same: [how to check a port](super::porting#checking-a-port).
//!
//! Most of a program ports line by line: callbacks keep their names, the transport and the reactor become arguments, `raise`
//! becomes `?`, and what connections share becomes an `Rc<RefCell<..>>` that the factory's closure clones. Each pair adds
//! something to that. When a port behaves otherwise than the program did, look up the symptom in [`porting`](super::porting).

/// A page with an original and its port.
macro_rules! pair {
    ($(#[$prose:meta])* $name:ident) => {
        $(#[$prose])*
        #[doc = concat!(
            "\n\n<div style=\"display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 36rem), 1fr)); gap: 0 1rem; ",
            "width: max(100%, min(100vw - 20rem, 90rem)); max-width: none\"><div style=\"min-width: 0\">\n\n**Twisted**\n\n```python\n",
            include_str!(concat!("../../examples/ports/", stringify!($name), "/original.py")),
            "```\n\n</div><div style=\"min-width: 0\">\n\n**Torsade**\n\n```no_run\n",
            include_str!(concat!("../../examples/ports/", stringify!($name), "/main.rs")),
            "```\n\n</div></div>\n"
        )]
        pub mod $name {}
    };
}

pair! {
    /// A line server: named counters.
    ///
    /// - `getattr(self, "do_" + command)` becomes a `match`, so a peer can only call what is in it. Wrong arguments are a pattern
    ///   that does not match, not a `TypeError`.
    /// - What the Twisted program keeps on the factory is an `Rc` that the factory's closure clones for each connection.
    /// - `MAX_LENGTH = 64` on the class becomes `max_length(64)` on the receiver.
    line_server
}

pair! {
    /// A chat: each member's lines go to all others.
    ///
    /// - A name becomes free when its owner is asked to leave, not in `connection_lost`: that comes once the peer has
    ///   acknowledged everything, and the name would stay taken until then.
    /// - The map of people may stay borrowed while everyone in it is written to, since `send_line` calls nobody back.
    chat
}

pair! {
    /// A relay: two connections, each the producer of the other.
    ///
    /// - `unregisterProducer` is gone: a transport that acts as a producer unregisters itself when it is lost or closing.
    /// - A protocol cannot hold the other protocol, since each belongs to its connection. It holds the other's transport.
    /// - A connection is not read while its own output is congested, unless `set_read_while_congested(true)`. In a relay a peer
    ///   that does not read is to be heard all the same, and the producers bound what is buffered.
    relay
}

pair! {
    /// A server behind a proxy: PROXY headers say who the client is.
    ///
    /// - `haproxy:` in an endpoint string works as in Twisted; as a value it is `ServerEndpoint::proxied`.
    /// - The protocol is built when the header has arrived, so `build_protocol` already gets the client's address. The header may
    ///   come in pieces.
    /// - An `Address` prints IPv6 in brackets, `[2001:db8::1]:80`; `"%s:%d" % (peer.host, peer.port)` does not.
    behind_proxy
}

pair! {
    /// A TLS server that knows its clients by their certificates.
    ///
    /// - `Certificate.peerFromTransport(transport).getSubject().CN` is `peer_common_name`.
    /// - `handshakeCompleted` is a callback of every protocol, so there is no `IHandshakeListener` to declare.
    /// - After `loseConnection` Twisted's TLS goes on reading until the peer closes too, however long that takes, and
    ///   `connectionLost` comes only then. So the original checks in `lineReceived` whether it has left. In the port no line
    ///   follows `lose_connection`.
    /// - An earlier connection of the same guest is reached through its transport, which the map holds, not through its protocol.
    #[cfg(feature = "tls")]
    guests
}

pair! {
    /// A tree of services: a port and a timer that share state.
    ///
    /// - The timer and the protocols share an `Rc`; in Twisted both reach for the factory.
    /// - `run_service` starts the services, runs the loop and stops them at SIGINT or SIGTERM, as `twistd` does.
    leases
}

pair! {
    /// A child process for each connection.
    ///
    /// - Every protocol can be half-closed, so there is no interface to declare and no empty `writeConnectionLost`.
    /// - A child inherits the environment by default; Twisted's gets an empty one.
    /// - `signal_process` returns an error if the process has exited already, and `.ok()` is the `except ProcessExitedAlready:
    ///   pass`.
    filter
}

pair! {
    /// A client that reconnects.
    ///
    /// - `factory.resetDelay()` and `factory.stopTrying()` are calls on a `Backoff`, a handle that the factory gives to its
    ///   protocols.
    /// - What the original does in the factory's `clientConnectionLost` moves into `connection_lost`, since the factory is a
    ///   closure.
    agent
}

pair! {
    /// A client written with `inlineCallbacks`.
    ///
    /// - `@inlineCallbacks` becomes `async`, `yield` becomes `.await`, and `raise` becomes `?`.
    /// - A `DeferredQueue` has a bound here: unasked answers beyond it close the connection.
    /// - The original waits for the end of its connection before `main` returns, because stopping Twisted's reactor drops unsent
    ///   bytes. Torsade's stop sends them.
    questions
}

pair! {
    /// A client written with Deferreds: several questions at once, answered in any order.
    ///
    /// - The part that asks is a handle which shares its state with the protocol, since the protocol belongs to its connection.
    /// - A `Deferred` has a separate `Firer`. Take it out of the shared state in a statement of its own before you fire it:
    ///   callbacks run at once, and may borrow the state again.
    /// - `lambda _:` becomes a closure that takes `()`.
    sums
}
