//! Pages generated on request: Twisted's `web-in-60` howtos, and its `fortune.rpy`.
//!
//! Run:    cargo run -p torsade-hyper --example dynamic_pages [ENDPOINT] [FORTUNE]
//!         (default 127.0.0.1:8880 and /usr/games/fortune)
//! Try:    curl 127.0.0.1:8880/clock            `dynamic-content`
//!         curl 127.0.0.1:8880/calendar/2009    `dynamic-dispatch`, and `error-handling`: .../calendar/then
//!         curl 127.0.0.1:8880/form -d the-field='<b>'     `handling-posts`
//!         curl -i 127.0.0.1:8880/buy           `custom-codes`
//!         curl 127.0.0.1:8880/delayed          `asynchronous-deferred`, `interrupted`, `logging-errors`
//!         curl 127.0.0.1:8880/fortune          the output of a program
//! Expect: the pages of the originals, with a Content-Length where Twisted sends chunks. An interruption is logged when the client resets
//!         the connection. A client that only ends its own stream, as curl does at ^C, might still read; Twisted does not wait.

mod calendar;
mod delayed;
mod form;
mod fortune;

use std::convert::Infallible;
use std::rc::Rc;
use std::time::SystemTime;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody};

/// The beginning of the originals' pages.
const HEAD: &str = "<!DOCTYPE html><html><head><meta charset='utf-8'><title></title></head><body>";

type Page = Response<Full<Bytes>>;

struct Site {
    reactor: Reactor,
    fortune: String,
}

/// Chooses the page by the path, as `Resource.getChild` does.
async fn render(site: Rc<Site>, request: Request<RequestBody>) -> Result<Page, Infallible> {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    Ok(match (request.method(), &segments[..]) {
        (&Method::POST, ["form"]) => form::submitted(request.into_body()).await,
        (_, ["form"]) if !is_get(&request) => not_allowed("GET, HEAD, POST"),
        _ if !is_get(&request) => not_allowed("GET, HEAD"),
        (_, ["clock"]) => page(StatusCode::OK, format!("{HEAD}{}", httpdate::fmt_http_date(SystemTime::now()))),
        (_, ["calendar", year]) => calendar::year_page(year),
        (_, ["form"]) => page(StatusCode::OK, format!("{HEAD}<form method='POST'><input name='the-field'></form>")),
        (_, ["buy"]) => page(StatusCode::PAYMENT_REQUIRED, "<html><body>Please swipe your credit card.</body></html>".to_owned()),
        (_, ["delayed"]) => delayed::delayed(&site.reactor).await,
        (_, ["fortune"]) => fortune::fortune(&site.reactor, &site.fortune).await,
        _ => not_found(),
    })
}

fn is_get(request: &Request<RequestBody>) -> bool {
    request.method() == Method::GET || request.method() == Method::HEAD
}

fn page(status: StatusCode, html: String) -> Page {
    let mut page = Response::new(Full::from(html));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, "text/html".parse().expect("a header"));
    page
}

fn not_allowed(allowed: &str) -> Page {
    let mut page = page(StatusCode::METHOD_NOT_ALLOWED, "<html><body>Method Not Allowed</body></html>".to_owned());
    page.headers_mut().insert(ALLOW, allowed.parse().expect("a header"));
    page
}

/// The page of `twisted.web.pages.notFound`.
fn not_found() -> Page {
    let title = "<html><head><title>404 - No Such Resource</title></head>";
    let body = "<body><h1>No Such Resource</h1><p>Sorry. No luck finding that resource.</p></body></html>";
    let mut page = page(StatusCode::NOT_FOUND, format!("<!DOCTYPE html>\n{title}{body}"));
    page.headers_mut().insert(CONTENT_TYPE, "text/html; charset=utf-8".parse().expect("a header"));
    page
}

/// Serves the pages on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str, fortune: &str) -> Result<Port> {
    let site = Rc::new(Site { reactor: reactor.clone(), fortune: fortune.to_owned() });
    let service = service_fn(move |request| render(Rc::clone(&site), request));
    Ok(HttpServer::new(service).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:8880".into());
    let fortune = arguments.next().unwrap_or_else(|| "/usr/games/fortune".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint, &fortune)?;
    println!("listening on {}", port.address());
    reactor.run()
}
