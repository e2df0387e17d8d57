//! Socket options as text.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use torsade_protocols::{ConnectOptions, EndpointError};
use torsade_reactor::{Keepalive, ListenOptions, SocketOptions};

use super::arguments::EndpointArguments;
use super::writing::Writing;

pub(super) const SOCKET: &[&str] =
    &["keepalive", "keepaliveInterval", "keepaliveRetries", "userTimeout", "tos", "sendBuffer", "receiveBuffer"];
pub(super) const LISTENING: &[&str] = &["onlyV6", "reusePort"];
pub(super) const CONNECTING: &[&str] = &["timeout", "bindAddress", "attemptDelay", "attemptTimeout"];

const BYTES: &str = "write how many bytes, 65536 for instance";
const SECONDS: &str = "write seconds, 30 or 0.25 for instance";
const WHOLE_SECONDS: &str = "write whole seconds, 60 for instance";

/// Reads the options of listening sockets, and of connections accepted there.
pub(super) fn listening(arguments: &EndpointArguments<'_>) -> Result<ListenOptions, EndpointError> {
    let usual = ListenOptions::default();
    let mode = |text: &str| {
        let text = text.trim();
        u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok().filter(|mode| *mode <= 0o7777)
    };
    Ok(ListenOptions {
        backlog: arguments.parse("backlog", "write how many connections may wait, 50 for instance")?.unwrap_or(usual.backlog),
        mode: arguments.parse_with("mode", "write it in octal, 660 for instance", mode)?.unwrap_or(usual.mode),
        lock: flag(arguments, "lockfile")?.unwrap_or(usual.lock),
        only_v6: flag(arguments, "onlyV6")?,
        reuse_port: flag(arguments, "reusePort")?.unwrap_or(usual.reuse_port),
        socket: socket(arguments)?,
    })
}

/// Reads the options for connecting.
pub(super) fn connecting(arguments: &EndpointArguments<'_>) -> Result<ConnectOptions, EndpointError> {
    let usual = ConnectOptions::default();
    let address = |text: &str| match text {
        "" => Some(None),
        text => text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 0)).or_else(|_| text.parse()).map(Some).ok(),
    };
    let remedy = r"write an IP address of this machine, 192.0.2.1 or \:\:1; with a port, 192.0.2.1\:5000";
    Ok(ConnectOptions {
        timeout: seconds(arguments, "timeout")?.unwrap_or(usual.timeout),
        attempt_delay: seconds(arguments, "attemptDelay")?.unwrap_or(usual.attempt_delay),
        attempt_timeout: seconds(arguments, "attemptTimeout")?,
        bind_address: arguments.parse_with("bindAddress", remedy, address)?.flatten(),
        socket: socket(arguments)?,
    })
}

fn socket(arguments: &EndpointArguments<'_>) -> Result<SocketOptions, EndpointError> {
    let whole_seconds =
        |name| arguments.parse_with(name, WHOLE_SECONDS, |text| text.trim().parse().ok().map(Duration::from_secs));
    let (idle, interval) = (whole_seconds("keepalive")?, whole_seconds("keepaliveInterval")?);
    let retries = arguments.parse("keepaliveRetries", "write how many probes, 9 for instance")?;
    let usual = Keepalive::default();
    let keepalive = (idle.is_some() || interval.is_some() || retries.is_some()).then(|| Keepalive {
        idle: idle.unwrap_or(usual.idle),
        interval: interval.unwrap_or(usual.interval),
        retries: retries.unwrap_or(usual.retries),
    });
    Ok(SocketOptions {
        keepalive,
        user_timeout: seconds(arguments, "userTimeout")?,
        tos: arguments.parse("tos", "write a number from 0 to 255")?,
        send_buffer: arguments.parse("sendBuffer", BYTES)?,
        receive_buffer: arguments.parse("receiveBuffer", BYTES)?,
    })
}

/// Reads a part that is `1` or `0`.
pub(super) fn flag(arguments: &EndpointArguments<'_>, name: &str) -> Result<Option<bool>, EndpointError> {
    arguments.parse_with(name, "write 1 or 0", |text| match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    })
}

/// Reads a part in seconds, with up to nine decimals.
pub(super) fn seconds(arguments: &EndpointArguments<'_>, name: &str) -> Result<Option<Duration>, EndpointError> {
    arguments.parse_with(name, SECONDS, |text| {
        let text = text.trim();
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        if fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        Some(Duration::new(whole.parse().ok()?, u32::from_str(&format!("{fraction:0<9}")).ok()?))
    })
}

/// Writes seconds as [`seconds`] reads them.
fn in_seconds(duration: Duration) -> String {
    let text = format!("{}.{:09}", duration.as_secs(), duration.subsec_nanos());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes the options that differ from the defaults.
pub(super) fn write_listening(text: &mut Writing, options: &ListenOptions) {
    let usual = ListenOptions::default();
    text.key("backlog", (options.backlog != usual.backlog).then_some(options.backlog));
    text.key("mode", (options.mode != usual.mode).then(|| format!("{:o}", options.mode)));
    text.key("lockfile", (options.lock != usual.lock).then_some(u8::from(options.lock)));
    text.key("onlyV6", options.only_v6.map(u8::from));
    text.key("reusePort", options.reuse_port.then_some(1));
    write_socket(text, &options.socket);
}

/// Writes the options that differ from the defaults.
pub(super) fn write_connecting(text: &mut Writing, options: &ConnectOptions) {
    let usual = ConnectOptions::default();
    let address = |address: SocketAddr| if address.port() == 0 { address.ip().to_string() } else { address.to_string() };
    text.key("timeout", (options.timeout != usual.timeout).then(|| in_seconds(options.timeout)));
    text.key("bindAddress", options.bind_address.map(address));
    text.key("attemptDelay", (options.attempt_delay != usual.attempt_delay).then(|| in_seconds(options.attempt_delay)));
    text.key("attemptTimeout", options.attempt_timeout.map(in_seconds));
    write_socket(text, &options.socket);
}

fn write_socket(text: &mut Writing, options: &SocketOptions) {
    if let Some(Keepalive { idle, interval, retries }) = options.keepalive {
        let usual = Keepalive::default();
        text.key("keepalive", Some(idle.as_secs()));
        text.key("keepaliveInterval", (interval != usual.interval).then_some(interval.as_secs()));
        text.key("keepaliveRetries", (retries != usual.retries).then_some(retries));
    }
    text.key("userTimeout", options.user_timeout.map(in_seconds));
    text.key("tos", options.tos);
    text.key("sendBuffer", options.send_buffer);
    text.key("receiveBuffer", options.receive_buffer);
}
