//! WebSocket crates.

use async_tungstenite::tungstenite::Message;
use async_tungstenite::{accept_async, client_async};
use futures_util::StreamExt;
use soketto::handshake::{Client, Server, ServerResponse, server::Response};
use torsade::prelude::*;
use torsade_ecosystem::converse;

#[test]
fn async_tungstenite() {
    let heard = converse(
        async |_, connection| {
            let mut socket = accept_async(connection).await?;
            while let Some(message) = socket.next().await.transpose()?.filter(Message::is_text) {
                socket.send(message).await?;
            }
            Ok(())
        },
        async |_, connection| {
            let (mut socket, _) = client_async("ws://10.0.0.1/", connection).await?;
            socket.send(Message::text("hello")).await?;
            let heard = socket.next().await.ok_or("it closed")??;
            socket.close(None).await?;
            Ok(heard)
        },
    );
    assert_eq!(heard, Message::text("hello"));
}

#[test]
fn soketto() {
    let heard = converse(
        async |_, connection| {
            let mut server = Server::new(connection);
            let key = server.receive_request().await?.key();
            server.send_response(&Response::Accept { key, protocol: None }).await?;
            let (mut sender, mut receiver) = server.into_builder().finish();
            let mut message = Vec::new();
            receiver.receive_data(&mut message).await?;
            sender.send_binary(&message).await?;
            Ok(sender.flush().await?)
        },
        async |_, connection| -> Result<Vec<u8>> {
            let mut client = Client::new(connection, "10.0.0.1", "/");
            let ServerResponse::Accepted { .. } = client.handshake().await? else { return Err("refused".into()) };
            let (mut sender, mut receiver) = client.into_builder().finish();
            sender.send_binary(b"hello").await?;
            sender.flush().await?;
            let mut message = Vec::new();
            receiver.receive_data(&mut message).await?;
            Ok(message)
        },
    );
    assert_eq!(heard, b"hello");
}
