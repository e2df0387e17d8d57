//! Torsade's protocols against what real Twisted did, as recorded by `tests/twisted/record.py`.
//!
//! To replay other vectors: `TORSADE_VECTORS=DIR cargo test --test twisted protocols`.

mod datagrams;
mod events;
mod framing;
mod policies;
mod proxy;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::json::Json;

/// The lines of all vector files in a directory.
fn vectors(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut lines = Vec::new();
    for path in paths {
        let data = std::fs::read(&path).unwrap();
        let mut text = String::new();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => drop(flate2::read::GzDecoder::new(&data[..]).read_to_string(&mut text).unwrap()),
            Some("jsonl") => text = String::from_utf8(data).unwrap(),
            _ => continue,
        }
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

#[test]
fn protocols_do_what_twisteds_do_but_for_marked_deviations() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/twisted/vectors");
    let given = std::env::var_os("TORSADE_VECTORS").map(PathBuf::from);
    let lines = vectors(given.as_deref().unwrap_or(&own));
    let mut replayed = BTreeMap::<String, usize>::new();
    let mut marked = BTreeMap::<String, usize>::new();
    let mut divergences = Vec::new();
    for line in &lines {
        let vector = Json::parse(line);
        let get = |key| vector.get(key).unwrap_or_else(|| panic!("a vector without {key}"));
        let (target, config, steps) = (get("target").text(), get("config"), get("steps").list());
        let deviation = vector.get("deviation");
        let expected = deviation.map_or(get("expect"), |deviation| deviation.get("expect").unwrap()).list();
        let happened = match target {
            "udp" => datagrams::play(config, steps),
            "proxy v1" | "proxy v2" => proxy::play(steps),
            _ => policies::play(target, config, steps).unwrap_or_else(|| framing::play(target, config, steps)),
        };
        if happened != expected {
            let (expected, happened) = (Json::List(expected.to_vec()), Json::List(happened));
            divergences.push(format!("{line}\n  expected {expected}\n  happened {happened}"));
        }
        *replayed.entry(target.to_owned()).or_default() += 1;
        if let Some(deviation) = deviation {
            assert_ne!(get("expect").list(), expected, "marked, but Twisted does the same: {line}");
            for reason in deviation.get("reasons").unwrap().list() {
                *marked.entry(reason.text().to_owned()).or_default() += 1;
            }
        }
    }
    let count_marked = lines.iter().filter(|line| line.contains("\"deviation\":")).count();
    println!("{} vectors, {count_marked} marked as deviations, {} divergences", lines.len(), divergences.len());
    println!("by target: {replayed:?}");
    marked.iter().for_each(|(reason, count)| println!("{count:5} times: {reason}"));
    for divergence in divergences.iter().take(5) {
        println!("{}", divergence.chars().take(4000).collect::<String>());
    }
    assert!(divergences.is_empty(), "{} of {} vectors diverge; the first are above", divergences.len(), lines.len());
    // A given directory may have any number of vectors, but none means that it is the wrong one.
    let least = if given.is_some() { 1 } else { 2000 };
    assert!(lines.len() >= least, "{} vectors in {}: some are missing", lines.len(), given.unwrap_or(own).display());
}
