//! The files of a folder.

use std::io::ErrorKind;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use send_wrapper::SendWrapper;

use super::Site;
use super::stored_file::StoredFile;

/// `GET /files/PATH`, and `HEAD`.
pub async fn send(State(site): State<Site>, method: Method, headers: HeaderMap, Path(path): Path<String>) -> Response {
    // The wrapper makes the future of a Deferred `Send`.
    let found = SendWrapper::new(StoredFile::open(&site.reactor, &site.folder, &path)).await;
    let error = match found {
        Ok(file) => match file.answer(&site.reactor, &method, &headers) {
            Ok(answer) => return answer.map(axum::body::Body::new),
            Err(error) => std::io::Error::other(error),
        },
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN.into_response(),
        // Includes invalid names.
        ErrorKind::NotFound
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidFilename => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
        _ => {
            log::warn!("{path:?} cannot be sent: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
