//! The connection of a request.

use std::sync::Arc;

use torsade::{Address, TlsInfo, Transport};

/// The connection that a request came on, as returned by its [body](crate::RequestBody::connection).
///
/// It contains values only, which can be kept and sent to other threads; cheap to clone.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
///
/// use http_body_util::Full;
/// use hyper::body::Bytes;
/// use hyper::{Request, Response};
/// use torsade_hyper::{ConnectionInfo, RequestBody};
///
/// async fn who(request: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
///     let info: &ConnectionInfo = request.body().connection();
///     let encrypted = info.tls().is_some();
///     Ok(Response::new(Full::from(format!("you are {}, encrypted: {encrypted}", info.peer()))))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ConnectionInfo(Arc<Values>);

#[derive(Debug)]
struct Values {
    peer: Address,
    host: Address,
    tls: Option<TlsInfo>,
}

impl ConnectionInfo {
    pub(crate) fn of(transport: &Transport) -> Self {
        Self(Arc::new(Values { peer: transport.peer(), host: transport.host(), tls: transport.tls_info() }))
    }

    /// The client's address; behind a proxy that sends a PROXY header, still the client's.
    #[must_use]
    pub fn peer(&self) -> &Address {
        &self.0.peer
    }

    /// The local address.
    #[must_use]
    pub fn host(&self) -> &Address {
        &self.0.host
    }

    /// The result of the TLS handshake, including the client's certificates; `None` without TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.0.tls.as_ref()
    }
}
