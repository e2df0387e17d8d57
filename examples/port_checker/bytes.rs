//! Bytes as they stand in a script: in double quotes, with escapes.

/// `"..."`, with what is not printable as `\r`, `\n`, `\t`, `\0`, `\\`, `\"` or `\x7f`.
pub fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            0 => text.push_str("\\0"),
            b'\'' => text.push('\''),
            other => text.extend(other.escape_ascii().map(char::from)),
        }
    }
    text.push('"');
    text
}

/// As written in a script: long repetitions as `"a"*1000`.
pub fn written(bytes: &[u8]) -> String {
    let repeats = |length: &usize| bytes.chunks(*length).all(|part| *part == bytes[..*length]);
    match (1..=bytes.len() / 100).take(100).find(repeats) {
        Some(length) => format!("{}*{}", quoted(&bytes[..length]), bytes.len() / length),
        None => quoted(bytes),
    }
}

/// The same for people: of many bytes only the beginning, the end and the number.
pub fn shown(bytes: &[u8]) -> String {
    const ENDS: usize = 60;
    if bytes.len() <= 3 * ENDS {
        return quoted(bytes);
    }
    let (first, last) = (&bytes[..ENDS], &bytes[bytes.len() - ENDS..]);
    format!("{} ... {} ({} bytes)", quoted(first), quoted(last), bytes.len())
}

/// Takes quoted bytes off the front of `text`; gives them and the rest.
///
/// `"a"*1000` is a thousand times the same.
pub fn unquote(text: &str) -> Result<(Vec<u8>, &str), String> {
    let inner = text.strip_prefix('"').ok_or_else(|| format!("bytes stand in double quotes, not {text:?}"))?;
    let mut bytes = Vec::new();
    let mut rest = inner.char_indices();
    while let Some((at, char)) = rest.next() {
        match char {
            '"' => return repeated(bytes, &inner[at + 1..]),
            '\\' => bytes.push(escaped(&mut rest)?),
            other => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    Err(format!("the closing quote is missing: {text}"))
}

fn escaped(rest: &mut std::str::CharIndices<'_>) -> Result<u8, String> {
    let (_, char) = rest.next().ok_or("a backslash at the end")?;
    Ok(match char {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        '0' => 0,
        '\\' | '"' => char as u8,
        'x' => {
            let digits: String = rest.by_ref().take(2).map(|(_, digit)| digit).collect();
            u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x wants two hexadecimal digits, not {digits:?}"))?
        }
        other => return Err(format!("there is no escape \\{other}: \\r \\n \\t \\0 \\\\ \\\" \\x7f")),
    })
}

/// The most that one step sends: what stands in a script should not fill the memory.
const LARGEST: usize = 8 << 20;

fn repeated(bytes: Vec<u8>, rest: &str) -> Result<(Vec<u8>, &str), String> {
    let Some(count) = rest.strip_prefix('*') else { return Ok((bytes, rest)) };
    let digits = count.find(|char: char| !char.is_ascii_digit()).unwrap_or(count.len());
    let times: usize = count[..digits].parse().map_err(|_| format!("* wants a number, not {count:?}"))?;
    match bytes.len().checked_mul(times) {
        Some(size) if size <= LARGEST => Ok((bytes.repeat(times), &count[digits..])),
        _ => Err(format!("a step sends at most {LARGEST} bytes")),
    }
}
