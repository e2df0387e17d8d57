//! The web server as a process, so that its memory and descriptors can be counted.

use std::net::SocketAddr;
use std::process::Child;

use torsade::prelude::*;

use crate::asking::Folder;
use crate::child;
use crate::programs::web_server;

/// The web server in its own process, a child of the test that runs this binary again; killed when dropped.
pub struct ServerProcess {
    child: Child,
    pub address: SocketAddr,
}

impl ServerProcess {
    /// Starts it as the child of the test `name`, with the files of `folder`.
    pub fn new(name: &str, folder: &Folder) -> Self {
        let mut child = child::child(name).env("FOLDER", &folder.0).spawn().unwrap();
        let address = child::listening(&mut child::lines(&mut child));
        Self { child, address }
    }

    pub fn run() {
        let reactor = Reactor::new().unwrap();
        let port = web_server::start(&reactor, "127.0.0.1:0", std::env::var("FOLDER").unwrap()).unwrap();
        println!("\nlistening on {}", port.address());
        reactor.run().unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
