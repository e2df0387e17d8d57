//! Addresses of brokers.

use std::fmt;

use torsade_protocols::HostPort;

use crate::error::HubError;

/// An address: `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]..][?NAME[=VALUE]&..]`; the slashes may be left out.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct BrokerUrl {
    pub(crate) scheme: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// At least one, in the order in which they are tried.
    pub(crate) hosts: Vec<HostPort>,
    pub(crate) options: Vec<(String, String)>,
}

impl BrokerUrl {
    /// Parses an address.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, HubError> {
        let wrong = |problem: String| HubError::Address { text: without_password(text), problem };
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong("it has no scheme".to_owned()))?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, hosts) = rest.rsplit_once('@').map_or((None, rest), |(login, hosts)| (Some(login), hosts));
        let (user, password) = match login
            .map(|login| login.split_once(':').map_or((login, None), |(user, word)| (user, Some(word))))
        {
            None => (None, None),
            Some((user, password)) => {
                let decoded =
                    |part: &str| decode(part).ok_or_else(|| wrong("its login has a % without two hexadecimal digits".to_owned()));
                (Some(decoded(user)?), password.map(decoded).transpose()?)
            }
        };
        let hosts = hosts
            .trim_end_matches('/')
            .split(',')
            .map(|host| host_port(host, default_port).map_err(&wrong))
            .collect::<Result<_, _>>()?;
        let options = options.split('&').filter(|option| !option.is_empty());
        let options =
            options.map(|option| option.split_once('=').unwrap_or((option, ""))).map(|(name, value)| (name.into(), value.into()));
        Ok(Self { scheme: scheme.to_owned(), user, password, hosts, options: options.collect() })
    }
}

fn host_port(text: &str, default_port: u16) -> Result<HostPort, String> {
    let is_bare = !text.contains(':') || text.ends_with(']');
    let whole = if is_bare { format!("{text}:{default_port}") } else { text.to_owned() };
    whole.parse().map_err(|error| format!("{text:?} is not HOST:PORT: {error}"))
}

/// Decodes percent-encoded text such as `%41`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next()?)? * 16 + digit(rest.next()?)?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Returns the address without its login, for errors and logs.
pub(crate) fn without_password(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else { return text.to_owned() };
    let start = before.find("//").map_or_else(|| before.find(':').map_or(0, |colon| colon + 1), |slashes| slashes + 2);
    format!("{}***@{after}", &before[..start])
}

/// Without the login, because logs show it.
impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerUrl").field("scheme", &self.scheme).field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_login_hosts_and_options() {
        let url = BrokerUrl::parse("redis://ada:p%40ss@one:7000,[::1],three/?sharded&ca=/x.pem", 6379).unwrap();
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("ada"), Some("p@ss")));
        let hosts: Vec<_> = url.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["one:7000", "[::1]:6379", "three:6379"]);
        assert_eq!(url.options, [("sharded".to_owned(), String::new()), ("ca".to_owned(), "/x.pem".to_owned())]);
    }

    #[test]
    fn the_slashes_may_be_left_out() {
        let url = BrokerUrl::parse("nats:127.0.0.1:4222", 4222).unwrap();
        assert_eq!((url.scheme.as_str(), url.hosts[0].to_string().as_str()), ("nats", "127.0.0.1:4222"));
    }

    #[test]
    fn an_error_says_what_is_wrong_and_not_the_password() {
        let error = BrokerUrl::parse("redis://ada:secret@one:port", 6379).unwrap_err().to_string();
        assert!(error.contains("port") && !error.contains("secret") && !error.contains("ada"), "{error}");
    }
}
