//! The list of planted bugs keeps up with the source. (`tests/mutations/run`, which tries them, takes too long to run each time.)

use std::fs;

use crate::documents::root;

#[test]
fn each_planted_bug_fits_the_source_in_exactly_one_place() {
    let list = fs::read_to_string(root().join("tests/mutations/list")).expect("the list");
    let bugs: Vec<_> = list.split("\nNAME ").skip(1).collect();
    assert!(bugs.len() > 20, "{} bugs", bugs.len());
    for bug in bugs {
        let (name, rest) = bug.split_once("\nFILE ").expect("a file");
        let (file, rest) = rest.split_once("\nFROM ").expect("what to replace");
        let (from, _) = rest.split_once("\nTO").expect("what to replace it by");
        let source = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
        assert_eq!(source.matches(from).count(), 1, "{name}: {file}");
    }
}
