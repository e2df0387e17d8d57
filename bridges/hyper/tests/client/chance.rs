//! Random requests to a randomly behaving server over bad networks: none hangs, none gets another's answer, and no slot is lost.

use std::error::Error;

use futures_lite::future::or;
use hyper::Request;
use torsade::simulated::{Faults, simulate_with};

use super::*;

/// Seeds of each test, by default.
const SEEDS: u64 = 10;
const REQUESTS: u64 = 30;

/// Answers most requests for `/N` with a body that N determines.
async fn serve(mut raw: Raw, reactor: Reactor) -> Result {
    while let Some(head) = raw.head().await {
        let body = body(head.split(' ').nth(1).unwrap());
        let length = if head.starts_with("POST") { 3000 } else { 0 };
        raw.connection.read_exact(&mut vec![0; length]).await?;
        let known = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n", body.len());
        match reactor.random() % 12 {
            0 => raw.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned() + &body).await?,
            1 => raw.send(format!("{known}connection: close\r\n\r\n{body}")).await?,
            // Closes without having announced it.
            2 => raw.send(format!("{known}\r\n{body}")).await?,
            3 => raw.send(format!("{known}\r\n{}", &body[1..])).await?,
            4 => return Ok(()),
            5 => assert!(raw.head().await.is_none()),
            6 => {
                raw.send(format!("{known}\r\n{}", &body[..1])).await?;
                reactor.sleep(SECOND * 10).await?;
                raw.send(&body[1..]).await?;
                continue;
            }
            7 => {
                let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                raw.send(format!("{chunked}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await?;
                continue;
            }
            _ => {
                raw.send(format!("{known}\r\n{body}")).await?;
                continue;
            }
        }
        raw.connection.close().await?;
        return Ok(());
    }
    Ok(())
}

fn body(path: &str) -> String {
    let number: usize = path[1..].parse().unwrap();
    path.repeat(1 + number * number * 7 % 5000)
}

/// Requests `/N`; drops the request or its answer at some time, or reads all of it.
async fn ask(reactor: Reactor, client: Client, number: u64) -> Result {
    reactor.sleep(Duration::from_millis(reactor.random() % 60_000)).await?;
    let path = format!("/{number}");
    let uri = format!("http://10.0.0.1{path}");
    let request = if reactor.random().is_multiple_of(3) {
        Request::post(uri).body("x".repeat(3000))
    } else {
        Request::get(uri).body(String::new())
    };
    let response = async { client.request(request?).await.map_err(Box::<dyn Error>::from) };
    let patience = if reactor.random().is_multiple_of(4) { reactor.random() % 10_000 } else { 1_000_000 };
    let response = or(response, async {
        reactor.sleep(Duration::from_millis(patience)).await?;
        Err("given up".into())
    });
    let Ok(response) = response.await else { return Ok(()) };
    match reactor.random() % 8 {
        0 => drop(response),
        1 => drop(response.into_body().frame().await),
        _ => {
            if let Ok(said) = text(response).await {
                assert!(said == body(&path), "/{number} has another's answer");
            }
        }
    }
    Ok(())
}

fn play(faults: &Faults) {
    simulate_with(faults, 0..SEEDS, |simulation| {
        let server = (*simulation.host(SERVER)).clone();
        raw_server(simulation, move |raw, _| {
            let serving = serve(raw, server.clone());
            // The errors of connections do not matter.
            async {
                serving.await.ok();
                Ok(())
            }
        });
        let host = simulation.host(CLIENT);
        let client = Client::builder(&host).connections_per_host(2).idle_timeout(7 * SECOND).build();
        let tasks: Vec<_> = (0..REQUESTS).map(|number| host.spawn(ask((*host).clone(), client.clone(), number))).collect();
        simulation.run_for(3600 * SECOND).unwrap();
        for task in tasks {
            task.into_deferred().into_result().expect("every request has ended").unwrap();
        }
        // Every slot is free again.
        simulation.set_faults(Faults::calm());
        let done = Rc::new(Cell::new(0));
        for _ in 0..4 {
            let (client, done) = (client.clone(), Rc::clone(&done));
            host.spawn(async move {
                if let Ok(response) = client.get("http://10.0.0.1/1").await {
                    text(response).await.ok();
                }
                done.set(done.get() + 1);
            });
        }
        drop(client);
        simulation.run_for(3600 * SECOND).unwrap();
        assert_eq!(done.get(), 4);
        host.assert_clean();
    });
}

#[test]
fn over_a_calm_network() {
    play(&Faults::calm());
}

#[test]
fn over_a_lossy_network() {
    play(&Faults::lossy());
}

#[test]
fn over_a_hostile_network() {
    play(&Faults::hostile());
}
