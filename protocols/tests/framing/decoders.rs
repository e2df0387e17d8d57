//! What decoders make of bytes: lines, netstrings, strings with a length, states, and your own formats.

use std::convert::Infallible;

use torsade_protocols::testing::StringTransport;
use torsade_protocols::{
    Decoded, Decoder, FrameDecoder, FrameError, FrameTransport, IntStringDecoder, LineDecoder, NetstringDecoder, NetstringError,
    Protocol, ProtocolState, Result, StatefulError, StatefulProtocol, StatefulReceiver, StringDecoder, StringTooLong,
};

/// Words that end in a space; remembers how far it has looked, and counts the bytes it looks at.
#[derive(Default)]
struct Words {
    searched: usize,
    looked_at: usize,
}

impl Decoder for Words {
    type Frame<'a> = &'a [u8];
    type Error = Infallible;
    const OVERHEAD: usize = 1;

    fn decode<'a>(&mut self, data: &'a [u8], _: usize) -> Result<Decoded<&'a [u8]>, FrameError<Infallible>> {
        self.looked_at += data.len() - self.searched;
        match data[self.searched..].iter().position(|byte| *byte == b' ') {
            Some(0) if self.searched == 0 => Ok(Decoded::Skip { used: 1 }),
            Some(at) => {
                let length = self.searched + at;
                self.searched = 0;
                Ok(Decoded::Frame { frame: &data[..length], used: length + 1 })
            }
            None => {
                self.searched = data.len();
                Ok(Decoded::Incomplete { needed: 0 })
            }
        }
    }
}

#[test]
fn bytes_that_belong_to_no_frame_are_left_out() {
    let mut decoder = FrameDecoder::new(Words::default());
    decoder.feed(b"  one   two t");
    assert_eq!(decoder.next_frame(), Some(Ok(&b"one"[..])));
    assert_eq!(decoder.next_frame(), Some(Ok(&b"two"[..])));
    assert_eq!(decoder.next_frame(), None);
    assert_eq!(decoder.take_rest(), b"t");
}

#[test]
fn each_byte_is_examined_once_however_small_the_pieces() {
    let mut decoder = FrameDecoder::new(Words::default());
    decoder.set_max_length(20_000);
    for _ in 0..10_000 {
        decoder.feed(b"x");
        assert_eq!(decoder.next_frame(), None);
    }
    assert_eq!(decoder.decoder().looked_at, 10_000);
}

#[test]
fn a_frame_that_never_ends_is_cut_off_at_the_limit() {
    let mut decoder = FrameDecoder::new(Words::default());
    decoder.set_max_length(4);
    decoder.feed(b"1234");
    assert_eq!(decoder.next_frame(), None);
    decoder.feed(b"5");
    assert_eq!(decoder.next_frame(), Some(Err(FrameError::TooLong { length: 6, limit: 4 })));
    decoder.feed(&[b'x'; 1000]);
    assert_eq!(decoder.next_frame(), None);
    assert_eq!(decoder.len(), 5, "nothing is kept after the error");
}

#[test]
fn a_decoder_that_takes_no_bytes_is_found_out() {
    struct Nothing;
    impl Decoder for Nothing {
        type Frame<'a> = ();
        type Error = Infallible;
        fn decode(&mut self, _: &[u8], _: usize) -> Result<Decoded<()>, FrameError<Infallible>> {
            Ok(Decoded::Frame { frame: (), used: 0 })
        }
    }
    let mut decoder = FrameDecoder::new(Nothing);
    decoder.feed(b"x");
    assert_eq!(decoder.next_frame(), Some(Err(FrameError::Stuck)));
    assert_eq!(decoder.next_frame(), None);
}

fn lines_of(decoder: &mut LineDecoder, chunks: &[&[u8]]) -> Vec<Result<Vec<u8>, usize>> {
    let mut lines = Vec::new();
    for chunk in chunks {
        decoder.feed(chunk);
        while let Some(line) = decoder.next_line() {
            lines.push(line.map(<[u8]>::to_vec).map_err(|error| error.data.len()));
        }
    }
    lines
}

#[test]
fn every_split_gives_the_same_lines() {
    let input = b"one\r\n\r\ntwo\rthree\n\r\nfour\r\r\nrest";
    let whole = lines_of(&mut LineDecoder::new(), &[input]);
    assert_eq!(whole.len(), 4);
    for first in 0..=input.len() {
        for second in first..=input.len() {
            let parts = [&input[..first], &input[first..second], &input[second..]];
            let mut decoder = LineDecoder::new();
            assert_eq!(lines_of(&mut decoder, &parts), whole, "cut at {first} and {second}");
            assert_eq!(decoder.take_rest(), b"rest");
        }
    }
}

#[test]
fn the_limit_of_a_line_is_twisteds() {
    let decoder = &mut LineDecoder::new();
    decoder.set_max_length(4);
    assert_eq!(lines_of(decoder, &[b"1234\r\n"]), [Ok(b"1234".to_vec())]);
    assert_eq!(lines_of(decoder, &[b"12345\r\nafter"]), [Err(12)]);
    assert_eq!(lines_of(decoder, &[b"12345"]), [], "five bytes may still be a line of four and half a delimiter");
    assert_eq!(lines_of(decoder, &[b"6"]), [Err(6)]);
    assert_eq!(lines_of(decoder, &[b"ok\r\n"]), [Ok(b"ok".to_vec())]);
}

#[test]
fn a_long_delimiter_is_found_when_it_overlaps_itself() {
    let decoder = &mut LineDecoder::new();
    decoder.set_delimiter(b"aab");
    assert_eq!(lines_of(decoder, &[b"xaaa", b"abyaab"]), [Ok(b"xaa".to_vec()), Ok(b"y".to_vec())]);
}

#[test]
fn bytes_put_back_to_a_line_decoder_come_first() {
    let mut decoder = LineDecoder::new();
    decoder.feed(b"one\r\nthree\r\n");
    assert_eq!(decoder.next_line(), Some(Ok(&b"one"[..])));
    decoder.unread(b"two\r\n");
    assert_eq!(lines_of(&mut decoder, &[b""]), [Ok(b"two".to_vec()), Ok(b"three".to_vec())]);
}

fn first_netstring(input: &[u8]) -> Option<Result<Vec<u8>, FrameError<NetstringError>>> {
    let mut decoder = FrameDecoder::new(NetstringDecoder);
    decoder.feed(input);
    decoder.next_frame().map(|frame| frame.map(<[u8]>::to_vec))
}

#[test]
fn the_first_wrong_byte_of_a_netstring_is_refused() {
    for wrong in [&b":"[..], b",", b" 1:", b"+1:", b"-1:", b"00", b"01:a,", b"1 ", b"a"] {
        assert_eq!(first_netstring(wrong), Some(Err(FrameError::Decode(NetstringError::NoLength))), "{}", wrong.escape_ascii());
    }
    assert_eq!(first_netstring(b"1:ab"), Some(Err(FrameError::Decode(NetstringError::NoComma))));
    assert_eq!(first_netstring(b"0:;"), Some(Err(FrameError::Decode(NetstringError::NoComma))));
}

#[test]
fn the_limit_of_a_netstring_is_inclusive_and_is_seen_before_the_colon() {
    assert_eq!(first_netstring(b"99999"), None);
    assert_eq!(first_netstring(b"100000"), Some(Err(FrameError::TooLong { length: 100_000, limit: 99_999 })));
    let endless = [b'9'; 10_000];
    assert!(matches!(first_netstring(&endless), Some(Err(FrameError::TooLong { .. }))));
}

#[test]
fn every_split_gives_the_same_netstrings() {
    let input = b"3:abc,0:,12:0:,1:,1:x,12,1:y,";
    for cut in 0..=input.len() {
        let mut decoder = FrameDecoder::new(NetstringDecoder);
        let mut strings = Vec::new();
        for part in [&input[..cut], &input[cut..]] {
            decoder.feed(part);
            while let Some(string) = decoder.next_frame() {
                strings.push(string.unwrap().to_vec());
            }
        }
        assert_eq!(strings, [&b"abc"[..], b"", b"0:,1:,1:x,12", b"y"], "cut at {cut}");
    }
}

#[test]
fn a_string_with_its_length_is_decoded_at_every_split() {
    let mut wire = Vec::new();
    for string in [&b"one"[..], b"", b"\0\0\0", &[7; 200]] {
        IntStringDecoder::<2>::encode(string, &mut wire).unwrap();
    }
    for cut in 0..=wire.len() {
        let mut decoder = FrameDecoder::new(IntStringDecoder::<2>);
        let mut lengths = Vec::new();
        for part in [&wire[..cut], &wire[cut..]] {
            decoder.feed(part);
            while let Some(string) = decoder.next_frame() {
                lengths.push(string.unwrap().len());
            }
        }
        assert_eq!(lengths, [3, 0, 3, 200], "cut at {cut}");
        assert!(decoder.is_empty());
    }
}

#[test]
fn the_limit_of_a_string_is_inclusive() {
    let mut decoder = FrameDecoder::new(IntStringDecoder::<4>);
    decoder.feed(&99_999_u32.to_be_bytes());
    assert_eq!(decoder.next_frame(), None);
    let mut decoder = FrameDecoder::new(IntStringDecoder::<4>);
    decoder.feed(&100_000_u32.to_be_bytes());
    assert_eq!(decoder.next_frame(), Some(Err(FrameError::TooLong { length: 100_000, limit: 99_999 })));
}

#[test]
fn a_length_that_the_prefix_cannot_express_is_refused() {
    let mut out = Vec::new();
    assert_eq!(IntStringDecoder::<1>::encode(&[0; 255], &mut out), Ok(()));
    assert_eq!(IntStringDecoder::<1>::encode(&[0; 256], &mut out), Err(StringTooLong { length: 256, limit: 255 }));
    assert_eq!(out.len(), 256);
}

struct Greedy(usize);

impl Greedy {
    fn stay(&mut self, _: &FrameTransport, _: &[u8]) -> Result<Option<ProtocolState<Self>>> {
        Ok(None)
    }
}

impl StatefulProtocol for Greedy {
    fn initial_state(&mut self) -> ProtocolState<Self> {
        ProtocolState::new(Self::stay, self.0)
    }
}

fn error_of(wanted: usize) -> Option<StatefulError> {
    let result = StatefulReceiver::new(Greedy(wanted)).data_received(&StringTransport::new(), b"x");
    result.err().and_then(|error| error.downcast_ref().copied())
}

#[test]
fn states_that_never_end_are_an_error() {
    assert_eq!(error_of(0), Some(StatefulError::Stuck));
    assert_eq!(error_of(1), None);
}

#[test]
fn a_state_that_wants_more_than_the_limit_is_an_error_before_the_bytes_come() {
    assert_eq!(error_of(99_999), None);
    assert_eq!(error_of(100_000), Some(StatefulError::TooLong { wanted: 100_000, limit: 99_999 }));
}
