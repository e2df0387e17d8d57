//! A server in a simulated network, and clients that send it bytes.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::service::Service;
use hyper::{Request, Response};
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade_hyper::{HttpServer, RequestBody};

pub type BoxError = Box<dyn Error + Send + Sync>;
pub type Answer = Result<Response<Full<Bytes>>, BoxError>;

pub const SERVER: &str = "10.0.0.1:80";

pub struct World {
    pub simulation: Simulation,
    pub server: Reactor,
    pub port: Port,
}

impl World {
    pub fn new<S, B>(server: HttpServer<S>) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<BoxError>,
        S::Future: 'static,
        B: Body + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        Self::with(|_| server)
    }

    /// The same with a server that needs its reactor.
    pub fn with<S, B>(make: impl FnOnce(Reactor) -> HttpServer<S>) -> Self
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<BoxError>,
        S::Future: 'static,
        B: Body + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let simulation = Simulation::new(1);
        let host = simulation.host("10.0.0.1");
        let port = make((*host).clone()).auto_date_header(false).listen(&host, "tcp:80").expect("listens");
        Self { simulation, server: (*host).clone(), port }
    }

    pub fn run_for(&self, seconds: u64) {
        self.simulation.run_for(Duration::from_secs(seconds)).expect("runs");
    }

    /// A client on its own host, which has sent `data`.
    pub fn client(&self, host: &str, data: &[u8]) -> Client {
        let client = Client::default();
        let received = client.clone();
        let data = data.to_vec();
        let host = self.simulation.host(host);
        let connecting = host.connect_protocol(SERVER, Peer { received, data });
        connecting.add_callback(|_| ()).detach();
        client
    }
}

/// What a client has received, and its transport.
#[derive(Clone, Default)]
pub struct Client(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    received: Vec<u8>,
    transport: Option<Transport>,
    ended: bool,
    lost: Option<Reason>,
}

impl Client {
    pub fn when_connected(&self, world: &World, call: impl FnOnce(&Transport)) {
        while self.0.borrow().transport.is_none() {
            world.simulation.run_for(Duration::from_millis(1)).expect("runs");
        }
        call(&self.transport());
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow().received).into_owned()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().received.clone()
    }

    pub fn transport(&self) -> Transport {
        self.0.borrow().transport.clone().expect("it is connected")
    }

    pub fn send(&self, data: impl AsRef<[u8]>) {
        self.transport().write(data);
    }

    /// Returns whether the server has ended its stream.
    pub fn ended(&self) -> bool {
        self.0.borrow().ended
    }

    pub fn lost(&self) -> Option<Reason> {
        self.0.borrow().lost.clone()
    }
}

struct Peer {
    received: Client,
    data: Vec<u8>,
}

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(&self.data);
        self.received.0.borrow_mut().transport = Some(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.received.0.borrow_mut().received.extend_from_slice(data);
        Ok(())
    }

    fn read_connection_lost(&mut self, _: &Transport) -> Result {
        self.received.0.borrow_mut().ended = true;
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, reason: &Reason) -> Result {
        self.received.0.borrow_mut().lost = Some(reason.clone());
        Ok(())
    }
}
