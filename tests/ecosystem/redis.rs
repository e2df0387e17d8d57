//! A Redis client, with a scripted server.

use std::collections::HashMap;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, AsyncTypedCommands, RedisConnectionInfo};
use redis_protocol::bytes::BytesMut;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::{BytesFrame, OwnedFrame, Resp2Frame};
use tokio_util::compat::FuturesAsyncReadCompatExt;
use torsade::prelude::*;
use torsade_ecosystem::{AsSocket, converse};

/// A server of SET and GET, with redis-protocol.
async fn serve(_: Reactor, mut connection: AsyncConnection) -> Result {
    let (mut values, mut unread, mut buffer) = (HashMap::new(), Vec::new(), [0; 1000]);
    loop {
        let count = connection.read(&mut buffer).await?;
        if count == 0 {
            return Ok(connection.close().await?);
        }
        unread.extend_from_slice(&buffer[..count]);
        while let Some((OwnedFrame::Array(command), used)) = decode(&unread)? {
            unread.drain(..used);
            let words: Vec<Vec<u8>> = command.into_iter().filter_map(|word| word.as_bytes().map(<[u8]>::to_vec)).collect();
            let answer = match &words[..] {
                [command, key, value] if command == b"SET" => {
                    values.insert(key.clone(), value.clone());
                    BytesFrame::SimpleString("OK".into())
                }
                [command, key] if command == b"GET" => {
                    values.get(key).map_or(BytesFrame::Null, |value| BytesFrame::BulkString(value.clone().into()))
                }
                _ => BytesFrame::SimpleString("OK".into()),
            };
            let mut bytes = BytesMut::new();
            extend_encode(&mut bytes, &answer, false)?;
            connection.write_all(&bytes).await?;
        }
    }
}

/// Its own timeouts need tokio or smol, so they are switched off: use `add_timeout` of the task's Deferred instead.
#[test]
fn redis_() {
    let got = converse(serve, async |reactor, connection| {
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let connection = AsSocket::new(connection).compat();
        let (mut redis, driver) =
            MultiplexedConnection::new_with_config(&RedisConnectionInfo::default(), connection, config).await?;
        reactor.spawn(driver);
        redis.set("key", "value").await?;
        Ok(redis.get("key").await?)
    });
    assert_eq!(got.as_deref(), Some("value"));
}

#[test]
fn redis_protocol() {
    let answer = converse(serve, async |_, mut connection| {
        connection.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n").await?;
        connection.close().await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        Ok(answer)
    });
    assert_eq!(answer, "+OK\r\n$1\r\nb\r\n");
}
