//! The connections of a port, accepted one by one.

use std::cell::Cell;
use std::rc::Rc;

use torsade::wire::Discard;

use super::*;

#[test]
fn at_most_64_wait_and_the_rest_come_when_there_is_room() {
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    let mut incoming = server.listen_async(PORT).unwrap();
    let reactor = (*server).clone();
    let accepted = Rc::new(Cell::new(0));
    let told = Rc::clone(&accepted);
    server.spawn(async move {
        reactor.sleep(10 * SECOND).await?;
        let mut taken = Vec::new();
        while taken.len() < 200 {
            taken.push(incoming.accept().await.ok_or("the port has ended")?);
            told.set(taken.len());
        }
        Ok(())
    });
    let client = simulation.host(CLIENT);
    for _ in 0..200 {
        client.connect(PORT, |_peer| Discard).unwrap();
    }
    simulation.run_for(9 * SECOND).unwrap();
    let made = || simulation.log().on(SERVER).callbacks().iter().filter(|name| **name == "connection_made").count();
    assert_eq!(made(), 64);
    assert_eq!(accepted.get(), 0);
    simulation.run_for(60 * SECOND).unwrap();
    assert_eq!((made(), accepted.get()), (200, 200));
}

#[test]
fn whoever_waits_learns_when_the_port_has_ended_and_waiting_connections_are_still_given() {
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    let mut incoming = server.listen_async(PORT).unwrap();
    let port = incoming.port().clone();
    let reactor = (*server).clone();
    let counted = server.spawn(async move {
        reactor.sleep(SECOND).await?;
        port.stop_listening();
        reactor.sleep(SECOND).await?;
        let mut count = 0;
        while let Some(connection) = incoming.accept().await {
            assert!(connection.transport().is_connected());
            count += 1;
        }
        Ok(count)
    });
    for _ in 0..3 {
        simulation.host(CLIENT).connect(PORT, |_peer| Discard).unwrap();
    }
    simulation.run_for(60 * SECOND).unwrap();
    assert_eq!(counted.into_deferred().into_result().unwrap().unwrap(), 3);
}

#[test]
fn dropped_it_stops_listening_and_those_who_wait_are_aborted() {
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    let incoming = server.listen_async(PORT).unwrap();
    simulation.host(CLIENT).connect(PORT, |_peer| Discard).unwrap();
    simulation.run_for(SECOND).unwrap();
    drop(incoming);
    simulation.run_for(SECOND).unwrap();
    assert_eq!(simulation.log().on(CLIENT).with_reason("ConnectionLost").callbacks(), ["connection_lost"]);
    let error = run(&simulation, async |reactor| Ok(reactor.connect_async(PORT).await.unwrap_err()));
    assert!(matches!(error.downcast_ref(), Some(ConnectError::Refused)), "{error}");
}

#[test]
fn an_accept_that_is_cancelled_loses_nobody() {
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    let mut incoming = server.listen_async(PORT).unwrap();
    let reactor = (*server).clone();
    let accepted = server.spawn(async move {
        assert!(futures_lite::future::poll_once(incoming.accept()).await.is_none());
        reactor.sleep(SECOND).await?;
        Ok(incoming.accept().await.is_some())
    });
    simulation.host(CLIENT).connect(PORT, |_peer| Discard).unwrap();
    simulation.run_for(10 * SECOND).unwrap();
    assert!(accepted.into_deferred().into_result().unwrap().unwrap());
}
