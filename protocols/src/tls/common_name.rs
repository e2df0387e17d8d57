//! The name in a certificate that says whose it is.

/// The first common name of the certificate's subject; the certificate is in DER (RFC 5280, 4.1).
///
/// None if it has none, or one that is neither ASCII nor UTF-8, or if these bytes are not a certificate.
pub(super) fn common_name(mut certificate: &[u8]) -> Option<String> {
    let mut signed = tagged(SEQUENCE, &mut certificate)?;
    let mut fields = tagged(SEQUENCE, &mut signed)?;
    // The version, which the oldest certificates lack, and the serial number.
    if element(&mut fields)?.0 == VERSION {
        element(&mut fields)?;
    }
    for _signature_issuer_validity in 0..3 {
        tagged(SEQUENCE, &mut fields)?;
    }
    let mut subject = tagged(SEQUENCE, &mut fields)?;
    while !subject.is_empty() {
        let mut attributes = tagged(SET, &mut subject)?;
        while !attributes.is_empty() {
            let mut attribute = tagged(SEQUENCE, &mut attributes)?;
            if tagged(OBJECT_IDENTIFIER, &mut attribute)? == COMMON_NAME {
                let (UTF8_STRING | PRINTABLE_STRING | IA5_STRING, name) = element(&mut attribute)? else { return None };
                return str::from_utf8(name).ok().map(str::to_owned);
            }
        }
    }
    None
}

/// 2.5.4.3, as X.520 numbers it.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// Takes an element with this tag off the front; gives its content.
fn tagged<'a>(tag: u8, der: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (found, content) = element(der)?;
    (found == tag).then_some(content)
}

/// Takes an element off the front; gives its tag and its content.
fn element<'a>(der: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let ([tag, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        // The length of the length. Four bytes are more than any certificate has.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some((*tag, content))
}
