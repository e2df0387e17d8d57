//! The address and the settings of a hub.

use std::sync::Arc;
use std::time::Duration;

use torsade_reactor::Reactor;
#[cfg(feature = "tls")]
use torsade_transports::TlsClientConfig;

use crate::broker_url::{BrokerUrl, without_password};
use crate::engine::Engine;
use crate::error::HubError;
use crate::hub::Hub;
use crate::local::{LocalEngine, LocalHub};
use crate::nats::NatsEngine;
use crate::redis::RedisEngine;
use crate::settings::{Settings, WhenDisconnected};
use crate::topic::TopicError;

/// The address of a hub, and its settings; can be sent to other threads.
///
/// | address | hub |
/// |---|---|
/// | `local:` | within this process. Reactors that open the same `HubConfig`, or clones of it, share it: the workers of [`workers`](torsade_reactor::workers) |
/// | `redis://[USER:PASSWORD@]HOST[:PORT]` | a Redis server, 7.0 or later; `rediss://` with TLS, `?ca=FILE` to trust that file's certificates; `?sharded` for the sharded pub/sub of a cluster |
/// | `nats://[USER:PASSWORD@\|TOKEN@]HOST[:PORT]` | a NATS server, 2.9 or later; `tls://` with TLS. Stored topics and presence need JetStream; `?replicas=3` stores them on three nodes of a cluster |
///
/// The slashes may be left out (`redis:HOST:PORT`). Several hosts, separated by commas, are tried in turn.
///
/// # Examples
/// ```
/// use torsade::hub::HubConfig;
///
/// let config = HubConfig::new("redis://10.0.0.5")?.replay("log.>", 10_000)?.queue(5_000, 4 << 20);
/// let error = HubConfig::new("kafka://10.0.0.5").unwrap_err();
/// assert_eq!(error.to_string(), "\"kafka://10.0.0.5\" is not the address of a hub: it must begin with local:, redis:, rediss:, nats: or tls:");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct HubConfig {
    engine: EngineKind,
    pub(crate) settings: Settings,
    #[cfg(feature = "tls")]
    tls: Option<TlsClientConfig>,
}

#[derive(Clone, Debug)]
enum EngineKind {
    Local(Arc<LocalHub>),
    Nats(BrokerUrl),
    Redis(BrokerUrl),
}

impl HubConfig {
    /// Reads the address of a hub.
    ///
    /// # Errors
    /// [`HubError::Address`] if `text` is not one.
    pub fn new(text: &str) -> Result<Self, HubError> {
        let engine = match text.split_once(':') {
            Some(("local", "")) => EngineKind::Local(Arc::default()),
            Some(("redis" | "rediss", _)) => EngineKind::Redis(BrokerUrl::parse(text, RedisEngine::PORT)?),
            Some(("nats" | "nats+tls" | "tls", _)) => EngineKind::Nats(BrokerUrl::parse(text, NatsEngine::PORT)?),
            _ => {
                let problem = "it must begin with local:, redis:, rediss:, nats: or tls:".to_owned();
                return Err(HubError::Address { text: without_password(text), problem });
            }
        };
        Ok(Self {
            engine,
            settings: Settings::default(),
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// Makes the topics that match `pattern` stored topics: the last `keep` messages of each are kept.
    ///
    /// They are replayed to subscribers that [start](Hub::subscribe_from) with them, and after a lost connection. All programs
    /// that publish on a topic should use the same setting. The first pattern that matches a topic counts. Keep more than all
    /// processes together may queue while the broker is away ([1,024 each](Self::queue)): when it returns, these messages arrive
    /// at once, and any that are pushed out before a subscriber has read them are a gap for it.
    ///
    /// In Redis, each stored topic is a stream under the topic's name, which has up to a hundred entries more than `keep`; in
    /// NATS, a stream of JetStream, which may exist already: it is only enlarged to `keep` messages and the replicas of the
    /// address. A `local:` hub keeps messages in memory, 64 MiB in all: beyond that it drops the oldest messages of the topic
    /// that was published to least recently.
    ///
    /// # Errors
    /// [`TopicError`] if `pattern` is not a pattern.
    pub fn replay(mut self, pattern: &str, keep: u64) -> Result<Self, TopicError> {
        self.settings.replay.push((pattern.parse()?, keep.max(1)));
        Ok(self)
    }

    /// Sets what happens to messages that are published while the broker is unreachable; default
    /// [`Queue`](WhenDisconnected::Queue).
    #[must_use]
    pub const fn when_disconnected(mut self, policy: WhenDisconnected) -> Self {
        self.settings.when_disconnected = policy;
        self
    }

    /// Sets how many messages, and how many bytes of them, may wait to be sent to the broker or confirmed by it; default 1,024
    /// and 1 MiB.
    ///
    /// In a `local:` hub this is the limit of what waits for each worker: a message beyond it is dropped for that worker, whose
    /// subscribers are told of the gap.
    #[must_use]
    pub const fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.settings.queue_messages = messages;
        self.settings.queue_bytes = bytes;
        self
    }

    /// Sets the maximum length of a payload, in bytes; default 512 KiB. A NATS server accepts 1 MiB by default.
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.settings.max_payload = bytes;
        self
    }

    /// Sets the time within which the names of a process that has crashed expire from [presence](Hub::present); default 30 s,
    /// from 3 s to a day.
    ///
    /// Each process renews its names a few times per period. All processes that share topics should use the same period.
    #[must_use]
    pub fn presence_period(mut self, period: Duration) -> Self {
        self.settings.presence_period = period.clamp(Duration::from_secs(3), Duration::from_secs(24 * 60 * 60));
        self
    }

    /// Sets which certificates are trusted, and which is presented, when TLS is used; default the system's roots, and none.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn tls(mut self, config: &TlsClientConfig) -> Self {
        self.tls = Some(config.clone());
        self
    }

    /// Opens the hub on a reactor; it connects once the reactor runs.
    ///
    /// # Errors
    /// [`HubError`] if the address asks for something that this build or the engine does not have.
    pub fn open(&self, reactor: &Reactor) -> Result<Hub, HubError> {
        Ok(Hub::with_engine(reactor, self.engine()?, self))
    }

    /// Opens a hub on your own engine; the address is ignored.
    #[must_use]
    pub fn open_with(&self, reactor: &Reactor, engine: Box<dyn Engine>) -> Hub {
        Hub::with_engine(reactor, engine, self)
    }

    fn engine(&self) -> Result<Box<dyn Engine>, HubError> {
        match &self.engine {
            EngineKind::Local(hub) => Ok(Box::new(LocalEngine::new(hub, &self.settings))),
            EngineKind::Nats(url) => Ok(Box::new(NatsEngine::new(
                url,
                #[cfg(feature = "tls")]
                self.tls.as_ref(),
            )?)),
            EngineKind::Redis(url) => Ok(Box::new(RedisEngine::new(
                url,
                #[cfg(feature = "tls")]
                self.tls.as_ref(),
            )?)),
        }
    }
}
