//! The ports of Twisted's calculus client and of its finger servers from step 9 on, with the originals' tests.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use crate::programs::{calculus_client, finger08, finger09, finger10, finger11, finger12, finger13};
use crate::support::{address, connect, run_until, socket_address};
use torsade::Deferred;
use torsade::prelude::*;
use torsade::service::{Service, StreamServerEndpointService};
use torsade::testing::StringTransportWithDisconnection;

type Connection<L> = StringTransportWithDisconnection<LineReceiver<L>>;

fn connected<L: LineProtocol>(client: L) -> Connection<L> {
    let mut connection = StringTransportWithDisconnection::new(LineReceiver::new(client));
    connection.make_connection();
    connection
}

#[test]
fn the_calculus_client_sends_operations_and_gives_their_answers() {
    let client = calculus_client::RemoteCalculationClient::default();
    let mut connection = connected(client.clone());
    for (operation, a, b, expected) in [("add", 7, 6, 13), ("subtract", 82, 78, 4), ("multiply", 2, 8, 16), ("divide", 14, 3, 4)]
    {
        let result = client.calculate(operation, a, b);
        assert_eq!(connection.value(), format!("{operation} {a} {b}\r\n").into_bytes());
        connection.clear();
        connection.deliver(format!("{expected}\r\n").as_bytes());
        assert_eq!(result.into_result().expect("it was answered").expect("with a number"), expected);
    }
}

#[test]
fn the_calculus_client_closes_the_connection_when_no_answer_comes() {
    let client = calculus_client::RemoteCalculationClient::default();
    let mut connection = connected(client.clone());
    let result = client.calculate("add", 9, 4);
    connection.advance(calculus_client::TIME_OUT);
    let failure = result.into_result().expect("it has failed").expect_err("there was no answer");
    assert!(failure.check::<calculus_client::ClientTimeoutError>(), "{failure}");
    assert!(!connection.is_connected());
}

#[test]
fn a_calculus_client_that_loses_its_connection_fails_what_waits() {
    let client = calculus_client::RemoteCalculationClient::default();
    let mut connection = connected(client.clone());
    let result = client.calculate("add", 9, 4);
    connection.lose(Reason::ConnectionDone);
    assert!(result.into_result().expect("it has ended").is_err());
    assert!(client.calculate("add", 1, 1).into_result().expect("it fails at once").is_err());
}

/// What a server answers to a line that another thread sends while the loop runs.
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
fn finger_services_answer_and_are_updated() {
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
