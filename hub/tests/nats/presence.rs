//! What presence costs the server.

use std::time::Duration;

use torsade::hub::{Hub, Presence};

use crate::support::World;

/// How often somebody has asked who is there.
fn looks(world: &World) -> usize {
    world.server.heard().iter().filter(|line| line.contains("$JS.API.STREAM.NAMES")).count()
}

#[test]
fn twenty_processes_that_watch_each_other_look_only_when_something_changes_or_may_have_expired() {
    const PROCESSES: u8 = 20;
    const PERIODS: usize = 10;
    let world = World::new();
    let present: Vec<(Hub, Presence)> = (20..20 + PROCESSES)
        .map(|host| {
            // Not all at once: what they say would be looked at together.
            world.simulation.run_for(Duration::from_millis(70)).unwrap();
            let hub = world.hub(host);
            hub.watch("room", |_| ()).unwrap();
            let presence = hub.enter("room", format!("process {host}")).unwrap();
            (hub, presence)
        })
        .collect();
    world.run(12);
    let before = looks(&world);
    // A period is 6 s.
    world.run(6 * u64::try_from(PERIODS).unwrap());
    let looked = looks(&world) - before;
    let expected = usize::from(PROCESSES) * 3 * PERIODS;
    assert!(looked.abs_diff(expected) <= usize::from(PROCESSES), "{looked} in place of {expected}: one each third of a period");
    drop(present);
}
