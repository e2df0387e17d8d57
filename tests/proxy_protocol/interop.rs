//! Real proxies: HAProxy and nginx in front of our server, and behind our forwarder.

use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;

use socket2::SockRef;
use torsade::prelude::*;
use torsade::{ProxyHeader, ProxyProtocolFactory, ProxyVersion, Tlv};

use crate::support::{address, run, stop};

/// A proxy, terminated when dropped, and where it listens.
pub(super) struct Proxy {
    child: Child,
    directory: PathBuf,
    pub(super) address: SocketAddr,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Terminated rather than killed: nginx has to end its worker. If it has already exited, the test has noticed that.
        Command::new("kill").arg(self.child.id().to_string()).status().ok();
        self.child.wait().ok();
        fs::remove_dir_all(&self.directory).ok();
    }
}

/// Starts `program` with a configuration that `configure` makes from the listening socket's descriptor, the address and a
/// directory. `None` if it is not installed.
pub(super) fn start(program: &str, test: &str, configure: impl FnOnce(i32, SocketAddr, &str) -> String) -> Option<Proxy> {
    if Command::new(program).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("skipped: {program} is not installed");
        return None;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Inherited, so that a client that connects before the proxy is ready waits for it.
    SockRef::from(&listener).set_cloexec(false).unwrap();
    let (descriptor, address) = (listener.as_raw_fd(), listener.local_addr().unwrap());
    let directory = std::env::temp_dir().join(format!("torsade-{test}-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("conf");
    let place = directory.to_str().unwrap();
    fs::write(&file, configure(descriptor, address, place)).unwrap();
    let mut command = Command::new(program);
    match program {
        "haproxy" => command.arg("-db").arg("-f").arg(&file),
        _ => command.env("NGINX", format!("{descriptor};")).args(["-e", "stderr", "-p", place, "-c"]).arg(&file),
    };
    let child = command.stdin(Stdio::null()).spawn().unwrap();
    // Now only the proxy has it: when that exits, clients are refused.
    drop(listener);
    Some(Proxy { child, directory, address })
}

fn haproxy(test: &str, bind: &str, server: &str, behind: SocketAddr) -> Option<Proxy> {
    start("haproxy", test, |descriptor, _, _| {
        format!(
            "defaults\n mode tcp\n timeout connect 60s\n timeout client 60s\n timeout server 60s\n\
             frontend f\n bind fd@{descriptor} {bind}\n default_backend b\nbackend b\n server s {behind} {server}\n"
        )
    })
}

fn nginx(test: &str, listen: &str, server: &str, behind: SocketAddr) -> Option<Proxy> {
    const MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";
    let load = if fs::exists(MODULE).unwrap_or(false) { format!("load_module {MODULE};") } else { String::new() };
    start("nginx", test, |_, address, place| {
        format!(
            "{load} daemon off; worker_processes 1; pid {place}/pid; error_log stderr; events {{}}\n\
             stream {{ server {{ listen {address} {listen}; {server} proxy_pass {behind}; }} }}\n"
        )
    })
}

/// Our server behind a proxy: it echoes, and keeps what the proxy announced.
#[derive(Clone)]
pub(super) struct Server(pub(super) Rc<RefCell<Vec<Said>>>);

/// The peer of a connection, and what the proxy announced.
pub(super) type Said = (Address, Option<ProxyHeader>);

impl Protocol for Server {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.borrow_mut().push((transport.peer(), transport.proxy_header().cloned()));
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Listens for a proxy, starts it, and converses through it as a client; returns the client's address, and what was announced.
fn through(
    dress: impl FnOnce(&Reactor, SocketAddr) -> SocketAddr,
    proxy: impl FnOnce(SocketAddr) -> Option<Proxy>,
) -> Option<(SocketAddr, Address, ProxyHeader)> {
    let reactor = Reactor::new().unwrap();
    let server = Server(Rc::default());
    let built = server.clone();
    let port = reactor.listen_tcp("127.0.0.1:0", ProxyProtocolFactory::new(move |_peer| built.clone())).unwrap();
    let proxy = proxy(address(&port))?;
    let front = dress(&reactor, proxy.address);
    let handle = reactor.handle();
    let client = std::thread::spawn(move || {
        let answer = converse(front);
        handle.call_from_thread(stop).unwrap();
        answer.unwrap()
    });
    run(&reactor);
    let (from, answer) = client.join().unwrap();
    assert_eq!(answer, b"hello");
    let (peer, header) = server.0.take().pop().expect("a protocol was built");
    Some((from, peer, header.expect("the proxy said something")))
}

/// The address of a client that says hello there, and the answer it gets.
fn converse(front: SocketAddr) -> std::io::Result<(SocketAddr, Vec<u8>)> {
    let mut stream = TcpStream::connect(front)?;
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok((stream.local_addr()?, answer.to_vec()))
}

fn directly(_: &Reactor, proxy: SocketAddr) -> SocketAddr {
    proxy
}

#[test]
fn haproxy_tells_us_whose_connection_it_is_in_both_versions() {
    for (version, option) in [("v1", "send-proxy"), ("v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id")] {
        let test = format!("haproxy-{version}");
        let Some((from, peer, header)) = through(directly, |behind| haproxy(&test, "", option, behind)) else { return };
        assert_eq!(peer, Address::Tcp(from), "{version}");
        assert_eq!(header.source(), &Address::Tcp(from));
    }
}

#[test]
fn haproxy_reports_its_tls() {
    let Some((_, _, header)) = through(directly, |behind| haproxy("haproxy-ssl", "", "send-proxy-v2-ssl", behind)) else {
        return;
    };
    // The client spoke no TLS to it.
    let ssl = header.tlv(Tlv::SSL).and_then(torsade::ProxySsl::parse).expect("it says so");
    assert!(!ssl.is_tls && !ssl.has_certificate);
}

#[test]
fn haproxy_understands_our_forwarder_in_both_versions_and_passes_it_on() {
    for version in [ProxyVersion::V1, ProxyVersion::V2] {
        let forward = move |reactor: &Reactor, proxy: SocketAddr| {
            let forward = PortForward::new(move |reactor, target| reactor.connect_tcp(proxy, target)).proxy_header(version);
            address(&reactor.listen_tcp("127.0.0.1:0", forward).unwrap())
        };
        let test = format!("haproxy-accept-{version:?}");
        let accept = |behind| haproxy(&test, "accept-proxy", "send-proxy-v2", behind);
        let Some((from, peer, _)) = through(forward, accept) else { return };
        assert_eq!(peer, Address::Tcp(from), "{version:?}");
    }
}

#[test]
fn nginx_tells_us_whose_connection_it_is_and_understands_our_forwarder() {
    let Some((from, peer, _)) = through(directly, |behind| nginx("nginx-send", "", "proxy_protocol on;", behind)) else { return };
    assert_eq!(peer, Address::Tcp(from));
    let forward = |reactor: &Reactor, proxy: SocketAddr| {
        let forward = PortForward::new(move |reactor, target| reactor.connect_tcp(proxy, target)).proxy_header(ProxyVersion::V2);
        address(&reactor.listen_tcp("127.0.0.1:0", forward).unwrap())
    };
    // It then announces its own peer, the forwarder.
    let accept = |behind| nginx("nginx-accept", "proxy_protocol", "proxy_protocol on;", behind);
    assert!(through(forward, accept).is_some());
}
