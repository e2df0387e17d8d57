//! A submitted form.

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use torsade_hyper::RequestBody;

use super::{HEAD, Page, page};

/// The largest form, in bytes.
const LIMIT: usize = 64 << 10;

/// The answer to a form. (The original answers 500 if the field is missing, and accepts forms of any size.)
pub async fn submitted(body: RequestBody) -> Page {
    let Ok(body) = Limited::new(body, LIMIT).collect().await else {
        return page(
            StatusCode::PAYLOAD_TOO_LARGE,
            "<html><body>The form is too large, or was cut off.</body></html>".to_owned(),
        );
    };
    let body = body.to_bytes();
    match body.split(|byte| *byte == b'&').find_map(|field| field.strip_prefix(b"the-field=")) {
        Some(value) => page(StatusCode::OK, format!("{HEAD}You submitted: {}", escape(&decoded(value)))),
        None => page(StatusCode::BAD_REQUEST, format!("{HEAD}There is no such field.")),
    }
}

/// A value of `application/x-www-form-urlencoded`.
fn decoded(value: &[u8]) -> String {
    let spaced: Vec<u8> = value.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_encoding::percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// Escapes text for HTML.
fn escape(text: &str) -> String {
    let ampersands = text.replace('&', "&amp;");
    ampersands.replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#x27;")
}
