//! One rustls connection, step by step.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{ClientConfig, CommonState, Error, HandshakeKind, ProtocolVersion, ServerConfig};
use torsade_protocols::{StartTlsError, TlsInfo, TlsVersion};
use torsade_reactor::spi::catch;

/// What a record may add to its content, in bytes, with room to spare: header, nonce, type, tag. Too little room costs a second
/// try.
const RECORD_OVERHEAD: usize = 32;

/// Room for the handshake messages that one side usually sends together, in bytes.
const FLIGHT: usize = 1024;

/// The length of a record's header: type, version, length (RFC 8446, 5.1).
pub(super) const RECORD_HEADER: usize = 5;

/// The most plain bytes in one record (RFC 8446, 5.1).
pub(super) const RECORD: usize = 16_384;

/// Either side of a TLS connection.
pub(super) enum Session {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What to send once the session can.
#[derive(Clone, Copy)]
pub(super) enum Job<'a> {
    CloseNotify,
    Encrypt(&'a [u8]),
    Nothing,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing is left to do without new input.
    Idle,
    JobDone,
    /// The peer has ended its stream; everything that it sent before was delivered.
    PeerClosed,
    /// The content of a record was delivered. There is more only if the session sees more, or has something to send.
    Read,
}

/// Where a step puts its output.
pub(super) struct Sinks<'a> {
    pub(super) wire: &'a mut Vec<u8>,
    pub(super) plain: &'a mut Vec<u8>,
}

impl Session {
    pub(super) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, StartTlsError> {
        let connection = UnbufferedClientConnection::new(config, name).map_err(refused)?;
        Ok(Self::Client(Box::new(connection)))
    }

    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, StartTlsError> {
        let connection = UnbufferedServerConnection::new(config).map_err(refused)?;
        Ok(Self::Server(Box::new(connection)))
    }

    /// Makes one step, and returns how many bytes of `incoming` are processed. Also sends what the session sends by itself.
    pub(super) fn step(&mut self, incoming: &mut [u8], job: Job<'_>, sinks: &mut Sinks<'_>) -> (usize, Result<Step, Error>) {
        // No peer may end the program: debug builds of rustls panic where an alert would follow our close_notify.
        catch(|| {
            let mut taken = 0;
            loop {
                let rest = incoming.get_mut(taken..).unwrap_or_default();
                let (count, result) = match self {
                    Self::Client(connection) => advance(connection.process_tls_records(rest), job, sinks),
                    Self::Server(connection) => advance(connection.process_tls_records(rest), job, sinks),
                };
                taken += count;
                if let Some(result) = result.transpose() {
                    return (taken, result);
                }
            }
        })
        .unwrap_or_else(|panic| (0, Err(Error::General(panic.to_string()))))
    }

    pub(super) const fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.common().is_handshaking()
    }

    /// There are bytes to be sent that no [`Job`] asked for.
    pub(super) fn wants_write(&self) -> bool {
        self.common().wants_write()
    }

    pub(super) fn info(&self) -> Option<TlsInfo> {
        let common = self.common();
        let version = match common.protocol_version()? {
            ProtocolVersion::TLSv1_2 => TlsVersion::Tls12,
            _ => TlsVersion::Tls13,
        };
        // rustls says TLS13_ where IANA says TLS_.
        let suite = common.negotiated_cipher_suite()?.suite().as_str().unwrap_or("unknown").replace("TLS13_", "TLS_");
        let mut info = TlsInfo::new(version, suite);
        info.negotiated_protocol = common.alpn_protocol().map(<[u8]>::to_vec);
        info.peer_certificates = common.peer_certificates().unwrap_or_default().iter().map(|der| der.to_vec()).collect();
        info.resumed = common.handshake_kind() == Some(HandshakeKind::Resumed);
        Some(info)
    }

    fn common(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }
}

fn refused(error: Error) -> StartTlsError {
    StartTlsError::Config(error.to_string())
}

/// Handles one state of the session; `None` if that was only sending something of its own, so that the step goes on.
fn advance<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    job: Job<'_>,
    sinks: &mut Sinks<'_>,
) -> (usize, Result<Option<Step>, Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                discard += record.discard;
                sinks.plain.extend_from_slice(record.payload);
            }
            Ok(Some(Step::Read))
        }
        ConnectionState::EncodeTlsData(mut data) => {
            sinks.wire.reserve(if sinks.wire.is_empty() { FLIGHT } else { 0 });
            append(sinks.wire, 0, |room| match data.encode(room) {
                Ok(written) => Ok(written),
                Err(EncodeError::InsufficientSize(error)) => Err(Some(error.required_size)),
                Err(EncodeError::AlreadyEncoded) => Err(None),
            })?;
            Ok(None)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(None)
        }
        ConnectionState::WriteTraffic(mut traffic) => write(&mut traffic, job, sinks.wire).map(Some),
        ConnectionState::PeerClosed => Ok(Some(Step::PeerClosed)),
        ConnectionState::BlockedHandshake | ConnectionState::Closed => Ok(Some(Step::Idle)),
        // Early data is neither offered nor accepted.
        _ => Err(Error::General("an unknown state of TLS".into())),
    });
    (discard, step)
}

fn write<Data>(traffic: &mut WriteTraffic<'_, Data>, job: Job<'_>, wire: &mut Vec<u8>) -> Result<Step, Error> {
    let too_small = |error| match error {
        EncryptError::InsufficientSize(error) => Some(error.required_size),
        EncryptError::EncryptExhausted => None,
    };
    match job {
        Job::Nothing => return Ok(Step::Idle),
        Job::CloseNotify => append(wire, 2 * RECORD_OVERHEAD, |room| traffic.queue_close_notify(room).map_err(too_small))?,
        Job::Encrypt(plain) => {
            wire.reserve(plain.len() + plain.len().div_ceil(RECORD) * RECORD_OVERHEAD);
            // Record by record: the room that is made for each is filled at once.
            for record in plain.chunks(RECORD) {
                append(wire, record.len() + RECORD_OVERHEAD, |room| traffic.encrypt(record, room).map_err(too_small))?;
            }
        }
    }
    Ok(Step::JobDone)
}

/// Lets `fill` write into room made at the end of `wire`: `guess` bytes at first, then as many as it says it needs.
fn append(
    wire: &mut Vec<u8>,
    guess: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Error> {
    let before = wire.len();
    let mut room = guess;
    for _ in 0..2 {
        wire.resize(before + room, 0);
        match fill(wire.get_mut(before..).unwrap_or_default()) {
            Ok(written) => {
                wire.truncate(before + written);
                return Ok(());
            }
            Err(Some(needed)) => room = needed,
            Err(None) => break,
        }
    }
    wire.truncate(before);
    Err(Error::EncryptError)
}
