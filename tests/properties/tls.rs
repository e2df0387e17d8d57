//! Connections that speak TLS from the start: which ones, and how.

use std::rc::Rc;

use torsade::prelude::*;

use super::actor::Actor;
use super::caller::Caller;
use super::chance::Chance;
use super::keys;
use super::world::World;

/// Whether a pair of a seed speaks TLS. Drawn apart, so that nothing else of a seed depends on the feature.
pub fn is_drawn(seed: u64, pair: usize) -> bool {
    Chance::new(seed, 1000 + pair as u64).one_in(3)
}

/// As `listen_tcp` and `connect_tcp` do for the other pairs. The configurations are its own: a session that is resumed
/// makes a shorter handshake, and no seed may depend on those before it.
pub fn connect(world: &Rc<World>, pair: usize, address: &str, caller: Caller) -> Result<Port> {
    let mut server = Some(world.side(2 * pair + 1));
    let (there, here) = (&world.homes[world.homes.len() - 1].reactor, &world.homes[0].reactor);
    let (server_config, client_config) = (keys::server(), keys::client());
    let port = there.listen_tls(address, &server_config, move |_peer| server.take().map(|side| Actor::new(&side)))?;
    here.connect_tls(address, &client_config, caller)?;
    Ok(port)
}
