//! Offers and answers, RFC 7692, 5 and 7.1.

use std::error::Error;
use std::fmt;

use super::Parameters;
use super::extension_list::{self, Extension};

const NAME: &str = "permessage-deflate";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";

/// The smallest window that our encoder supports. (A decoder always has the largest.)
const LEAST_OF_ENCODER: u8 = 9;

/// What is wrong with a header `Sec-WebSocket-Extensions`.
///
/// A server answers the request with 400; a client fails the connection.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NegotiationError {
    /// The answer lacks a parameter that a server must repeat to accept it.
    Ignored {
        /// The parameter.
        parameter: &'static str,
    },
    /// The answer repeats a parameter, or the whole extension.
    Repeated {
        /// Its name.
        name: String,
    },
    /// The header is not a list of extensions.
    Syntax,
    /// The answer has a parameter that does not exist.
    Unknown {
        /// Its name.
        parameter: String,
    },
    /// A parameter of the answer has a value that is invalid, was not offered, or is not supported by our encoder (a window of
    /// 8 bits).
    Value {
        /// The parameter's name.
        parameter: &'static str,
        /// The value, if there was one.
        value: Option<String>,
    },
}

impl fmt::Display for NegotiationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sec-WebSocket-Extensions: ")?;
        match self {
            Self::Ignored { parameter } => write!(f, "the server accepts the offer without {parameter}"),
            Self::Repeated { name } => write!(f, "{name:?} appears twice"),
            Self::Syntax => f.write_str("it is not a list of extensions"),
            Self::Unknown { parameter } => write!(f, "{NAME} has no parameter {parameter:?}"),
            Self::Value { parameter, value: None } => write!(f, "{parameter} has no value"),
            Self::Value { parameter, value: Some(value) } => write!(f, "{parameter} cannot be {value:?} here"),
        }
    }
}

impl Error for NegotiationError {}

/// Negotiation, from either side.
impl Parameters {
    /// Returns a client's offer of these parameters: the value of its header `Sec-WebSocket-Extensions`.
    ///
    /// It always allows the server to choose the client's window.
    #[must_use]
    pub fn offer(&self) -> String {
        let offer = self.answer();
        if self.client_max_window_bits.is_none() { offer + "; " + CLIENT_MAX_WINDOW_BITS } else { offer }
    }

    /// Accepts the first of a client's offers that is compatible with these parameters, which are what the server wants; `None`
    /// if there is none: then do not answer the header.
    ///
    /// `offers` is the value of the request's header `Sec-WebSocket-Extensions`; join the values of several such headers with
    /// commas. An offer is declined if it has unknown or repeated parameters or invalid values, or asks the server for a window
    /// of 8 bits, which our encoder does not support. A client that did not allow the server to choose its window keeps its own.
    ///
    /// # Errors
    /// [`NegotiationError::Syntax`]: the header is malformed. Answer 400.
    pub fn accept(&self, offers: &str) -> Result<Option<Self>, NegotiationError> {
        let offers = extension_list::read(offers).ok_or(NegotiationError::Syntax)?;
        let offers = offers.iter().filter(|offer| offer.name == NAME);
        Ok(offers.filter_map(|offer| Stated::read(offer, true).ok()).find_map(|offer| self.meet(offer)))
    }

    /// Returns a server's answer that agrees to these parameters: the value of its header `Sec-WebSocket-Extensions`.
    #[must_use]
    pub fn answer(&self) -> String {
        let mut answer = String::from(NAME);
        for (stated, parameter) in [
            (self.server_no_context_takeover, SERVER_NO_CONTEXT_TAKEOVER),
            (self.client_no_context_takeover, CLIENT_NO_CONTEXT_TAKEOVER),
        ] {
            if stated {
                answer = answer + "; " + parameter;
            }
        }
        for (bits, parameter) in
            [(self.server_max_window_bits, SERVER_MAX_WINDOW_BITS), (self.client_max_window_bits, CLIENT_MAX_WINDOW_BITS)]
        {
            if let Some(bits) = bits {
                answer += &format!("; {parameter}={bits}");
            }
        }
        answer
    }

    /// Reads a server's answer to [`offer`](Self::offer); `None` if the server does not use the extension.
    ///
    /// # Errors
    /// The answer is invalid. Fail the connection, as RFC 7692 requires.
    pub fn read_answer(&self, answer: &str) -> Result<Option<Self>, NegotiationError> {
        let answers = extension_list::read(answer).ok_or(NegotiationError::Syntax)?;
        let mut answers = answers.iter().filter(|answer| answer.name == NAME);
        let Some(answer) = answers.next() else { return Ok(None) };
        if answers.next().is_some() {
            return Err(NegotiationError::Repeated { name: NAME.to_owned() });
        }
        let answer = Stated::read(answer, false)?;
        if self.server_no_context_takeover && !answer.server_no_context_takeover {
            return Err(NegotiationError::Ignored { parameter: SERVER_NO_CONTEXT_TAKEOVER });
        }
        let excess = |parameter, bits: u8| NegotiationError::Value { parameter, value: Some(bits.to_string()) };
        match (self.server_max_window_bits, answer.server_max_window_bits) {
            (Some(_), None) => return Err(NegotiationError::Ignored { parameter: SERVER_MAX_WINDOW_BITS }),
            (Some(most), Some(bits)) if bits > most => return Err(excess(SERVER_MAX_WINDOW_BITS, bits)),
            _ => {}
        }
        let most = self.client_max_window_bits.unwrap_or(15);
        let client_max_window_bits = answer.client_max_window_bits.flatten();
        if let Some(bits) = client_max_window_bits
            && (bits < LEAST_OF_ENCODER || bits > most)
        {
            return Err(excess(CLIENT_MAX_WINDOW_BITS, bits));
        }
        Ok(Some(Self {
            client_max_window_bits: client_max_window_bits.or(self.client_max_window_bits),
            client_no_context_takeover: self.client_no_context_takeover || answer.client_no_context_takeover,
            server_max_window_bits: answer.server_max_window_bits,
            server_no_context_takeover: answer.server_no_context_takeover,
        }))
    }

    /// What a server that wants these agrees on with a client that offers `offer`; `None` if our encoder does not support it.
    fn meet(&self, offer: Stated) -> Option<Self> {
        let ours = self.server_max_window_bits.map(|bits| bits.max(LEAST_OF_ENCODER));
        let server_max_window_bits = match (ours, offer.server_max_window_bits) {
            (_, Some(theirs)) if theirs < LEAST_OF_ENCODER => return None,
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        let wanted = self.client_max_window_bits.zip(offer.client_max_window_bits);
        Some(Self {
            client_max_window_bits: wanted.map(|(ours, theirs)| ours.min(theirs.unwrap_or(ours))),
            client_no_context_takeover: self.client_no_context_takeover || offer.client_no_context_takeover,
            server_max_window_bits,
            server_no_context_takeover: self.server_no_context_takeover || offer.server_no_context_takeover,
        })
    }
}

/// The parameters in one offer or answer.
#[derive(Default)]
struct Stated {
    /// `Some(None)` if it is present without a value, as it may be in an offer.
    client_max_window_bits: Option<Option<u8>>,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    server_no_context_takeover: bool,
}

impl Stated {
    fn read(extension: &Extension<'_>, is_offer: bool) -> Result<Self, NegotiationError> {
        let mut stated = Self::default();
        for (parameter, value) in &extension.parameters {
            let value = value.as_deref();
            let repeated = match *parameter {
                CLIENT_MAX_WINDOW_BITS if is_offer && value.is_none() => stated.client_max_window_bits.replace(None).is_some(),
                CLIENT_MAX_WINDOW_BITS => {
                    stated.client_max_window_bits.replace(Some(window_bits(CLIENT_MAX_WINDOW_BITS, value)?)).is_some()
                }
                SERVER_MAX_WINDOW_BITS => {
                    stated.server_max_window_bits.replace(window_bits(SERVER_MAX_WINDOW_BITS, value)?).is_some()
                }
                CLIENT_NO_CONTEXT_TAKEOVER => {
                    no_value(CLIENT_NO_CONTEXT_TAKEOVER, value)?;
                    std::mem::replace(&mut stated.client_no_context_takeover, true)
                }
                SERVER_NO_CONTEXT_TAKEOVER => {
                    no_value(SERVER_NO_CONTEXT_TAKEOVER, value)?;
                    std::mem::replace(&mut stated.server_no_context_takeover, true)
                }
                other => return Err(NegotiationError::Unknown { parameter: other.to_owned() }),
            };
            if repeated {
                return Err(NegotiationError::Repeated { name: (*parameter).to_owned() });
            }
        }
        Ok(stated)
    }
}

/// Parses 8 to 15 in decimal, without a sign or leading zeros.
fn window_bits(parameter: &'static str, value: Option<&str>) -> Result<u8, NegotiationError> {
    let bits = (8..=15).find(|bits: &u8| value.is_some_and(|value| value == bits.to_string()));
    bits.ok_or_else(|| NegotiationError::Value { parameter, value: value.map(str::to_owned) })
}

fn no_value(parameter: &'static str, value: Option<&str>) -> Result<(), NegotiationError> {
    match value {
        None => Ok(()),
        Some(value) => Err(NegotiationError::Value { parameter, value: Some(value.to_owned()) }),
    }
}
