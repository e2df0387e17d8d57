//! The output of a program as a page.

use hyper::StatusCode;
use torsade::{Command, Reactor, get_process_output};

use super::{Page, page};

/// Runs the program for each request, and answers when it has ended. If the connection is lost, the program is ended.
pub async fn fortune(reactor: &Reactor, program: &str) -> Page {
    match get_process_output(reactor, Command::new(program)).await {
        Ok(output) => page(StatusCode::OK, format!("<pre>\n{}\n", String::from_utf8_lossy(&output))),
        Err(error) => page(StatusCode::INTERNAL_SERVER_ERROR, format!("<pre>\n{error}")),
    }
}
