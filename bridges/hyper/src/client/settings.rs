//! How a client connects.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use torsade::{ClientEndpoint, ConnectError, EndpointError};

use super::error::{ClientError, ClientErrorKind};
use super::origin::Origin;
use crate::TorsadeTimer;

/// Returns the endpoint of an authority.
pub(super) type Connector = Rc<dyn Fn(&str) -> Result<ClientEndpoint, EndpointError>>;

pub(super) struct Settings {
    pub(super) timer: TorsadeTimer,
    pub(super) timeout: Duration,
    pub(super) connections_per_host: usize,
    pub(super) idle_timeout: Duration,
    pub(super) idle: Rc<Cell<usize>>,
    pub(super) http2_only: bool,
    pub(super) connector: Option<Connector>,
    #[cfg(feature = "tls")]
    pub(super) tls: tls::Configs,
}

impl Settings {
    pub(super) fn new(timer: TorsadeTimer) -> Self {
        Self {
            timer,
            timeout: Duration::from_secs(60),
            connections_per_host: 6,
            idle_timeout: Duration::from_secs(25),
            idle: Rc::default(),
            http2_only: false,
            connector: None,
            #[cfg(feature = "tls")]
            tls: tls::Configs::default(),
        }
    }

    /// The endpoint for `origin`; with `alone`, for HTTP/1.1.
    pub(super) fn endpoint(&self, origin: &Origin, alone: bool) -> Result<ClientEndpoint, ClientError> {
        let refused = |error: ConnectError| ClientError::new(ClientErrorKind::Connect, error);
        let authority = origin.authority();
        let endpoint = match &self.connector {
            Some(connector) => connector(&authority).map_err(|error| refused(error.into()))?,
            None => ClientEndpoint::tcp(authority).map_err(|error| refused(error.into()))?,
        };
        #[cfg(feature = "tls")]
        if origin.secure {
            let config = self.tls.of(origin, alone).map_err(|error| refused(ConnectError::Configuration(Rc::new(error))))?;
            return Ok(endpoint.tls(&config));
        }
        #[cfg(not(feature = "tls"))]
        let _ = alone;
        Ok(endpoint)
    }
}

#[cfg(feature = "tls")]
pub(super) mod tls {
    //! TLS configurations, which differ in the protocols they offer.

    use std::cell::OnceCell;

    use torsade::{TlsClientConfig, TlsConfigError};

    use super::Origin;

    /// The given configuration, or one with the system's roots, which are read on first use.
    #[derive(Default)]
    pub(in super::super) struct Configs {
        given: OnceCell<TlsClientConfig>,
    }

    impl Configs {
        pub(in super::super) fn of(&self, origin: &Origin, alone: bool) -> Result<TlsClientConfig, TlsConfigError> {
            let given = match self.given.get() {
                Some(given) => given,
                None => {
                    let system = TlsClientConfig::with_system_roots()?;
                    self.given.get_or_init(|| system)
                }
            };
            let protocols: &[&str] = if alone { &["http/1.1"] } else { &["h2", "http/1.1"] };
            given.with_application_protocols(protocols)?.or_server_name(origin.host.trim_matches(['[', ']']))
        }
    }

    impl From<TlsClientConfig> for Configs {
        fn from(config: TlsClientConfig) -> Self {
            Self { given: OnceCell::from(config) }
        }
    }
}
