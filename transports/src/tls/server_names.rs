//! Which certificate a server presents to which client.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

thread_local! {
    /// The name in the ClientHello that was processed last on this thread.
    ///
    /// rustls's unbuffered server connections keep it to themselves. The resolver is called while the ClientHello is being
    /// processed, so a connection finds its own name here right afterwards.
    static ASKED_FOR: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Takes the name that the ClientHello just processed has asked for.
pub(super) fn take_asked_for() -> Option<String> {
    ASKED_FOR.take()
}

/// Certificates by server name, and one for all other clients.
#[derive(Debug, Default)]
pub(super) struct ServerNames {
    pub(super) default: Option<Arc<CertifiedKey>>,
    /// By name in lower case; `*.example.com` matches every name with one more label.
    pub(super) by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl ServerNames {
    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for ServerNames {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = client_hello.server_name();
        ASKED_FOR.set(name.map(str::to_owned));
        name.and_then(|name| self.find(name)).or(self.default.as_ref()).cloned()
    }
}
