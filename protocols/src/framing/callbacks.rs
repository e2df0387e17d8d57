//! The callbacks that protocols of messages share with [`Protocol`](crate::Protocol).

/// Declares these callbacks in a trait whose transport is `$transport`.
macro_rules! connection_callbacks {
    ($transport:ty) => {
        /// The connection is established; see [`Protocol::connection_made`](crate::Protocol::connection_made).
        ///
        /// # Errors
        /// Any error closes the connection, with that reason.
        fn connection_made(&mut self, transport: &$transport) -> Result {
            let _ = transport;
            Ok(())
        }

        /// The TLS handshake is complete; see [`Protocol::handshake_completed`](crate::Protocol::handshake_completed).
        ///
        /// # Errors
        /// Any error closes the connection, with that reason.
        fn handshake_completed(&mut self, transport: &$transport) -> Result {
            let _ = transport;
            Ok(())
        }

        /// The peer has passed us a descriptor; see [`Protocol::descriptor_received`](crate::Protocol::descriptor_received).
        ///
        /// # Errors
        /// Any error closes the connection, with that reason.
        fn descriptor_received(&mut self, transport: &$transport, descriptor: torsade_reactor::Descriptor) -> Result {
            let _ = (transport, descriptor);
            Ok(())
        }

        /// The peer has ended its stream; see [`Protocol::read_connection_lost`](crate::Protocol::read_connection_lost).
        ///
        /// # Errors
        /// Any error closes the connection, with that reason.
        fn read_connection_lost(&mut self, transport: &$transport) -> Result {
            transport.lose_connection();
            Ok(())
        }

        /// Our stream has ended; see [`Protocol::write_connection_lost`](crate::Protocol::write_connection_lost).
        ///
        /// # Errors
        /// Any error closes the connection, with that reason.
        fn write_connection_lost(&mut self, transport: &$transport) -> Result {
            let _ = transport;
            Ok(())
        }

        /// The connection has ended; see [`Protocol::connection_lost`](crate::Protocol::connection_lost).
        ///
        /// # Errors
        /// Any error is logged.
        fn connection_lost(&mut self, transport: &$transport, reason: &crate::reason::Reason) -> Result {
            let _ = (transport, reason);
            Ok(())
        }
    };
}

/// Calls the method that a [`Callback`](crate::Callback) stands for; does nothing for any other.
macro_rules! call_back {
    ($protocol:expr, $transport:expr, $callback:expr) => {
        match $callback {
            Callback::ConnectionMade => $protocol.connection_made($transport),
            Callback::HandshakeCompleted => $protocol.handshake_completed($transport),
            Callback::Descriptor(passed) => {
                passed.take().map_or(Ok(()), |descriptor| $protocol.descriptor_received($transport, descriptor))
            }
            Callback::ReadConnectionLost => $protocol.read_connection_lost($transport),
            Callback::WriteConnectionLost => $protocol.write_connection_lost($transport),
            Callback::ConnectionLost(reason) => $protocol.connection_lost($transport, reason),
            _ => Ok(()),
        }
    };
}

pub(crate) use {call_back, connection_callbacks};
