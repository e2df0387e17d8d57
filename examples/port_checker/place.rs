//! Where connections are opened to: the program's addresses, over TCP or by a client endpoint.

use std::collections::BTreeMap;

/// The client endpoints of places, by number. A place without one is an address of the program, over TCP.
pub type Endpoints = BTreeMap<usize, String>;

/// Reads what follows the word `place`: `2 tls:{listen}:certificate=anna.pem`.
pub fn place(text: &str) -> Result<(usize, String), String> {
    let (number, endpoint) = text.split_once(char::is_whitespace).ok_or("write: place 2 tls:{listen}:certificate=anna.pem")?;
    if !endpoint.contains("{listen") {
        return Err(format!("the endpoint {:?} leads to neither program: it has no {{listen}}", endpoint.trim()));
    }
    Ok((number_of(number)?, endpoint.trim().to_owned()))
}

/// Reads the number of a place, from 1.
pub fn number_of(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("{text:?} is not the number of a place"))
}

/// Replaces `{listen}` or `{listen1}`, `{listen2}` and so on by addresses, where `kind` is `listen`.
pub fn with_addresses(text: &str, kind: &str, addresses: &[String]) -> String {
    let text = text.replace(&format!("{{{kind}}}"), &format!("{{{kind}1}}"));
    (1..).zip(addresses).fold(text, |text, (number, address)| text.replace(&format!("{{{kind}{number}}}"), address))
}
