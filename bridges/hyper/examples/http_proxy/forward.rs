//! Forwards a request to the server in its URI, and the answer back.

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use hyper::{Request, Response, StatusCode};
use torsade_hyper::{Client, ClientErrorKind, RequestBody, ResponseBody};

pub type Answer = Response<Either<ResponseBody, Full<Bytes>>>;

/// Forwards `request`; returns the server's answer, or an error answer that says why there is none.
pub async fn forward(client: &Client, mut request: Request<RequestBody>) -> Answer {
    remove_hop_by_hop(request.headers_mut());
    // The client sets Host from the URI, which takes precedence (RFC 9112, 3.2.2); the proxy's password is not for servers.
    request.headers_mut().remove(HOST);
    request.headers_mut().remove(PROXY_AUTHORIZATION);
    request.headers_mut().append(VIA, HeaderValue::from_static("1.1 torsade"));
    match client.request(request).await {
        Ok(mut response) => {
            remove_hop_by_hop(response.headers_mut());
            response.headers_mut().append(VIA, HeaderValue::from_static("1.1 torsade"));
            response.map(Either::Left)
        }
        Err(error) => {
            let status = match error.kind() {
                ClientErrorKind::Request => StatusCode::BAD_REQUEST,
                ClientErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::BAD_GATEWAY,
            };
            refuse(status, error)
        }
    }
}

/// An answer by the proxy itself.
pub fn refuse(status: StatusCode, why: impl ToString) -> Answer {
    let mut answer = Response::new(Either::Right(Full::from(why.to_string() + "\n")));
    *answer.status_mut() = status;
    answer
}

/// Removes headers that are only for the next hop (RFC 9110, 7.6.1).
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> = named.flat_map(|names| names.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    let (keep_alive, proxy_connection) = (HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection"));
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, keep_alive, proxy_connection].into_iter().chain(named) {
        headers.remove(name);
    }
}
