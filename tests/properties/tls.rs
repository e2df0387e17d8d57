//! Connections that use TLS from the start: which ones, and how.

use std::rc::Rc;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::tls_wrapping_factory;

use super::actor::Actor;
use super::caller::Caller;
use super::chance::Chance;
use super::keys;
use super::world::World;

/// Returns whether a pair of a seed uses TLS. Drawn separately, so that the feature changes nothing else about a seed.
pub fn is_drawn(seed: u64, pair: usize) -> bool {
    Chance::new(seed, 1000 + pair as u64).one_in(3)
}

/// Like `listen_tcp` and `connect_tcp` for the other pairs. Each call makes its own configurations, so that no seed depends on
/// earlier ones; half of the pairs, drawn at random, have already made one connection, and resume its session.
pub fn connect(world: &Rc<World>, seed: u64, pair: usize, address: &str, caller: Caller) -> Result<Port> {
    let mut server = Some(world.side(2 * pair + 1));
    let (there, here) = (&world.homes[world.homes.len() - 1].reactor, &world.homes[0].reactor);
    let client_config = keys::client_builder().server_name("server.test").build()?;
    let server_config = keys::server();
    if Chance::new(seed, 2000 + pair as u64).one_in(2) {
        meet(&server_config, &client_config)?;
        for number in [2 * pair, 2 * pair + 1] {
            world.side(number).borrow_mut().resumes = true;
        }
    }
    // At either end it may be a layer of the connection, or above its transport.
    let mut layered = Chance::new(seed, 3000 + pair as u64);
    if layered.one_in(2) {
        here.connect_tls(address, &client_config, caller)?;
    } else {
        here.connect_tcp(address, tls_wrapping_factory(client_config, caller))?;
    }
    let factory = move |_peer: Address| server.take().map(|side| Actor::new(&side));
    Ok(if layered.one_in(2) {
        there.listen_tls(address, &server_config, factory)?
    } else {
        there.listen_tcp(address, tls_wrapping_factory(server_config, factory))?
    })
}

/// Connects the two in a separate simulation: the tickets for later connections come before the server's data.
fn meet(server: &TlsServerConfig, client: &TlsClientConfig) -> Result {
    let simulation = Simulation::new(0);
    simulation.host("10.0.0.1").listen_tls("0.0.0.0:7", server, |_peer| Greeter)?;
    simulation.host("10.0.0.2").connect_tls("10.0.0.1:7", client, |_peer| Greeter)?;
    simulation.run_until_idle()?;
    Ok(())
}

/// Writes a word, and closes when it has received one.
struct Greeter;

impl Protocol for Greeter {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write("hello");
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, _data: &[u8]) -> Result {
        transport.lose_connection();
        Ok(())
    }
}
