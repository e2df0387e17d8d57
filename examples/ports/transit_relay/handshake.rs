//! The line that a connection begins with: `please relay TOKEN`, or `please relay TOKEN for side SIDE`.

/// Whom a connection wants to meet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Handshake {
    /// Both say the same.
    pub token: Vec<u8>,
    /// Two of the same side do not meet; one without a side meets everybody.
    pub side: Option<Vec<u8>>,
}

impl Handshake {
    /// What the line says; none where it is no handshake.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"please relay ")?;
        let (token, rest) = rest.split_at_checked(64)?;
        let side = match rest {
            b"" => None,
            _ => Some(rest.strip_prefix(b" for side ").filter(|side| side.len() == 16)?),
        };
        let all_word =
            [token, side.unwrap_or_default()].concat().iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        all_word.then(|| Self { token: token.to_vec(), side: side.map(<[u8]>::to_vec) })
    }

    /// Whether the two are to be connected, their token being the same.
    pub fn meets(&self, other: &Self) -> bool {
        self.side.is_none() || other.side.is_none() || self.side != other.side
    }
}
