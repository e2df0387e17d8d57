//! What `twistd procmon` does: keeps a program running, and logs its output.
//!
//! Run:    RUST_LOG=info cargo run --example procmon PROGRAM [ARGUMENT ...]     (default date)
//! Expect: the program's lines after its name. It is restarted when it has ended, with growing delays if it ends at once. Ctrl-C ends
//!         the program too.

use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{ProcessMonitor, run_service};

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let program = args.next().unwrap_or_else(|| "date".into());
    let monitor = ProcessMonitor::new();
    monitor.add_process(&program, Command::new(&program).args(args))?;
    run_service(monitor, Duration::from_secs(10))
}
