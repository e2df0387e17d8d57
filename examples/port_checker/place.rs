//! Where connections go: to one of a program's addresses, by TCP or as a line `place` says.

use std::collections::BTreeMap;

/// By which client endpoints connections to places are opened, by the places' numbers; where there is none, by TCP.
pub type Endpoints = BTreeMap<usize, String>;

/// What stands behind `place`: `2 tls:{listen}:certificate=anna.pem`.
pub fn place(text: &str) -> Result<(usize, String), String> {
    let (number, endpoint) = text.split_once(char::is_whitespace).ok_or("write: place 2 tls:{listen}:certificate=anna.pem")?;
    if !endpoint.contains("{listen") {
        return Err(format!("the endpoint {:?} leads to neither program: it has no {{listen}}", endpoint.trim()));
    }
    Ok((number_of(number)?, endpoint.trim().to_owned()))
}

/// A place's number, from 1.
pub fn number_of(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("{text:?} is not the number of a place"))
}

/// The text with addresses in place of `{listen1}` (or `{listen}`), `{listen2}` and so on; of peers likewise.
pub fn with_addresses(text: &str, kind: &str, addresses: &[String]) -> String {
    let text = text.replace(&format!("{{{kind}}}"), &format!("{{{kind}1}}"));
    (1..).zip(addresses).fold(text, |text, (number, address)| text.replace(&format!("{{{kind}{number}}}"), address))
}
