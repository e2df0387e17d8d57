//! The examples do what they say.

use hyper::Request;

use super::*;
use crate::programs::{http_proxy, logging_proxy, proxy, reverse_proxy, simple_client, web_client};

const PROXY: &str = "10.0.0.3";

#[test]
fn web_client_prints_a_line_for_each_url_and_retries_what_may_pass() {
    let simulation = Simulation::new(1);
    let tries = Rc::new(Cell::new(0));
    let counted = Rc::clone(&tries);
    let seen = raw_server(&simulation, move |mut raw, _| {
        let tries = Rc::clone(&counted);
        async move {
            while let Some(head) = raw.head().await {
                match &head[..6] {
                    "GET /g" => raw.send(HELLO).await?,
                    "GET /l" => raw.send("HTTP/1.1 200 OK\r\ncontent-length: 10000001\r\n\r\n").await?,
                    "GET /b" => raw.send("no HTTP\r\n").await?,
                    // It closes twice before it answers.
                    _ if tries.replace(tries.get() + 1) < 2 => return Ok(()),
                    _ => raw.send("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?,
                }
            }
            Ok(())
        }
    });
    let lines = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&lines);
    let urls = ["10.0.0.1/good", "10.0.0.1/late", "10.0.0.1/bad", "10.0.0.1/fitful", "10.0.0.1:81/"];
    let urls = urls.map(|url| format!("http://{url}")).to_vec();
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        web_client::run(reactor, client, urls, move |line| told.borrow_mut().push(line)).await
    });
    let mut lines = lines.take();
    lines.sort();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines[0].starts_with("http://10.0.0.1/bad: the server's response is not valid: "), "{lines:#?}");
    assert_eq!(lines[1], "http://10.0.0.1/fitful: 404 Not Found, 0 bytes");
    assert_eq!(lines[2], "http://10.0.0.1/good: 200 OK, 5 bytes");
    assert!(lines[3].starts_with("http://10.0.0.1/late: timed out"), "{lines:#?}");
    assert!(lines[4].ends_with("connection refused: nothing listens there"), "{lines:#?}");
    let asked = |path: &str| seen.requests.borrow().iter().filter(|line| line.contains(path)).count();
    assert_eq!(["/good", "/late", "/bad", "/fitful"].map(asked), [1, 3, 1, 3]);
}

#[test]
fn simple_client_shows_what_twisteds_shows() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |raw, _| raw.hello());
    run(&simulation, |reactor| async move {
        let (mut head, mut body) = (Vec::new(), Vec::new());
        simple_client::fetch(Client::new(&reactor), "http://10.0.0.1/".into(), &mut head, &mut body).await?;
        assert_eq!(body, b"hello");
        let head = String::from_utf8(head)?;
        assert_eq!(
            head.lines().collect::<Vec<_>>(),
            [
                "Response version: HTTP/1.1",
                "Response code: 200 OK",
                "Response headers: {\"content-length\": \"5\"}",
                "Finished receiving body"
            ]
        );
        let fetched = simple_client::fetch(Client::new(&reactor), "http://10.0.0.1:81/".into(), Vec::new(), Vec::new());
        assert!(fetched.await.unwrap_err().to_string().contains("refused"));
        Ok(())
    });
}

/// A server that answers with the request's head, in lower case, and with hop-by-hop headers.
fn telling(simulation: &Simulation) -> Seen {
    raw_server(simulation, |mut raw, _| async move {
        while let Some(head) = raw.head().await {
            let head = head.to_ascii_lowercase();
            raw.send(format!(
                "HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\nconnection: keep-alive, X-Mine\r\nx-mine: 1\r\nx-yours: 2\r\n\
                 content-length: {}\r\n\r\n{head}",
                head.len()
            ))
            .await?;
        }
        Ok(())
    })
}

/// Sends a request unchanged to the proxy's port; returns everything up to the end of the connection, in lower case.
async fn ask(reactor: &Reactor, endpoint: &str, request: &str) -> Result<String> {
    let mut connection = reactor.connect_async(endpoint).await?;
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer.to_ascii_lowercase())
}

#[test]
fn a_proxy_passes_on_what_is_for_the_other_end_and_keeps_what_is_for_it() {
    for start in
        [proxy::start, http_proxy::start, |reactor: &Reactor, endpoint: &str| logging_proxy::start(reactor, endpoint, drop)]
    {
        let simulation = Simulation::new(1);
        let seen = telling(&simulation);
        start(&simulation.host(PROXY), "tcp:3128").unwrap();
        run(&simulation, |reactor| async move {
            for _ in 0..3 {
                let request = "GET http://10.0.0.1/path?query HTTP/1.1\r\nhost: elsewhere\r\nproxy-connection: keep-alive\r\n\
                    connection: close, X-Here\r\nx-here: 1\r\nx-there: 2\r\nte: trailers\r\nupgrade: h2c\r\n\
                    proxy-authorization: Basic c2VjcmV0\r\n\r\n";
                let answer = ask(&reactor, "10.0.0.3:3128", request).await?;
                let (head, told) = answer.split_once("\r\n\r\n").unwrap();
                assert!(head.starts_with("http/1.1 200 ok\r\n") && head.contains("x-yours: 2"), "{head}");
                assert!(head.contains("via: 1.1 torsade"), "{head}");
                assert!(!head.contains("x-mine") && !head.contains("keep-alive"), "{head}");
                let mut lines: Vec<_> = told.trim_end().lines().collect();
                lines.sort_unstable();
                assert_eq!(lines, ["get /path?query http/1.1", "host: 10.0.0.1", "via: 1.1 torsade", "x-there: 2"]);
            }
            Ok(())
        });
        assert_eq!(seen.connections.get(), 1, "the proxy keeps its connection");
    }
}

#[test]
fn a_proxy_says_what_kept_it_from_the_server() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.send("no HTTP\r\n").await?;
        assert!(raw.head().await.is_none());
        Ok(())
    });
    proxy::start(&simulation.host(PROXY), "tcp:3128").unwrap();
    run(&simulation, |reactor| async move {
        for (target, status) in [
            ("http://10.0.0.1:81/", "502 bad gateway"),
            ("http://10.0.0.1/", "502 bad gateway"),
            ("http://unknown.example/", "502 bad gateway"),
            ("ftp://10.0.0.1/", "400 bad request"),
            ("/", "400 bad request"),
        ] {
            let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let answer = ask(&reactor, "10.0.0.3:3128", &request).await?;
            assert!(answer.starts_with(&format!("http/1.1 {status}")), "{target}: {answer}");
        }
        Ok(())
    });
}

#[test]
fn a_long_upload_through_a_proxy_comes_whole() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |mut raw, _| async move {
        while raw.head().await.is_some() {
            let mut body = vec![0; 1_000_000];
            raw.connection.read_exact(&mut body).await?;
            assert!(body.iter().all(|&byte| byte == 7));
            raw.send(HELLO).await?;
        }
        Ok(())
    });
    proxy::start(&simulation.host(PROXY), "tcp:3128").unwrap();
    run(&simulation, |reactor| async move {
        let mut connection = reactor.connect_async("10.0.0.3:3128").await?;
        let head = "POST http://10.0.0.1/ HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\nconnection: close\r\n\r\n";
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(&vec![7; 1_000_000]).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        assert!(answer.ends_with("hello"), "{answer}");
        Ok(())
    });
}

#[test]
fn logging_proxy_says_who_asks_for_what() {
    let simulation = Simulation::new(1);
    telling(&simulation);
    let lines = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&lines);
    logging_proxy::start(&simulation.host(PROXY), "tcp:8080", move |line| told.borrow_mut().push(line)).unwrap();
    run(&simulation, |reactor| async move {
        ask(&reactor, "10.0.0.3:8080", "GET http://10.0.0.1/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        let tunnel = "CONNECT 10.0.0.1:443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        assert!(ask(&reactor, "10.0.0.3:8080", tunnel).await?.starts_with("http/1.1 501 "));
        Ok(())
    });
    assert_eq!(
        lines.take(),
        ["Request from 10.0.0.2 for 10.0.0.1", "Request from 10.0.0.2 for 10.0.0.1", "HTTPS is not supported at the moment!"]
    );
}

#[test]
fn reverse_proxy_asks_its_server_by_that_ones_name() {
    let simulation = Simulation::new(1);
    simulation.add_name("server.example", SERVER);
    telling(&simulation);
    reverse_proxy::start(&simulation.host(PROXY), "tcp:8080", "server.example").unwrap();
    run(&simulation, |reactor| async move {
        let request = "GET /path?query HTTP/1.1\r\nhost: proxy.example\r\nconnection: close\r\n\r\n";
        let answer = ask(&reactor, "10.0.0.3:8080", request).await?;
        let told = answer.split_once("\r\n\r\n").unwrap().1;
        assert!(told.starts_with("get /path?query http/1.1\r\n") && told.contains("host: server.example\r\n"), "{told}");
        let answer = ask(&reactor, "10.0.0.3:8080", "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
        assert!(answer.starts_with("http/1.1 "), "{answer}");
        Ok(())
    });
}

#[test]
fn http_proxy_makes_tunnels_that_end_as_their_ends_do() {
    let simulation = Simulation::new(1);
    simulation.host(SERVER).listen("tcp:7", |_peer| torsade::wire::Echo).unwrap();
    http_proxy::start(&simulation.host(PROXY), "tcp:3128").unwrap();
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connector(|_| "tcp:10.0.0.3:3128").build();
        let tunnel = |to: &str| client.upgrade(Request::connect(to).body(String::new()).unwrap());
        let (response, connection) = tunnel("10.0.0.1:7").await?;
        assert_eq!(response.status(), 200);
        let mut connection = connection.unwrap();
        connection.write_all(&[7; 100_000]).await?;
        connection.close().await?;
        let mut heard = Vec::new();
        connection.read_to_end(&mut heard).await?;
        assert_eq!(heard, [7; 100_000]);
        let (response, connection) = tunnel("10.0.0.1:8").await?;
        assert!(response.status() == 502 && connection.is_none());
        assert!(text(response).await?.contains("refused"));
        Ok(())
    });
}
