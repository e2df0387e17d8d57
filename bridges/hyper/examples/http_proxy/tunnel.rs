//! A tunnel between two connections.

use futures_lite::future::try_zip;
use futures_lite::io::{copy, split};
use futures_lite::{AsyncRead, AsyncWrite, AsyncWriteExt};
use torsade::prelude::*;

/// Passes on the bytes of either side, and the end of either stream, until both have ended. If one is lost, the other is aborted.
pub async fn join(one: AsyncConnection, other: AsyncConnection) -> Result {
    let ((one_out, one_in), (other_out, other_in)) = (split(one), split(other));
    // A tunnel that breaks is no error of the proxy: each side sees how the other has ended.
    if let Err(error) = try_zip(pass(one_out, other_in), pass(other_out, one_in)).await {
        log::info!("a tunnel broke: {error}");
    }
    Ok(())
}

async fn pass(from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> std::io::Result<()> {
    copy(from, &mut to).await?;
    to.close().await
}
