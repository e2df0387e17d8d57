//! An upload that is read in pieces, and never held as a whole.

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use serde_json::{Value, json};
use sha1_smol::Sha1;

/// The largest upload, in bytes.
const LIMIT: usize = 1 << 30;

/// `PUT /upload`: returns the number of bytes and their SHA-1.
pub async fn count(request: Request) -> Result<Json<Value>, StatusCode> {
    let body = request.into_body();
    // Refused at once if the length is known: a client that waits for `100 Continue` need not send any of it.
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut body = Limited::new(body, LIMIT);
    let (mut bytes, mut sha1) = (0, Sha1::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST }
        })?;
        if let Some(data) = frame.data_ref() {
            bytes += data.len();
            sha1.update(data);
        }
    }
    Ok(Json(json!({ "bytes": bytes, "sha1": sha1.digest().to_string() })))
}
