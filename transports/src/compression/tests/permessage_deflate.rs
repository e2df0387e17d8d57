//! Compressed WebSocket messages: offers, answers, and the messages.

use std::rc::Rc;

use torsade_reactor::Reactor;

use super::outside::run;
use super::*;
use crate::compression::permessage_deflate::{Compressor, Decompressor, NegotiationError, Parameters};
use crate::connection::shared::Shared;

/// Reads messages, each after its length, with a window of so many bits, and writes them back in the same way, decompressed and
/// compressed again; the third argument says whether each message is independent.
const PYTHON_ECHOES: &str = "
import struct, sys, zlib
bits, alone = -int(sys.argv[1]), sys.argv[2] == 'alone'
data, output = sys.stdin.buffer.read(), sys.stdout.buffer
decoder = encoder = None
while data:
    length, = struct.unpack('>I', data[:4])
    payload, data = data[4:4 + length], data[4 + length:]
    if alone or not decoder:
        decoder, encoder = zlib.decompressobj(bits), zlib.compressobj(9, zlib.DEFLATED, bits)
    plain = decoder.decompress(payload + b'\\0\\0\\xff\\xff')
    packed = encoder.compress(plain) + encoder.flush(zlib.Z_SYNC_FLUSH)
    output.write(struct.pack('>I', len(packed) - 4) + packed[:-4])
";

fn reactor() -> Reactor {
    Reactor::new().unwrap()
}

fn packed(compressor: &mut Compressor, pieces: &[&[u8]]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        compressor.compress(piece, at + 1 == pieces.len(), &mut payload).unwrap();
    }
    payload
}

/// Reads a message, whose payload is offered in pieces, into so much room at a time.
fn unpacked(decompressor: &mut Decompressor, payload: &[u8], piece: usize, room: usize) -> Result<Vec<u8>, DecompressErrorKind> {
    let (mut message, mut rest) = (Vec::new(), payload);
    loop {
        let (mut now, later) = rest.split_at(rest.len().min(piece));
        rest = later;
        loop {
            let mut plain = Vec::new();
            let more = decompressor.decompress(&mut now, rest.is_empty(), &mut plain, room);
            assert!(plain.len() <= room, "{} bytes where {room} are allowed", plain.len());
            message.extend(plain);
            if !more.map_err(|error| error.kind)? {
                break;
            }
        }
        assert!(now.is_empty(), "a piece was left although no more were to come");
        if rest.is_empty() {
            return Ok(message);
        }
    }
}

fn whole(decompressor: &mut Decompressor, payload: &[u8]) -> Result<Vec<u8>, DecompressErrorKind> {
    unpacked(decompressor, payload, usize::MAX, usize::MAX)
}

/// The answer of a server with default parameters.
fn answered(offers: &str) -> Option<String> {
    Parameters::default().accept(offers).unwrap().map(|agreed| agreed.answer())
}

#[test]
fn the_first_offer_that_can_be_taken_is_taken() {
    for (offers, parameters) in [
        ("permessage-deflate", ""),
        ("permessage-deflate; client_max_window_bits", ""),
        ("permessage-deflate; client_max_window_bits=8", ""),
        (" ,x-snappy; level=\"a\\+b\" ,, permessage-deflate;server_max_window_bits=9", "; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=15", "; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits = \"1\\0\"", "; server_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", ""),
        ("permessage-deflate; x, permessage-deflate; server_no_context_takeover", "; server_no_context_takeover"),
        (
            "permessage-deflate;client_no_context_takeover;\tserver_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover",
        ),
    ] {
        assert_eq!(answered(offers), Some(format!("permessage-deflate{parameters}")), "{offers}");
    }
}

#[test]
fn an_offer_is_declined_for_any_parameter_that_is_not_exactly_as_it_should_be() {
    for parameters in [
        "window_bits",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=8", // which our encoder cannot do
        "server_max_window_bits=16",
        "server_max_window_bits=+10",
        "server_max_window_bits=010",
        "server_max_window_bits=10.0",
        "server_max_window_bits=\"+10\"",
        "client_max_window_bits=7",
        "client_max_window_bits=-9",
        "client_max_window_bits=016",
        "server_no_context_takeover=true",
        "client_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=10",
        "server_max_window_bits=10; server_max_window_bits=10",
        "Server_No_Context_Takeover",
    ] {
        assert_eq!(answered(&format!("permessage-deflate; {parameters}")), None, "{parameters}");
        assert_eq!(answered(&format!("permessage-deflate; {parameters}, permessage-deflate")), Some("permessage-deflate".into()));
    }
    for nothing in ["", ",", "x-webkit-deflate-frame", "permessage-deflate2"] {
        assert_eq!(answered(nothing), None, "{nothing}");
    }
}

#[test]
fn a_header_that_is_not_a_list_of_extensions_is_an_error() {
    for header in [
        "permessage-deflate;",
        "permessage-deflate; =10",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=\"1 0\"",
        "permessage-deflate; server_max_window_bits=\"10\\",
        "permessage-deflate; server_max_window_bits=10 11",
        "x-snappy; level=\"a, b\", permessage-deflate",
        "permessage deflate",
        "permessage-deflate; (x)",
        "permessage-défl",
        "\"permessage-deflate\"",
    ] {
        assert_eq!(Parameters::default().accept(header), Err(NegotiationError::Syntax), "{header}");
        assert_eq!(Parameters::default().read_answer(header), Err(NegotiationError::Syntax), "{header}");
    }
}

#[test]
fn an_answer_that_does_not_fit_the_offer_is_an_error() {
    let wanted = Parameters::default();
    let small = wanted.server_max_window_bits(10).client_max_window_bits(11);
    let alone = wanted.server_no_context_takeover(true);
    let value = |parameter, value: &str| NegotiationError::Value { parameter, value: Some(value.to_owned()) };
    for (offer, parameters, error) in [
        (wanted, "; x=1", NegotiationError::Unknown { parameter: "x".into() }),
        (wanted, "; client_max_window_bits", NegotiationError::Value { parameter: "client_max_window_bits", value: None }),
        (wanted, "; client_max_window_bits=8", value("client_max_window_bits", "8")),
        (wanted, "; server_max_window_bits=+10", value("server_max_window_bits", "+10")),
        (wanted, "; client_no_context_takeover=1", value("client_no_context_takeover", "1")),
        (
            wanted,
            "; client_no_context_takeover; client_no_context_takeover",
            NegotiationError::Repeated { name: "client_no_context_takeover".into() },
        ),
        (wanted, ", permessage-deflate", NegotiationError::Repeated { name: "permessage-deflate".into() }),
        (small, "", NegotiationError::Ignored { parameter: "server_max_window_bits" }),
        (small, "; server_max_window_bits=11", value("server_max_window_bits", "11")),
        (small, "; server_max_window_bits=10; client_max_window_bits=12", value("client_max_window_bits", "12")),
        (alone, "; client_no_context_takeover", NegotiationError::Ignored { parameter: "server_no_context_takeover" }),
    ] {
        assert_eq!(offer.read_answer(&format!("permessage-deflate{parameters}")), Err(error), "{parameters}");
    }
    assert_eq!(wanted.read_answer("x-other"), Ok(None), "declined, or answered to another offer");
    let agreed = wanted.read_answer("permessage-deflate; server_max_window_bits=8").unwrap().unwrap();
    assert_eq!(agreed.server_max_window_bits, Some(8), "a server may choose a window that we only read");
}

/// All combinations that a client and a server may want.
fn all_wanted() -> Vec<Parameters> {
    let mut all = Vec::new();
    for number in 0..4 {
        for server_bits in [None, Some(8), Some(9), Some(12), Some(15)] {
            for client_bits in [None, Some(8), Some(10), Some(15)] {
                let mut wanted =
                    Parameters::default().server_no_context_takeover(number & 1 > 0).client_no_context_takeover(number & 2 > 0);
                wanted = server_bits.map_or(wanted, |bits| wanted.server_max_window_bits(bits));
                all.push(client_bits.map_or(wanted, |bits| wanted.client_max_window_bits(bits)));
            }
        }
    }
    all
}

#[test]
fn a_client_and_a_server_of_ours_agree_whatever_each_wants() {
    for client in all_wanted() {
        for server in all_wanted() {
            let what = format!("{client:?} {server:?}");
            let Some(agreed) = server.accept(&client.offer()).unwrap() else {
                assert_eq!(client.server_max_window_bits, Some(8), "{what}");
                continue;
            };
            // If our client is asked for a window of 8, which only a decoder supports.
            if agreed.client_max_window_bits == Some(8) {
                assert!(client.read_answer(&agreed.answer()).is_err(), "{what}");
                continue;
            }
            let read = client.read_answer(&agreed.answer()).unwrap().expect("it was answered");
            let unasked = agreed.client_max_window_bits.is_none();
            let expected = if unasked { client.client_max_window_bits } else { agreed.client_max_window_bits };
            assert_eq!(Parameters { client_max_window_bits: expected, ..agreed }, read, "{what}");
            for wanted in [client, server] {
                assert!(read.server_no_context_takeover >= wanted.server_no_context_takeover, "{what}");
                assert!(read.client_no_context_takeover >= wanted.client_no_context_takeover, "{what}");
                let bits = wanted.server_max_window_bits.unwrap_or(15).max(9);
                assert!(read.server_max_window_bits.unwrap_or(15) <= bits, "{what}");
            }
        }
    }
}

#[test]
fn the_examples_of_rfc_7692_are_read_and_written() {
    let (mut compressor, mut decompressor) = Parameters::default().server_side(&reactor());
    assert_eq!(packed(&mut compressor, &[b"Hello"]), b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    assert_eq!(packed(&mut compressor, &[b"Hello"]), b"\xf2\x00\x11\x00\x00", "7.2.3.2: the sliding window");
    assert_eq!(packed(&mut compressor, &[b""]), b"\x00", "7.2.3.6: an empty message");
    for (payload, what) in [
        (&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..], "7.2.3.1: a message"),
        (b"\xf2\x00\x11\x00\x00", "7.2.3.2: the sliding window"),
        (b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "7.2.3.3: a block without compression"),
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "7.2.3.4: a last block"),
        (b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "and another"),
        (b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "7.2.3.5: two blocks"),
    ] {
        for (piece, room) in [(1, 1), (usize::MAX, 1), (1, usize::MAX), (3, 4)] {
            let (_, mut fresh) = Parameters::default().server_side(&reactor());
            if what.starts_with("7.2.3.2") {
                assert_eq!(whole(&mut fresh, b"\xf2\x48\xcd\xc9\xc9\x07\x00").unwrap(), b"Hello");
            }
            assert_eq!(unpacked(&mut fresh, payload, piece, room).unwrap(), b"Hello", "{what}");
        }
        assert_eq!(whole(&mut decompressor, payload).unwrap(), b"Hello", "{what}");
        assert_eq!(whole(&mut decompressor, b"\x00").unwrap(), b"", "7.2.3.6: an empty message");
    }
    let two = b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    assert_eq!(unpacked(&mut decompressor, two, 1, 1).unwrap(), b"HelloHello", "last blocks within a message");
}

/// Messages of every kind: short, empty, long, repeated, noise.
fn conversation() -> Vec<Vec<u8>> {
    let lengths = [0, 1, 200, 200, 0, 8192, 8193, 70_000, 3];
    let mut all: Vec<Vec<u8>> = lengths.into_iter().map(text).collect();
    all.extend([noise(100), noise(300_000), text(50_000), vec![0; 400_000]]);
    all
}

#[test]
fn messages_are_the_same_in_every_window_and_in_any_pieces() {
    let reactor = reactor();
    for bits in 9..=15 {
        for (alone, piece, room) in [(false, usize::MAX, usize::MAX), (true, 1000, 777), (false, 999, 65_536)] {
            let agreed = Parameters::default().server_max_window_bits(bits).server_no_context_takeover(alone);
            let (compressor, _) = agreed.server_side(&reactor);
            let (mut compressor, (_, mut decompressor)) = (compressor.level(1), agreed.client_side(&reactor));
            for message in conversation() {
                let pieces: Vec<&[u8]> = message.chunks(piece.min(1 << 20)).chain([&[][..]]).collect();
                let payload = packed(&mut compressor, &pieces);
                assert!(payload.len() <= message.len() * 103 / 100 + 100, "{} of {}", payload.len(), message.len());
                let got = unpacked(&mut decompressor, &payload, piece, room).unwrap();
                assert!(got == message, "{bits} {alone}: {} bytes", message.len());
            }
        }
    }
}

#[test]
fn python_reads_our_messages_in_the_window_that_was_agreed_and_we_read_its() {
    let reactor = reactor();
    for bits in [9, 10, 15] {
        for (alone, word) in [(false, "together"), (true, "alone")] {
            let agreed = Parameters::default().client_max_window_bits(bits).client_no_context_takeover(alone);
            let agreed = agreed.server_no_context_takeover(alone);
            let (mut compressor, mut decompressor) = agreed.client_side(&reactor);
            let mut input = Vec::new();
            for message in conversation() {
                let payload = packed(&mut compressor, &[&message]);
                input.extend((payload.len() as u32).to_be_bytes());
                input.extend(payload);
            }
            let Some(answer) = run("python3", &["-c", PYTHON_ECHOES, &bits.to_string(), word], &input) else { return };
            let mut answer = &answer[..];
            for message in conversation() {
                let length = answer.split_off(..4).expect("a reply to each");
                let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
                let payload = answer.split_off(..length).expect("all of it");
                assert!(unpacked(&mut decompressor, payload, 1000, 1000).unwrap() == message, "{bits} {word}");
            }
        }
    }
}

#[test]
fn context_is_taken_over_unless_that_was_agreed_not_to_be() {
    let reactor = reactor();
    let message = b"no word of it stands in it more than once, quickly jumping over foxes";
    let lengths = |agreed: Parameters| {
        let (mut compressor, _) = agreed.server_side(&reactor);
        [packed(&mut compressor, &[message]).len(), packed(&mut compressor, &[message]).len()]
    };
    let [first, second] = lengths(Parameters::default());
    assert!(second < first / 4, "{first} {second}");
    let [first, second] = lengths(Parameters::default().server_no_context_takeover(true));
    assert_eq!(first, second);
}

#[test]
fn without_context_takeover_nothing_is_kept_between_messages() {
    let reactor = reactor();
    let alone = Parameters::default().server_no_context_takeover(true).client_no_context_takeover(true);
    let pool = Rc::clone(&Shared::of(&reactor).encoders);
    for (agreed, lent, keeps) in [(alone, 0, false), (Parameters::default(), 1, true)] {
        let (mut compressor, _) = agreed.server_side(&reactor);
        let (_, mut decompressor) = agreed.client_side(&reactor);
        for message in [text(20_000), text(300)] {
            let payload = packed(&mut compressor, &[&message]);
            assert_eq!(pool.borrow().lent(), lent);
            assert!(whole(&mut decompressor, &payload).unwrap() == message);
            assert_eq!(pool.borrow().decoders().held() > 0, keeps);
        }
    }
}

#[test]
fn any_number_of_compressors_share_the_pools_encoders() {
    let reactor = reactor();
    let pool = Rc::clone(&Shared::of(&reactor).encoders);
    let mut sides: Vec<_> = (0..100).map(|_| Parameters::default().server_side(&reactor)).collect();
    let canary = |number: usize| format!("a message of number {number} and of nobody else {}", "x".repeat(number)).into_bytes();
    // One after the other, and then interleaved: first the first halves of all, longer than what is gathered, then the second
    // ones.
    for halves in [false, true, false] {
        let half = text(20_000);
        let mut payloads = vec![Vec::new(); sides.len()];
        let first_pieces = sides.iter_mut().zip(&mut payloads).filter(|_| halves);
        first_pieces.for_each(|((compressor, _), payload)| compressor.compress(&half, false, payload).unwrap());
        for (number, ((compressor, decompressor), payload)) in sides.iter_mut().zip(&mut payloads).enumerate() {
            compressor.compress(&canary(number), true, payload).unwrap();
            let message = [&half[..if halves { half.len() } else { 0 }], &canary(number)].concat();
            assert!(whole(decompressor, payload).unwrap() == message, "{number}");
            assert!(pool.borrow().encoders() <= 64);
        }
    }
    drop(sides);
    assert_eq!((pool.borrow().lent(), pool.borrow().decoders().held()), (0, 0));
}

#[test]
fn a_message_may_be_as_long_as_the_limit_and_not_a_byte_longer() {
    let reactor = reactor();
    for alone in [false, true] {
        let agreed = Parameters::default().client_no_context_takeover(alone);
        let (mut compressor, _) = agreed.client_side(&reactor);
        for (piece, room) in [(1, 100), (usize::MAX, usize::MAX), (7, 1)] {
            let (_, decompressor) = agreed.server_side(&reactor);
            let mut decompressor = decompressor.max_message(5000);
            let (mut fresh, _) = agreed.client_side(&reactor);
            for _ in 0..3 {
                let payload = packed(&mut fresh, &[&[7; 5000]]);
                assert_eq!(unpacked(&mut decompressor, &payload, piece, room), Ok(vec![7; 5000]), "it is counted for each");
            }
            let payload = packed(&mut fresh, &[&[7; 5001]]);
            let refused = unpacked(&mut decompressor, &payload, piece, room);
            assert_eq!(refused, Err(DecompressErrorKind::LimitTotal { max: 5000 }), "{piece} {room}");
        }
        let bomb = packed(&mut compressor, &[&vec![0; 64 << 20]]);
        let (_, mut decompressor) = agreed.server_side(&reactor);
        assert_eq!(whole(&mut decompressor, &bomb), Err(DecompressErrorKind::LimitTotal { max: 1 << 20 }), "unless set");
    }
}

#[test]
fn a_message_of_nothing_but_empty_blocks_is_refused_and_any_number_of_empty_messages_is_not() {
    let (_, mut decompressor) = Parameters::default().server_side(&reactor());
    for _ in 0..60_000 {
        assert_eq!(whole(&mut decompressor, b"\x00"), Ok(vec![]));
    }
    let empty = b"\x00\x00\x00\xff\xff".repeat(60_000);
    assert_eq!(whole(&mut decompressor, &empty), Err(DecompressErrorKind::Skipped { max: 128 << 10 }));
}

#[test]
fn what_is_not_a_deflate_stream_is_an_error_and_arbitrary_payloads_end() {
    let reactor = reactor();
    let (_, mut decompressor) = Parameters::default().server_side(&reactor);
    assert_eq!(whole(&mut decompressor, b"\xff\xff\xff"), Err(DecompressErrorKind::Data));
    let payload = packed(&mut Parameters::default().server_side(&reactor).0, &[&text(300)]);
    let luck = noise(4000);
    let mut errors = 0;
    for luck in luck.chunks_exact(4) {
        let mut payload = payload.clone();
        let at = (usize::from(luck[0]) << 8 | usize::from(luck[1])) % payload.len();
        payload[at] = luck[2];
        let (_, decompressor) = Parameters::default().server_side(&reactor);
        let mut decompressor = decompressor.max_message(100_000);
        errors += usize::from(unpacked(&mut decompressor, &payload, 50, 1 + usize::from(luck[3])).is_err());
    }
    assert!((100..1000).contains(&errors), "{errors}");
}
