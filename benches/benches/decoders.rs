//! Finding lines, strings and frames in the bytes of one read: 64 KiB, cut at the end of a frame.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use torsade::{Decoder, FrameDecoder, IntStringDecoder, LineDecoder, NetstringDecoder, StringDecoder};

#[path = "../src/records.rs"]
mod records;

use records::Records;

const READ: usize = 64 << 10;
const LENGTHS: [usize; 4] = [8, 80, 1000, 16_000];

fn main() {
    divan::main();
}

/// As many of these as fit into one read, and their number.
fn read_of(unit: &[u8]) -> (Vec<u8>, usize) {
    let count = READ / unit.len();
    (unit.repeat(count), count)
}

#[divan::bench(args = LENGTHS)]
fn lines(bencher: Bencher<'_, '_>, length: usize) {
    let (input, count) = read_of(&[&vec![b'x'; length][..], b"\r\n"].concat());
    let mut decoder = LineDecoder::new();
    bencher.counter(BytesCount::new(input.len())).counter(ItemsCount::new(count)).bench_local(|| {
        decoder.feed(black_box(&input));
        let mut found = 0;
        while let Some(line) = decoder.next_line() {
            found += usize::from(black_box(line).is_ok());
        }
        assert_eq!(found, count);
    });
}

#[divan::bench(types = [NetstringDecoder, IntStringDecoder<4>], args = LENGTHS)]
fn strings<D: StringDecoder>(bencher: Bencher<'_, '_>, length: usize) {
    let mut string = Vec::new();
    D::encode(&vec![b'x'; length], &mut string).expect("a short string");
    frames(bencher, &string, D::default());
}

#[divan::bench(args = LENGTHS)]
fn own_format(bencher: Bencher<'_, '_>, length: usize) {
    let record = [&[1][..], &(length as u16).to_be_bytes(), &vec![b'x'; length]].concat();
    frames(bencher, &record, Records);
}

fn frames<D: Decoder>(bencher: Bencher<'_, '_>, unit: &[u8], decoder: D) {
    let (input, count) = read_of(unit);
    let mut decoder = FrameDecoder::new(decoder);
    bencher.counter(BytesCount::new(input.len())).counter(ItemsCount::new(count)).bench_local(|| {
        decoder.feed(black_box(&input));
        let mut found = 0;
        while let Some(frame) = decoder.next_frame() {
            found += usize::from(black_box(frame).is_ok());
        }
        assert_eq!(found, count);
    });
}
