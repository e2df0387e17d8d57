//! Compression and TLS on `async` connections.

use std::io::ErrorKind;

use super::*;

#[test]
fn compression_is_switched_on_and_understood() {
    for format in Format::ALL.into_iter().filter(|_| cfg!(all(feature = "zstd", feature = "lz4"))) {
        let simulation = Simulation::new(1);
        serve(&simulation, move |connection| async move {
            connection.transport().set_compression::<Format>(format)?;
            async_echo::<1000>(connection).await
        });
        let (heard, stats) = run(&simulation, async move |reactor| {
            let mut connection = reactor.connect_async(PORT).await?;
            connection.write_all(&[b'a'; 10_000]).await?;
            connection.close().await?;
            let mut heard = Vec::new();
            connection.read_to_end(&mut heard).await?;
            Ok((heard, connection.transport().compression_stats()))
        });
        assert!(heard == [b'a'; 10_000], "{format}");
        assert!(stats.is_some_and(|stats| stats.detected && stats.wire_in < 1000), "{format}");
    }
}

#[test]
fn an_agreed_stream_begins_with_what_has_come_already() {
    let simulation = Simulation::new(1);
    serve(&simulation, async |mut connection: AsyncConnection| {
        connection.transport().set_detection(Detect::Off);
        connection.write_all(b"next is zlib\n").await?;
        connection.transport().set_compression(Compression::deflate().announce(false))?;
        connection.write_all(b"compressed").await?;
        Ok(connection.close().await?)
    });
    let heard = run(&simulation, async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        // By then everything has arrived.
        reactor.sleep(SECOND).await?;
        let mut line = [0; 13];
        connection.read_exact(&mut line).await?;
        connection.expect_compression("deflate")?;
        let mut heard = Vec::new();
        connection.read_to_end(&mut heard).await?;
        connection.close().await?;
        Ok(heard)
    });
    assert_eq!(heard, b"compressed");
}

#[test]
fn a_flush_lets_a_compressor_hold_nothing_back() {
    let simulation = Simulation::new(1);
    serve(&simulation, async |mut connection: AsyncConnection| {
        connection.transport().set_compression(Compression::deflate().flush(Flush::Manual))?;
        connection.write_all(b"now").await?;
        connection.flush().await?;
        // Keeps the connection open.
        connection.read(&mut [0; 1]).await?;
        Ok(connection.close().await?)
    });
    run(&simulation, async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        let mut heard = [0; 3];
        connection.read_exact(&mut heard).await?;
        assert!(reactor.now() < SECOND / 2, "it waited for the second after which a silent stream is flushed");
        Ok(connection.close().await?)
    });
}

#[test]
#[cfg(feature = "tls")]
fn tls_is_switched_on_in_mid_stream_and_what_came_in_plaintext_behind_the_switch_ends_it() {
    for injected in ["", "injected"] {
        let (server, client) = (keys::server(), keys::client_builder().server_name("server.test").build().unwrap());
        let simulation = Simulation::new(1);
        let mut line = b"go on with TLS\n".to_vec();
        line.extend_from_slice(injected.as_bytes());
        serve(&simulation, move |mut connection| {
            let (server, line) = (server.clone(), line.clone());
            async move {
                connection.write_all(&line).await?;
                connection.start_tls(&server)?;
                connection.write_all(b"private").await?;
                Ok(connection.close().await?)
            }
        });
        let heard = run(&simulation, async move |reactor| {
            let mut connection = reactor.connect_async(PORT).await?;
            reactor.sleep(SECOND).await?;
            let mut line = [0; 15];
            connection.read_exact(&mut line).await?;
            connection.start_tls(&client)?;
            let mut heard = Vec::new();
            let read = connection.read_to_end(&mut heard).await;
            Ok((heard, read.map(drop).map_err(|error| error.kind())))
        });
        match injected {
            "" => assert_eq!(heard, (b"private".to_vec(), Ok(()))),
            _ => assert_eq!(heard, (Vec::new(), Err(ErrorKind::InvalidData))),
        }
    }
}
