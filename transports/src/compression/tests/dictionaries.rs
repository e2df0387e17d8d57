//! Dictionaries: streams that refer to one, found by id or agreed on, in every format that supports them.

use torsade_protocols::{CompressionError, Dictionary};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The formats of this build that have dictionaries.
fn with_dictionaries() -> impl Iterator<Item = Format> {
    formats().filter(|format| *format != Format::Gzip)
}

/// A dictionary that streams of the format name by an id, if the format can.
pub(super) fn dictionary(format: Format) -> Dictionary {
    match format {
        Format::Zstd => Dictionary::new(include_bytes!("trained.zdict")),
        // Different messages from those that most tests send.
        _ => Dictionary::with_id(7, messages(50).split_off(25).concat()),
    }
}

/// A dictionary with other bytes, and another id if the format has ids.
fn other(format: Format) -> Dictionary {
    match format {
        Format::Zstd => {
            let mut bytes = *include_bytes!("trained.zdict");
            bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
            Dictionary::new(bytes)
        }
        _ => Dictionary::with_id(8, messages(50).split_off(30).concat()),
    }
}

fn sending(format: Format) -> Compression {
    Compression::from(format).dictionary(&dictionary(format))
}

fn reading(format: Format) -> Decompression {
    Decompression::from(format).dictionary(&dictionary(format))
}

#[test]
fn every_format_and_level_returns_what_was_written_expected_and_announced() {
    let (short, long) = (messages(20), text(100_000));
    for format in with_dictionaries() {
        for level in format.levels().filter(|level| format != Format::Zstd || level % 7 == 1) {
            for plain in [&short.concat(), &long] {
                let mut sender = sender(&sending(format).level(level));
                let mut wire = Vec::new();
                for piece in plain.chunks(119) {
                    wire.extend(send(&mut sender, &[piece]));
                }
                sender.finish(&mut wire).unwrap();
                let (got, reason) = receive_all(&mut expecting(reading(format)), &wire);
                assert!(reason.is_none() && got == *plain, "{format} {level}: {reason:?}");
                let mut receiver = detecting();
                receiver.set_limits(&reading(format));
                let (got, reason) = receive_all(&mut receiver, &wire);
                assert!(reason.is_none() && got == *plain, "{format} {level}, announced: {reason:?}");
                assert!(receiver.stats().stream_ended);
            }
        }
    }
}

#[test]
fn a_first_message_takes_less_than_half() {
    let message = messages(60).pop().unwrap();
    for format in with_dictionaries() {
        let first = |options: &Compression| send(&mut sender(&options.clone().announce(false)), &[&message]).len();
        let (with, without) = (first(&sending(format)), first(&format.into()));
        assert!(2 * with < without, "{format}: {with} with the dictionary, {without} without");
    }
}

#[test]
fn a_stream_without_a_dictionary_is_read_by_a_decoder_with_dictionaries() {
    for format in with_dictionaries() {
        let wire = stream(&format.into(), &messages(3));
        let options = reading(format).dictionary(&Dictionary::new(text(5000)));
        assert_eq!(receive(&mut expecting(options), &wire), messages(3).concat(), "{format}");
    }
}

#[test]
fn a_dictionary_that_is_not_there_is_asked_for_by_its_id() {
    for format in with_dictionaries().filter(|format| *format != Format::DeflateRaw) {
        let wire = stream(&sending(format), &messages(3));
        let id = dictionary(format).id(format).unwrap();
        for options in [format.into(), Decompression::from(format).dictionary(&other(format))] {
            for piece in [1, 1000] {
                let (got, reason) = receive_in(&mut expecting(options.clone()), &wire, piece, ROOM);
                let wanted = DecompressErrorKind::NeedDictionary { id };
                assert_eq!((&got[..], kind(reason)), (&b""[..], Some(wanted.clone())), "{format}");
                let mut receiver = detecting();
                receiver.set_limits(&options);
                assert_eq!(kind(receive_in(&mut receiver, &wire, piece, ROOM).1), Some(wanted), "{format}, announced");
            }
        }
    }
}

#[test]
fn the_one_that_is_named_among_several_dictionaries_is_used() {
    for format in with_dictionaries().filter(|format| *format != Format::DeflateRaw) {
        let both = [dictionary(format), other(format)];
        for [known, named] in [[0, 1], [1, 0]] {
            let options = Decompression::from(format).dictionary(&both[known]).dictionary(&both[named]);
            for dictionary in &both {
                let wire = stream(&Compression::from(format).dictionary(dictionary), &messages(3));
                assert_eq!(receive(&mut expecting(options.clone()), &wire), messages(3).concat(), "{format}");
            }
        }
    }
}

#[test]
fn dictionaries_without_an_id_are_agreed_upon() {
    let plain = Dictionary::new(text(3000));
    for format in with_dictionaries() {
        let wire = stream(&Compression::from(format).dictionary(&plain), &messages(3));
        let agreed = Decompression::from(format).dictionary(&other(format)).dictionary(&plain);
        assert_eq!(receive(&mut expecting(agreed), &wire), messages(3).concat(), "{format}");
        // A reader without it gets none of its text, and in all formats except raw deflate no stream that looks complete.
        let mut stranger = expecting(format);
        let (got, reason) = receive_all(&mut stranger, &wire);
        assert!(reason.is_some() && got != messages(3).concat(), "{format}: {reason:?}");
    }
}

#[test]
fn a_wrong_dictionary_that_was_agreed_upon_is_found_by_the_checksum_at_the_latest() {
    let (right, wrong) = (Dictionary::new(text(3000)), Dictionary::new(noise(3000)));
    for format in formats().filter(|format| matches!(format, Format::Zstd | Format::Lz4)) {
        let wire = stream(&Compression::from(format).dictionary(&right), &messages(3));
        let (_, reason) = receive_all(&mut expecting(Decompression::from(format).dictionary(&wrong)), &wire);
        assert!(matches!(kind(reason), Some(DecompressErrorKind::Checksum | DecompressErrorKind::Data)), "{format}");
    }
}

#[test]
fn gzip_has_no_dictionaries() {
    let dictionary = dictionary(Format::Deflate);
    let refused = CompressionError::DictionaryUnsupported { format: Format::Gzip };
    let pool = EncoderPool::shared();
    assert_eq!(layer(&pool).compress(&Compression::gzip().dictionary(&dictionary)), Err(refused.clone()));
    assert_eq!(layer(&pool).expect(&Decompression::gzip().dictionary(&dictionary), b""), Err(refused));
    // Limits apply to all formats.
    let mut receiver = detecting();
    receiver.set_limits(&Decompression::deflate().dictionary(&dictionary));
    assert_eq!(receive(&mut receiver, &stream(&Compression::gzip(), &["data"])), b"data");
}

#[test]
#[cfg(feature = "zstd")]
fn a_trained_dictionary_that_is_damaged_is_refused_at_the_switch() {
    let damaged = Dictionary::new(&include_bytes!("trained.zdict")[..40]);
    let refused = CompressionError::DictionaryInvalid { format: Format::Zstd };
    let pool = EncoderPool::shared();
    assert_eq!(layer(&pool).compress(&Compression::zstd().dictionary(&damaged)), Err(refused.clone()));
    assert_eq!(layer(&pool).expect(&Decompression::zstd().dictionary(&damaged), b""), Err(refused));
    // In limits, which apply to all formats, it counts as missing.
    let mut receiver = detecting();
    receiver.set_limits(&Decompression::deflate().dictionary(&damaged));
    let reason = receive_all(&mut receiver, &stream(&sending(Format::Zstd), &["data"])).1;
    let id = dictionary(Format::Zstd).id(Format::Zstd).unwrap();
    assert_eq!(kind(reason), Some(DecompressErrorKind::NeedDictionary { id }));
}

#[test]
fn connections_that_sleep_and_lose_their_encoders_go_on_with_their_dictionary() {
    for history in [0, 1000, 32 << 10] {
        // Larger than deflate's window, as large, and smaller.
        for len in [100 << 10, 32 << 10, 20 << 10] {
            let dictionary = Dictionary::new([noise(len - 3000), text(3000)].concat());
            for format in with_dictionaries() {
                let pool = EncoderPool::with_limits(1, SECOND);
                let mut ends: Vec<_> = (0..2)
                    .map(|_| {
                        let mut sender = layer(&pool);
                        sender.compress(&Compression::from(format).level(1).dictionary(&dictionary).history(history)).unwrap();
                        (sender, expecting(Decompression::from(format).dictionary(&dictionary)))
                    })
                    .collect();
                for (number, message) in messages(700).iter().enumerate() {
                    let (sender, receiver) = &mut ends[number % 2];
                    let wire = send(sender, &[message]);
                    assert!(receive(receiver, &wire) == *message, "{format} {history} {len}: message {number}");
                }
                for (sender, receiver) in &mut ends {
                    let mut wire = Vec::new();
                    sender.finish(&mut wire).unwrap();
                    receive(receiver, &wire);
                    assert!(receiver.stats().stream_ended, "{format}: the checksum is right");
                }
            }
        }
    }
}

#[test]
fn a_dictionary_helps_after_a_sleep_as_long_as_the_history_is_whole() {
    let (first, later) = (messages(61).pop().unwrap(), messages(62).pop().unwrap());
    for format in [Format::Deflate, Format::DeflateRaw] {
        let after_sleep = |options: Compression| {
            let pool = EncoderPool::shared();
            let mut sender = layer(&pool);
            sender.compress(&options).unwrap();
            send(&mut sender, &[&first]);
            sender.expire(&mut Vec::new(), &mut Vec::new(), SECOND).unwrap();
            assert_eq!(pool.borrow().lent(), 0);
            send(&mut sender, &[&later]).len()
        };
        let known = after_sleep(sending(format));
        let gone = after_sleep(sending(format).history(0));
        assert!(known * 3 < gone * 2, "{format}: {known} bytes with the dictionary, {gone} without");
    }
}

#[test]
fn barriers_and_stored_pieces_leave_a_stream_that_is_read_with_the_dictionary() {
    for format in with_dictionaries() {
        let mut sender = sender(&sending(format));
        let mut wire = Vec::new();
        for message in messages(5) {
            wire.extend(send(&mut sender, &[message]));
            sender.barrier(&mut wire, NOW).unwrap();
            write_uncompressed(&mut sender, b"stored", &mut wire);
        }
        sender.finish(&mut wire).unwrap();
        let (got, reason) = receive_all(&mut expecting(reading(format)), &wire);
        let sent: Vec<u8> = messages(5).into_iter().flat_map(|message| [&message[..], b"stored"].concat()).collect();
        assert_eq!((got, kind(reason)), (sent, None), "{format}");
        assert_eq!(sender.stats().dictionary_out, dictionary(format).id(format), "{format}");
    }
}

#[test]
#[cfg(feature = "zstd")]
fn connections_share_the_digests_of_a_dictionary() {
    let (dictionary, pool) = (dictionary(Format::Zstd), EncoderPool::shared());
    let digests = || {
        let mut pool = pool.borrow_mut();
        let [three, again, one] = [3, 3, 1].map(|level| pool.digests().for_encoder(&dictionary, level).unwrap());
        assert!(std::rc::Rc::ptr_eq(&three, &again) && !std::rc::Rc::ptr_eq(&three, &one));
        let copy = Dictionary::new(dictionary.bytes());
        assert!(std::rc::Rc::ptr_eq(&three, &pool.digests().for_encoder(&copy, 3).unwrap()), "the same bytes are the same");
        three
    };
    // Also after a time without users, as on a server that has one connection after the other.
    let first = std::rc::Rc::downgrade(&digests());
    assert!(std::ptr::eq(first.as_ptr(), std::rc::Rc::as_ptr(&digests())));
    // But not all that ever existed.
    for number in 0..20 {
        pool.borrow_mut().digests().for_encoder(&Dictionary::new(noise(100 + number)), 3).unwrap();
    }
    assert!(first.upgrade().is_none());
}

#[test]
fn headers_name_the_dictionary_where_the_format_says() {
    let opening = |format: Format, dictionary: &Dictionary| {
        let mut wire = Vec::new();
        sender(&Compression::from(format).dictionary(dictionary)).force_flush(&mut wire, NOW).unwrap();
        wire
    };
    let words = Dictionary::with_id(0x0403_0201, "Wikipedia");
    let zlib = opening(Format::Deflate, &words);
    assert_eq!(zlib[..7], [0x78, 0xbb, 0x11, 0xe6, 0x03, 0x98, 0xa0]);
    assert_eq!(zlib.len(), 21);
    assert_eq!(opening(Format::DeflateRaw, &words).len(), 15);
    // No text begins this way, whatever the level.
    for level in [1, 5, 9] {
        let mut wire = Vec::new();
        sender(&Compression::deflate().level(level).dictionary(&words)).force_flush(&mut wire, NOW).unwrap();
        assert_eq!(wire, zlib, "level {level}");
    }
    #[cfg(feature = "lz4")]
    {
        let lz4 = opening(Format::Lz4, &words);
        assert_eq!(lz4[..10], [0x04, 0x22, 0x4d, 0x18, 0x45, 0x40, 1, 2, 3, 4]);
        assert_eq!(lz4.len(), 23);
    }
    #[cfg(feature = "zstd")]
    {
        let zstd = opening(Format::Zstd, &dictionary(Format::Zstd));
        assert_eq!(zstd[..5], [0x28, 0xb5, 0x2f, 0xfd, 0x07]);
        assert_eq!((&zstd[6..10], zstd.len()), (&include_bytes!("trained.zdict")[4..8], 26));
        assert_eq!(opening(Format::Zstd, &words)[4], 0x04, "raw content has no id");
    }
}

#[test]
fn in_mid_stream_a_stream_with_a_dictionary_is_noticed_as_well() {
    for format in with_dictionaries().filter(|format| *format != Format::Lz4) {
        let mut sender = layer(&EncoderPool::shared());
        let mut wire = send(&mut sender, &["220 ready\r\n"]);
        sender.compress(&sending(format)).unwrap();
        wire.extend(send(&mut sender, &messages(3)));
        sender.finish(&mut wire).unwrap();
        let wanted = [b"220 ready\r\n".as_slice(), &messages(3).concat()].concat();
        for piece in 1..wire.len() {
            let mut receiver = CompressionLayer::new(&EncoderPool::shared(), Detect::Anywhere, 0, 0);
            receiver.set_limits(&reading(format));
            let (got, reason) = receive_in(&mut receiver, &wire, piece, ROOM);
            assert!(reason.is_none() && got == wanted, "{format} in pieces of {piece}: {reason:?}");
        }
    }
}
