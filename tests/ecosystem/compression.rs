//! Streams that the user's own code compresses; for a whole connection use `set_compression` instead.

use async_compression::futures::bufread::GzipDecoder;
use async_compression::futures::write::GzipEncoder;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use torsade_ecosystem::converse;

#[test]
fn async_compression() {
    let text = converse(
        async |_, connection| {
            let mut encoder = GzipEncoder::new(connection);
            for _ in 0..1000 {
                encoder.write_all(b"hello ").await?;
            }
            Ok(encoder.close().await?)
        },
        async |_, connection| {
            let mut text = String::new();
            GzipDecoder::new(connection).read_to_string(&mut text).await?;
            Ok(text)
        },
    );
    assert_eq!(text, "hello ".repeat(1000));
}
