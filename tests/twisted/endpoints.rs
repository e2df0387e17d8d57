//! What the text of endpoints means, against what real Twisted made of it, as recorded by `tests/twisted/record_endpoint.py`.
//!
//! To replay other vectors: `TORSADE_VECTORS=DIR cargo test --all-features --test twisted endpoints`.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use torsade::prelude::*;
use torsade::quote_string_argument;

use crate::json::Json;

/// The part of this name, as text; empty if there is none.
fn part(made: &Json, name: &str) -> String {
    match made.get(name) {
        None | Some(Json::Null) => String::new(),
        Some(Json::Text(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// `:name=value`, if there is a value and it is not the default.
fn keyed(name: &str, value: &str, usual: &str) -> String {
    if value.is_empty() || value == usual { String::new() } else { format!(":{name}={}", quote_string_argument(value)) }
}

/// The names of the TLS files.
fn files(made: &Json, names: &[&str]) -> String {
    names.iter().map(|name| keyed(name, &part(made.get("files").unwrap(), name), "")).collect()
}

/// An address, without brackets and in its shortest form, or a name.
fn host(text: &str) -> String {
    let inner = text.trim_start_matches('[').trim_end_matches(']');
    inner.parse::<IpAddr>().map_or_else(|_| text.to_owned(), |ip| ip.to_string())
}

/// `unix:` with the path, or with the abstract name, which begins with a zero byte.
fn unix(made: &Json) -> String {
    let path = part(made, "path");
    format!("unix:{}", quote_string_argument(&path.strip_prefix('\0').map_or(path.clone(), |name| format!("@{name}"))))
}

/// How Torsade prints this endpoint to listen on.
fn server(made: &Json) -> String {
    let proxied = if part(made, "proxied").is_empty() { "" } else { "haproxy:" };
    let backlog = keyed("backlog", &part(made, "backlog"), "1024");
    let endpoint = match part(made, "kind").as_str() {
        "unix" => {
            let mode = format!("{:o}", made.get("mode").unwrap().index());
            let lock = if made.get("lockfile").unwrap().is_true() { "" } else { ":lockfile=0" };
            format!("{}{backlog}{}{lock}", unix(made), keyed("mode", &mode, "666"))
        }
        "systemd" => ["domain", "index", "name"].iter().fold("systemd".to_owned(), |text, name| {
            // The first index is 0, and a name may be empty.
            match made.get(name) {
                Some(Json::Null) => text,
                _ => text + &format!(":{name}={}", quote_string_argument(&part(made, name))),
            }
        }),
        "stdio" => "stdio:".to_owned(),
        kind => {
            let any = if kind == "tcp6" { "::" } else { "0.0.0.0" };
            let interface = Some(host(&part(made, "interface"))).filter(|interface| !interface.is_empty());
            let interface = interface.unwrap_or_else(|| any.to_owned());
            let (kind, any) = match kind {
                "ssl" => ("ssl", "0.0.0.0"),
                _ if interface.contains(':') => ("tcp6", "::"),
                _ => ("tcp", "0.0.0.0"),
            };
            let files = if kind == "ssl" { files(made, &["privateKey", "certKey", "extraCertChain"]) } else { String::new() };
            format!("{kind}:{}{}{files}{backlog}", part(made, "port"), keyed("interface", &interface, any))
        }
    };
    format!("{proxied}{endpoint}")
}

/// How Torsade prints this endpoint to connect to.
fn client(made: &Json) -> String {
    let bind = part(made, "bindAddress");
    let bind = bind.parse::<IpAddr>().map_or(bind, |ip| ip.to_string());
    let timeout = match part(made, "timeout") {
        text if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        text => text,
    };
    let options = keyed("timeout", &timeout, "30") + &keyed("bindAddress", &bind, "");
    let place = match part(made, "kind").as_str() {
        "unix" => unix(made),
        _ => format!("tcp:{}:{}", quote_string_argument(&host(&part(made, "host"))), part(made, "port")),
    };
    if made.get("files").is_none() {
        return place + &options;
    }
    assert!(made.get("verifies").unwrap().is_true(), "nobody's name is checked");
    let name = host(&part(made, "name"));
    if place.starts_with("unix") {
        let files = files(made, &["certificate", "privateKey", "trustRoots"]);
        return format!("tls:{}:443{files}{}", quote_string_argument(&name), keyed("endpoint", &(place + &options), ""));
    }
    let there = place.strip_prefix("tcp:").unwrap();
    if name.is_empty() {
        return format!("tls:{there}{}{options}", files(made, &["certificate", "privateKey", "trustRoots"]));
    }
    let [certificate, key, roots] = [("certificate", "certKey"), ("privateKey", "privateKey"), ("trustRoots", "caCertsDir")]
        .map(|(name, ours)| keyed(ours, &part(made.get("files").unwrap(), name), ""));
    format!("ssl:{there}{}{certificate}{key}{roots}{options}", keyed("hostname", &name, ""))
}

/// The recorded vectors: those in the given directory, or our own.
fn vectors() -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/twisted/endpoint_vectors");
    let directory = std::env::var_os("TORSADE_VECTORS").map_or(own, Into::into);
    let mut text = String::new();
    let file = std::fs::File::open(directory.join("endpoints.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn texts_of_endpoints_mean_what_they_do_in_twisted_but_for_marked_deviations() {
    let text = vectors();
    let (mut made, mut marked, mut divergences) = (0, BTreeMap::<String, usize>::new(), Vec::new());
    for line in text.lines() {
        let vector = Json::parse(line);
        let get = |key| vector.get(key).unwrap_or_else(|| panic!("a vector without {key}"));
        let deviation = vector.get("deviation");
        let expected = deviation.map_or(get("expect"), |deviation| deviation.get("expect").unwrap());
        let (written, happened): (fn(&Json) -> String, _) = match get("side").text() {
            "server" => (server, get("text").text().parse::<ServerEndpoint>().map(|endpoint| endpoint.to_string())),
            _ => (client, get("text").text().parse::<ClientEndpoint>().map(|endpoint| endpoint.to_string())),
        };
        let expected = (*expected != Json::Null).then(|| written(expected));
        made += usize::from(happened.is_ok());
        if happened.as_ref().ok() != expected.as_ref() {
            divergences.push(format!("{line}\n  expected {expected:?}\n  happened {happened:?}"));
        }
        for reason in deviation.and_then(|deviation| deviation.get("reasons")).map_or(&[][..], Json::list) {
            *marked.entry(reason.text().to_owned()).or_default() += 1;
        }
    }
    println!("{} texts, {made} of them endpoints, {} divergences", text.lines().count(), divergences.len());
    marked.iter().for_each(|(reason, count)| println!("{count:5} times: {reason}"));
    divergences.iter().take(20).for_each(|divergence| println!("{divergence}"));
    assert!(divergences.is_empty(), "{} vectors diverge; the first are above", divergences.len());
    assert!(text.lines().count() >= 1000, "vectors are missing");
}
