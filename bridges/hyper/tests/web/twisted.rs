//! The ports of Twisted's web examples and howtos compared with the originals: status, body, and the headers that describe it.
//!
//! Needs Python with Twisted (`TORSADE_PYTHON`, by default `python3`), and the originals, which are in Twisted's source but not
//! in its package: `TORSADE_TWISTED_DOCS` is the path of its `docs/core`, beside which `docs/web` is. Without them the
//! comparisons are skipped.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::asking::{Answer, Folder, Served, ask, ask_with_body, read};
use crate::programs::{dynamic_pages, server_sent_events, static_files, streamed_page};
use crate::simulated::heard;

/// An original program; killed when dropped.
struct Original(Child);

impl Original {
    /// Starts a program of `docs/web`, with replacements in its text, or prints why it cannot.
    fn start(name: &str, replacements: &[String]) -> Option<(Self, SocketAddr)> {
        let Some(docs) = std::env::var_os("TORSADE_TWISTED_DOCS").map(PathBuf::from) else {
            println!("skipped the comparison with {name}: TORSADE_TWISTED_DOCS does not name docs/core of Twisted's source");
            return None;
        };
        Self::start_file(docs.with_file_name("web").join(name), name, replacements)
    }

    /// Starts one of our own programs on Twisted, where Twisted has no example.
    fn start_ours(name: &str) -> Option<(Self, SocketAddr)> {
        let originals = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/web/on_twisted"));
        Self::start_file(originals.join(name), name, &[])
    }

    fn start_file(program: PathBuf, name: &str, replacements: &[String]) -> Option<(Self, SocketAddr)> {
        let python = std::env::var_os("TORSADE_PYTHON").unwrap_or_else(|| "python3".into());
        let found = Command::new(&python).args(["-c", "import twisted"]).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            println!("skipped the comparison with {name}: there is no Python with Twisted (TORSADE_PYTHON names one)");
            return None;
        }
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/web/original.py")).arg(program).args(replacements);
        let mut original = Self(command.stdout(Stdio::piped()).spawn().unwrap());
        let lines = BufReader::new(original.0.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
        let port = { lines }.find_map(|line| line.strip_prefix("port ")?.parse().ok());
        let port: u16 = port.expect("the launcher prints the port");
        Some((original, SocketAddr::from(([127, 0, 0, 1], port))))
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What has to be equal: the status, the content type without its charset, some headers, and the body.
fn shown(answer: &Answer) -> (u16, String, Vec<String>, String) {
    let kind = answer.header("content-type").split(';').next().unwrap_or_default().to_owned();
    let headers = ["content-range", "accept-ranges", "last-modified", "allow"].map(|name| answer.header(name).to_owned());
    (answer.status, kind, headers.to_vec(), answer.body.escape_ascii().to_string())
}

fn pages() -> Served {
    Served::new(|reactor| dynamic_pages::start(reactor, "127.0.0.1:0", "/bin/hostname"))
}

/// Sends the same requests to the port, below `prefix`, and to the original of a howto.
fn compare(howto: &str, prefix: &str, paths: &[&str]) {
    let ours = pages();
    let original = Original::start(&format!("howto/web-in-60/{howto}.rst"), &[]);
    for path in paths {
        let here = ask(ours.address, &format!("GET {prefix}{path}"));
        assert!(!here.body.is_empty());
        if let Some((_, there)) = &original {
            assert_eq!(shown(&here), shown(&ask(*there, &format!("GET {path}"))), "{howto}: {path}");
            println!("{howto}: {path} is as the original's");
        }
    }
}

#[test]
fn the_calendar_is_pythons() {
    let years = ["/2009", "/2000", "/1900", "/1", "/9999", "/2024", "/then"];
    compare("error-handling", "/calendar", &years);
    compare("dynamic-dispatch", "/calendar", &["/2009"]);
}

#[test]
fn a_page_has_a_status_of_its_own() {
    compare("custom-codes", "", &["/buy"]);
}

#[test]
fn the_clock_tells_a_time_each_time() {
    let answer = ask(pages().address, "GET /clock");
    if let Some((_original, there)) = Original::start("howto/web-in-60/dynamic-content.rst", &[]) {
        // The times have different formats.
        let start = |answer: &Answer| answer.text().split_inclusive("<body>").next().unwrap().to_owned();
        let theirs = ask(there, "GET /");
        assert_eq!((start(&answer), answer.header("content-type")), (start(&theirs), theirs.header("content-type")));
    }
    assert!(answer.text().ends_with(" GMT"), "{}", answer.text());
}

#[test]
fn a_form_is_shown_and_answered() {
    let ours = pages();
    let original = Original::start("howto/web-in-60/handling-posts.rst", &[]);
    let form = "POST /form\ncontent-type: application/x-www-form-urlencoded";
    for body in ["the-field=hello", "a=b&the-field=%3Cb%3E+%26+%22%27%C3%A9&the-field=2", "the-field=a+b%2Bc"] {
        let here = ask_with_body(ours.address, form, body.as_bytes());
        assert_eq!(here.status, 200);
        if let Some((_, there)) = &original {
            assert_eq!(shown(&here), shown(&ask_with_body(*there, form, body.as_bytes())), "{body}");
            assert_eq!(shown(&ask(ours.address, "GET /form")), shown(&ask(*there, "GET /form")));
        }
    }
    assert_eq!(ask_with_body(ours.address, form, b"other=1").status, 400);
    assert_eq!(ask_with_body(ours.address, form, &[b'a'; 65 << 10]).status, 413);
    for method in ["DELETE", "PUT"] {
        assert_eq!(
            (ask(ours.address, &format!("{method} /form")).status, ask(ours.address, &format!("{method} /buy")).status),
            (405, 405)
        );
    }
}

#[test]
fn a_delayed_page_is_the_originals() {
    let start = |reactor: &torsade::Reactor| dynamic_pages::start(reactor, "tcp:80", "fortune");
    let ours = read(heard(start, "/delayed", 6).as_bytes());
    for howto in ["asynchronous", "asynchronous-deferred", "interrupted", "logging-errors"] {
        if let Some((_original, there)) = Original::start(&format!("howto/web-in-60/{howto}.rst"), &[]) {
            assert_eq!(shown(&ours), shown(&ask(there, "GET /")), "{howto}");
        }
    }
}

#[test]
#[cfg(unix)]
fn a_page_is_what_a_program_prints() {
    let ours = Served::new(|reactor| dynamic_pages::start(reactor, "127.0.0.1:0", "true"));
    let answer = ask(ours.address, "GET /fortune");
    assert_eq!(answer.text(), "<pre>\n\n");
    if let Some((_original, there)) = Original::start("examples/fortune.rpy", &["/usr/games/fortune=/bin/true".into()]) {
        assert_eq!(shown(&answer), shown(&ask(there, "GET /")));
    }
    let missing = Served::new(|reactor| dynamic_pages::start(reactor, "127.0.0.1:0", "/there/is/no/such/program"));
    assert_eq!(ask(missing.address, "GET /fortune").status, 500);
}

#[test]
fn files_are_sent_as_twisted_sends_them() {
    let folder = Folder::new("as-twisted");
    for (name, text) in [("page.html", "a page"), ("folder/index.html", "an index"), ("text.txt", &"some text ".repeat(100))] {
        // Twisted rounds fractions of a second up.
        let file = File::options().write(true).open(folder.file(name, text)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890)).unwrap();
    }
    let path = folder.0.clone();
    let ours = Served::new(move |reactor| static_files::start(reactor, "127.0.0.1:0", path));
    let Some((_original, there)) =
        Original::start("howto/web-in-60/static-content.rst", &[format!("/tmp={}", folder.0.display())])
    else {
        return;
    };
    for request in [
        "GET /page.html",
        "HEAD /page.html",
        "GET /folder/",
        "GET /text.txt\nrange: bytes=10-19",
        "GET /text.txt\nrange: bytes=990-",
        "GET /text.txt\nrange: bytes=-10",
        "GET /text.txt\nrange: bytes=0-99999",
        "GET /text.txt\nrange: bytes=9-8",
        "GET /text.txt\nrange: lines=1-2",
        "GET /text.txt\nif-modified-since: Fri, 01 Jan 2100 00:00:00 GMT",
        "GET /text.txt\nif-modified-since: Sat, 01 Jan 2000 00:00:00 GMT",
    ] {
        assert_eq!(shown(&ask(ours.address, request)), shown(&ask(there, request)), "{request}");
    }
    // The error pages have their own texts.
    for request in ["GET /text.txt\nrange: bytes=1000-", "GET /none", "GET /..%2fpage.html", "GET /folder", "POST /page.html"] {
        let (here, there) = (ask(ours.address, request), ask(there, request));
        assert_eq!((here.status, here.header("content-range")), (there.status, there.header("content-range")), "{request}");
    }
}

#[test]
fn what_twisted_has_no_example_of_is_as_with_its_producers() {
    let ours = Served::new(|reactor| streamed_page::start(reactor, "127.0.0.1:0"));
    let page = ask(ours.address, "GET /12345");
    let events = heard(|reactor| server_sent_events::start(reactor, "tcp:80"), "/events", 10);
    if let Some((_original, there)) = Original::start_ours("streamed_page.py") {
        assert_eq!(shown(&page), shown(&ask(there, "GET /12345")));
    }
    if let Some((_original, there)) = Original::start_ours("server_sent_events.py") {
        let answer = ask(there, "GET /events?3");
        let here: Vec<&str> = events.lines().filter(|line| line.starts_with("data:")).take(3).collect();
        let text = answer.text();
        assert_eq!(here, text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>());
        assert!(events.contains(&format!("content-type: {}\r\n", answer.header("content-type"))));
    }
}
