//! Any text is either an endpoint, which prints as text that parses to an equal one, or an error that says where a part begins.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torsade::{ClientEndpoint, EndpointError, ServerEndpoint};

fn check<E>(text: &str)
where
    E: std::str::FromStr<Err = EndpointError> + std::fmt::Debug + std::fmt::Display + PartialEq,
{
    match text.parse::<E>() {
        Ok(endpoint) => assert_eq!(endpoint.to_string().parse::<E>().expect("it was written by us"), endpoint),
        Err(error) => assert!(text.is_char_boundary(error.position()) && !error.to_string().is_empty()),
    }
}

fuzz_target!(|text: &str| {
    check::<ServerEndpoint>(text);
    check::<ClientEndpoint>(text);
});
