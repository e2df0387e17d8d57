//! The quick part of the interoperability script: openssl's programs and Python's `ssl`, as client and as server.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::example;

#[test]
fn openssl_and_python_understand_us_and_we_them() {
    for program in ["python3", "openssl"] {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_err() {
            println!("skipped: {program} is not installed");
            return;
        }
    }
    let server = example("tls_echo_server");
    let examples = server.parent().expect("it is in a directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/tls");
    let done =
        Command::new("python3").arg(script).arg("--quick").arg("--examples").arg(examples).output().expect("it can be run");
    let table = String::from_utf8_lossy(&done.stdout);
    println!("{table}{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success());
    assert!(table.lines().filter(|line| line.contains(" ok ")).count() > 10, "nearly everything was skipped");
}
