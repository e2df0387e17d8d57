//! From a host and a port to the address of a socket.

use std::io;
use std::net::{IpAddr, SocketAddr};

use torsade_protocols::{Host, HostPort, ListenError};
use torsade_reactor::Reactor;

/// A local address, which is not looked up.
pub(crate) fn own_address(reactor: &Reactor, there: HostPort) -> Result<SocketAddr, ListenError> {
    let Host::Ip(ip) = *there.host() else { return Err(ListenError::Name(there)) };
    on_link(reactor, &there, ip).map_err(|cause| ListenError::Io { address: there.at(ip).into(), cause })
}

/// The socket address at `ip` with the host's port, on the link that the host names.
pub(crate) fn on_link(reactor: &Reactor, there: &HostPort, ip: IpAddr) -> io::Result<SocketAddr> {
    let mut address = there.at(ip);
    if let (SocketAddr::V6(address), Some(link)) = (&mut address, there.link()) {
        address.set_scope_id(reactor.backend().link_number(link)?);
    }
    Ok(address)
}
