//! Compression and TLS over UNIX sockets.

use std::cell::Cell;
use std::rc::Rc;

use super::place::Folder;
use super::support::*;
use torsade::DecompressErrorKind;
use torsade::prelude::*;

/// What both ends do when connected.
type Switch = Rc<dyn Fn(&Transport, bool) -> Result>;

/// Sends a megabyte there and back over a connection that both ends switch; returns what came back, and how many bytes the client
/// wrote on the wire.
fn there_and_back(switch: impl Fn(&Transport, bool) -> Result + 'static) -> (Vec<u8>, u64) {
    let (folder, switch): (_, Switch) = (Folder::new(), Rc::new(switch));
    let reactor = Reactor::new().unwrap();
    let server = Rc::clone(&switch);
    let build = move |_peer: Address| {
        let server = Rc::clone(&server);
        Probe::new(&Events::default(), move |event, transport| {
            match event {
                Event::Made => server(transport, false)?,
                Event::Data(data) => transport.write(data),
                _ => {}
            }
            Ok(())
        })
    };
    reactor.listen_unix(folder.path("s"), build).unwrap();
    let (events, sent, stopper) = (Events::default(), Rc::new(Cell::new(0)), reactor.clone());
    let (seen, count) = (events.clone(), sent.clone());
    let build = move |_peer: Address| {
        let (switch, count, stopper) = (Rc::clone(&switch), count.clone(), stopper.clone());
        let mut received = 0;
        Probe::new(&seen, move |event, transport| {
            match event {
                Event::Made => {
                    switch(transport, true)?;
                    // The peer stops reading while we do not read.
                    transport.set_read_while_congested(true);
                    transport.write(text());
                }
                Event::Data(data) => {
                    received += data.len();
                    if received == text().len() {
                        count.set(transport.delivery().acknowledged);
                        transport.lose_connection();
                    }
                }
                Event::Lost(_) => stop(&stopper),
                _ => {}
            }
            Ok(())
        })
    };
    reactor.connect_unix(folder.path("s"), build).unwrap();
    run(&reactor);
    assert!(events.reason().is_clean(), "{}", events.reason());
    (events.data(), sent.get())
}

/// Text that compresses well.
fn text() -> Vec<u8> {
    b"all work and no play makes jack a dull boy\n".repeat(25_000)
}

#[test]
fn compression_works_on_unix_sockets() {
    let (back, sent) = there_and_back(|transport, client| {
        if !client {
            transport.set_detection(Detect::AtStart);
        }
        Ok(transport.set_compression("deflate")?)
    });
    assert!(back == text());
    assert!(0 < sent && sent < text().len() as u64 / 20, "{sent}");
}

#[test]
#[cfg(feature = "tls")]
fn tls_works_on_unix_sockets_with_and_without_compression() {
    for compressed in [false, true] {
        let (back, sent) = there_and_back(move |transport, client| {
            start_tls(transport, client)?;
            if compressed {
                transport.set_detection(Detect::AtStart);
                transport.set_compression("deflate")?;
            }
            Ok(())
        });
        assert!(back == text());
        assert_eq!(sent < text().len() as u64 / 20, compressed, "{sent}");
    }
}

/// The reason a client's connection ends when its server aborts it after the client's answer.
fn end_of_an_abort(switch: impl Fn(&Transport, bool) -> Result + 'static) -> Reason {
    let (folder, switch): (_, Switch) = (Folder::new(), Rc::new(switch));
    let reactor = Reactor::new().unwrap();
    let server = Rc::clone(&switch);
    let build = move |_peer: Address| {
        let server = Rc::clone(&server);
        Probe::new(&Events::default(), move |event, transport| {
            match event {
                Event::Made => {
                    server(transport, false)?;
                    transport.write("hello");
                }
                Event::Data(_) => transport.abort_connection(),
                _ => {}
            }
            Ok(())
        })
    };
    reactor.listen_unix(folder.path("s"), build).unwrap();
    let (events, stopper) = (Events::default(), reactor.clone());
    let seen = events.clone();
    let build = move |_peer: Address| {
        let (switch, stopper) = (Rc::clone(&switch), stopper.clone());
        Probe::new(&seen, move |event, transport| {
            match event {
                Event::Made => switch(transport, true)?,
                Event::Data(_) => transport.write("!"),
                Event::Lost(_) => stop(&stopper),
                _ => {}
            }
            Ok(())
        })
    };
    reactor.connect_unix(folder.path("s"), build).unwrap();
    run(&reactor);
    assert_eq!(events.data(), b"hello");
    events.reason()
}

#[test]
fn compression_tells_an_abort_from_an_end() {
    let plain = end_of_an_abort(|_, _| Ok(()));
    assert!(plain.is_clean(), "there is no reset: {plain}");
    let compressed = end_of_an_abort(|transport, client| {
        if !client {
            transport.set_compression("deflate")?;
        }
        Ok(())
    });
    let Reason::Decompress(error) = &compressed else { panic!("{compressed}") };
    assert_eq!(error.kind, DecompressErrorKind::Truncated);
}

#[test]
#[cfg(feature = "tls")]
fn tls_tells_an_abort_from_an_end() {
    let reason = end_of_an_abort(start_tls);
    assert!(matches!(reason, Reason::TlsTruncated), "{reason}");
}

#[cfg(feature = "tls")]
fn start_tls(transport: &Transport, client: bool) -> Result {
    if client {
        transport.start_tls(client_config())?;
    } else {
        transport.start_tls(keys::server())?;
    }
    Ok(())
}

/// A client of a path has no host name to check the certificate against, so it gives the name it expects.
#[cfg(feature = "tls")]
fn client_config() -> TlsClientConfig {
    keys::client_builder().server_name("server.test").build().expect("a configuration")
}
