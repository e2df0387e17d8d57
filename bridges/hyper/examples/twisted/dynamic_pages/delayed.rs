//! A page that takes a while, and notices when its client has gone.

use std::time::Duration;

use hyper::StatusCode;
use torsade::Reactor;

use super::{Page, page};

/// Answers after 5 s. If the connection is lost first, this future is dropped, and with it its timer; that is logged.
pub async fn delayed(reactor: &Reactor) -> Page {
    let interrupted = Interrupted;
    reactor.sleep(Duration::from_secs(5)).await.expect("nobody cancels it");
    std::mem::forget(interrupted);
    page(StatusCode::OK, "<html><body>Sorry to keep you waiting.</body></html>".to_owned())
}

/// In place of `request.notifyFinish().addErrback(...)`.
struct Interrupted;

impl Drop for Interrupted {
    fn drop(&mut self) {
        log::error!("Async response demo interrupted response");
    }
}
