//! TLS to a real server that requires it; and never a connection without it if it was asked for.

use std::fs;
use std::time::Duration;

use torsade::TlsClientConfig;
use torsade::hub::HubConfig;

use crate::broker::{Broker, Program};
use crate::keys;
use crate::support::{Notes, World, run, soon};

/// A server that demands TLS, with a folder for its keys.
fn server(name: &str) -> Option<Broker> {
    let folder = std::env::temp_dir().join(format!("torsade-nats-keys-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let pem = keys::authority().server(&["localhost", "127.0.0.1"]);
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    fs::write(&chain, &pem.chain).unwrap();
    fs::write(&key, &pem.key).unwrap();
    let settings = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", timeout: 20 }}\nauthorization {{ token: \"s3cret\" }}",
        chain.display(),
        key.display()
    );
    let broker = Broker::with_settings(Program::Nats, &settings);
    // It has read them.
    fs::remove_dir_all(&folder).unwrap();
    broker
}

#[test]
fn a_server_that_demands_tls_gets_it_and_one_that_is_asked_for_it_too() {
    let Some(broker) = server("good") else { return };
    run(async move |reactor| {
        for scheme in ["nats", "nats+tls", "tls"] {
            let url = format!("{scheme}://s3cret@127.0.0.1:{}", broker.port());
            let hub = HubConfig::new(&url)?.tls(&keys::client()).replay("log", 10)?.open(&reactor)?;
            let notes = Notes::new(&reactor);
            soon(&reactor, hub.when_connected()).await?;
            hub.subscribe("room", notes.clone())?;
            soon(&reactor, hub.present("room")).await?;
            hub.publish("room", vec![b'x'; 300_000])?;
            assert_eq!(notes.next().await?.len(), 300_000);
            soon(&reactor, hub.publish_stored("log", scheme)).await?;
        }
        Ok(())
    });
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let Some(broker) = server("strange") else { return };
    run(async move |reactor| {
        let url = format!("tls://s3cret@127.0.0.1:{}", broker.port());
        let strange = TlsClientConfig::builder().roots(keys::stranger().roots()).build()?;
        let (wrong, right) = (HubConfig::new(&url)?.tls(&strange).open(&reactor)?, HubConfig::new(&url)?.tls(&keys::client()));
        let right = right.open(&reactor)?;
        soon(&reactor, right.when_connected()).await?;
        reactor.sleep(Duration::from_millis(300)).await?;
        assert!(!wrong.is_connected() && wrong.stats().connections_lost > 0);
        Ok(())
    });
}

#[test]
fn no_password_is_said_in_plaintext_where_tls_is_asked_for() {
    let world = World::new();
    let config = HubConfig::new("tls://ada:s3cret@10.0.0.9").unwrap().tls(&keys::client());
    let hub = config.open(&world.simulation.host("10.0.0.1")).unwrap();
    world.run(20);
    assert!(!hub.is_connected() && hub.stats().connections_lost > 5);
    assert_eq!(world.server.heard(), [""; 0]);
}

#[test]
fn what_was_put_in_behind_the_greeting_is_not_taken_for_the_servers() {
    let world = World::new();
    world.server.demand_tls_and_say(b"PING\r\n-ERR 'you are in'\r\n");
    let config = HubConfig::new("tls://ada:s3cret@10.0.0.9").unwrap().tls(&keys::client());
    let hub = config.open(&world.simulation.host("10.0.0.1")).unwrap();
    world.run(20);
    assert!(!hub.is_connected() && hub.stats().connections_lost > 5);
}
