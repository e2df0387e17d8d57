//! Presence across processes: correct at once when all goes well, and within its period after a crash.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Hub, PresenceChange};

use crate::deadline::Deadline;
use crate::world::{World, beside_every_broker, in_every_world};

/// The time within which the names of a crashed process expire.
const PERIOD: Duration = Duration::from_secs(3);

const ROOM: &str = "room.lobby";

/// Returns the names, sorted.
fn present(world: &World, hub: &Hub, room: &str) -> Vec<String> {
    let mut names = world.wait("who is there", hub.present(room)).unwrap_or_default();
    names.sort();
    names
}

/// Runs until exactly these names are present.
pub(crate) fn until_present(world: &World, hub: &Hub, room: &str, names: &[&str]) {
    world.repeat_until(&format!("{names:?} in {room}"), || {
        // Each question costs the broker work.
        world.run_for(Duration::from_millis(20));
        present(world, hub, room) == names
    });
}

/// The same, before a deadline.
///
/// The deadline is checked before the names are requested: if the test is slow, that is not the hub's fault.
pub(crate) fn until_present_before(mut deadline: Deadline, world: &World, hub: &Hub, room: &str, names: &[&str]) {
    world.repeat_until(&format!("{names:?} in {room}"), || {
        world.run_for(Duration::from_millis(20));
        let is_over = deadline.has_passed();
        let there = present(world, hub, room);
        assert!(there == names || !is_over, "{there:?} are in {room} in the place of {names:?} when it is too late");
        there == names
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
        let ((one, first), (two, second)) = (world.hub(&config), world.hub(&config));
        let ada = first.enter(ROOM, "ada").unwrap();
        let (watched, _watching) = Watched::on(&second);
        until_present(world, &second, ROOM, &["ada"]);
        world.kill(one);
        drop((ada, first));
        let (asked, mut told) = (world.deadline(PERIOD), world.deadline(PERIOD));
        // There are no others, whose announcements would make the watcher's hub look up the names.
        until_present_before(asked, world, &second, ROOM, &[]);
        if world.simulation().is_some() {
            world.run_until("a departure", || watched.has("-ada"));
            assert!(!told.has_passed(), "a watcher was told too late");
        } else {
            // Watchers are told after the next look-up at the latest, which is due within a third of the period.
            world.wait("a look", two.reactor.sleep(PERIOD / 3)).unwrap();
            // Answers arrive in the order of the requests, and a request that was outstanding then is repeated.
            (0..3).for_each(|_| assert!(present(world, &second, ROOM).is_empty()));
            assert!(watched.has("-ada"), "a watcher was not told: {:?}", watched.0.borrow());
        }
        // Its successor enters under the same name.
        let (_again, third) = world.hub(&config);
        let (_ada, _grace) = (third.enter(ROOM, "ada").unwrap(), second.enter(ROOM, "grace").unwrap());
        until_present(world, &second, ROOM, &["ada", "grace"]);
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
            // The longest delay between two attempts, and a period.
            let deadline = || world.deadline(Duration::from_secs(3) + PERIOD);
            for (hub, deadline) in [(&one, deadline()), (&two, deadline())] {
                until_present_before(deadline, world, hub, ROOM, &["ada", "grace"]);
            }
        }
        grace.leave();
        until_present(world, &one, ROOM, &["ada"]);
    }

    fn watchers_hear_only_of_those_who_left_while_the_broker_was_away_longer_than_names_last(world: &World) {
        let config = world.config().presence_period(PERIOD);
        let ((_one, one), (_two, two)) = (world.hub(&config), world.hub(&config));
        let (_ada, alan) = (one.enter(ROOM, "ada").unwrap(), one.enter(ROOM, "alan").unwrap());
        let (watched, _watching) = Watched::on(&two);
        world.run_until("two entries", || watched.has("+ada") && watched.has("+alan"));
        world.broker(|broker| broker.kill());
        world.run_until("the end of both connections", || !one.is_connected() && !two.is_connected());
        alan.leave();
        // Its names are gone.
        world.broker(|broker| broker.start(false));
        let _grace = one.enter(ROOM, "grace").unwrap();
        world.run_until("a departure and an entry", || watched.has("-alan") && watched.has("+grace"));
        assert!(!watched.has("-ada"), "{:?}", watched.0.borrow());
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
