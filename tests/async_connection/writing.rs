//! Writing waits at the watermarks, flushing until the system has everything; the same with only a transport handle.

use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::rc::Rc;
use std::task::Poll;

use futures_lite::future::poll_once;
use torsade::wire::Discard;

use super::*;

/// A peer that reads nothing for the first three seconds.
struct Late;

impl Protocol for Late {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.pause_producing();
        let reading = transport.clone();
        transport.reactor().call_later(3 * SECOND, move || reading.resume_producing());
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// A network in which a connection holds few bytes for a peer that does not read.
fn narrow() -> Simulation {
    let simulation =
        Simulation::with_faults(1, Faults { send_buffer: 1000..=1000, receive_buffer: 1000..=1000, ..Faults::calm() });
    simulation.host(SERVER).listen(PORT, |_peer| Late).unwrap();
    simulation
}

#[test]
fn one_write_takes_what_the_high_mark_has_room_for_and_the_next_waits_for_the_low_one() {
    run(&narrow(), async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        connection.transport().set_write_buffer_limits(1000, 5000);
        // First fill what the system takes at once.
        connection.write_all(&[0; 2000]).await?;
        reactor.sleep(SECOND).await?;
        assert_eq!(connection.transport().unsent(), 0);
        assert_eq!(connection.write(&[0; 1 << 20]).await?, 5000);
        assert!(connection.transport().is_congested(), "filled exactly to the mark");
        assert!(poll_once(connection.write(&[0; 100])).await.is_none());
        let taken = connection.write(&[0; 1 << 20]).await?;
        assert!(reactor.now() >= 3 * SECOND);
        assert!((4000..=5000).contains(&taken), "{taken}: it continued above the low mark");
        Ok(())
    });
}

#[test]
fn the_marks_may_be_moved_while_output_is_unsent_and_count_at_once() {
    run(&narrow(), async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        connection.write_all(&[0; 3000]).await?;
        reactor.sleep(SECOND).await?;
        let unsent = connection.transport().unsent();
        assert!(unsent > 0);
        let transport = connection.transport().clone();
        // Both marks below the unsent bytes.
        transport.set_write_buffer_limits(0, 100);
        assert!(transport.is_congested() && !transport.when_writable().is_called());
        // Both marks far above them.
        transport.set_write_buffer_limits(5000, 10_000);
        assert!(!transport.is_congested() && transport.when_writable().is_called());
        assert_eq!(connection.write(&[0; 1 << 20]).await?, 10_000 - unsent);
        assert!(reactor.now() < 3 * SECOND);
        Ok(())
    });
}

#[test]
fn several_pieces_are_one_write() {
    run(&narrow(), async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        connection.transport().set_write_buffer_limits(0, 100);
        let (head, body) = ([b'h'; 30], [b'b'; 300]);
        let pieces = [IoSlice::new(&head), IoSlice::new(b""), IoSlice::new(&body)];
        assert_eq!(connection.write_vectored(&pieces).await?, 100);
        Ok(())
    });
}

#[test]
fn a_flush_is_done_when_the_system_has_everything() {
    run(&narrow(), async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        connection.flush().await?;
        connection.write_all(&[0; 500]).await?;
        connection.flush().await?;
        assert!(reactor.now() < SECOND, "there was room for it");
        connection.write_all(&[0; 10_000]).await?;
        assert!(poll_once(connection.flush()).await.is_none());
        connection.flush().await?;
        assert_eq!(connection.transport().unsent(), 0);
        assert!(reactor.now() >= 3 * SECOND);
        Ok(())
    });
}

#[test]
fn a_flush_that_was_given_up_does_not_stand_for_the_next() {
    run(&narrow(), async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        connection.write_all(&[0; 10_000]).await?;
        assert!(poll_once(connection.flush()).await.is_none());
        reactor.sleep(10 * SECOND).await?;
        assert_eq!(connection.transport().unsent(), 0, "that one would be done by now");
        connection.write_all(&[0; 20_000]).await?;
        assert!(poll_once(connection.flush()).await.is_none());
        connection.flush().await?;
        assert_eq!(connection.transport().unsent(), 0);
        Ok(())
    });
}

#[test]
fn what_a_compressor_gathers_until_the_end_of_the_turn_is_not_drained_before() {
    run(&narrow(), async |reactor| {
        let transport = reactor.connect_protocol(PORT, Discard).await?;
        transport.set_compression("deflate")?;
        let sent = || transport.compression_stats().map_or(0, |stats| stats.wire_out);
        // The beginning of the compressed stream is sent at once.
        transport.flush_compression();
        transport.when_drained().await?;
        let begun = sent();
        transport.write([0; 100]);
        assert_eq!(transport.unsent(), 0, "it is gathered");
        let drained = transport.when_drained();
        assert!(!drained.is_called());
        drained.await?;
        assert!(sent() > begun);
        assert!(transport.when_drained().is_called());
        Ok(())
    });
}

#[test]
fn a_holder_of_the_transport_learns_of_room_and_of_none_left_beside_a_producer() {
    let simulation = narrow();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (told, calls) = (Rc::clone(&seen), Rc::new(Cell::new((0, 0))));

    struct Counting(Rc<Cell<(u32, u32)>>);

    impl Producer for Counting {
        fn resume_producing(&mut self, _: &Transport) -> Result {
            let (pauses, resumes) = self.0.get();
            self.0.set((pauses, resumes + 1));
            Ok(())
        }

        fn pause_producing(&mut self, _: &Transport) -> Result {
            let (pauses, resumes) = self.0.get();
            self.0.set((pauses + 1, resumes));
            Ok(())
        }
    }

    let counted = Rc::clone(&calls);
    run(&simulation, async move |reactor| {
        let transport = reactor.connect_protocol(PORT, Discard).await?;
        transport.set_write_buffer_limits(1500, 3000);
        assert_eq!(transport.write_buffer_limits(), (1500, 3000));
        transport.register_producer(Counting(counted), true)?;
        assert!(transport.when_writable().is_called() && transport.when_drained().is_called(), "nothing is unsent");
        transport.write([0; 2000]);
        reactor.sleep(SECOND).await?;
        // Up to the high watermark, not above it.
        transport.write([0; 3000]);
        for (name, deferred) in [
            ("drained", transport.when_drained()),
            ("writable", transport.when_writable()),
            ("writable", transport.when_writable()),
        ] {
            assert!(!deferred.is_called());
            let told = Rc::clone(&told);
            deferred.add_callback(move |()| told.borrow_mut().push(name)).detach();
        }
        transport.when_drained().await?;
        assert_eq!(transport.unsent(), 0);
        transport.unregister_producer();
        transport.lose_connection();
        Ok(())
    });
    assert_eq!(*seen.borrow(), ["writable", "writable", "drained"]);
    assert_eq!(calls.get(), (1, 1), "the producer was paused and resumed once");
}

#[test]
fn a_loss_fails_whoever_waits_with_its_reason() {
    let failure = run(&narrow(), async |reactor| {
        let transport = reactor.connect_protocol(PORT, Discard).await?;
        transport.write(vec![0; 100_000]);
        let (room, none) = (transport.when_writable(), transport.when_drained());
        transport.abort_connection();
        let failures = [room.await.unwrap_err(), none.await.unwrap_err()];
        Ok(failures.map(|failure| failure.downcast_ref::<Reason>().map(Reason::kind)))
    });
    assert_eq!(failure, [Some("ConnectionAborted"); 2]);
}

#[test]
fn a_writer_that_never_waits_and_a_reader_do_not_starve_each_other() {
    let simulation = Simulation::new(1);
    serve(&simulation, async_echo::<1000>);
    let heard = run(&simulation, async |reactor| {
        let sent = pattern(200_000);
        let (mut reading, mut writing) = futures_lite::io::split(reactor.connect_async(PORT).await?);
        let mut heard = Vec::new();
        let mut left = &sent[..];
        std::future::poll_fn(|context| {
            use futures_lite::{AsyncRead, AsyncWrite};
            use std::pin::Pin;
            while let Poll::Ready(written) = Pin::new(&mut writing).poll_write(context, &left[..left.len().min(777)]) {
                left = &left[written.unwrap()..];
                if left.is_empty() {
                    break;
                }
            }
            let mut buffer = [0; 555];
            while let Poll::Ready(count) = Pin::new(&mut reading).poll_read(context, &mut buffer) {
                heard.extend_from_slice(&buffer[..count.unwrap()]);
                if heard.len() == sent.len() {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
        Ok(heard)
    });
    assert!(heard == pattern(200_000));
}
