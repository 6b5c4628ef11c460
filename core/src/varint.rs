//! Kafka's variable-length integers: zigzag, seven bits a byte, lowest first.

/// Append one.
#[inline]
pub fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes one takes.
#[inline]
pub fn size(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Read the one at `at`, and move `at` past it; None where the bytes end first, or it is too large.
#[inline]
pub fn get(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if shift == 63 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::{get, put, size};

    #[test]
    fn each_is_read_as_it_was_written() {
        let edges =
            (0..63).flat_map(|bit| [1 << bit, (1 << bit) - 1, -(1 << bit), -(1 << bit) - 1]);
        for value in edges.chain([0, i64::MAX, i64::MIN]) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            let mut at = 0;

            assert_eq!(bytes.len(), size(value), "{value}");
            assert_eq!(get(&bytes, &mut at), Some(value));
            assert_eq!(at, bytes.len());
            assert_eq!(get(&bytes[..at - 1], &mut 0), None);
        }
    }

    #[test]
    fn one_of_more_than_64_bits_is_none() {
        let mut largest = [0xff; 10];
        largest[9] = 1;
        assert_eq!(get(&largest, &mut 0), Some(i64::MIN));

        largest[9] = 2;
        assert_eq!(get(&largest, &mut 0), None);
        assert_eq!(get(&[0xff; 11], &mut 0), None);
    }
}
