//! Random members on all kinds of networks: all receive the same in the same order, and the room goes on after them.

use torsade::simulated::{Faults, Host, simulate_with};

use super::*;

/// Seeds of each test, by default.
const SEEDS: u64 = 5;
const MEMBERS: usize = 5;
const LINES: usize = 8;

/// What a member has received, and whether it has sent all its lines and got them back.
type Heard = (Vec<String>, bool);

/// Sends its lines at random times, and after each one reads until that has come back.
async fn take_part(reactor: &Reactor, name: usize, heard: &mut Vec<String>) -> Result {
    reactor.sleep(Duration::from_millis(reactor.random() % 2000)).await?;
    let mut client = Client::upgraded(reactor, "/chat").await?;
    client.say(&text(&name.to_string())).await?;
    for number in 0..LINES {
        reactor.sleep(Duration::from_millis(reactor.random() % 3000)).await?;
        let line = number.to_string();
        let bytes = match reactor.random() % 3 {
            0 => [frame(TEXT, line.as_bytes()), frame(FIN | PING, b""), frame(FIN, b"")].concat(),
            _ => text(&line),
        };
        let cut = reactor.random() as usize % bytes.len();
        client.say_in_pieces(&[&bytes[..cut], &bytes[cut..]]).await?;
        while heard.last().is_none_or(|last| *last != format!("<{name}> {line}")) {
            match client.frame().await?.ok_or("the end")? {
                (0x81, line) => heard.push(String::from_utf8(line)?),
                (0x89, payload) => client.say(&frame(FIN | PONG, &payload)).await?,
                (0x8a, _) => {}
                other => return Err(format!("{other:?}").into()),
            }
        }
    }
    if reactor.random().is_multiple_of(2) {
        client.say(&close(1000, "")).await?;
        client.rest().await?;
    }
    Ok(())
}

fn join(host: &Host, name: usize) -> torsade::Task<Heard> {
    let reactor = (**host).clone();
    host.spawn(async move {
        let mut heard = Vec::new();
        let all = take_part(&reactor, name, &mut heard).await.is_ok();
        Ok((heard, all))
    })
}

fn result<T>(task: torsade::Task<T>) -> T {
    task.into_deferred().into_result().expect("it has ended").unwrap_or_else(|failure| panic!("{failure}"))
}

fn play(faults: &Faults, loses_nobody: bool) {
    simulate_with(faults, 0..SEEDS, |simulation| {
        websocket_chat::start(&simulation.host("10.0.0.1"), "tcp:80").unwrap();
        let hosts: Vec<_> = (0..MEMBERS).map(|name| simulation.host(&format!("10.0.1.{name}"))).collect();
        let tasks: Vec<_> = hosts.iter().enumerate().map(|(name, host)| join(host, name)).collect();
        simulation.run_for(3600 * SECOND).unwrap();
        let members: Vec<Heard> = tasks.into_iter().map(result).collect();
        assert!(!loses_nobody || members.iter().all(|(_, all)| *all), "somebody was lost");
        for (one, _) in &members {
            for (other, _) in &members {
                let [one, other] = [(one, other), (other, one)]
                    .map(|(mine, others)| mine.iter().filter(|line| others.contains(line)).collect::<Vec<_>>());
                assert_eq!(one, other, "both heard the same in different orders");
            }
        }
        // Nobody is left, and the room is still open.
        simulation.set_faults(Faults::calm());
        let last = join(&hosts[0], 0);
        simulation.run_for(3600 * SECOND).unwrap();
        let (heard, all) = result(last);
        assert!(all && heard.len() == 2 + LINES, "{heard:?}");
    });
}

#[test]
fn over_a_calm_network() {
    play(&Faults::calm(), true);
}

#[test]
fn over_a_lossy_network() {
    play(&Faults::lossy(), true);
}

#[test]
fn over_a_hostile_network() {
    play(&Faults::hostile(), false);
}
