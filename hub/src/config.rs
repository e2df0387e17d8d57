//! Which hub, and how.

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

/// Which hub a program opens, and with which settings; may be sent to other threads.
///
/// | text | the hub |
/// |---|---|
/// | `local:` | of this process. Reactors that open the same `HubConfig` (or a clone of it) share it: the workers of [`workers`](torsade_reactor::workers) |
/// | `redis://[USER:PASSWORD@]HOST[:PORT]` | a Redis server, 7.0 or later; `rediss://` with TLS; `?sharded` for the sharded pub/sub of a cluster |
/// | `nats://[USER:PASSWORD@\|TOKEN@]HOST[:PORT]` | a NATS server, 2.9 or later; `tls://` with TLS. To keep messages and for presence it needs JetStream |
///
/// `redis:HOST:PORT`, without the slashes, is the same, and several hosts with commas between them are tried in turn.
///
/// # Examples
/// ```
/// use torsade::hub::HubConfig;
///
/// let config = HubConfig::new("redis://10.0.0.5")?.replay("log.>", 10_000)?.queue(5_000, 4 << 20);
/// let error = HubConfig::new("kafka://10.0.0.5").unwrap_err();
/// assert_eq!(error.to_string(), "\"kafka://10.0.0.5\" names no hub: it begins with local:, redis:, rediss:, nats: or tls:");
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
    /// Reads which hub the text names.
    ///
    /// # Errors
    /// [`HubError::Address`]: it names none.
    pub fn new(text: &str) -> Result<Self, HubError> {
        let engine = match text.split_once(':') {
            Some(("local", "")) => EngineKind::Local(Arc::default()),
            Some(("redis" | "rediss", _)) => EngineKind::Redis(BrokerUrl::parse(text, RedisEngine::PORT)?),
            Some(("nats" | "nats+tls" | "tls", _)) => EngineKind::Nats(BrokerUrl::parse(text, NatsEngine::PORT)?),
            _ => {
                let problem = "it begins with local:, redis:, rediss:, nats: or tls:".to_owned();
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

    /// Has the topics that match `pattern` keep their last `keep` messages, for subscribers that [start](Hub::subscribe_from) with them,
    /// and for those who have lost the broker meanwhile. All who publish on a topic should say the same. The first pattern that matches counts.
    ///
    /// Redis keeps a stream under the name of the topic, at least so many entries and a hundred more; NATS a stream of JetStream for each topic. A `local:` hub
    /// keeps them in memory: 64 MiB in all, and what was not published to for longest is dropped first.
    ///
    /// # Errors
    /// [`TopicError`]: it is no pattern.
    pub fn replay(mut self, pattern: &str, keep: u64) -> Result<Self, TopicError> {
        self.settings.replay.push((pattern.parse()?, keep.max(1)));
        Ok(self)
    }

    /// Sets what becomes of what is published while the broker is not to be reached; it [waits](WhenDisconnected::Queue) unless set.
    #[must_use]
    pub const fn when_disconnected(mut self, policy: WhenDisconnected) -> Self {
        self.settings.when_disconnected = policy;
        self
    }

    /// Sets how many publications may wait for the broker, and for its confirmation, and how many bytes of them; 1,024 and 1 MiB unless set.
    ///
    /// In a `local:` hub it is how much may wait for each worker: beyond that a message is dropped for that worker, which is told of the gap.
    #[must_use]
    pub const fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.settings.queue_messages = messages;
        self.settings.queue_bytes = bytes;
        self
    }

    /// Sets how long a payload may be, in bytes; 512 KiB unless set. A NATS server takes 1 MiB unless it is told otherwise.
    #[must_use]
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.settings.max_payload = bytes;
        self
    }

    /// Sets within which time a process that has ended without a word is no longer [present](Hub::present); 30 s unless set, at least 3 s and
    /// at most a day.
    ///
    /// Each process says a few times in a period who is there. All that share topics should have the same.
    #[must_use]
    pub fn presence_period(mut self, period: Duration) -> Self {
        self.settings.presence_period = period.clamp(Duration::from_secs(3), Duration::from_secs(24 * 60 * 60));
        self
    }

    /// Sets how TLS goes: which certificates are trusted, which is shown. The system's roots and none unless set.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn tls(mut self, config: &TlsClientConfig) -> Self {
        self.tls = Some(config.clone());
        self
    }

    /// Opens the hub on a reactor: it begins to connect when the reactor runs.
    ///
    /// # Errors
    /// [`HubError`]: the text asks for what there is not.
    pub fn open(&self, reactor: &Reactor) -> Result<Hub, HubError> {
        Ok(Hub::with_engine(reactor, self.engine()?, self))
    }

    /// Opens a hub on an engine of one's own, whatever the text says.
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
