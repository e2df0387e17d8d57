//! A PROXY header is read from all of it or not at all, and what was read says the same when it is written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torsade_protocols::{ProxyHeader, ProxyVersion};

fuzz_target!(|input: &[u8]| {
    let parsed = ProxyHeader::parse(input);
    for end in 0..input.len() {
        // What is refused is refused whatever follows, and so is what is accepted.
        if let Some(decided) = ProxyHeader::parse(&input[..end]).transpose() {
            assert_eq!(parsed.clone().transpose(), Some(decided));
        }
    }
    if let Ok(Some((header, length))) = parsed {
        assert!(length <= input.len() && length <= 4096);
        let wire = header.to_bytes(ProxyVersion::V2);
        // Its checksum is added, which may make it longer than is read.
        if wire.len() <= 4096 {
            assert_eq!(ProxyHeader::parse(&wire), Ok(Some((header, wire.len()))));
        }
    }
});
