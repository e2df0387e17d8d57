//! The ports of Twisted's calculus clients and of its finger servers from step 9 on, with the tests of the originals.
#![allow(dead_code, reason = "the examples' main functions are not called")]

#[path = "../../examples/twisted/calculus_client_1.rs"]
mod calculus_client_1;
#[path = "../../examples/twisted/calculus_client_2.rs"]
mod calculus_client_2;
#[path = "../../examples/twisted/calculus_client_3.rs"]
mod calculus_client_3;
#[path = "../../examples/twisted/finger08.rs"]
mod finger08;
#[path = "../../examples/twisted/finger09.rs"]
mod finger09;
#[path = "../../examples/twisted/finger10.rs"]
mod finger10;
#[path = "../../examples/twisted/finger11.rs"]
mod finger11;
#[path = "../../examples/twisted/finger12.rs"]
mod finger12;
#[path = "../../examples/twisted/finger13.rs"]
mod finger13;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use crate::support::{address, connect, run_until, socket_address};
use torsade::prelude::*;
use torsade::service::{Service, StreamServerEndpointService};
use torsade::testing::StringTransportWithDisconnection;
use torsade::{Deferred, DeferredError};

type Connection<L> = StringTransportWithDisconnection<LineReceiver<L>>;

fn connected<L: LineProtocol>(client: L) -> Connection<L> {
    let mut connection = StringTransportWithDisconnection::new(LineReceiver::new(client));
    connection.make_connection();
    connection
}

/// Each operation sends its line, and the answer is the Deferred's value.
fn operations_work<L: LineProtocol>(mut connection: Connection<L>, calculate: impl Fn(&str, i64, i64) -> Deferred<i64>) {
    for (operation, a, b, expected) in [("add", 7, 6, 13), ("subtract", 82, 78, 4), ("multiply", 2, 8, 16), ("divide", 14, 3, 4)]
    {
        let result = calculate(operation, a, b);
        assert_eq!(connection.value(), format!("{operation} {a} {b}\r\n").into_bytes());
        connection.clear();
        connection.deliver(format!("{expected}\r\n").as_bytes());
        assert_eq!(result.into_result().expect("it was answered").expect("with a number"), expected);
    }
}

#[test]
fn the_calculus_clients_send_operations_and_give_their_answers() {
    let client = calculus_client_1::RemoteCalculationClient::default();
    operations_work(connected(client.clone()), |operation, a, b| client.calculate(operation, a, b));
    let client = calculus_client_2::RemoteCalculationClient::default();
    operations_work(connected(client.clone()), |operation, a, b| client.calculate(operation, a, b));
    let client = calculus_client_3::RemoteCalculationClient::default();
    operations_work(connected(client.clone()), |operation, a, b| client.calculate(operation, a, b));
}

#[test]
fn the_second_calculus_client_gives_up_an_operation_and_keeps_the_connection() {
    let client = calculus_client_2::RemoteCalculationClient::default();
    let mut connection = connected(client.clone());
    let (late, next) = (client.calculate("add", 9, 4), client.calculate("add", 1, 1));
    connection.advance(calculus_client_2::TIME_OUT - std::time::Duration::from_secs(1));
    let late = late.into_result().expect_err("there is a second left");
    connection.deliver(b"13\r\n");
    assert_eq!(late.into_result().expect("it was answered").expect("in time"), 13);
    connection.advance(std::time::Duration::from_secs(1));
    let failure = next.into_result().expect("it has failed").expect_err("in time");
    assert!(matches!(failure.downcast_ref(), Some(DeferredError::TimedOut(_))), "{failure}");
    assert!(connection.is_connected());
    connection.deliver(b"2\r\n");
    let again = client.calculate("add", 2, 2);
    connection.deliver(b"4\r\n");
    assert_eq!(again.into_result().expect("it was answered").expect("the late answer was not taken for this one"), 4);
}

#[test]
fn the_third_calculus_client_closes_the_connection_when_no_answer_comes() {
    let client = calculus_client_3::RemoteCalculationClient::default();
    let mut connection = connected(client.clone());
    let result = client.calculate("add", 9, 4);
    connection.advance(calculus_client_3::TIME_OUT);
    let failure = result.into_result().expect("it has failed").expect_err("there was no answer");
    assert!(failure.check::<calculus_client_3::ClientTimeoutError>(), "{failure}");
    assert!(!connection.is_connected());
}

#[test]
fn a_calculus_client_that_loses_its_connection_fails_what_waits() {
    let client = calculus_client_1::RemoteCalculationClient::default();
    let mut connection = connected(client.clone());
    let result = client.calculate("add", 9, 4);
    connection.lose(Reason::ConnectionDone);
    assert!(result.into_result().expect("it has ended").is_err());
    assert!(client.calculate("add", 1, 1).into_result().expect("it fails at once").is_err());
}

/// What a server answers to a line, asked on another thread while the loop runs.
fn asked(reactor: &Reactor, server: SocketAddr, line: &'static str, end_first: bool) -> Deferred<String> {
    reactor.defer_to_thread(move || {
        let mut stream = connect(server);
        stream.write_all(line.as_bytes())?;
        if end_first {
            stream.shutdown(Shutdown::Write)?;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
}

#[test]
fn finger_servers_that_ask_others_give_their_answer_or_say_that_there_is_none() {
    let reactor = Reactor::new().expect("a reactor");
    let own = reactor.clone();
    let run = async move {
        let program = finger09::start(&own, "127.0.0.1:0", "echo")?;
        assert_eq!(asked(&own, address(&program), "moshez\r\n", false).await?, "moshez\n\r\n");
        assert_eq!(asked(&own, address(&program), "-option\r\n", false).await?, "");
        let broken = finger09::start(&own, "127.0.0.1:0", "there-is-no-such-program")?;
        assert_eq!(asked(&own, address(&broken), "moshez\r\n", false).await?, "Internal error in server\r\n");
        let upstream = finger08::start(&own, "127.0.0.1:0")?;
        let proxy = finger10::start(&own, "127.0.0.1:0", &upstream.address().to_string())?;
        assert_eq!(asked(&own, address(&proxy), "moshez\r\n", false).await?, "Happy and well\r\n");
        upstream.stop_listening();
        own.sleep(std::time::Duration::ZERO).await?;
        assert_eq!(asked(&own, address(&proxy), "moshez\r\n", false).await?, "Internal error in server\r\n");
        Ok(())
    };
    run_until(&reactor, run).expect("it works");
}

#[test]
fn finger_services_tell_and_are_told() {
    let reactor = Reactor::new().expect("a reactor");
    let own = reactor.clone();
    let run = async move {
        let service = finger11::service("127.0.0.1:0")?;
        service.start_service(&own)?;
        let finger = socket_address(&service.address().ok_or("it runs")?);
        assert_eq!(asked(&own, finger, "moshez\r\n", false).await?, "Happy and well\r\n");
        assert_eq!(asked(&own, finger, "nobody\r\n", false).await?, "No such user\r\n");
        service.stop_service().await?;

        let (finger, setter) = finger12::services("127.0.0.1:0", "127.0.0.1:0")?;
        tell_and_ask(&own, &finger, &setter).await?;
        let service = Rc::new(finger13::FingerService::default());
        service.set_user(b"moshez", b"Happy and well");
        let finger = StreamServerEndpointService::new("127.0.0.1:0", service.finger_factory())?;
        let setter = StreamServerEndpointService::new("127.0.0.1:0", service.finger_setter_factory())?;
        tell_and_ask(&own, &finger, &setter).await
    };
    run_until(&reactor, run).expect("it works");
}

async fn tell_and_ask<F, S>(
    reactor: &Reactor,
    finger: &StreamServerEndpointService<F>,
    setter: &StreamServerEndpointService<S>,
) -> Result
where
    F: Factory + 'static,
    S: Factory + 'static,
{
    finger.start_service(reactor)?;
    setter.start_service(reactor)?;
    let (asks, tells) =
        (socket_address(&finger.address().ok_or("it runs")?), socket_address(&setter.address().ok_or("it runs")?));
    assert_eq!(asked(reactor, asks, "moshez\r\n", false).await?, "Happy and well\r\n");
    assert_eq!(asked(reactor, tells, "glyph\r\nBusy\r\n", true).await?, "");
    assert_eq!(asked(reactor, asks, "glyph\r\n", false).await?, "Busy\r\n");
    assert_eq!(asked(reactor, tells, "only one line\r\n", true).await?, "");
    setter.stop_service().await?;
    Ok(finger.stop_service().await?)
}
