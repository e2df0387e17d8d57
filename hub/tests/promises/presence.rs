//! Who is in a topic, across processes: right at once when all goes well, and within its period after a crash.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Hub, PresenceChange};

use crate::world::{World, beside_every_broker, in_every_world};

/// Within which time who has ended without a word is gone.
const PERIOD: Duration = Duration::from_secs(3);

const ROOM: &str = "room.lobby";

/// Who is there, sorted.
fn present(world: &World, hub: &Hub, room: &str) -> Vec<String> {
    let mut names = world.wait("who is there", hub.present(room)).unwrap_or_default();
    names.sort();
    names
}

/// Runs until these are there, and no others.
pub(crate) fn until_present(world: &World, hub: &Hub, room: &str, names: &[&str]) {
    world.repeat_until(&format!("{names:?} in {room}"), || {
        // Each question is work for the broker.
        world.run_for(Duration::from_millis(20));
        present(world, hub, room) == names
    });
}

#[derive(Clone, Default)]
struct Watched(Rc<RefCell<Vec<String>>>);

impl Watched {
    fn on(hub: &Hub) -> (Self, impl Sized + use<>) {
        let watched = Self::default();
        let seen = watched.clone();
        let watching = hub.watch(ROOM, move |change: &PresenceChange| {
            seen.0.borrow_mut().push(match change {
                PresenceChange::Entered(name) => format!("+{name}"),
                PresenceChange::Left(name) => format!("-{name}"),
                _ => "?".to_owned(),
            });
        });
        (watched, watching.unwrap())
    }

    fn has(&self, change: &str) -> bool {
        self.0.borrow().iter().any(|seen| seen == change)
    }
}

in_every_world! {
    fn all_processes_see_who_enters_and_leaves(world: &World) {
        let config = world.config().presence_period(PERIOD);
        let ((_one, one), (_two, two), (_three, three)) = (world.hub(&config), world.hub(&config), world.hub(&config));
        let (watched, _watching) = Watched::on(&three);
        let ada = one.enter(ROOM, "ada").unwrap();
        let grace = two.enter(ROOM, "grace").unwrap();
        let alan = two.enter(ROOM, "alan").unwrap();
        let elsewhere = two.enter("room.corner", "joan").unwrap();
        for hub in [&one, &two, &three] {
            until_present(world, hub, ROOM, &["ada", "alan", "grace"]);
        }
        world.run_until("three entries", || ["+ada", "+grace", "+alan"].iter().all(|change| watched.has(change)));
        alan.leave();
        ada.leave();
        for hub in [&one, &two, &three] {
            until_present(world, hub, ROOM, &["grace"]);
        }
        world.run_until("two departures", || watched.has("-ada") && watched.has("-alan"));
        assert!(!watched.has("-grace") && !watched.has("+joan"), "{:?}", watched.0.borrow());
        drop((grace, elsewhere));
    }

    fn who_is_there_stays_there_while_time_passes(world: &World) {
        let config = world.config().presence_period(PERIOD);
        let ((_one, one), (_two, two)) = (world.hub(&config), world.hub(&config));
        let _ada = one.enter(ROOM, "ada").unwrap();
        until_present(world, &two, ROOM, &["ada"]);
        let (watched, _watching) = Watched::on(&two);
        if world.simulation().is_some() {
            for _ in 0..50 {
                world.run_for(PERIOD / 4);
                assert_eq!(present(world, &two, ROOM), ["ada"]);
            }
            assert!(!watched.has("-ada"));
        } else {
            // A slow machine may say it too late, but then it says it again.
            world.run_for(2 * PERIOD);
            until_present(world, &two, ROOM, &["ada"]);
        }
    }

    fn a_process_that_is_killed_is_gone_within_the_period(world: &World) {
        let config = world.config().presence_period(PERIOD);
        let ((one, first), (_two, second)) = (world.hub(&config), world.hub(&config));
        let _grace = second.enter(ROOM, "grace").unwrap();
        let ada = first.enter(ROOM, "ada").unwrap();
        let (watched, _watching) = Watched::on(&second);
        until_present(world, &second, ROOM, &["ada", "grace"]);
        let killed = world.simulation().map(torsade::simulated::Simulation::now);
        world.kill(one);
        drop((ada, first));
        until_present(world, &second, ROOM, &["grace"]);
        world.run_until("a departure", || watched.has("-ada"));
        if let (Some(killed), Some(simulation)) = (killed, world.simulation()) {
            let took = simulation.now() - killed;
            assert!(took <= PERIOD, "it took {took:?}");
        }
        // Its successor enters under the same name.
        let (_again, third) = world.hub(&config);
        let _ada = third.enter(ROOM, "ada").unwrap();
        until_present(world, &second, ROOM, &["ada", "grace"]);
        assert!(!watched.has("-grace"), "{:?}", watched.0.borrow());
    }
}

beside_every_broker! {
    fn presence_is_right_again_within_the_period_after_the_broker_has_lost_it(world: &World) {
        let config = world.config().presence_period(PERIOD);
        let ((_one, one), (_two, two)) = (world.hub(&config), world.hub(&config));
        let _ada = one.enter(ROOM, "ada").unwrap();
        let grace = two.enter(ROOM, "grace").unwrap();
        until_present(world, &one, ROOM, &["ada", "grace"]);
        for keeps_data in [true, false] {
            world.broker(|broker| broker.kill());
            world.run_for(Duration::from_millis(200));
            world.broker(|broker| broker.start(keeps_data));
            let back = world.simulation().map(torsade::simulated::Simulation::now);
            for hub in [&one, &two] {
                until_present(world, hub, ROOM, &["ada", "grace"]);
            }
            if let (Some(back), Some(simulation)) = (back, world.simulation()) {
                // The longest wait between two attempts, and a period.
                let took = simulation.now() - back;
                assert!(took <= Duration::from_secs(3) + PERIOD, "it took {took:?}");
            }
        }
        grace.leave();
        until_present(world, &one, ROOM, &["ada"]);
    }

    fn who_leaves_while_the_broker_is_away_is_gone_when_it_is_back(world: &World) {
        let config = world.config().presence_period(PERIOD);
        let ((_one, one), (_two, two)) = (world.hub(&config), world.hub(&config));
        let ada = one.enter(ROOM, "ada").unwrap();
        let _grace = two.enter(ROOM, "grace").unwrap();
        until_present(world, &two, ROOM, &["ada", "grace"]);
        world.broker(|broker| broker.kill());
        world.run_until("the end of the connection", || !one.is_connected());
        ada.leave();
        let _alan = one.enter(ROOM, "alan").unwrap();
        world.broker(|broker| broker.start(true));
        until_present(world, &two, ROOM, &["alan", "grace"]);
    }
}
