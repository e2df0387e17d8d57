//! The chat's members: those who talk, leave, read slowly, fall silent, or are cut off.

use std::rc::Rc;

use torsade::simulated::Faults;

use super::*;

/// A client that has its name, and has read that it joined.
async fn member(reactor: &Reactor, name: &str) -> Result<Client> {
    let mut client = Client::upgraded(reactor, "/chat").await?;
    assert_eq!(client.line().await?, "What is your name?");
    client.say(&text(name)).await?;
    assert_eq!(client.line().await?, format!("* {name} is here"));
    Ok(client)
}

/// All frames up to the server's close frame, which it answers.
async fn goodbye(client: &mut Client) -> Result<Vec<(u8, Vec<u8>)>> {
    let mut frames = Vec::new();
    while let Some(frame) = client.frame().await? {
        if frame.0 == FIN | CLOSE {
            client.say(&super::frame(FIN | CLOSE, &frame.1)).await?;
        }
        frames.push(frame);
    }
    Ok(frames)
}

fn close_frame(code: u16, reason: &str) -> Option<(u8, Vec<u8>)> {
    Some((FIN | CLOSE, close_payload(code, reason)))
}

#[test]
fn everybody_hears_every_line() {
    run(&network(), |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        let mut bob = member(&reactor, "Bob").await?;
        assert_eq!(ann.line().await?, "* Bob is here");
        bob.say(&[text("hello"), text("is anybody there?")].concat()).await?;
        ann.say_in_pieces(&[&frame(TEXT, "Grüße ".as_bytes()), &frame(FIN | PING, b"?"), &frame(FIN, "aus Köln".as_bytes())])
            .await?;
        for client in [&mut bob, &mut ann] {
            assert_eq!(client.line().await?, "<Bob> hello");
            assert_eq!(client.line().await?, "<Bob> is anybody there?");
        }
        assert_eq!(ann.frame().await?, Some((FIN | PONG, b"?".to_vec())));
        for client in [&mut bob, &mut ann] {
            assert_eq!(client.line().await?, "<Ann> Grüße aus Köln");
        }
        ann.say(&close(1000, "")).await?;
        assert_eq!(bob.line().await?, "* Ann has left");
        assert_eq!(ann.rest().await?, [(FIN | CLOSE, close_payload(1000, ""))]);
        Ok(())
    });
}

#[test]
fn a_name_is_one_that_can_be_had() {
    run(&network(), |reactor| async move {
        let _ann = member(&reactor, "Ann").await?;
        let mut client = Client::upgraded(&reactor, "/chat").await?;
        assert_eq!(client.line().await?, "What is your name?");
        for refused in ["Ann", "", " ", &"x".repeat(41)] {
            client.say(&text(refused)).await?;
            assert_eq!(client.line().await?, "Please choose another.");
        }
        client.say(&text("Bob")).await?;
        assert_eq!(client.line().await?, "* Bob is here");
        Ok(())
    });
}

#[test]
fn whoever_is_cut_off_has_left() {
    run(&network(), |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        drop(member(&reactor, "Bob").await?);
        assert_eq!(ann.line().await?, "* Bob is here");
        assert_eq!(ann.line().await?, "* Bob has left");
        let mut bob = member(&reactor, "Bob").await?;
        bob.say(&frame(TEXT, b"half a mess")).await?;
        bob.connection.close().await?;
        assert_eq!(ann.line().await?, "* Bob is here");
        assert_eq!(ann.line().await?, "* Bob has left");
        assert_eq!(bob.rest().await?, [], "there is nobody to say goodbye to");
        Ok(())
    });
}

#[test]
fn what_does_not_belong_in_a_chat_is_refused() {
    run(&network(), |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        for (bytes, code, reason) in [
            (frame(FIN | BINARY, b"\x00"), 1003, "this is a chat of text"),
            (text(&"x".repeat(4097)), 1009, "Space limit exceeded: Message too long: 4097 > 4096"),
            (frame(FIN | TEXT, b"\xff"), 1007, "UTF-8 encoding error: invalid utf-8 sequence of 1 bytes from index 0"),
            (frame(FIN | 0x40 | TEXT, b"packed"), 1002, "WebSocket protocol error: Reserved bits are non-zero"),
        ] {
            let mut bob = member(&reactor, "Bob").await?;
            assert_eq!(ann.line().await?, "* Bob is here");
            bob.say(&bytes).await?;
            assert_eq!(bob.frame().await?, close_frame(code, reason));
            bob.say(&close(code, "")).await?;
            assert_eq!(bob.frame().await?, None);
            assert_eq!(ann.line().await?, "* Bob has left");
        }
        Ok(())
    });
}

#[test]
fn much_at_once_reaches_everybody_who_reads() {
    const LINES: usize = 5000;
    run(&network(), |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        let mut bob = member(&reactor, "Bob").await?;
        assert_eq!(ann.line().await?, "* Bob is here");
        let bytes: Vec<u8> = (0..LINES).flat_map(|number| text(&number.to_string())).collect();
        // It fits into the buffers of the connections, so Ann need not read meanwhile.
        ann.say(&bytes).await?;
        for client in [&mut bob, &mut ann] {
            for number in 0..LINES {
                assert_eq!(client.line().await?, format!("<Ann> {number}"));
            }
        }
        Ok(())
    });
}

#[test]
fn whoever_does_not_read_is_dropped_and_the_others_miss_nothing() {
    // More than the network and the system hold, in addition to the 256 that wait.
    const LINES: usize = 2000;
    let simulation = network();
    run(&simulation, |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        let mut bob = member(&reactor, "Bob").await?;
        assert_eq!(ann.line().await?, "* Bob is here");
        let line = "x".repeat(4000);
        let mut put_out = None;
        for number in 0..LINES {
            ann.say(&text(&format!("{number} {line}"))).await?;
            let mut heard = ann.line().await?;
            if heard == "* Bob did not keep up" {
                assert_eq!(put_out.replace(number), None);
                heard = ann.line().await?;
            }
            assert!(heard.starts_with(&format!("<Ann> {number} x")), "{number}: {heard}");
        }
        assert!(put_out.is_some_and(|number| number > 256), "{put_out:?}");
        // Bob was aborted after five seconds, and receives only what was under way by then.
        reactor.sleep(10 * SECOND).await?;
        let error = bob.rest().await.expect_err("it was aborted");
        assert!(error.to_string().contains("reset"), "{error}");
        member(&reactor, "Bob").await?;
        Ok(())
    });
}

#[test]
fn whoever_reads_again_in_time_reads_why_it_was_put_out() {
    run(&network(), |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        let mut bob = member(&reactor, "Bob").await?;
        assert_eq!(ann.line().await?, "* Bob is here");
        let line = "x".repeat(4000);
        let mut number = 0;
        loop {
            ann.say(&text(&format!("{number} {line}"))).await?;
            if ann.line().await? == "* Bob did not keep up" {
                break;
            }
            number += 1;
        }
        let mut frames = goodbye(&mut bob).await?;
        assert_eq!(frames.pop(), close_frame(1008, "you did not keep up"));
        let whole = frames.iter().enumerate().all(|(at, (_, line))| line.starts_with(format!("<Ann> {at} x").as_bytes()));
        assert!(whole && !frames.is_empty(), "what arrived before is complete and in order");
        Ok(())
    });
}

#[test]
fn a_silent_peer_is_pinged_and_ended_without_an_answer() {
    let simulation = network();
    let pinged = run(&simulation, |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        let mut bob = member(&reactor, "Bob").await?;
        assert_eq!(ann.line().await?, "* Bob is here");
        let began = reactor.now();
        let mut pings = 0;
        loop {
            match ann.frame().await? {
                Some((first, payload)) if first == FIN | PING => {
                    ann.say(&frame(FIN | PONG, &payload)).await?;
                    pings += 1;
                }
                Some((_, line)) => break assert_eq!(line, b"* Bob has left"),
                None => panic!("Ann was put out"),
            }
        }
        // Bob's time began when the server received his name, somewhat before Ann heard of him.
        let waited = reactor.now() - began;
        assert!(waited > Duration::from_secs(59) && waited < Duration::from_secs(61), "{waited:?}");
        let frames = goodbye(&mut bob).await?;
        assert_eq!(frames.last().cloned(), close_frame(1008, "no sign of life"));
        assert!(frames[..frames.len() - 1].iter().all(|(first, _)| *first == FIN | PING), "{frames:?}");
        Ok(pings)
    });
    assert_eq!(pinged, 2);
}

#[test]
fn whoever_gives_no_name_is_not_waited_for_either() {
    run(&network(), |reactor| async move {
        let began = reactor.now();
        let mut client = Client::upgraded(&reactor, "/chat").await?;
        assert_eq!(client.line().await?, "What is your name?");
        assert_eq!(client.frame().await?, close_frame(1008, "no sign of life"));
        assert_eq!((reactor.now() - began).as_secs(), 60);
        Ok(())
    });
}

#[test]
fn a_partition_ends_whoever_is_behind_it() {
    let simulation = Rc::new(network());
    let cutting = Rc::clone(&simulation);
    let far = simulation.host("10.0.0.3");
    let reactor = (*far).clone();
    let bob = far.spawn(async move { member(&reactor, "Bob").await });
    simulation.run_for(SECOND).unwrap();
    let bob = bob.into_deferred().into_result().expect("he is a member").unwrap();
    run(&simulation, |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        cutting.partition("10.0.0.1", "10.0.0.3");
        loop {
            match ann.frame().await? {
                Some((first, payload)) if first == FIN | PING => ann.say(&frame(FIN | PONG, &payload)).await?,
                Some((_, line)) => break assert_eq!(line, b"* Bob has left"),
                None => panic!("Ann was put out"),
            }
        }
        cutting.heal("10.0.0.1", "10.0.0.3");
        Ok(())
    });
    drop(bob);
}

#[test]
fn the_end_of_the_server_is_reported() {
    let simulation = network();
    let server = simulation.host("10.0.0.1");
    run(&simulation, |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        server.stop()?;
        assert_eq!(ann.frame().await?, close_frame(1001, "the server stops"));
        ann.say(&close(1001, "")).await?;
        assert_eq!(ann.frame().await?, None);
        Ok(())
    });
}

/// Lossy networks: messages are late, but nothing else changes.
#[test]
fn a_bad_network_changes_no_message() {
    let simulation = Simulation::with_faults(7, Faults::lossy());
    websocket_chat::start(&simulation.host("10.0.0.1"), "tcp:80").unwrap();
    run(&simulation, |reactor| async move {
        let mut ann = member(&reactor, "Ann").await?;
        for number in 0..100 {
            ann.say(&text(&number.to_string())).await?;
            assert_eq!(ann.line().await?, format!("<Ann> {number}"));
        }
        Ok(())
    });
}

#[test]
fn an_echo_that_nobody_reads_is_not_waited_for_either() {
    run(&network(), |reactor| async move {
        let mut client = Client::upgraded(&reactor, "/echo").await?;
        let message = frame(FIN | BINARY, &[7; 65_536]);
        let mut sent = 0;
        let fill = async {
            while client.say(&message).await.is_ok() {
                sent += 1;
            }
        };
        // At some point the server takes no more, and this would wait for ever.
        futures_lite::future::or(fill, async { drop(reactor.sleep(10 * SECOND).await) }).await;
        assert!((4..50).contains(&sent), "{sent} messages are somewhere on the way");
        let began = reactor.now();
        let error = loop {
            reactor.sleep(SECOND).await?;
            if let Err(error) = client.connection.flush().await {
                break error;
            }
        };
        assert!(error.to_string().contains("reset"), "{error}");
        assert!((50..=60).contains(&(reactor.now() - began).as_secs()), "after {:?}", reactor.now() - began);
        Ok(())
    });
}

/// However much of the answer, or of the first question, fits into the buffers of the system and the network.
#[test]
fn whoever_takes_nothing_is_not_waited_for_either() {
    for size in (60..110).step_by(5) {
        let faults = Faults { send_buffer: size..=size, receive_buffer: size..=size, ..Faults::calm() };
        let simulation = Simulation::with_faults(1, faults);
        websocket_chat::start(&simulation.host("10.0.0.1"), "tcp:80").unwrap();
        run(&simulation, move |reactor| async move {
            let mut client = Client::connect(&reactor).await?;
            client.connection.transport().pause_producing();
            client.say(request("/chat", KEY).as_bytes()).await?;
            reactor.sleep(120 * SECOND).await?;
            assert!(client.connection.flush().await.is_err(), "twice {size} bytes");
            Ok(())
        });
    }
}
