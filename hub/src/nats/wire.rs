//! Parsing and writing the lines and headers of the protocol.

use serde_json::Value;

/// A control line.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Command<'a> {
    Info(&'a str),
    /// A message; its bytes follow.
    Message(Head<'a>),
    Ping,
    Pong,
    Ok,
    Error(&'a str),
}

/// The control line of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head<'a> {
    pub(super) subject: &'a str,
    pub(super) sid: &'a str,
    pub(super) reply: Option<&'a str>,
    /// The length of the headers in bytes.
    pub(super) headers: usize,
    /// The length of headers and payload in bytes, without the line break after them.
    pub(super) total: usize,
}

/// Parses a control line; returns `None` if it is malformed.
pub(super) fn command(line: &[u8]) -> Option<Command<'_>> {
    let line = std::str::from_utf8(line).ok()?;
    let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    Some(match name {
        "MSG" => Command::Message(head(rest, false)?),
        "HMSG" => Command::Message(head(rest, true)?),
        "PING" => Command::Ping,
        "PONG" => Command::Pong,
        "INFO" => Command::Info(rest),
        "+OK" => Command::Ok,
        "-ERR" => Command::Error(rest.trim().trim_matches('\'')),
        _ => return None,
    })
}

fn head(rest: &str, has_headers: bool) -> Option<Head<'_>> {
    let mut words = [""; 5];
    let mut count = 0;
    for word in rest.split_ascii_whitespace() {
        *words.get_mut(count)? = word;
        count += 1;
    }
    let words = words.get(..count)?;
    let (subject, sid, reply, headers, total) = match (words, has_headers) {
        ([subject, sid, total], false) => (subject, sid, None, "0", total),
        ([subject, sid, reply, total], false) => (subject, sid, Some(*reply), "0", total),
        ([subject, sid, headers, total], true) => (subject, sid, None, *headers, total),
        ([subject, sid, reply, headers, total], true) => (subject, sid, Some(*reply), *headers, total),
        _ => return None,
    };
    let (headers, total) = (number(headers)?, number(total)?);
    (headers <= total).then_some(Head { subject, sid, reply, headers, total })
}

/// Parses digits only; `parse` alone would accept a sign.
fn number(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The headers of a message.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Headers {
    /// The status in the first line, such as 503 if there is no responder.
    pub(super) status: Option<u16>,
    pub(super) fields: Vec<(String, String)>,
}

impl Headers {
    /// Parses the headers before a payload; skips malformed lines.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let status = first.strip_prefix("NATS/1.0").and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
            .collect();
        Self { status, fields }
    }

    /// Returns the value of the first header with this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Encodes the headers before a payload.
pub(super) fn write_headers<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut bytes = b"NATS/1.0\r\n".to_vec();
    for (name, value) in fields {
        for part in [name, ": ", value, "\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The position of a message in its stream, from the subject on which it would be acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// Its number in the stream.
    pub(super) stream: u64,
    /// Its number among the messages of the consumer.
    pub(super) consumer: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub(super) time: u64,
    /// The number of messages after it.
    pub(super) pending: u64,
}

impl Place {
    /// `$JS.ACK.STREAM.CONSUMER.DELIVERED.STREAM-SEQ.CONSUMER-SEQ.TIME.PENDING`, with two more words after `ACK` in the newer
    /// form.
    pub(super) fn parse(reply: &str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        let count = rest.split('.').count();
        let skipped = if count >= 9 { 5 } else { 3 };
        let mut numbers = rest.split('.').skip(skipped).map(|word| word.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { stream: next()?, consumer: next()?, time: next()?, pending: next()? })
    }
}

/// The INFO of a server.
#[derive(Debug)]
pub(super) struct ServerInfo {
    pub(super) max_payload: usize,
    pub(super) headers: bool,
    pub(super) tls_required: bool,
    pub(super) tls_available: bool,
}

impl ServerInfo {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let is = |name: &str| value.get(name).and_then(Value::as_bool).unwrap_or(false);
        let max_payload = value.get("max_payload").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
        value.is_object().then(|| Self {
            max_payload: max_payload.unwrap_or(1 << 20),
            headers: is("headers"),
            tls_required: is("tls_required"),
            tls_available: is("tls_available"),
        })
    }
}

/// Returns the nanoseconds since 1970 of a time such as `2026-11-30T14:49:42.772289916Z`.
pub(super) fn nanoseconds(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_date = (1970..2500).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 24 || minute > 60 || second > 60 || fraction.len() > 9 {
        return None;
    }
    // Days since March of year 0, so that the leap day is a year's last.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1 - 719_468;
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000_000 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_lines_are_read() {
        let head = |reply, headers, total| Head { subject: "a.b", sid: "7", reply, headers, total };
        assert_eq!(command(b"MSG a.b 7 5"), Some(Command::Message(head(None, 0, 5))));
        assert_eq!(command(b"MSG a.b 7 back 5"), Some(Command::Message(head(Some("back"), 0, 5))));
        assert_eq!(command(b"MSG a.b  7\t5"), Some(Command::Message(head(None, 0, 5))));
        assert_eq!(command(b"HMSG a.b 7 12 17"), Some(Command::Message(head(None, 12, 17))));
        assert_eq!(command(b"HMSG a.b 7 back 12 17"), Some(Command::Message(head(Some("back"), 12, 17))));
        assert_eq!(command(b"-ERR 'Stale Connection'"), Some(Command::Error("Stale Connection")));
        assert_eq!(command(b"INFO {\"a\": 1} "), Some(Command::Info("{\"a\": 1} ")));
    }

    #[test]
    fn what_is_no_control_line_is_refused() {
        for line in [
            &b""[..],
            b"FOO",
            b"MSG",
            b"MSG a 1",
            b"MSG a 1 x",
            b"MSG a 1 -5",
            b"MSG a 1 +5",
            b"MSG a 1 b c 5",
            b"HMSG a 1 5",
            b"HMSG a 1 6 5",
            b"MSG a 1 99999999999999999999999",
            b"MSG \xff 1 5",
            b"msg a 1 5",
        ] {
            assert_eq!(command(line), None, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn headers_are_read_as_they_are_written() {
        let fields = [("Nats-Msg-Id", "a-1"), ("Empty", ""), ("Colon", "a: b")];
        let read = Headers::parse(&write_headers(fields.iter().copied()));
        assert_eq!(read.status, None);
        assert_eq!(read.fields, fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(read.get("nats-msg-id"), Some("a-1"));
        assert_eq!(Headers::parse(b"NATS/1.0 503\r\n\r\n"), Headers { status: Some(503), fields: Vec::new() });
        assert_eq!(Headers::parse(b"NATS/1.0 100 Idle Heartbeat\r\nA:b\r\n\r\n").get("A"), Some("b"));
    }

    #[test]
    fn places_are_read_in_both_forms() {
        let place = Place { stream: 4, consumer: 3, time: 1_796_050_182_872_963_678, pending: 2 };
        assert_eq!(Place::parse("$JS.ACK.a_-b.naO22NKr.1.4.3.1796050182872963678.2"), Some(place));
        assert_eq!(Place::parse("$JS.ACK.hub.hash.a_-b.naO22NKr.1.4.3.1796050182872963678.2.random"), Some(place));
        assert_eq!(Place::parse("$JS.ACK.hub.hash.a_-b.naO22NKr.1.4.3.1796050182872963678.2"), Some(place));
        assert_eq!(Place::parse("$JS.ACK.a.b"), None);
    }

    #[test]
    fn times_are_read_to_the_nanosecond() {
        assert_eq!(nanoseconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(nanoseconds("2000-02-29T00:00:01.5Z"), Some(951_782_401_500_000_000));
        assert_eq!(nanoseconds("2026-11-30T14:49:42.772289916Z"), Some(1_796_050_182_772_289_916));
        assert_eq!(nanoseconds("2026-11-30"), None);
        assert_eq!(nanoseconds("2026-11-30T9999999999999999999:49:42Z"), None);
        assert_eq!(nanoseconds("0001-01-01T00:00:00Z"), None);
    }
}
