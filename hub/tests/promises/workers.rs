//! One program on several threads: workers that open the same configuration share one hub.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use torsade::hub::{HubConfig, Message};
use torsade::{LoopingCall, workers};

use crate::broker::Broker;
use crate::heard::{numbered, read};

const WORKERS: usize = 3;
const MESSAGES: u64 = 1000;

#[test]
fn workers_hear_each_other_in_order() {
    on_workers(&HubConfig::new("local:").unwrap());
}

#[test]
fn workers_hear_each_other_in_order_by_redis() {
    if let Some(broker) = Broker::redis() {
        on_workers(&HubConfig::new(&broker.url()).unwrap());
    }
}

#[test]
fn workers_hear_each_other_in_order_by_nats() {
    if let Some(broker) = Broker::nats() {
        on_workers(&HubConfig::new(&broker.url()).unwrap());
    }
}

/// Each worker publishes until all have received the last message of all.
fn on_workers(config: &HubConfig) {
    // Nothing is dropped for a slow worker.
    let config = config.clone().queue(100_000, 100 << 20);
    let (present, finished, wrong) =
        (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    workers(WORKERS, |worker| {
        let hub = config.open(worker)?;
        let (finish, error, handles) = (Arc::clone(&finished), Arc::clone(&wrong), Arc::clone(worker.handles()));
        let mut next = HashMap::new();
        let (present, mut greeted) = (Arc::clone(&present), std::collections::HashSet::new());
        let hears_all = Arc::clone(&present);
        hub.subscribe("load.*", move |message: &Message| {
            if message.topic().as_str() == "load.greeting" {
                // When each hears each, all are subscribed.
                if greeted.insert(message.payload().to_vec()) && greeted.len() == WORKERS {
                    hears_all.fetch_add(1, Ordering::SeqCst);
                }
                return Ok(());
            }
            let (whose, number) = read(message);
            let expected = next.entry(whose).or_insert(0);
            if number != *expected {
                error.fetch_add(1, Ordering::SeqCst);
            }
            *expected = number + 1;
            if number + 1 == MESSAGES && finish.fetch_add(1, Ordering::SeqCst) + 1 == WORKERS * WORKERS {
                handles[0].call_from_thread(|reactor| reactor.stop().unwrap_or_default())?;
            }
            Ok(())
        })?;
        let name = format!("worker{}", worker.index());
        let mut number = 0;
        let speaks = LoopingCall::new(worker, move || {
            if present.load(Ordering::SeqCst) < WORKERS {
                // Not connected yet.
                drop(hub.publish("load.greeting", &name));
                return Ok(());
            }
            while number < MESSAGES {
                match hub.publish("load.live", numbered(&name, number)) {
                    Ok(()) => number += 1,
                    Err(torsade::hub::PublishError::Full) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        });
        speaks.start(Duration::from_millis(1), true)?.detach();
        Ok(())
    })
    .unwrap();
    assert_eq!((finished.load(Ordering::SeqCst), wrong.load(Ordering::SeqCst)), (WORKERS * WORKERS, 0));
}
