//! Content negotiation: compressed answers (RFC 9110, 8.4 and 12.5.3).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Body as _, Frame};
use send_wrapper::SendWrapper;
use torsade::Format;
use torsade::content_coding::{ContentEncoder, choose};

/// Smaller bodies are sent as they are.
const WORTH_IT: u64 = 256;

/// Compresses the body of an answer if that makes it smaller.
pub async fn encode(request: Request, next: Next) -> Response {
    let accepted: Vec<_> =
        request.headers().get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).collect();
    let accepted = accepted.join(",");
    let mut response = next.run(request).await;
    let unchanged = response.status() == StatusCode::NOT_MODIFIED;
    if !unchanged && !is_compressible(&response) {
        return response;
    }
    // Caches need this in a 304 answer too (15.4.5).
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    // A client that accepts nothing gets the body unchanged, which 12.5.3 permits.
    let format = match choose(&accepted, &[Format::Zstd, Format::Gzip]) {
        Ok(Some(format)) if !unchanged => format,
        _ => return response,
    };
    match ContentEncoder::new(format) {
        Ok(encoder) => encoded(response, format, encoder),
        Err(error) => {
            log::warn!("an answer is sent uncompressed: {error}");
            response
        }
    }
}

fn is_compressible(response: &Response) -> bool {
    let headers = response.headers();
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    let content_type = headers.get(header::CONTENT_TYPE).map(text).unwrap_or_default();
    let is_text = ["text/", "application/json", "image/svg+xml"].iter().any(|start| content_type.starts_with(start));
    // For HEAD, the length is only in the header.
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|length| text(length).parse().ok()).or(response.body().size_hint().exact());
    // A range refers to the uncompressed file.
    response.status() == StatusCode::OK
        && is_text
        && length.is_none_or(|length| length >= WORTH_IT)
        && !headers.contains_key(header::CONTENT_ENCODING)
}

fn encoded(mut response: Response, format: Format, encoder: ContentEncoder) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(format.name()));
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    response.map(|plain| Body::new(Encoded(SendWrapper::new(Inner { plain, encoder: Some(encoder), unflushed: false }))))
}

/// A body that is compressed as it is sent.
struct Encoded(SendWrapper<Inner>);

struct Inner {
    plain: Body,
    /// `None` once the body has ended.
    encoder: Option<ContentEncoder>,
    /// The encoder holds bytes that could be sent.
    unflushed: bool,
}

impl hyper::body::Body for Encoded {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match ready!(self.0.poll(context)) {
            Ok(wire) if wire.is_empty() => Poll::Ready(None),
            Ok(wire) => Poll::Ready(Some(Ok(Frame::data(wire.into())))),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl Inner {
    /// The next piece; an empty one is the end.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>>> {
        let mut wire = Vec::new();
        while let Some(encoder) = &mut self.encoder {
            match Pin::new(&mut self.plain).poll_frame(context) {
                Poll::Ready(Some(frame)) => {
                    let Ok(data) = frame?.into_data() else { continue };
                    encoder.write(&data, &mut wire)?;
                    self.unflushed = true;
                }
                // Nothing more at present: flush what there is.
                Poll::Pending if self.unflushed => {
                    encoder.flush(&mut wire)?;
                    self.unflushed = false;
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    if let Some(encoder) = self.encoder.take() {
                        encoder.finish(&mut wire)?;
                    }
                }
            }
            if !wire.is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(wire))
    }
}
