//! Examples in a simulated network, where time costs nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use log::Level;
use torsade::prelude::*;
use torsade::simulated::Simulation;

use crate::asking::read;
use crate::logged::logged;
use crate::programs::dynamic_pages;

/// What a client receives from a path in this many seconds, after which it leaves.
pub fn heard(start: impl FnOnce(&Reactor) -> Result<Port>, path: &'static str, seconds: u64) -> String {
    let simulation = Simulation::new(1);
    start(&simulation.host("10.0.0.1")).unwrap();
    let client = simulation.host("10.0.0.2");
    let reactor = client.clone();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hearing = heard.clone();
    let reading = client.spawn(async move {
        let leaving = reactor.sleep(Duration::from_secs(seconds));
        let mut connection = reactor.connect_async("10.0.0.1:80").await?;
        connection.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await?;
        let reading = async {
            let mut piece = [0; 4096];
            loop {
                // A lost connection is an end as well.
                match connection.read(&mut piece).await.unwrap_or(0) {
                    0 => return Ok(()),
                    count => hearing.borrow_mut().extend(&piece[..count]),
                }
            }
        };
        or(reading, async { Ok(leaving.await?) }).await
    });
    // A second more, for the server to notice.
    simulation.run_for(Duration::from_secs(seconds + 1)).unwrap();
    reading.into_deferred().into_result().expect("it has left").unwrap();
    String::from_utf8(heard.take()).unwrap()
}

#[test]
fn a_delayed_page_comes_late() {
    let start = |reactor: &Reactor| dynamic_pages::start(reactor, "tcp:80", "fortune");
    assert_eq!(heard(start, "/delayed", 4), "");
    let answer = read(heard(start, "/delayed", 6).as_bytes());
    assert_eq!((answer.status, &*answer.text()), (200, "<html><body>Sorry to keep you waiting.</body></html>"));
}

#[test]
fn a_client_that_resets_the_connection_ends_what_is_made_for_it() {
    let start = |reactor: &Reactor| dynamic_pages::start(reactor, "tcp:80", "fortune");
    let interrupted = |seconds| {
        let lines = logged(Level::Error, || drop(heard(start, "/delayed", seconds)));
        lines.iter().filter(|(_, line)| line == "Async response demo interrupted response").count()
    };
    assert_eq!((interrupted(2), interrupted(6)), (1, 0));
}
