//! Checks that the manual's page on endpoints has every text, part and option, and that its texts can be parsed.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use torsade::EndpointError;
use torsade::prelude::*;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/endpoints.md");
    fs::read_to_string(path).expect("the page")
}

/// The rows of the table below a heading: the text in the first cell, and all names in backticks.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<(&'a str, BTreeSet<&'a str>)> {
    let (_, below) = page.split_once(&format!("\n# {heading}\n")).expect("the heading");
    let in_table = |line: &&str| line.starts_with('|');
    let table = below.lines().skip_while(|line| !in_table(line)).take_while(in_table).skip(2);
    let in_backticks = |row: &'a str| row.split('`').skip(1).step_by(2);
    table.map(|row| (in_backticks(row).next().expect("a text"), in_backticks(row).collect())).collect()
}

fn assert_complete<E>(heading: &str)
where
    E: FromStr<Err = EndpointError> + Display,
{
    let page = page();
    let options: BTreeSet<_> = rows(&page, "Options").into_iter().flat_map(|(_, names)| names).collect();
    let table = rows(&page, heading);
    for (text, names) in &table {
        let endpoint: E = text.parse().unwrap_or_else(|error| panic!("{error}"));
        let again: E = endpoint.to_string().parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(again.to_string(), endpoint.to_string(), "{text}");
        // An address alone has no parts.
        let Err(error) = format!("{text}:nonsense=1").parse::<E>() else { panic!("{text} accepts nonsense") };
        let Some((_, parts)) = error.remedy().split_once("it has ") else { continue };
        let (parts, form) = parts.split_once(", as in ").expect("the form");
        // A wrapper passes it on to the endpoint inside.
        if form.split(':').next() != text.split(':').next() {
            continue;
        }
        for part in parts.split(", ") {
            assert!(names.contains(part) || options.contains(part), "{text} has a part {part}, which is not on the page");
        }
    }
    let Err(error) = "nonsense:".parse::<E>() else { panic!("nonsense is a type") };
    let (_, types) = error.remedy().split_once("it is one of ").expect("the types");
    let types: Vec<_> = types.split_once(", of those").expect("their end").0.split(", ").collect();
    assert!(types.len() > 4, "{types:?}");
    for name in types {
        assert!(table.iter().any(|(text, _)| text.split(':').next() == Some(name)), "{name}: is not on the page");
    }
}

#[test]
fn every_endpoint_to_listen_on_is_on_the_page_with_its_parts() {
    assert_complete::<ServerEndpoint>("To listen");
}

#[test]
fn every_endpoint_to_connect_to_is_on_the_page_with_its_parts() {
    assert_complete::<ClientEndpoint>("To connect");
}

#[test]
fn the_defaults_on_the_page_are_those_of_the_values() {
    let page = page();
    let (listen, connect) = (ListenOptions::default(), ConnectOptions::default());
    for (key, default) in [
        ("backlog", "1,024".to_owned()),
        ("timeout", connect.timeout.as_secs().to_string()),
        ("attemptDelay", connect.attempt_delay.as_secs_f64().to_string()),
        ("reusePort", u8::from(listen.reuse_port).to_string()),
    ] {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).expect("a row of the options");
        let cell = row.split('|').nth(3).expect("its default");
        assert!(cell.contains(&default), "{key}: {cell} is not {default}");
    }
    assert_eq!((listen.backlog, listen.mode, listen.lock), (1024, 0o666, true), "as the page says");
}
