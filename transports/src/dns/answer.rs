//! Reading a server's answer.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::query::Question;

/// How many aliases (CNAME records) of a name are followed.
const ALIASES: usize = 16;
/// How many addresses of one name are taken.
const ADDRESSES: usize = 64;
/// The longest lifetime of addresses; RFC 8767, 4 calls a day usual.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The longest lifetime of an answer without addresses (RFC 2308, 5: one to three hours).
const LONGEST_NEGATIVE: Duration = Duration::from_secs(3 * 3600);

/// The addresses of a name; empty if it has none of this family, or does not exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    /// How long this is valid.
    pub(super) ttl: Duration,
}

/// Why a server's answer is useless: another server may know more.
#[derive(Debug)]
pub(super) enum Useless {
    Code(ResponseCode),
    Garbled(String),
}

/// Reads a message that answers the question.
pub(super) fn read(message: &[u8], question: &Question) -> Result<Answer, Useless> {
    // The response code is the lower half of the fourth byte. Nothing more of a refusal is read.
    let code = message.get(3).map_or(0, |flags| flags & 0b1111);
    let code = ResponseCode::from(0, code);
    if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return Err(Useless::Code(code));
    }
    let message = Message::from_vec(message).map_err(|error| Useless::Garbled(error.to_string()))?;
    let (mut name, mut ttl) = (&question.name, LONGEST);
    for _ in 0..ALIASES {
        let alias = message.answers.iter().find(|record| record.record_type() == RecordType::CNAME && record.name == *name);
        let Some(record @ Record { data: RData::CNAME(target), .. }) = alias else { break };
        ttl = ttl.min(lifetime(record.ttl));
        name = &target.0;
    }
    let found = message.answers.iter().filter(|record| record.name == *name && record.dns_class == DNSClass::IN);
    let mut addresses = Vec::new();
    for (record, address) in found.filter_map(|record| Some((record, address(&record.data, question.kind)?))).take(ADDRESSES) {
        ttl = ttl.min(lifetime(record.ttl));
        addresses.push(address);
    }
    if addresses.is_empty() {
        ttl = ttl.min(negative_lifetime(&message.authorities)).min(LONGEST_NEGATIVE);
    }
    Ok(Answer { addresses, ttl })
}

fn address(data: &RData, kind: RecordType) -> Option<IpAddr> {
    match (data, kind) {
        (RData::A(address), RecordType::A) => Some(address.0.into()),
        (RData::AAAA(address), RecordType::AAAA) => Some(address.0.into()),
        _ => None,
    }
}

/// A lifetime in seconds; with the highest bit set it counts as 0 (RFC 2181, 8).
fn lifetime(ttl: u32) -> Duration {
    Duration::from_secs(i32::try_from(ttl).map_or(0, i32::unsigned_abs).into())
}

/// How long an answer without addresses is valid (RFC 2308, 5): without an SOA record, only for this look-up.
fn negative_lifetime(authorities: &[Record]) -> Duration {
    let soa = authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(lifetime(record.ttl).min(lifetime(soa.minimum))),
        _ => None,
    });
    soa.unwrap_or_default()
}

impl fmt::Display for Useless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "it says: {}", code.to_str()),
            Self::Garbled(problem) => write!(f, "its answer is garbled: {problem}"),
        }
    }
}
