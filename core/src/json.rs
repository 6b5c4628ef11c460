//! The JSON of scores, byte for byte as orjson writes it.

/// 10^-17 to 10^1: the powers of ten that `model/rounding.py` looks among.
const POWERS: [f64; 19] = [
    1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4,
    1e-3, 1e-2, 1e-1, 1e0, 1e1,
];
/// What makes a number with such a first digit one of six digits.
const SHIFTS: [f64; 19] = [
    1e22, 1e21, 1e20, 1e19, 1e18, 1e17, 1e16, 1e15, 1e14, 1e13, 1e12, 1e11, 1e10, 1e9, 1e8, 1e7,
    1e6, 1e5, 1e4,
];
const DIGITS: usize = 6;
const ONE: i32 = 16; // the place in POWERS before that of 1

/// Append a whole number.
pub fn put_integer(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Append a text, given as UTF-8: what must be escaped is, and nothing else.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.iter().all(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.extend_from_slice(text);
    } else {
        text.iter().for_each(|&byte| put_escaped(out, byte));
    }
    out.push(b'"');
}

fn put_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend([b'\\', byte]),
        b'\n' => out.extend(b"\\n"),
        b'\r' => out.extend(b"\\r"),
        b'\t' => out.extend(b"\\t"),
        0x08 => out.extend(b"\\b"),
        0x0c => out.extend(b"\\f"),
        0..b' ' => out.extend(format!("\\u{byte:04x}").as_bytes()),
        _ => out.push(byte),
    }
}

/// Append a probability, rounded to six significant digits as `model/rounding.py` rounds it.
///
/// The digits come out of the rounding, so none are searched for. None if it is no probability.
pub fn put_probability(out: &mut Vec<u8>, exact: f64) -> Option<()> {
    if !(0.0..=1.0).contains(&exact) {
        return None;
    }
    let Some(place) = POWERS.iter().rposition(|&power| power <= exact) else {
        out.extend_from_slice(b"0.0");
        return Some(());
    };
    let mut digits = (exact * SHIFTS[place]).round_ties_even() as u32; // 100,000 to 1,000,000
    let mut exponent = place as i32 - ONE; // the value is 0.digits · 10^exponent
    if digits == 1_000_000 {
        (digits, exponent) = (100_000, exponent + 1);
    }
    let mut text = [0; DIGITS];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (digits % 10) as u8;
        digits /= 10;
    }
    let zeros = text.iter().rev().take_while(|&&digit| digit == b'0').count();
    put_decimal(out, &text[..DIGITS - zeros], exponent);
    Some(())
}

/// Append 0.digits · 10^exponent.
fn put_decimal(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    match exponent {
        1 => out.extend_from_slice(b"1.0"), // no probability is greater
        -4..=0 => {
            out.extend_from_slice(&b"0.0000"[..2 + exponent.unsigned_abs() as usize]);
            out.extend_from_slice(digits);
        }
        _ => {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(b"e-");
            put_integer(out, (1 - exponent).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{put_probability, put_text};

    fn probability(exact: f64) -> Option<String> {
        let mut out = Vec::new();
        put_probability(&mut out, exact)?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn a_probability_has_six_digits() {
        let expected = [
            (0.123_456_49, "0.123456"),
            (0.5, "0.5"),
            (0.000_012_345_67, "0.0000123457"),
            (0.000_1, "0.0001"),
            (9.999_999e-5, "0.0001"), // rounds up to seven digits
            (1e-5, "0.00001"),
            (1.234_567e-6, "1.23457e-6"),
            (0.999_999_9, "1.0"),
            (1.0, "1.0"),
            (1e-17, "1e-17"),
            (9e-18, "0.0"),
            (0.0, "0.0"),
        ];
        for (exact, text) in expected {
            assert_eq!(probability(exact).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_probability_is_none() {
        for exact in [-1e-9, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(probability(exact), None);
        }
    }

    #[test]
    fn a_text_is_escaped_where_it_must_be() {
        let mut out = Vec::new();
        put_text(&mut out, "a\"\\\n\u{1}\u{7f}ä".as_bytes());

        assert_eq!(out, "\"a\\\"\\\\\\n\\u0001\u{7f}ä\"".as_bytes());
    }
}
