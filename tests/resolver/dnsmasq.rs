//! With dnsmasq, a real name server, if it is installed.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use torsade::prelude::*;
use torsade::{DnsConfig, DnsResolver};

use crate::support::run_until;

/// How many addresses `big.test` has: more than fit into a datagram.
const MANY: usize = 60;

/// A server on a free port of this host; killed, by its process id, when dropped.
struct Dnsmasq {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Dnsmasq {
    /// Starts one; `None` if it is not installed.
    fn start(name: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("torsade-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let address = free_address();
        let hosts: String = (1..=MANY).map(|last| format!("10.1.0.{last} big.test\n")).collect();
        std::fs::write(folder.join("hosts"), hosts).unwrap();
        let config = format!(
            "port={}\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\nno-hosts\npid-file=\nlocal-ttl=600\nlocal=/test/\naddn-hosts={}\n\
            host-record=one.test,10.0.0.1,fd00::1\nhost-record=two.test,10.0.0.2\nhost-record=three.test,10.0.0.3\n\
            host-record=in.search.test,10.0.0.4\ncname=www.test,one.test\n",
            address.port(),
            folder.join("hosts").display()
        );
        std::fs::write(folder.join("config"), config).unwrap();
        let mut command = Command::new("dnsmasq");
        command.arg("--keep-in-foreground").arg("-C").arg(folder.join("config")).stderr(Stdio::null());
        match command.spawn() {
            Ok(process) => Some(Self { process, address, folder }),
            Err(error) => {
                println!("skipped: dnsmasq cannot be started: {error}");
                None
            }
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        drop(self.process.kill().and_then(|()| self.process.wait()));
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// An address whose port is free for TCP and UDP.
fn free_address() -> SocketAddr {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

async fn look_up(reactor: &Reactor, name: &str) -> std::result::Result<Vec<String>, Failure> {
    let mut texts: Vec<_> = reactor.resolve(name).await?.iter().map(|address| address.ip().to_string()).collect();
    texts.sort();
    Ok(texts)
}

/// Looks up a name until the server answers.
async fn once_it_answers(reactor: &Reactor, name: &str) -> Vec<String> {
    loop {
        match look_up(reactor, name).await {
            Ok(found) => return found,
            Err(_) => reactor.sleep(Duration::from_millis(20)).await.unwrap(),
        }
    }
}

#[test]
fn a_real_server_answers_by_udp_and_tcp_with_aliases_and_the_search_list() {
    let Some(server) = Dnsmasq::start("answers") else { return };
    let reactor = Reactor::new().unwrap();
    let config = DnsConfig { search: vec!["search.test".to_owned()], ..DnsConfig::from([server.address]) };
    reactor.set_resolver(DnsResolver::new(config));
    let there = reactor.clone();
    let looked_up = run_until(&reactor, async move {
        assert_eq!(once_it_answers(&there, "one.test").await, ["10.0.0.1", "fd00::1"]);
        assert_eq!(look_up(&there, "WWW.test.").await.unwrap(), ["10.0.0.1", "fd00::1"]);
        assert_eq!(look_up(&there, "in").await.unwrap(), ["10.0.0.4"]);
        assert_eq!(look_up(&there, "big.test").await.unwrap().len(), MANY, "over TCP");
        let error = look_up(&there, "nobody.test.").await.unwrap_err();
        assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().kind(), std::io::ErrorKind::NotFound, "{error}");
        Ok(())
    });
    looked_up.unwrap();
}

#[test]
fn a_real_server_that_is_killed_in_mid_run_is_replaced_by_another() {
    let (Some(mut first), Some(second)) = (Dnsmasq::start("killed"), Dnsmasq::start("takes-over")) else { return };
    let reactor = Reactor::new().unwrap();
    reactor.set_resolver(DnsResolver::new([first.address, second.address]));
    let there = reactor.clone();
    let looked_up = run_until(&reactor, async move {
        assert_eq!(once_it_answers(&there, "one.test").await, ["10.0.0.1", "fd00::1"]);
        first.kill();
        assert_eq!(once_it_answers(&there, "two.test").await, ["10.0.0.2"]);
        drop(second);
        assert_eq!(look_up(&there, "one.test").await.unwrap().len(), 2, "kept, for the 600 s that it is valid");
        let error = look_up(&there, "three.test").await.unwrap_err().to_string();
        assert!(error.contains("no name server had an answer"), "{error}");
        Ok(())
    });
    looked_up.unwrap();
}
