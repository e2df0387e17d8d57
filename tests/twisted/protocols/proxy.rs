//! PROXY headers, cut into pieces as the vector says.

use std::net::{IpAddr, SocketAddr};

use torsade::{Address, ProxyHeader, UnixName};

use crate::json::Json;

/// The result for a connection that begins with these pieces: refused, still waiting, or a header.
pub fn play(steps: &[Json]) -> Vec<Json> {
    let mut held = Vec::new();
    for (number, piece) in steps.iter().enumerate() {
        held.extend(piece.hex());
        match ProxyHeader::parse(&held) {
            Err(_) => return vec![Json::List(vec!["refused".into()])],
            Ok(None) => {}
            Ok(Some((header, length))) => {
                held.extend(steps[number + 1..].iter().flat_map(Json::hex));
                let ends = [shown(header.source()), shown(header.destination())];
                let rest = Json::from(hex(&held[length..]).as_str());
                return vec![Json::List([vec!["header".into()], ends.to_vec(), vec![rest]].concat())];
            }
        }
    }
    vec![Json::List(vec!["waiting".into()])]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(address: &Address) -> Json {
    let numbered = |kind: &str, address: &SocketAddr| {
        let ip = match address.ip() {
            IpAddr::V4(ip) => hex(&ip.octets()),
            IpAddr::V6(ip) => hex(&ip.octets()),
        };
        Json::List(vec![kind.into(), ip.as_str().into(), usize::from(address.port()).into()])
    };
    match address {
        Address::Tcp(address) => numbered("tcp", address),
        Address::Udp(address) => numbered("udp", address),
        Address::Unix(UnixName::Path(path)) => {
            Json::List(vec!["unix".into(), hex(path.as_os_str().as_encoded_bytes()).as_str().into()])
        }
        Address::Unix(UnixName::Abstract(name)) => Json::List(vec!["unix".into(), format!("00{}", hex(name)).as_str().into()]),
        _ => Json::Null,
    }
}
