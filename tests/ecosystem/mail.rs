//! Mail clients, with scripted servers.

use async_smtp::{Envelope, SendableEmail, SmtpClient, SmtpTransport};
use futures_lite::{AsyncBufReadExt, AsyncWriteExt, StreamExt};
use torsade::prelude::*;
use torsade_ecosystem::{AsSocket, converse};

/// The next line without its delimiter; empty at the end of the stream.
async fn line(connection: &mut AsyncConnection) -> Result<String> {
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

/// With `runtime-async-std` its traits are those of futures-io, and nothing in it starts async-std. It requires `Send`.
#[test]
fn async_imap() {
    let subjects = converse(
        async |_, mut connection| {
            connection.write_all(b"* OK ready\r\n").await?;
            loop {
                let line = line(&mut connection).await?;
                let Some((tag, command)) = line.split_once(' ') else { return Ok(()) };
                let data = match command.split(' ').next().unwrap_or_default() {
                    "SELECT" => "* 1 EXISTS\r\n* OK [UIDVALIDITY 1] fine\r\n",
                    "FETCH" => "* 1 FETCH (ENVELOPE (NIL \"hello\" NIL NIL NIL NIL NIL NIL NIL NIL))\r\n",
                    "LOGOUT" => "* BYE\r\n",
                    _ => "",
                };
                connection.write_all(format!("{data}{tag} OK done\r\n").as_bytes()).await?;
            }
        },
        async |_, connection| {
            let mut client = async_imap::Client::new(AsSocket::new(connection));
            client.read_response().await?.ok_or("no greeting")?;
            let mut session = client.login("user", "secret").await.map_err(|(error, _)| error)?;
            assert_eq!(session.select("INBOX").await?.exists, 1);
            let fetched: Vec<_> = session.fetch("1", "ENVELOPE").await?.collect().await;
            let mut subjects = Vec::new();
            for message in fetched {
                let message = message?;
                subjects.push(message.envelope().and_then(|envelope| envelope.subject.clone()).ok_or("no subject")?.into_owned());
            }
            session.logout().await?;
            Ok(subjects)
        },
    );
    assert_eq!(subjects, [b"hello".to_vec()]);
}

/// Like async-imap.
#[test]
fn async_smtp() {
    let mail = converse(
        async |_, mut connection| {
            connection.write_all(b"220 ready\r\n").await?;
            loop {
                let command = line(&mut connection).await?;
                let answer = match command.split([' ', ':']).next().unwrap_or_default() {
                    "" => return Ok(()),
                    "EHLO" => "250-here\r\n250 PIPELINING\r\n",
                    "DATA" => {
                        connection.write_all(b"354 go on\r\n").await?;
                        while line(&mut connection).await? != "." {}
                        "250 queued as 7\r\n"
                    }
                    _ => "250 fine\r\n",
                };
                connection.write_all(answer.as_bytes()).await?;
            }
        },
        async |_, connection| {
            let mut transport = SmtpTransport::new(SmtpClient::new(), AsSocket::new(connection)).await?;
            let envelope = Envelope::new(Some("from@example.org".parse()?), vec!["to@example.org".parse()?])?;
            let response = transport.send(SendableEmail::new(envelope, "Subject: hello\r\n\r\nhello\r\n")).await?;
            transport.quit().await?;
            Ok(response.message)
        },
    );
    assert_eq!(mail, ["queued as 7"]);
}
