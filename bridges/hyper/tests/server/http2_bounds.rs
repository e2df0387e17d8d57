//! HTTP/2 frame by frame: what the server answers, also to a peer that breaks the rules or reads nothing.

use std::cell::Cell;
use std::rc::Rc;

use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use torsade_hyper::{HttpServer, RequestBody};

use crate::frames::*;
use crate::world::{Answer, Client, World};

fn world(calls: &Rc<Cell<usize>>) -> World {
    let calls = Rc::clone(calls);
    World::new(HttpServer::new(service_fn(move |request: Request<RequestBody>| {
        calls.set(calls.get() + 1);
        async move {
            match request.uri().path() {
                "/never" => std::future::pending().await,
                "/medium" => Answer::Ok(Response::new(Full::from(vec![b'x'; 60_000]))),
                "/large" => Answer::Ok(Response::new(Full::from(vec![b'x'; 1 << 20]))),
                _ => Answer::Ok(Response::new(Full::from("hello"))),
            }
        }
    })))
}

#[test]
fn the_preface_may_come_byte_by_byte() {
    let world = world(&Rc::default());
    let client = world.client("10.0.0.2", &PREFACE[..1]);
    for byte in &PREFACE[1..] {
        world.run_for(1);
        client.send([*byte]);
    }
    client.send([frame(SETTINGS, 0, 0, &[]), get(1, "/")].concat());
    world.run_for(1);
    assert!(is_answered(&client, 1));
}

#[test]
fn a_peer_is_told_the_limits() {
    let client = talk(&world(&Rc::default()), &[], &[]);
    let settings = frames(&client).into_iter().find(|frame| frame.0 == SETTINGS).expect("settings").2;
    let settings: Vec<_> = settings.chunks(6).map(|setting| (setting[1], number(setting))).collect();
    assert!(settings.contains(&(3, 128)), "streams at a time: {settings:?}");
    assert!(settings.contains(&(6, 16 << 10)), "a limit on header lists: {settings:?}");
}

#[test]
fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let mut block = vec![0x82, 0x86, 0x84, 0x41, 1, b'a'];
    for _ in 0..20 {
        // A header of 1,000 bytes, literal and not added to the table.
        block.extend([0x00, 1, b'x', 0x7f, 0xe9, 0x06]);
        block.extend([b'y'; 1000]);
    }
    let (first, rest) = block.split_at(16_000);
    let large = [frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, rest)].concat();
    let calls = Rc::default();
    let client = talk(&world(&calls), &[], &[large, get(3, "/")]);
    assert!(is_answered(&client, 3));
    assert_eq!(calls.get(), 1);
}

#[test]
fn continuations_without_end_end_the_connection() {
    let block = [0x00, 1, b'x', 1, b'y'].repeat(3000);
    let mut flood = vec![frame(HEADERS, END_STREAM, 1, &block)];
    flood.extend((0..200).map(|_| frame(CONTINUATION, 0, 1, &block)));
    let client = talk(&world(&Rc::default()), &[], &flood);
    assert!(!codes(&client, GOAWAY).is_empty() && client.ended(), "{:?}", frames(&client));
    let empty: Vec<_> = (0..5000).map(|_| frame(CONTINUATION, 0, 1, &[])).collect();
    let client = talk(&world(&Rc::default()), &[], &[vec![frame(HEADERS, END_STREAM, 1, &[0x82])], empty].concat());
    assert!(!codes(&client, GOAWAY).is_empty() && client.ended());
}

#[test]
fn a_flood_of_streams_that_are_reset_at_once_ends_the_connection() {
    let flood: Vec<_> = (0..20_000)
        .map(|i| [get(2 * i + 1, "/never"), frame(RST_STREAM, 0, 2 * i + 1, &CANCEL.to_be_bytes())].concat())
        .collect();
    let calls = Rc::default();
    let world = world(&calls);
    let client = talk(&world, &[], &flood);
    assert_eq!(codes(&client, GOAWAY), [ENHANCE_YOUR_CALM], "after {} requests", calls.get());
    assert!(calls.get() < 1000, "{}", calls.get());
    let other = talk(&world, &[], &[get(1, "/")]);
    assert!(is_answered(&other, 1));
}

#[test]
fn many_pings_and_settings_are_answered() {
    let pings: Vec<_> = (0..5000).map(|_| frame(PING, 0, 0, b"12345678")).collect();
    let settings: Vec<_> = (0..1000).map(|_| frame(SETTINGS, 0, 0, &[])).collect();
    let client = talk(&world(&Rc::default()), &[], &[pings, settings, vec![get(1, "/")]].concat());
    assert!(is_answered(&client, 1));
    assert_eq!(frames(&client).iter().filter(|frame| frame.0 == PING).count(), 5000);
}

#[test]
fn what_breaks_the_protocol_has_its_error_code() {
    // For some frames of a wrong size h2 sends the first (RFC 9113, 7: an endpoint may choose the more general code).
    let size = &[PROTOCOL_ERROR, FRAME_SIZE_ERROR][..];
    for (frames, code) in [
        (frame(DATA, 0, 0, b"x"), &[PROTOCOL_ERROR][..]),
        (frame(HEADERS, END_HEADERS, 2, &[0x82, 0x86, 0x84]), &[PROTOCOL_ERROR]),
        (frame(PING, 0, 0, b"short"), size),
        (frame(WINDOW_UPDATE, 0, 0, &[0; 4]), &[PROTOCOL_ERROR]),
        (frame(SETTINGS, 0, 0, &[0; 5]), size),
        (frame(DATA, 0, 1, &[0; 17 << 10]), &[FRAME_SIZE_ERROR]),
    ] {
        let client = talk(&world(&Rc::default()), &[], std::slice::from_ref(&frames));
        let told = codes(&client, GOAWAY);
        assert!(told.len() == 1 && code.contains(&told[0]), "{told:?} for {frames:?}");
        assert!(client.ended());
    }
}

#[test]
fn a_peer_that_answers_no_ping_is_ended() {
    let world = world(&Rc::default());
    let client = talk(&world, &[], &[get(1, "/never")]);
    world.run_for(28);
    assert!(!client.ended());
    world.run_for(35);
    assert_eq!(frames(&client).iter().filter(|frame| frame.0 == PING).count(), 1);
    assert!(client.ended());
}

#[test]
fn a_peer_that_says_nothing_more_is_ended() {
    for begin in [PREFACE.to_vec(), [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()] {
        let world = world(&Rc::default());
        let client = world.client("10.0.0.2", &begin);
        world.run_for(29);
        assert!(!client.ended() && client.lost().is_none());
        world.run_for(60);
        assert!(client.ended() || client.lost().is_some());
    }
}

#[test]
fn an_answer_of_which_the_peer_takes_nothing_is_reset_and_the_connection_goes_on() {
    let world = world(&Rc::default());
    // It allows 10 bytes for each stream.
    let client = talk(&world, &[0, 4, 0, 0, 0, 10], &[get(1, "/large"), get(3, "/")]);
    world.run_for(15);
    client.send(get(5, "/"));
    world.run_for(25);
    assert_eq!(codes(&client, RST_STREAM), [CANCEL]);
    assert!(is_answered(&client, 3) && is_answered(&client, 5) && !client.ended());
}

#[test]
fn an_answer_of_which_the_peer_takes_a_little_now_and_then_goes_on() {
    let world = world(&Rc::default());
    let client = talk(&world, &[0, 4, 0, 0, 0, 10], &[get(1, "/large")]);
    for _ in 0..10 {
        world.run_for(20);
        allow(&client, 100_000);
    }
    world.run_for(1);
    assert_eq!(codes(&client, RST_STREAM), [0_u32; 0]);
    assert_eq!(received(&client), 1_000_010);
}

#[test]
fn the_end_of_an_answer_may_be_taken_slowly() {
    let world = world(&Rc::default());
    // hyper takes the whole answer at once, and the service is done with it.
    let client = talk(&world, &[0, 4, 0, 0, 0, 10], &[get(1, "/medium")]);
    for _ in 0..15 {
        world.run_for(8);
        allow(&client, 4000);
    }
    world.run_for(1);
    assert_eq!(received(&client), 60_000);
}

/// Lets the server send this many more bytes, and answers its pings.
fn allow(client: &Client, bytes: u32) {
    client.send(frame(WINDOW_UPDATE, 0, 1, &bytes.to_be_bytes()));
    client.send(frame(WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes()));
    let ping = frames(client).into_iter().rfind(|frame| frame.0 == PING);
    client.send(ping.map(|ping| frame(PING, 1, 0, &ping.2)).unwrap_or_default());
}

fn received(client: &Client) -> usize {
    frames(client).iter().filter(|frame| frame.0 == DATA).map(|frame| frame.2.len()).sum()
}
