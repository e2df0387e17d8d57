//! What `twistd procmon` does: keeps a program running, and logs what it writes.
//!
//! Run:    RUST_LOG=info cargo run --example procmon PROGRAM [ARGUMENT ...]     (date unless given)
//! Expect: the program's lines behind its name; it is started again when it has ended, later each time if it ends at once.
//!         Ctrl-C ends it as well.

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
