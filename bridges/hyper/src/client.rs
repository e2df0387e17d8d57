//! An HTTP client with persistent connections.

mod connection;
mod error;
mod host;
mod lease;
mod origin;
mod outgoing_body;
mod pace;
mod pool;
mod response_body;
mod settings;

pub use error::{ClientError, ClientErrorKind};
pub use response_body::ResponseBody;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Body;
use hyper::{Request, Response, Uri, http};
use send_wrapper::SendWrapper;
#[cfg(feature = "tls")]
use torsade::TlsClientConfig;
use torsade::{AsyncConnection, ClientEndpoint, IntoEndpoint, Reactor};

use crate::TorsadeTimer;
use outgoing_body::OutgoingBody;
use pool::Pool;
use settings::Settings;

/// An HTTP client that keeps connections open for further requests; a cheap handle.
///
/// `http://` uses TCP and `https://` (with the feature `tls`) TLS, where the server chooses between HTTP/2 and HTTP/1.1. An
/// HTTP/1.1 connection serves one request at a time, and a host has at most six of them, or as many as
/// [set](ClientBuilder::connections_per_host); further requests wait in order. An HTTP/2 connection serves all requests to its
/// host. Idle connections (for HTTP/1.1, at most 100 over all hosts) are closed after 25 s, when the reactor stops, and when the
/// last handle of the client is dropped.
///
/// *Limits*: a body is received only as it is read, so it takes the same memory however long it is. The head of a response is
/// limited to about 400 kB and 100 fields, in HTTP/2 to 16 kB.
///
/// *Timeouts*: an active request fails when the server has sent nothing, and taken nothing of the request's body, for [60
/// s](ClientBuilder::timeout). Connecting may take 30 s. There is no limit for the whole request: a task can be
/// [cancelled](torsade::Task::cancel), and a Deferred has [`add_timeout`](torsade::Deferred::add_timeout).
///
/// *Cancelling*: dropping a request's future ends the request and its connection, or in HTTP/2 its stream.
///
/// *Retries*: a server may close an idle connection while a request is on its way. Such a request is sent once more, on a new
/// connection, if nothing of it had been sent, or if it has no body and its method is idempotent (RFC 9110, 9.2.2). Nothing else
/// is retried.
///
/// It does not follow redirects, keep cookies or decode content.
///
/// It can be used only on its reactor's thread; elsewhere it panics. It is `Send`, as are its futures and bodies, for code that
/// requires that, such as axum's handlers.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
///
/// use http_body_util::{BodyExt, Full};
/// use hyper::body::Bytes;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
/// use torsade::{prelude::*, simulated::Simulation};
/// use torsade_hyper::{Client, HttpServer, RequestBody};
///
/// async fn hello(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
///     Ok(Response::new(Full::from("hello")))
/// }
///
/// let simulation = Simulation::new(1);
/// HttpServer::new(service_fn(hello)).listen(&simulation.host("10.0.0.1"), "tcp:80")?;
/// let host = simulation.host("10.0.0.2");
/// let client = Client::new(&host);
/// let fetched = host.spawn(async move {
///     let response = client.get("http://10.0.0.1/").await?;
///     assert_eq!(response.status(), 200);
///     Ok(response.into_body().collect().await?.to_bytes())
/// });
/// simulation.run_for(std::time::Duration::from_secs(1))?;
/// assert_eq!(fetched.into_deferred().into_result().expect("it is done")?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[doc(alias = "Agent")]
#[doc(alias = "HTTPConnectionPool")]
pub struct Client(SendWrapper<Rc<Pool>>);

impl Client {
    /// A client on `reactor` with default options.
    #[must_use]
    pub fn new(reactor: &Reactor) -> Self {
        Self::builder(reactor).build()
    }

    /// A builder for a client with options.
    ///
    /// # Examples
    /// A service on a UNIX socket:
    /// ```
    /// use std::time::Duration;
    ///
    /// use torsade::prelude::*;
    /// use torsade_hyper::Client;
    ///
    /// let reactor = Reactor::new()?;
    /// let client = Client::builder(&reactor)
    ///     .connector(|_authority| "unix:/run/service.sock")
    ///     .timeout(Duration::from_secs(5))
    ///     .build();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn builder(reactor: &Reactor) -> ClientBuilder {
        ClientBuilder(Settings::new(TorsadeTimer::new(reactor)))
    }

    /// Sends a request. Resolves to its response once the response's head has arrived.
    ///
    /// The URI has to be complete: its scheme and host determine where to connect, and set the `Host` header unless there is one.
    /// The body may be of any type: `http_body_util` has `Full`, `Empty` and `StreamBody`.
    ///
    /// # Errors
    /// A [`ClientError`]. A response is not an error, whatever its status.
    pub fn request<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        ResponseFuture::new(Rc::clone(&self.0).request(request.map(OutgoingBody::new)))
    }

    /// Sends a GET request without a body and with only a `Host` header; otherwise like [`request`](Self::request).
    ///
    /// # Errors
    /// See [`request`](Self::request); also if `uri` is text that is not a URI.
    pub fn get<U>(&self, uri: U) -> ResponseFuture
    where
        U: TryInto<Uri>,
        U::Error: Into<http::Error>,
    {
        let pool = Rc::clone(&self.0);
        let request = Request::get(uri).body(OutgoingBody::empty());
        ResponseFuture::new(async move {
            pool.request(request.map_err(|error| ClientError::new(ClientErrorKind::Request, error))?).await
        })
    }

    /// Sends a request that may switch the connection to another protocol. Resolves to the response, and to the connection if it
    /// was switched.
    ///
    /// The connection is switched after `101 Switching Protocols`, the response to a request with `Connection: upgrade` and
    /// `Upgrade` headers, and after any successful response to CONNECT, whose URI is the host and port at the end of the tunnel;
    /// the [`connector`](ClientBuilder::connector) determines the proxy. The connection includes everything the server sent after
    /// its response. With any other response there is no connection. Always uses HTTP/1.1.
    ///
    /// # Errors
    /// See [`request`](Self::request).
    ///
    /// # Examples
    /// A tunnel through a proxy:
    /// ```
    /// use http_body_util::Empty;
    /// use hyper::Request;
    /// use hyper::body::Bytes;
    /// use torsade::prelude::*;
    /// use torsade_hyper::Client;
    ///
    /// async fn tunnel(reactor: &Reactor) -> Result<AsyncConnection> {
    ///     let proxy = Client::builder(reactor).connector(|_server| "tcp:127.0.0.1:3128").build();
    ///     let request = Request::connect("example.org:22").body(Empty::<Bytes>::new())?;
    ///     let (response, connection) = proxy.upgrade(request).await?;
    ///     connection.ok_or_else(|| format!("the proxy answers {}", response.status()).into())
    /// }
    /// ```
    pub fn upgrade<B>(&self, request: Request<B>) -> ResponseFuture<(Response<ResponseBody>, Option<AsyncConnection>)>
    where
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        ResponseFuture::new(Rc::clone(&self.0).upgrade(request.map(OutgoingBody::new)))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A pending response. Dropping it ends the request.
#[must_use = "nothing is sent unless it is awaited"]
pub struct ResponseFuture<T = Response<ResponseBody>>(SendWrapper<Pin<Box<Sending<T>>>>);

type Sending<T> = dyn Future<Output = Result<T, ClientError>>;

impl<T> ResponseFuture<T> {
    fn new(future: impl Future<Output = Result<T, ClientError>> + 'static) -> Self {
        Self(SendWrapper::new(Box::pin(future)))
    }
}

impl<T> Future for ResponseFuture<T> {
    type Output = Result<T, ClientError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl<T> fmt::Debug for ResponseFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The options of a [`Client`].
pub struct ClientBuilder(Settings);

impl ClientBuilder {
    /// Sets how long a request may make no progress, with nothing received and nothing taken, before it fails; default 60 s.
    ///
    /// The time runs from when the request becomes active to the end of its response, and only while the response's body is being
    /// awaited.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// Sets how many HTTP/1.1 connections a host may have; default 6. 0 counts as 1.
    ///
    /// Connections that were switched to another protocol do not count.
    #[must_use]
    #[doc(alias = "maxPersistentPerHost")]
    pub const fn connections_per_host(mut self, most: usize) -> Self {
        self.0.connections_per_host = most;
        self
    }

    /// Sets how long a connection may be idle before it is closed; default 25 s, because many servers wait 30 s or more.
    #[must_use]
    #[doc(alias = "cachedConnectionTimeout")]
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.0.idle_timeout = timeout;
        self
    }

    /// Sets a function that returns the endpoint for a host and port, such as `example.org:80`. Default: that TCP port.
    ///
    /// This allows for UNIX sockets, simulated hosts and forwarders. If the URI's scheme is `https`, TLS is still used, for the
    /// host in the URI. The endpoint's `timeout` limits connecting.
    #[must_use]
    pub fn connector<E: IntoEndpoint<ClientEndpoint>>(mut self, connector: impl Fn(&str) -> E + 'static) -> Self {
        self.0.connector = Some(Rc::new(move |authority| connector(authority).into_endpoint()));
        self
    }

    /// Uses HTTP/2 for `http://` URIs, whose servers have to support it (RFC 9113, 3.3). With TLS the server chooses.
    #[must_use]
    pub const fn http2_prior_knowledge(mut self) -> Self {
        self.0.http2_only = true;
        self
    }

    /// Sets the TLS configuration; default with the system's roots.
    ///
    /// Its application protocols are replaced by those that the client supports.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: &TlsClientConfig) -> Self {
        self.0.tls = config.clone().into();
        self
    }

    /// Makes the client, which connects on the first request.
    #[must_use]
    pub fn build(self) -> Client {
        Client(SendWrapper::new(Pool::new(self.0)))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").finish_non_exhaustive()
    }
}
