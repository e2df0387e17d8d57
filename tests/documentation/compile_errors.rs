//! The compiler's messages for common mistakes say what is wrong in the user's terms, and what to write.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The beginning of every program here.
const BEGINNING: &str = "use torsade::prelude::*;

struct Bytes;

impl Protocol for Bytes {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

struct Lines;

impl LineProtocol for Lines {
    fn line_received(&mut self, _: &LineTransport, _: &[u8]) -> Result {
        Ok(())
    }
}

struct Builds;

impl Factory for Builds {
    fn build_protocol(&mut self, _: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Bytes))
    }
}

fn main() -> Result {
    let reactor = Reactor::new()?;
";

/// The folder of the dependencies of these tests.
fn dependencies() -> PathBuf {
    env::current_exe().expect("a test binary").parent().expect("it is in a folder").to_owned()
}

/// The library: of several builds, the newest with the features of these tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let entries = fs::read_dir(dependencies()).expect("a folder").map(|entry| entry.expect("an entry").path());
        let is_library = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libtorsade-") && name.ends_with(".rlib")
        };
        let built = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).expect("it has a time");
        let mut libraries: Vec<_> = entries.filter(is_library).collect();
        libraries.sort_by_key(built);
        let features = [
            ("TrustRoots", cfg!(feature = "tls")),
            ("DnsResolver", cfg!(feature = "dns")),
            ("Command", cfg!(feature = "processes")),
            ("hub", cfg!(feature = "hub")),
        ];
        let names: String = features.iter().filter(|(_, on)| *on).map(|(name, _)| format!("{name}, ")).collect();
        let program = format!("#[allow(unused_imports)]\nuse torsade::{{{names}}};\nfn main() {{}}\n");
        let has_features = |library: &PathBuf| compile_with(library, &program, &[]).status.success();
        libraries.into_iter().rev().find(has_features).expect("the library was built")
    })
}

/// What the compiler says of `program`, which it only checks.
pub(crate) fn compile(program: &str, options: &[&str]) -> Output {
    compile_with(library(), program, options)
}

fn compile_with(library: &Path, program: &str, options: &[&str]) -> Output {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mistake_{}_{number}.rs", std::process::id()));
    fs::write(&path, program).expect("it can be written");
    // The compiler of the `cargo` that runs these tests.
    let rustc = env::var_os("CARGO").map_or_else(|| "rustc".into(), |cargo| Path::new(&cargo).with_file_name("rustc"));
    let compiled = Command::new(rustc)
        .args(["--edition=2024", "--crate-name=mistake", "--emit=metadata", "-Adead_code"])
        .args(options)
        .arg("-L")
        .arg(format!("dependency={}", dependencies().display()))
        .arg("--extern")
        .arg(format!("torsade={}", library.display()))
        .arg("-o")
        .arg(path.with_extension("rmeta"))
        .arg(&path)
        .output()
        .expect("the compiler can be run");
    fs::remove_file(&path).expect("it was written");
    // Exists only if the program compiled.
    fs::remove_file(path.with_extension("rmeta")).ok();
    compiled
}

/// The compiler's errors in `program`: the line, and the code if there is one.
#[cfg(feature = "tls")]
pub(crate) fn errors_in(program: &str) -> Vec<(usize, String)> {
    let compiled = compile(program, &["--error-format=short", "-Awarnings"]);
    let said = String::from_utf8(compiled.stderr).expect("it is text");
    let error = |line: &str| {
        let (place, error) = line.split_once(": error")?;
        let code = error.strip_prefix('[').and_then(|error| error.split_once(']')).map_or("", |(code, _)| code);
        Some((place.rsplit(':').nth(1)?.parse().ok()?, code.to_owned()))
    };
    said.lines().filter_map(error).collect()
}

/// What the compiler says of a program whose `main` makes a reactor and then does this; empty if it compiles.
fn said_of(main: &str) -> String {
    let compiled = compile(&format!("{BEGINNING}    {main}\n    Ok(())\n}}\n"), &[]);
    let said = String::from_utf8(compiled.stderr).expect("it is text");
    assert_eq!(compiled.status.success(), said.is_empty(), "{said}");
    said
}

/// Checks that the first error has this headline, and that the messages name these remedies.
fn assert_told(main: &str, headline: &str, remedies: &[&str]) {
    let said = said_of(main);
    let first = said.lines().next().unwrap_or("nothing");
    assert!(first.contains(headline), "{main}\n{said}");
    for remedy in remedies {
        assert!(said.contains(remedy), "{main}: no mention of {remedy}\n{said}");
    }
}

#[test]
fn a_program_without_a_mistake_compiles() {
    assert_eq!(said_of(r#"reactor.listen_tcp("127.0.0.1:0", |_peer| LineReceiver::new(Lines))?;"#), "");
    assert_eq!(said_of(r#"reactor.listen_tcp(("127.0.0.1", 0), Builds)?;"#), "");
}

#[test]
fn a_protocol_of_lines_without_its_receiver_gets_an_error_that_asks_for_the_wrapper() {
    let remedies = ["a `LineProtocol` in `LineReceiver::new(..)`", "`NetstringReceiver::new(..)`", "`FrameReceiver::new(..)`"];
    assert_told(r#"reactor.listen_tcp("127.0.0.1:0", |_peer| Lines)?;"#, "`Lines` is not a protocol", &remedies);
    assert_told(r#"reactor.connect_tcp("127.0.0.1:1", |_peer| Lines)?;"#, "`Lines` is not a protocol", &remedies);
}

#[test]
fn a_factory_that_is_not_one_for_clients_gets_an_error_that_says_what_is_missing() {
    let remedies = ["needs `ClientFactory` too", "impl ClientFactory for ... {}"];
    assert_told(r#"reactor.connect_tcp("127.0.0.1:1", Builds)?;"#, "`Builds` is not a factory for clients", &remedies);
}

#[test]
fn a_protocol_in_the_place_of_a_factory_gets_an_error_that_asks_for_a_closure() {
    assert_told(r#"reactor.listen_tcp("127.0.0.1:0", Bytes)?;"#, "`Bytes` is not a factory", &["`|_peer| Echo`"]);
}

#[test]
fn a_port_alone_gets_an_error_that_asks_for_a_host() {
    let told = |main: &str, what: &str| {
        assert_told(main, &format!("`{what}` is not an address to listen on or to connect to"), &[r#""127.0.0.1:8000""#]);
    };
    told("reactor.listen_tcp(8001, |_peer| Bytes)?;", "{integer}");
    told("reactor.connect_tcp(8001_u16, |_peer| Bytes)?;", "u16");
    told(r#"reactor.listen_tcp(("127.0.0.1", 8001_i32), |_peer| Bytes)?;"#, "(&str, i32)");
}

#[test]
fn a_reactor_or_a_transport_in_another_thread_gets_an_error_that_names_the_handle() {
    assert_told(
        "std::thread::spawn(move || reactor.stop());",
        "cannot be sent between threads safely",
        &["the type `torsade::Reactor`", "give other threads `reactor.handle()`"],
    );
    assert_told(
        "let use_it = |transport: Transport| reactor.defer_to_thread(move || { transport.write(b\"x\"); Ok(()) });",
        "cannot be sent between threads safely",
        &["the type `torsade::Transport`", "give other threads `transport.reactor().handle()`"],
    );
}

#[test]
fn a_callback_that_returns_a_plain_value_gets_an_error_that_says_what_it_may_return() {
    let remedies = ["`Ok(value)`", "a `Deferred`"];
    assert_told("reactor.spawn(async { 5 });", "a callback or a task cannot return `{integer}`", &remedies);
    let main = "reactor.sleep(std::time::Duration::ZERO).add_callback(|()| std::io::Result::Ok(()));";
    assert_told(main, "a callback or a task cannot return `", &["`Ok(result?)`"]);
}
