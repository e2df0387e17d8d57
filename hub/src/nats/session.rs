//! What outlives a connection: the login, and the hub to report to.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use serde_json::{Value, json};
use torsade_protocols::{LineTransport, Reason, Transport};
use torsade_reactor::{Deferred, Firer};
#[cfg(feature = "tls")]
use torsade_transports::TlsClientConfig;

use super::connection::Connection;
use super::known::KnownStreams;
use crate::broker_url::BrokerUrl;
use crate::engine::Upstream;
use crate::error::{EngineError, HubError};

/// The greatest number of replicas that a server allows.
const MAX_REPLICAS: u64 = 5;

/// The state that all connections of an engine share.
pub(super) struct Session {
    login: Login,
    wants_tls: bool,
    #[cfg(feature = "tls")]
    tls: RefCell<Option<TlsClientConfig>>,
    pub(super) upstream: RefCell<Option<Upstream>>,
    /// The connection, once it is logged in.
    live: RefCell<Option<Rc<Connection>>>,
    /// Fired when it is logged in.
    let_in: RefCell<Option<Firer<()>>>,
    known: KnownStreams,
    replicas: u64,
}

#[derive(Default)]
struct Login {
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

impl Session {
    pub(super) fn new(url: &BrokerUrl, #[cfg(feature = "tls")] tls: Option<&TlsClientConfig>) -> Result<Rc<Self>, HubError> {
        let wants_tls = matches!(url.scheme.as_str(), "tls" | "nats+tls");
        if wants_tls && cfg!(not(feature = "tls")) {
            return Err(HubError::Tls { problem: "this program was built without the feature `tls`".to_owned() });
        }
        let login = match (url.user.clone().filter(|user| !user.is_empty()), url.password.clone()) {
            (Some(token), None) => Login { token: Some(token), ..Login::default() },
            (user, password) => Login { user, password, token: None },
        };
        Ok(Rc::new(Self {
            login,
            replicas: replicas(url)?,
            wants_tls,
            #[cfg(feature = "tls")]
            tls: RefCell::new(tls.cloned()),
            upstream: RefCell::default(),
            live: RefCell::default(),
            let_in: RefCell::default(),
            known: KnownStreams::default(),
        }))
    }

    /// Whether connections without TLS are forbidden.
    pub(super) const fn wants_tls(&self) -> bool {
        self.wants_tls
    }

    #[cfg(feature = "tls")]
    pub(super) fn start_tls(&self, transport: &LineTransport) -> Result<(), String> {
        let config = match self.tls.borrow().clone() {
            Some(config) => config,
            None => TlsClientConfig::with_system_roots().map_err(|error| error.to_string())?,
        };
        let config = self.tls.borrow_mut().insert(config).clone();
        transport.start_tls(&config).map_err(|error| error.to_string())
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn start_tls(&self, _transport: &LineTransport) -> Result<(), String> {
        Err("the server wants TLS, and this program was built without the feature `tls`".to_owned())
    }

    /// Adds the login to the options of CONNECT.
    pub(super) fn add_login(&self, words: &mut Value) {
        let Login { user, password, token } = &self.login;
        for (name, value) in [("user", user), ("pass", password), ("auth_token", token)] {
            if let Some(value) = value {
                words[name] = json!(value);
            }
        }
    }

    /// Makes the state of a new connection, on which the server speaks first.
    pub(super) fn connection(&self, transport: &Transport) -> Option<Rc<Connection>> {
        let upstream = self.upstream.borrow().clone()?;
        Some(Connection::new(transport, &upstream, &self.known, self.replicas))
    }

    /// Fires when the new connection is logged in; fails if it is lost first.
    pub(super) fn when_let_in(&self) -> Deferred<()> {
        let (deferred, firer) = Deferred::new();
        let old = self.let_in.replace(Some(firer));
        drop(old);
        deferred
    }

    pub(super) fn logged_in(&self, connection: &Rc<Connection>) {
        self.live.replace(Some(Rc::clone(connection)));
        if let Some(firer) = self.let_in.take() {
            firer.callback(());
        }
        connection.upstream.connected();
        self.known.forget_others();
    }

    pub(super) fn lost(&self, connection: &Rc<Connection>, reason: &Reason) {
        let was_in = self.live.borrow().as_ref().is_some_and(|live| Rc::ptr_eq(live, connection));
        if was_in {
            self.live.replace(None);
        }
        let error = connection.fault.take().unwrap_or_else(|| match reason {
            Reason::Tls(error) => EngineError::Refused(error.to_string()),
            reason if was_in => EngineError::from(reason),
            reason => EngineError::Lost(format!("before the login was answered: {reason}")),
        });
        let unconfirmed = connection.lost(&error);
        let firer = self.let_in.take();
        if let Some(firer) = firer {
            firer.errback(error.clone());
        }
        self.disconnected(error, unconfirmed);
    }

    pub(super) fn disconnected(&self, error: EngineError, unconfirmed: u64) {
        let upstream = self.upstream.borrow().clone();
        if let Some(upstream) = upstream {
            upstream.disconnected(error, unconfirmed);
        }
    }

    /// Returns the connection, if it is logged in.
    pub(super) fn live(&self) -> Option<Rc<Connection>> {
        self.live.borrow().clone()
    }
}

/// Reads the option `replicas`, the only one that there is: on how many nodes of a cluster streams are stored.
fn replicas(url: &BrokerUrl) -> Result<u64, HubError> {
    let mut replicas = 1;
    for (name, value) in &url.options {
        replicas = match (name.as_str(), value.parse()) {
            ("replicas", Ok(number @ 1..=MAX_REPLICAS)) => number,
            ("replicas", _) => {
                return Err(wrong(url, format!("{value:?} is not a number of replicas: write 1 to {MAX_REPLICAS}")));
            }
            _ => return Err(wrong(url, format!("{name:?} is not an option: use replicas=NUMBER"))),
        };
    }
    Ok(replicas)
}

fn wrong(url: &BrokerUrl, problem: String) -> HubError {
    HubError::Address { text: format!("{}:..", url.scheme), problem }
}

/// Without the login, because logs show it.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("is_connected", &self.live.borrow().is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_replicas_is_an_option_and_nothing_else_is() {
        let read = |text: &str| replicas(&BrokerUrl::parse(text, 4222).unwrap()).map_err(|error| error.to_string());
        assert_eq!(read("nats://one,two"), Ok(1));
        assert_eq!(read("nats://one,two?replicas=3"), Ok(3));
        for wrong in ["replicas", "replicas=0", "replicas=6", "replica=3", "sharded"] {
            let error = read(&format!("nats://ada:secret@one?{wrong}")).unwrap_err();
            assert!(error.contains("replicas") && !error.contains("secret"), "{error}");
        }
    }
}
