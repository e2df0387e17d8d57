//! A PROXY header parses only as a whole, and what was parsed means the same when written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torsade_protocols::{ProxyHeader, ProxyVersion};

fuzz_target!(|input: &[u8]| {
    let parsed = ProxyHeader::parse(input);
    for end in 0..input.len() {
        // A refused or accepted header stays so whatever follows.
        if let Some(decided) = ProxyHeader::parse(&input[..end]).transpose() {
            assert_eq!(parsed.clone().transpose(), Some(decided));
        }
    }
    if let Ok(Some((header, length))) = parsed {
        assert!(length <= input.len() && length <= 4096);
        let wire = header.to_bytes(ProxyVersion::V2);
        // A checksum is added, which may make it longer than the parser accepts.
        if wire.len() <= 4096 {
            assert_eq!(ProxyHeader::parse(&wire), Ok(Some((header, wire.len()))));
        }
    }
});
