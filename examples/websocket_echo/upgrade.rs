//! The opening handshake (RFC 6455, 4.2): how to answer an HTTP request for a WebSocket.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1_smol::Sha1;

use torsade::permessage_deflate::Parameters;

pub const REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const OTHER_VERSION: &str = "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n";

/// The answer that makes the connection a WebSocket, with the compression parameters agreed on, if any; or the answer that
/// refuses.
pub fn answer(request: &[u8]) -> Result<(String, Option<Parameters>), &'static str> {
    let mut lines = std::str::from_utf8(request).map_err(|_| REFUSAL)?.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    // A header that occurs several times is one list.
    let all = |name: &str| {
        let values = headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        values.collect::<Vec<_>>().join(",")
    };
    let lists = |name: &str, token: &str| all(name).split(',').any(|entry| entry.trim().eq_ignore_ascii_case(token));
    if !(first.starts_with("GET ")
        && first.ends_with(" HTTP/1.1")
        && lists("Upgrade", "websocket")
        && lists("Connection", "upgrade"))
    {
        return Err(REFUSAL);
    }
    if all("Sec-WebSocket-Version") != "13" {
        return Err(OTHER_VERSION);
    }
    let key = all("Sec-WebSocket-Key");
    if BASE64.decode(&key).map(|bytes| bytes.len()) != Ok(16) {
        return Err(REFUSAL);
    }
    let accept = BASE64.encode(Sha1::from(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest().bytes());
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    );
    let agreed = Parameters::default().accept(&all("Sec-WebSocket-Extensions")).map_err(|_| REFUSAL)?;
    if let Some(agreed) = &agreed {
        answer += &format!("Sec-WebSocket-Extensions: {}\r\n", agreed.answer());
    }
    Ok((answer + "\r\n", agreed))
}
