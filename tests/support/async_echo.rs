//! An echo in `async` code.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use torsade::prelude::*;

/// Sends back what arrives, at most `SIZE` bytes at a time, and closes at the end of the stream.
pub async fn async_echo<const SIZE: usize>(mut connection: AsyncConnection) -> Result {
    let mut buffer = [0; SIZE];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return Ok(connection.close().await?),
            count => connection.write_all(&buffer[..count]).await?,
        }
    }
}
