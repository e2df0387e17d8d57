//! Programs that are kept running.

use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{ProcessMonitor, Service, run_service_on};

use crate::support::{child, is_child};
use crate::watcher::sh;

#[test]
fn a_program_that_ends_is_started_again_and_a_stop_leaves_none() {
    const NAME: &str = "monitor::a_program_that_ends_is_started_again_and_a_stop_leaves_none";
    if !is_child(NAME) {
        // The signal stops every reactor of its process, so those of other tests have to be elsewhere.
        let output = child(NAME).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let folder = std::env::temp_dir().join(format!("torsade-monitor-{}", std::process::id()));
    let monitor = ProcessMonitor::new().threshold(Duration::ZERO);
    // Each start adds a line, and only the third keeps running.
    let script =
        format!("echo started >> {0}; test $(wc -l < {0}) -lt 3 && exit 1; kill -INT $PPID; exec sleep 1000", folder.display());
    monitor.add_process("third time", sh(&script)).unwrap();
    let reactor = Reactor::new().unwrap();
    run_service_on(&reactor, monitor.clone(), Duration::from_secs(60)).unwrap();
    assert_eq!(std::fs::read_to_string(&folder).unwrap(), "started\n".repeat(3));
    std::fs::remove_file(folder).unwrap();
    assert!(format!("{monitor:?}").contains("running: 0"), "{monitor:?}");
}

#[test]
fn names_are_used_once_and_must_be_known() {
    let monitor = ProcessMonitor::new();
    monitor.add_process("a", Command::new("true")).unwrap();
    assert!(monitor.add_process("a", Command::new("true")).unwrap_err().to_string().contains("remove it first"));
    assert!(monitor.remove_process("b").is_err());
    monitor.remove_process("a").unwrap();
    monitor.add_process("a", Command::new("true")).unwrap();
    assert!(monitor.stop_service().is_called(), "it was not running");
}
