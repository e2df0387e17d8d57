//! Connections for `async` code: the same bytes, limits and ends as for protocols.
#![cfg(feature = "futures-io")]

#[path = "../support/support.rs"]
mod support;

mod ends;
mod incoming;
mod layers;
mod writing;

use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

use support::*;

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";
const PORT: &str = "10.0.0.1:7";
const SECOND: Duration = Duration::from_secs(1);

/// Runs `main` on the client's host, for at most an hour of simulated time, and returns its result.
fn run<T, F>(simulation: &Simulation, main: impl FnOnce(Reactor) -> F) -> T
where
    T: 'static,
    F: Future<Output = Result<T>> + 'static,
{
    let client = simulation.host(CLIENT);
    let task = client.spawn(main((*client).clone())).into_deferred();
    simulation.run_for(3600 * SECOND).unwrap();
    task.into_result().expect("the task has ended").unwrap_or_else(|failure| panic!("{failure}"))
}

/// Serves each connection to the server's port in a task.
fn serve<F>(simulation: &Simulation, serve: impl Fn(AsyncConnection) -> F + 'static)
where
    F: Future<Output = Result> + 'static,
{
    let server = simulation.host(SERVER);
    let mut incoming = server.listen_async(PORT).unwrap();
    let reactor = (*server).clone();
    server.spawn(async move {
        while let Some(connection) = incoming.accept().await {
            reactor.spawn(serve(connection));
        }
    });
}

/// Bytes that show their position in the stream.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).flat_map(|place| place.to_le_bytes()).take(length).collect()
}

/// Writes and reads at the same time until both streams end.
async fn converse(reactor: &Reactor, endpoint: &str, sent: Vec<u8>) -> Result<Vec<u8>> {
    let (mut reading, mut writing) = futures_lite::io::split(reactor.connect_async(endpoint).await?);
    let write = async {
        writing.write_all(&sent).await?;
        writing.close().await
    };
    let mut heard = Vec::new();
    let (written, read) = futures_lite::future::zip(write, reading.read_to_end(&mut heard)).await;
    written?;
    read?;
    Ok(heard)
}

#[test]
fn much_comes_back_whole_over_calm_and_lossy_networks() {
    // Small segments take long.
    for (faults, length) in [(Faults::calm(), 1 << 20), (Faults::lossy(), 50_000)] {
        for seed in 1..=10 {
            let simulation = Simulation::with_faults(seed, faults.clone());
            serve(&simulation, async_echo::<1000>);
            let sent = pattern(length);
            let wanted = sent.clone();
            let heard = run(&simulation, async move |reactor| converse(&reactor, PORT, sent).await);
            assert!(heard == wanted, "seed {seed}: {} bytes of {}", heard.len(), wanted.len());
        }
    }
}

#[test]
fn an_async_client_and_a_callback_server_understand_each_other_on_real_sockets() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen("127.0.0.1:0", |_peer| Echo).unwrap();
    let address = port.address().to_string();
    let client = reactor.clone();
    let sent = pattern(300_000);
    let wanted = sent.clone();
    let heard = reactor.run_until(async move { converse(&client, &address, sent).await });
    assert!(heard.unwrap() == wanted);
}

#[test]
fn what_is_not_read_stops_the_peer_and_is_bounded() {
    let simulation = Simulation::with_faults(1, Faults { receive_buffer: 10_000..=10_000, ..Faults::calm() });
    serve(&simulation, |mut connection| async move {
        connection.write_all(&pattern(1 << 20)).await?;
        Ok(connection.close().await?)
    });
    let heard = run(&simulation, async |reactor| {
        let mut connection = reactor.connect_async(PORT).await?;
        reactor.sleep(60 * SECOND).await?;
        let transport = connection.transport();
        assert!(!transport.is_reading(), "it reads although nothing asks for the input");
        // What has arrived before anything was read.
        let debug = format!("{connection:?}");
        let mut first = vec![0; 200 << 10];
        let mut count = 0;
        count += connection.read(&mut first).await?;
        assert!((1..=64 << 10).contains(&count), "{count} bytes waited: {debug}");
        let mut heard = first[..count].to_vec();
        connection.read_to_end(&mut heard).await?;
        connection.close().await?;
        Ok(heard)
    });
    assert!(heard == pattern(1 << 20));
}

#[test]
fn a_protocol_gives_its_connection_away_with_what_has_come() {
    use torsade::{AsyncProtocol, Callback};

    #[derive(Default)]
    struct Switch(Option<AsyncProtocol>);

    impl Protocol for Switch {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            let Some(protocol) = &mut self.0 else {
                let (connection, protocol) = AsyncConnection::from_protocol(transport, &data[1..]);
                self.0 = Some(protocol);
                transport.spawn(|_| async_echo::<1000>(connection));
                return Ok(());
            };
            protocol.data_received(transport, data)
        }

        fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
            self.0.as_mut().map_or(Ok(()), |protocol| callback.dispatch(protocol, transport))
        }
    }

    for segment in [1, 3, 1000] {
        let simulation = Simulation::with_faults(1, Faults { segment: segment..=segment, ..Faults::calm() });
        simulation.host(SERVER).listen(PORT, |_peer| Switch::default()).unwrap();
        let heard = run(&simulation, async |reactor| converse(&reactor, PORT, b"!what follows".to_vec()).await);
        assert_eq!(heard, b"what follows");
    }
}
