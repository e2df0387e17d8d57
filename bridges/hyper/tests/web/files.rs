//! Files: ranges and conditions (RFC 9110, 13 and 14), and paths that are no file of the folder.

use crate::asking::{Answer, Folder, Served, ask};
use crate::programs::{dynamic_pages, server_sent_events, static_files, streamed_page, web_server};

/// Checks a file of 1000 bytes with both programs that send files.
fn on_both(name: &str, check: impl Fn(&dyn Fn(&str, &str) -> Answer)) {
    let folder = Folder::new(name);
    folder.file("folder/thousand.bin", thousand());
    let path = folder.0.clone();
    let served = Served::new(move |reactor| web_server::start(reactor, "127.0.0.1:0", path));
    check(&|method, headers| ask(served.address, &format!("{method} /files/folder/thousand.bin\n{headers}")));
    let path = folder.0.clone();
    let served = Served::new(move |reactor| static_files::start(reactor, "127.0.0.1:0", path));
    check(&|method, headers| ask(served.address, &format!("{method} /folder/thousand.bin\n{headers}")));
}

fn thousand() -> Vec<u8> {
    (0..1000_u32).map(|number| (number % 251) as u8).collect()
}

#[test]
fn one_range_is_sent_alone() {
    on_both("ranges", |ask| {
        for (range, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=10-19", 10, 19),
            ("bytes=990-", 990, 999),
            ("bytes=0-99999999999999999999999999", 0, 999),
            ("bytes=-1", 999, 999),
            ("bytes=-5000", 0, 999),
            ("Bytes=998-998", 998, 998),
        ] {
            let answer = ask("GET", &format!("range: {range}"));
            assert_eq!(answer.status, 206, "{range}");
            assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/1000"), "{range}");
            assert_eq!(answer.header("content-length"), (last - first + 1).to_string(), "{range}");
            assert_eq!(answer.body, thousand()[first..=last], "{range}");
        }
    });
}

#[test]
fn a_range_after_the_end_is_refused() {
    on_both("unsatisfiable", |ask| {
        for range in ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=99999999999999999999999999-"] {
            let answer = ask("GET", &format!("range: {range}"));
            assert_eq!((answer.status, answer.header("content-range")), (416, "bytes */1000"), "{range}");
            assert!(answer.body.is_empty());
        }
    });
}

#[test]
fn what_is_not_one_range_gets_the_whole_file() {
    on_both("whole", |ask| {
        for range in [
            "bytes=0-1,3-4",
            "bytes=5-4",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=1-+2",
            "lines=0-1",
            "bytes 0-1",
            "bytes=0-1-2",
        ] {
            let answer = ask("GET", &format!("range: {range}"));
            assert_eq!((answer.status, answer.header("content-length")), (200, "1000"), "{range}");
            assert_eq!(answer.header("accept-ranges"), "bytes");
            assert_eq!(answer.body, thousand(), "{range}");
        }
    });
}

#[test]
fn head_reports_what_get_would_and_has_no_ranges() {
    on_both("head", |ask| {
        let answer = ask("HEAD", "range: bytes=0-1");
        assert_eq!((answer.status, answer.header("content-length")), (200, "1000"));
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("last-modified"), ask("GET", "").header("last-modified"));
    });
}

#[test]
fn a_copy_that_is_up_to_date_is_not_sent_again() {
    const EARLIER: &str = "Sat, 01 Jan 2000 00:00:00 GMT";
    const LATER: &str = "Fri, 01 Jan 2100 00:00:00 GMT";
    on_both("conditions", |ask| {
        let modified = ask("GET", "").header("last-modified").to_owned();
        for (since, status) in [(&*modified, 304), (LATER, 304), (EARLIER, 200), ("yesterday", 200)] {
            for method in ["GET", "HEAD"] {
                let answer = ask(method, &format!("if-modified-since: {since}"));
                assert_eq!(answer.status, status, "{since}");
                assert_eq!(answer.body.is_empty(), status == 304 || method == "HEAD");
            }
        }
        let with_tag = ask("GET", &format!("if-none-match: \"a\"\nif-modified-since: {LATER}"));
        assert_eq!(with_tag.status, 200, "a condition on tags takes precedence, and the file has none");
        for (file, status) in [(&*modified, 206), (EARLIER, 200), (LATER, 200), ("\"tag\"", 200)] {
            assert_eq!(ask("GET", &format!("range: bytes=0-1\nif-range: {file}")).status, status, "{file}");
        }
    });
}

#[test]
fn nothing_outside_the_directory_is_sent() {
    let folder = Folder::new("outside");
    folder.file("secret.txt", "secret");
    folder.file("public/there.txt", "there");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret.txt", folder.0.join("public/link.txt")).unwrap();
        std::os::unix::fs::symlink("there.txt", folder.0.join("public/inner.txt")).unwrap();
        std::process::Command::new("mkfifo").arg(folder.0.join("public/pipe")).status().unwrap();
    }
    let public = folder.0.join("public");
    let site = public.clone();
    let site = Served::new(move |reactor| web_server::start(reactor, "127.0.0.1:0", site));
    let files = Served::new(move |reactor| static_files::start(reactor, "127.0.0.1:0", public));
    let absolute = folder.0.join("secret.txt").display().to_string();
    for path in [
        "../secret.txt",
        "%2e%2e/secret.txt",
        "%2E%2E%2Fsecret.txt",
        "..%2fsecret.txt",
        "there.txt/../../secret.txt",
        "./there.txt/x",
        "%2fetc/passwd",
        "/etc/passwd",
        &absolute,
        "%00",
        "there.txt%00",
        "%ff",
        "link.txt",
        "pipe",
        "nothing",
        &"a".repeat(3000),
    ] {
        for (address, prefix) in [(site.address, "/files/"), (files.address, "/")] {
            let answer = ask(address, &format!("GET {prefix}{path}"));
            assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
            assert!(!answer.text().contains("secret\n"), "{path}");
        }
    }
    #[cfg(unix)]
    assert_eq!(ask(site.address, "GET /files/inner.txt").text(), "there");
    assert_eq!(ask(files.address, "GET /there%2Etxt").text(), "there");
}

#[test]
fn a_directory_is_redirected_to_and_its_index_is_sent() {
    let folder = Folder::new("index");
    folder.file("folder/index.html", "<p>the index");
    let path = folder.0.clone();
    let served = Served::new(move |reactor| static_files::start(reactor, "127.0.0.1:0", path));
    let answer = ask(served.address, "GET /folder");
    assert_eq!((answer.status, answer.header("location")), (302, "/folder/"));
    let answer = ask(served.address, "GET /folder/");
    assert_eq!((answer.status, &*answer.text()), (200, "<p>the index"));
    let answer = ask(served.address, "POST /folder/");
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
}

#[test]
fn a_target_that_is_not_a_path_is_not_found() {
    let site = Served::new(|reactor| web_server::start(reactor, "127.0.0.1:0", "."));
    let files = Served::new(|reactor| static_files::start(reactor, "127.0.0.1:0", "."));
    let pages = Served::new(|reactor| dynamic_pages::start(reactor, "127.0.0.1:0", "true"));
    let page = Served::new(|reactor| streamed_page::start(reactor, "127.0.0.1:0"));
    let events = Served::new(|reactor| server_sent_events::start(reactor, "127.0.0.1:0"));
    for served in [&site, &files, &pages, &page, &events] {
        for target in ["GET test:80", "OPTIONS *", "CONNECT test:80"] {
            let answer = ask(served.address, target);
            assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
        }
    }
}
