//! What a wrapper must pass on grows with the traits: these tests fail when one has a method that a wrapper forgot, since
//! a default would take its place without a word.

/// The names of the methods of a trait, as it is written.
fn methods<'a>(source: &'a str, declaration: &str) -> Vec<&'a str> {
    // Without the trait there is no method, and the tests want many.
    let body = source.split_once(declaration).map_or("", |(_, rest)| rest);
    let body = body.split_once("\n}\n").map_or("", |(body, _)| body);
    body.lines().filter_map(|line| line.strip_prefix("    fn ")?.split('(').next()).collect()
}

#[test]
fn adapters_and_wrappers_pass_every_callback() {
    let names = methods(include_str!("../src/protocol.rs"), "pub trait Protocol {");
    assert!(names.len() >= 7, "{names:?}");
    let sources = [
        ("frame_receiver", include_str!("../src/framing/frame_receiver.rs")),
        ("line_only_receiver", include_str!("../src/framing/line_only_receiver.rs")),
        ("line_receiver", include_str!("../src/framing/line_receiver.rs")),
        ("limits", include_str!("../src/policies/limits.rs")),
        ("stateful_protocol", include_str!("../src/framing/stateful_protocol.rs")),
        ("string_protocol", include_str!("../src/framing/string_protocol.rs")),
        ("wrapping", include_str!("../src/policies/wrapping.rs")),
    ];
    for (file, source) in sources {
        let implementation = source.rsplit_once("> Protocol for ").expect("it implements Protocol").1;
        for name in &names {
            assert!(implementation.contains(&format!("fn {name}(")), "{file} does not pass on {name}");
        }
    }
}

#[test]
fn factories_that_wrap_pass_every_hook() {
    let names = methods(include_str!("../src/factory.rs"), "pub trait ClientFactory: Factory {");
    assert!(names.len() >= 3, "{names:?}");
    for (file, source) in [
        ("throttling", include_str!("../src/policies/throttling.rs")),
        ("timeouts", include_str!("../src/policies/timeouts.rs")),
        ("traffic_logging", include_str!("../src/policies/traffic_logging.rs")),
        ("wrapping", include_str!("../src/policies/wrapping.rs")),
    ] {
        for name in &names {
            assert!(source.contains(&format!("fn {name}(")), "{file} does not pass on {name}");
        }
    }
}
