//! How connections end, and which error each side gets.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;

use torsade::ReasonText;

use super::*;

#[test]
fn what_came_before_a_loss_is_read_and_then_the_reason() {
    let simulation = Simulation::new(1);
    serve(&simulation, async |mut connection: AsyncConnection| {
        connection.write_all(b"before").await?;
        connection.flush().await?;
        // By then the bytes have arrived, but nobody has read them.
        let reactor = connection.transport().reactor().clone();
        reactor.sleep(SECOND).await?;
        connection.transport().abort_connection();
        Ok(())
    });
    run(&simulation, async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        reactor.sleep(10 * SECOND).await?;
        let mut heard = [0; 6];
        connection.read_exact(&mut heard).await?;
        assert_eq!(&heard, b"before");
        let error = connection.read(&mut heard).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let reason: &ReasonText = error.get_ref().unwrap().downcast_ref().unwrap();
        assert_eq!(reason.kind(), "ConnectionLost");
        assert!(matches!(connection.reason(), Some(Reason::ConnectionLost(_))));
        for failed in [connection.write(b"x").await.map(drop), connection.flush().await, connection.close().await] {
            assert_eq!(failed.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        Ok(())
    });
}

#[test]
fn dropped_it_is_aborted_and_closed_it_is_closed() {
    for closes in [false, true] {
        let simulation = Simulation::new(1);
        serve(&simulation, move |mut connection| async move {
            connection.write_all(b"all of it").await?;
            if closes {
                connection.close().await?;
            }
            Ok(())
        });
        let end = run(&simulation, async |reactor| {
            let mut connection = reactor.connect_async(PORT).await?;
            let mut heard = Vec::new();
            let end = connection.read_to_end(&mut heard).await;
            Ok((heard, end.map_err(|error| error.kind()).err()))
        });
        match closes {
            true => assert_eq!(end, (b"all of it".to_vec(), None)),
            false => assert_eq!(end.1, Some(ErrorKind::ConnectionReset)),
        }
    }
}

#[test]
fn after_closing_the_peer_is_still_read_from() {
    let simulation = Simulation::new(1);
    serve(&simulation, async |mut connection: AsyncConnection| {
        let mut question = String::new();
        connection.read_to_string(&mut question).await?;
        connection.write_all(question.to_uppercase().as_bytes()).await?;
        Ok(connection.close().await?)
    });
    let heard = run(&simulation, async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        connection.write_all(b"question").await?;
        connection.close().await?;
        assert_eq!(connection.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut heard = String::new();
        connection.read_to_string(&mut heard).await?;
        // Reading at the end of the stream gives 0 every time.
        assert_eq!(connection.read(&mut [0; 9]).await?, 0);
        connection.close().await?;
        Ok(heard)
    });
    assert_eq!(heard, "QUESTION");
}

#[test]
fn closing_sends_everything_first_however_slow_the_peer_is() {
    let simulation = Simulation::with_faults(1, Faults { receive_buffer: 5000..=5000, ..Faults::calm() });
    serve(&simulation, async |mut connection: AsyncConnection| {
        connection.write_all(&pattern(50_000)).await?;
        connection.close().await?;
        assert_eq!(connection.transport().unsent(), 0, "closed before everything was sent");
        Ok(())
    });
    let heard = run(&simulation, async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        let mut heard = Vec::new();
        let mut piece = [0; 100];
        loop {
            let count = connection.read(&mut piece).await?;
            if count == 0 {
                return Ok(heard);
            }
            heard.extend_from_slice(&piece[..count]);
            reactor.sleep(SECOND / 100).await?;
        }
    });
    assert!(heard == pattern(50_000), "{} bytes", heard.len());
}

#[test]
fn a_connection_that_cannot_be_made_is_an_error() {
    let simulation = Simulation::new(1);
    simulation.host(SERVER);
    let error = run(&simulation, async |reactor| Ok(reactor.connect_async(PORT).await.unwrap_err()));
    assert!(matches!(error.downcast_ref(), Some(ConnectError::Refused)), "{error}");
}

#[test]
fn the_reactors_stop_ends_those_who_wait_and_says_why() {
    let simulation = Simulation::new(1);
    let seen = Rc::new(RefCell::new(None));
    let told = Rc::clone(&seen);
    serve(&simulation, move |mut connection| {
        let told = Rc::clone(&told);
        async move {
            told.replace(Some(connection.read(&mut [0; 9]).await.map_err(|error| error.to_string())));
            Ok(())
        }
    });
    let server = (*simulation.host(SERVER)).clone();
    run(&simulation, async move |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        reactor.sleep(SECOND).await?;
        server.stop()?;
        assert_eq!(connection.read(&mut [0; 9]).await?, 0);
        Ok(())
    });
    assert_eq!(seen.take(), Some(Err("the reactor is shutting down".to_owned())));
}

#[test]
fn flushing_after_a_graceful_end_is_done_and_after_a_loss_it_fails() {
    for graceful in [true, false] {
        let simulation = Simulation::new(1);
        serve(&simulation, move |mut connection| async move {
            connection.read_exact(&mut [0; 5]).await?;
            if graceful { Ok(connection.close().await?) } else { Ok(()) }
        });
        run(&simulation, async move |reactor| {
            let mut connection = reactor.connect_async(PORT).await?;
            connection.write_all(b"hello").await?;
            assert_eq!(connection.read_to_end(&mut Vec::new()).await.is_ok(), graceful);
            assert_eq!(connection.close().await.is_ok(), graceful);
            reactor.sleep(SECOND).await?;
            assert!(connection.reason().is_some());
            assert_eq!(connection.flush().await.is_ok(), graceful);
            Ok(())
        });
    }
}

#[test]
fn once_the_reactor_stops_what_is_written_is_refused_and_not_dropped_in_silence() {
    let simulation = Simulation::with_faults(1, Faults { send_buffer: 100..=100, receive_buffer: 100..=100, ..Faults::calm() });
    let seen = Rc::new(RefCell::new(None));
    let told = Rc::clone(&seen);
    serve(&simulation, move |mut connection| {
        let told = Rc::clone(&told);
        async move {
            connection.write_all(&pattern(1000)).await?;
            connection.transport().reactor().stop()?;
            // The task learns of the stop in the next turn.
            futures_lite::future::yield_now().await;
            futures_lite::future::yield_now().await;
            told.replace(Some(connection.write(b"more").await.map_err(|error| error.kind())));
            connection.close().await.unwrap_err();
            Ok(())
        }
    });
    let heard = run(&simulation, async move |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        let mut heard = Vec::new();
        connection.read_to_end(&mut heard).await?;
        Ok(heard)
    });
    assert!(heard == pattern(1000), "what was written before is sent: {} bytes", heard.len());
    assert_eq!(seen.take(), Some(Err(ErrorKind::BrokenPipe)));
}
