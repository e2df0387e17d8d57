//! HTTP requests on connections that are kept.

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

/// An HTTP client, whose connections are kept for further requests; a cheap handle.
///
/// `http://` is spoken over TCP, `https://` (with the feature `tls`) over TLS, where the server chooses HTTP/2 or HTTP/1.1. A
/// connection of HTTP/1.1 serves one request at a time, and a host has at most six, or as many as the client is
/// [told](ClientBuilder::connections_per_host): further requests wait, and have their turn in the order in which they came. A
/// connection of HTTP/2 serves all requests to its host. Connections that rest, of which HTTP/1.1 may have 100 to all hosts, are
/// closed after 25 s, when the reactor stops, and when the last handle of the client is gone.
///
/// *Bounds*: nothing is received that nobody reads, so a body costs the same memory however long it is. The head of a response is
/// limited to about 400 kB and 100 fields, in HTTP/2 to 16 kB.
///
/// *Deadlines*: a request that is having its turn fails when nothing has come from the server, and nothing of the request's body
/// was taken by it, for [60 s](ClientBuilder::timeout). A connection has to be made within 30 s. There is no limit for the
/// whole: a task can be [cancelled](torsade::Task::cancel), and a Deferred has [`add_timeout`](torsade::Deferred::add_timeout).
///
/// *Cancelling*: a request whose future is dropped ends, its connection with it, or in HTTP/2 its stream.
///
/// *Trying again*: a server may close a connection that rests while a request is on its way to it. Such a request is sent once
/// more, on a new connection, if nothing of it was sent before, or if it has no body and its method is idempotent
/// (RFC 9110, 9.2.2). Nothing else is tried again.
///
/// It follows no redirects, keeps no cookies and decodes no content.
///
/// It stays of use on its reactor's thread only; elsewhere it panics. That it is `Send`, as its futures and bodies are, is for
/// those who ask for that, such as axum's handlers.
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
    /// A client on `reactor`, with the defaults.
    #[must_use]
    pub fn new(reactor: &Reactor) -> Self {
        Self::builder(reactor).build()
    }

    /// Begins a client with options.
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

    /// Sends a request, and gives its response as soon as the head of it is here.
    ///
    /// The URI has to be whole: its scheme and host say where to connect to, and the `Host` header is made of it unless there is
    /// one. The body may be of any type: `http_body_util` has `Full`, `Empty` and `StreamBody`.
    ///
    /// # Errors
    /// A [`ClientError`]; a response of any status is none.
    pub fn request<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: Body + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        ResponseFuture::new(Rc::clone(&self.0).request(request.map(OutgoingBody::new)))
    }

    /// Sends a GET request without a body and with no header but `Host`; in all else it is [`request`](Self::request).
    ///
    /// # Errors
    /// As [`request`](Self::request); also if `uri` is text that is no URI.
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

    /// Sends a request after whose response the connection may be another protocol's, and gives it with the response if it is.
    ///
    /// So it is after `101 Switching Protocols`, the answer to a request with `Connection: upgrade` and `Upgrade` headers, and after any
    /// success of CONNECT, whose URI is the host and port at the end of the tunnel: the [`connector`](ClientBuilder::connector) says
    /// where the proxy is. Everything that the server has sent behind its response is in the connection. With any other response there
    /// is none. It is always spoken in HTTP/1.1.
    ///
    /// # Errors
    /// As [`request`](Self::request).
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

/// A response that is on its way. Dropped, it ends its request.
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
    /// Sets for how long nothing may come, and nothing be taken, before a request fails; 60 s unless set.
    ///
    /// It counts from the request's turn to the end of its response, and only while the response's body is being waited for.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// Sets how many connections of HTTP/1.1 a host may have; 6 unless set, and 0 is taken as 1.
    ///
    /// Those that were switched to another protocol do not count.
    #[must_use]
    #[doc(alias = "maxPersistentPerHost")]
    pub const fn connections_per_host(mut self, most: usize) -> Self {
        self.0.connections_per_host = most;
        self
    }

    /// Sets how long a connection may rest before it is closed; 25 s unless set, since many servers wait for 30 s or more.
    #[must_use]
    #[doc(alias = "cachedConnectionTimeout")]
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.0.idle_timeout = timeout;
        self
    }

    /// Has `connector` give the endpoint for a host and port, such as `example.org:80`; unless set it is that TCP port.
    ///
    /// So it reaches a UNIX socket, a simulated host, or a forwarder. TLS is still spoken, and for the host in the URI, if the URI
    /// says `https`. The endpoint's `timeout` is how long connecting may take.
    #[must_use]
    pub fn connector<E: IntoEndpoint<ClientEndpoint>>(mut self, connector: impl Fn(&str) -> E + 'static) -> Self {
        self.0.connector = Some(Rc::new(move |authority| connector(authority).into_endpoint()));
        self
    }

    /// Speaks HTTP/2 to servers of `http://` URIs, which have to know it (RFC 9113, 3.3). With TLS the server says which it speaks.
    #[must_use]
    pub const fn http2_prior_knowledge(mut self) -> Self {
        self.0.http2_only = true;
        self
    }

    /// Sets how TLS is spoken; with the system's roots unless set.
    ///
    /// Its application protocols are replaced by those that the client speaks.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: &TlsClientConfig) -> Self {
        self.0.tls = config.clone().into();
        self
    }

    /// Makes the client. It connects when something is requested.
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
