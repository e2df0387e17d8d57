//! Answers of Redis.

use redis_protocol::resp3::types::RangeFrame;

/// An answer, copied out of the received bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    Null,
    Number(i64),
    Text(Vec<u8>),
    Error(String),
    /// An array, a set, a push.
    List(Vec<Self>),
    /// In the order in which they came.
    Map(Vec<(Self, Self)>),
}

impl Reply {
    pub(super) fn new(data: &[u8], frame: &RangeFrame) -> Self {
        match frame {
            RangeFrame::Null | RangeFrame::Hello { .. } | RangeFrame::ChunkedString(_) => Self::Null,
            RangeFrame::Number { data: number, .. } => Self::Number(*number),
            RangeFrame::Boolean { data: truth, .. } => Self::Number(i64::from(*truth)),
            RangeFrame::Double { data: number, .. } => Self::Text(number.to_string().into_bytes()),
            RangeFrame::SimpleError { .. } | RangeFrame::BlobError { .. } => {
                Self::Error(String::from_utf8_lossy(text(data, frame).unwrap_or_default()).into_owned())
            }
            RangeFrame::Array { data: items, .. } | RangeFrame::Push { data: items, .. } => {
                Self::List(items.iter().map(|item| Self::new(data, item)).collect())
            }
            RangeFrame::Set { data: items, .. } => Self::List(items.iter().map(|item| Self::new(data, item)).collect()),
            RangeFrame::Map { data: pairs, .. } => {
                let mut pairs: Vec<_> = pairs.iter().collect();
                pairs.sort_by_key(|(key, _)| range(key).map_or(0, |range| range.0));
                Self::Map(pairs.into_iter().map(|(key, value)| (Self::new(data, key), Self::new(data, value))).collect())
            }
            _ => Self::Text(text(data, frame).unwrap_or_default().to_vec()),
        }
    }

    pub(super) fn text(&self) -> Option<&[u8]> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn into_text(self) -> Option<Vec<u8>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn into_list(self) -> Option<Vec<Self>> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// A number, also if it is written as text.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(*number).ok(),
            Self::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The value of a key of a map.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(key, _)| key.text() == Some(name.as_bytes())).map(|(_, value)| value)
    }
}

/// The bytes of a string or an error.
pub(super) fn text<'a>(data: &'a [u8], frame: &RangeFrame) -> Option<&'a [u8]> {
    let (start, end) = range(frame)?;
    data.get(start..end)
}

const fn range(frame: &RangeFrame) -> Option<(usize, usize)> {
    match frame {
        RangeFrame::BlobString { data, .. }
        | RangeFrame::BlobError { data, .. }
        | RangeFrame::SimpleString { data, .. }
        | RangeFrame::SimpleError { data, .. }
        | RangeFrame::BigNumber { data, .. }
        | RangeFrame::VerbatimString { data, .. } => Some(*data),
        _ => None,
    }
}
