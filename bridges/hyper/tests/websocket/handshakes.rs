//! The opening handshake (RFC 6455, 4.2), and the HTTP answers.

use super::{ACCEPT, Client, KEY, network, request, run};

#[test]
fn the_key_is_answered_as_in_rfc_6455() {
    let simulation = network();
    let head = run(&simulation, |reactor| async move {
        let mut client = Client::connect(&reactor).await?;
        client.say(request("/chat", KEY).as_bytes()).await?;
        client.head().await
    });
    let head = head.to_ascii_lowercase();
    for line in ["upgrade: websocket", "connection: upgrade", &format!("sec-websocket-accept: {}", ACCEPT.to_ascii_lowercase())] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    assert!(!head.contains("extensions") && !head.contains("content-length"), "{head}");
}

#[test]
fn what_is_not_a_websocket_request_has_its_status() {
    let with = |more: &str| request("/chat", KEY).replace("\r\n\r\n", &format!("\r\n{more}\r\n\r\n"));
    let but = |from: &str, to: &str| {
        let changed = request("/chat", KEY).replace(from, to);
        assert_ne!(changed, request("/chat", KEY));
        changed
    };
    let cases: &[(&str, String, u16)] = &[
        ("as it should be", request("/chat", KEY), 101),
        ("at another path", request("/nowhere", KEY), 404),
        ("the page", request("/", KEY), 200),
        ("with a query", request("/chat?of=cats", KEY), 101),
        ("a POST", but("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"), 405),
        ("HTTP/1.0", but("HTTP/1.1", "HTTP/1.0"), 400),
        ("no upgrade", but("Upgrade: websocket\r\n", ""), 426),
        ("an upgrade to something else", but("Upgrade: websocket", "Upgrade: h2c"), 426),
        ("an upgrade in capitals", but("Upgrade: websocket", "Upgrade: WEBSOCKET"), 101),
        ("no upgrade in Connection", but("Connection: keep-alive, Upgrade", "Connection: keep-alive"), 426),
        ("an upgrade in small letters", but("keep-alive, Upgrade", "upgrade"), 101),
        ("no version", but("Sec-WebSocket-Version: 13\r\n", ""), 426),
        ("an old version", but("Version: 13", "Version: 8"), 426),
        ("no key", but("Sec-WebSocket-Key", "Key"), 400),
        ("a short key", request("/chat", "c2hvcnQ="), 400),
        ("a long key", request("/chat", "dGhlIHNhbXBsZSBub25jZSBpcyBsb25n"), 400),
        ("a key that is no base64", request("/chat", "!!!!!!!!!!!!!!!!!!!!!!=="), 400),
        ("the server's own page", with("Origin: http://10.0.0.1"), 101),
        ("another site's page", with("Origin: https://example.org"), 403),
        ("a file's page", with("Origin: null"), 403),
        ("an extension that we have not", with("Sec-WebSocket-Extensions: permessage-deflate"), 101),
        ("no HTTP", "HELLO\r\n\r\n".into(), 400),
    ];
    for (what, request, wanted) in cases {
        let simulation = network();
        let request = request.clone();
        let head = run(&simulation, |reactor| async move {
            let mut client = Client::connect(&reactor).await?;
            client.say(request.as_bytes()).await?;
            client.head().await
        });
        assert_eq!(head.split(' ').nth(1), Some(&*wanted.to_string()), "{what}: {head}");
        let small = head.to_ascii_lowercase();
        assert!(!small.contains("sec-websocket-extensions"), "{what}: {head}");
        // RFC 9110, 15.5.22 and 15.5.6; RFC 6455, 4.2.2.
        assert!(
            *wanted != 426 || small.contains("\r\nupgrade: websocket\r\n") && small.contains("\r\nsec-websocket-version: 13\r\n"),
            "{head}"
        );
        assert!(*wanted != 405 || small.contains("\r\nallow: get\r\n"), "{head}");
    }
}

#[test]
fn a_request_may_be_cut_anywhere() {
    let request = request("/echo", KEY);
    for place in 1..request.len() {
        let (first, second) = request.split_at(place);
        let (first, second) = (first.to_owned(), second.to_owned());
        let head = run(&network(), |reactor| async move {
            let mut client = Client::connect(&reactor).await?;
            client.say_in_pieces(&[first.as_bytes(), second.as_bytes()]).await?;
            client.head().await
        });
        assert!(head.starts_with("HTTP/1.1 101 "), "cut at {place}: {head}");
    }
}

#[test]
fn a_refused_client_may_ask_again_on_its_connection() {
    let simulation = network();
    run(&simulation, |reactor| async move {
        let mut client = Client::connect(&reactor).await?;
        client.say(request("/chat", "c2hvcnQ=").as_bytes()).await?;
        let head = client.head().await?;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        while !client.unread.ends_with(b"\n") {
            client.more().await?;
        }
        client.unread.clear();
        client.say(request("/chat", KEY).as_bytes()).await?;
        let head = client.head().await?;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Ok(())
    });
}
