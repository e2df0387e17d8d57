//! Deferreds, delayed calls and looping calls against what real Twisted did, as recorded by `tests/twisted/record_deferred.py`.
//!
//! To replay other vectors: `TORSADE_VECTORS=DIR cargo test --test twisted deferreds`.

mod chains;
mod times;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::json::Json;

/// The recorded vectors: those in the given directory, or our own.
fn vectors() -> String {
    match std::env::var_os("TORSADE_VECTORS") {
        Some(directory) => std::fs::read_to_string(Path::new(&directory).join("deferred.jsonl")).unwrap(),
        None => {
            let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/twisted/deferred_vectors/deferred.jsonl.gz");
            let mut text = String::new();
            flate2::read::GzDecoder::new(std::fs::File::open(own).unwrap()).read_to_string(&mut text).unwrap();
            text
        }
    }
}

#[test]
fn deferreds_and_times_do_what_twisteds_do_but_for_marked_deviations() {
    let text = vectors();
    let (mut replayed, mut marked, mut divergences) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for line in text.lines() {
        let vector = Json::parse(line);
        let get = |key| vector.get(key).unwrap_or_else(|| panic!("a vector without {key}"));
        let (target, config, steps) = (get("target").text(), get("config"), get("steps").list());
        let deviation = vector.get("deviation");
        let expected = deviation.map_or(get("expect"), |deviation| deviation.get("expect").unwrap()).to_string();
        let happened = match target {
            "Deferred" => chains::play(config, steps),
            "Clock" => times::play(config, steps),
            other => panic!("an unknown target {other}"),
        };
        if happened != expected {
            divergences.push(format!("{line}\n  expected {expected}\n  happened {happened}"));
        }
        *replayed.entry(target.to_owned()).or_insert(0) += 1;
        for reason in deviation.and_then(|deviation| deviation.get("reasons")).map_or(&[][..], Json::list) {
            *marked.entry(reason.text().to_owned()).or_insert(0) += 1;
        }
    }
    let count_marked = text.lines().filter(|line| line.contains("\"deviation\":")).count();
    println!("{replayed:?} vectors, {count_marked} marked as deviations, {} divergences", divergences.len());
    marked.iter().for_each(|(reason, count)| println!("{count:5} times: {reason}"));
    divergences.iter().take(5).for_each(|divergence| println!("{divergence}"));
    assert!(divergences.is_empty(), "{} vectors diverge; the first are above", divergences.len());
    assert!(replayed.values().all(|count| *count > 100) && replayed.len() == 2, "vectors are missing");
}
