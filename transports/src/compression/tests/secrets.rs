//! Secrets: barriers, and pieces that are stored.

use torsade_protocols::Flush;

use super::*;

/// The length of the message with a guess, after a secret was sent.
fn length_of(guess: &str, barrier: bool, format: Format) -> usize {
    let mut sender = sender(&Compression::from(format));
    send(&mut sender, &["GET / HTTP/1.1\r\nHost: example.org\r\n"]);
    let mut wire = Vec::new();
    if barrier {
        sender.barrier(&mut wire, NOW).unwrap();
    }
    send(&mut sender, &["Cookie: session=s3cr3t-t0k3n-42"]);
    if barrier {
        sender.barrier(&mut wire, NOW).unwrap();
    }
    send(&mut sender, &[format!("Cookie: session={guess}")]).len()
}

#[test]
fn a_barrier_hides_whether_a_guess_was_right() {
    let (right, wrong) = ("s3cr3t-t0k3n-42", "q7xw9z-p1v5m-86");
    for format in formats() {
        assert!(length_of(right, false, format) < length_of(wrong, false, format), "{format}: the oracle exists");
        assert_eq!(length_of(right, true, format), length_of(wrong, true, format), "{format}");
    }
}

#[test]
fn what_is_stored_is_not_compressed_and_no_guess_refers_to_it() {
    let secrets = ["Cookie: session=s3cr3t-t0k3n-42", "Cookie: session=q7xw9z-p1v5m-86", "Cookie: session=sssssssssssssss"];
    for format in formats() {
        // The attacker's text surrounds the secret: a right guess and a wrong one, in the same flush or not.
        for guess in &secrets[..2] {
            for flush in [Flush::EveryTurn, Flush::Manual] {
                let lengths = secrets.map(|secret| {
                    let (mut sender, mut wire) = (sender(&Compression::from(format).flush(flush)), Vec::new());
                    sender.write(guess.as_bytes(), &mut wire, NOW).unwrap();
                    write_uncompressed(&mut sender, secret.as_bytes(), &mut wire);
                    assert!(wire.windows(secret.len()).any(|window| window == secret.as_bytes()), "{format}: it is not stored");
                    let stored = wire.len();
                    sender.write(guess.as_bytes(), &mut wire, NOW).unwrap();
                    sender.force_flush(&mut wire, NOW).unwrap();
                    assert_eq!(receive(&mut detecting(), &wire), [guess, secret, *guess].concat().as_bytes(), "{format}");
                    (stored, wire.len())
                });
                assert_eq!(lengths[0], lengths[1], "{format}, {guess}");
                assert_eq!(lengths[0], lengths[2], "{format}, {guess}");
            }
        }
    }
}

#[test]
fn what_is_stored_can_be_read_at_once_whatever_is_flushed_and_when() {
    for format in formats() {
        let (mut sender, mut receiver) = (sender(&Compression::from(format).flush(Flush::Manual)), detecting());
        let mut wire = Vec::new();
        sender.write(b"held back, ", &mut wire, NOW).unwrap();
        write_uncompressed(&mut sender, b"stored", &mut wire);
        assert_eq!(receive(&mut receiver, &wire), b"held back, stored", "{format}");
        wire.clear();
        write_uncompressed(&mut sender, b"", &mut wire);
        sender.flush(&mut wire, NOW).unwrap();
        assert_eq!(wire, b"", "{format}: nothing is left to flush");
        assert_eq!(sender.deadline(), None, "{format}");
    }
}

#[test]
fn a_stream_may_begin_and_end_with_what_is_stored() {
    for format in formats() {
        for plain in [&b"x"[..], &noise(300_000)] {
            let (mut sender, mut receiver, mut wire) = (sender(&format.into()), detecting(), Vec::new());
            write_uncompressed(&mut sender, plain, &mut wire);
            assert!(wire.len() < plain.len() + plain.len() / 1000 + 80, "{format}: {}", wire.len());
            sender.finish(&mut wire).unwrap();
            assert!(receive(&mut receiver, &wire) == plain, "{format}");
            assert!(receiver.stats().stream_ended, "{format}");
        }
    }
}

#[test]
fn a_stream_goes_on_after_a_barrier() {
    for format in formats() {
        let (mut sender, mut receiver) = (sender(&format.into()), detecting());
        for message in messages(10) {
            let mut wire = send(&mut sender, &[&message]);
            sender.barrier(&mut wire, NOW).unwrap();
            assert_eq!(receive(&mut receiver, &wire), message, "{format}");
        }
        let mut wire = Vec::new();
        sender.finish(&mut wire).unwrap();
        receive(&mut receiver, &wire);
        assert!(receiver.stats().stream_ended, "{format}");
    }
}
