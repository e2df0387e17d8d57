//! TCP sockets of the system, before they listen or connect.

use std::io;
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::backend::{Keepalive, SocketOptions};

pub(super) fn open(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))
}

pub(super) fn connect(to: SocketAddr, from: Option<SocketAddr>, options: &SocketOptions) -> io::Result<mio::net::TcpStream> {
    if from.is_none() && *options == SocketOptions::default() {
        return mio::net::TcpStream::connect(to);
    }
    let socket = open(to)?;
    socket.set_nonblocking(true)?;
    set_options(&socket, to, options)?;
    if let Some(from) = from {
        // Several attempts may be under way from one port, and an earlier connection from it may be in TIME_WAIT.
        #[cfg(unix)]
        if from.port() != 0 {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&from.into())?;
    }
    match socket.connect(&to.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(mio::net::TcpStream::from_std(TcpStream::from(socket))),
    }
}

/// Returns whether the error only means that the peer has not answered yet.
#[cfg(unix)]
fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
}

#[cfg(not(unix))]
fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// Sets the requested options on a socket of this address's family; an error names the option.
pub(super) fn set_options(socket: &Socket, address: SocketAddr, options: &SocketOptions) -> io::Result<()> {
    if let Some(Keepalive { idle, interval, retries }) = options.keepalive {
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(retries);
        socket.set_tcp_keepalive(&keepalive).map_err(|error| of("keepalive", &error))?;
    }
    if let Some(timeout) = options.user_timeout {
        set_user_timeout(socket, timeout).map_err(|error| of("user_timeout", &error))?;
    }
    if let Some(tos) = options.tos {
        set_tos(socket, address, tos).map_err(|error| of("tos", &error))?;
    }
    if let Some(size) = options.send_buffer {
        socket.set_send_buffer_size(size).map_err(|error| of("send_buffer", &error))?;
    }
    if let Some(size) = options.receive_buffer {
        socket.set_recv_buffer_size(size).map_err(|error| of("receive_buffer", &error))?;
    }
    Ok(())
}

fn of(option: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the option {option} cannot be set: {error}"))
}

fn set_tos(socket: &Socket, address: SocketAddr, tos: u8) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_tos_v4(tos.into()),
        SocketAddr::V6(_) => {
            // For the IPv4 connections that it may accept.
            socket.set_tos_v4(tos.into()).ok();
            set_traffic_class(socket, tos)
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_user_timeout(socket: &Socket, timeout: std::time::Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(timeout))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_user_timeout(_: &Socket, _: std::time::Duration) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no timeout for unacknowledged bytes"))
}

#[cfg(unix)]
fn set_traffic_class(socket: &Socket, class: u8) -> io::Result<()> {
    socket.set_tclass_v6(class.into())
}

#[cfg(not(unix))]
fn set_traffic_class(_: &Socket, _: u8) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the traffic class of IPv6 cannot be set on this system"))
}
