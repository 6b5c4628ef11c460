//! The few kinds of MessagePack that a state is made of, each in its shortest form.

/// Append an integer.
pub fn put_int(out: &mut Vec<u8>, value: i64) {
    match value {
        -32..=0x7f => out.push(value as u8),
        0x80..=0xff => out.extend([0xcc, value as u8]),
        0x100..=0xffff => put(out, 0xcd, &(value as u16).to_be_bytes()),
        0x1_0000..=0xffff_ffff => put(out, 0xce, &(value as u32).to_be_bytes()),
        0x1_0000_0000.. => put(out, 0xcf, &value.to_be_bytes()),
        -0x80..=-33 => out.extend([0xd0, value as u8]),
        -0x8000..=-0x81 => put(out, 0xd1, &(value as i16).to_be_bytes()),
        -0x8000_0000..=-0x8001 => put(out, 0xd2, &(value as i32).to_be_bytes()),
        _ => put(out, 0xd3, &value.to_be_bytes()),
    }
}

/// Append a text, given as UTF-8.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        n @ 0..32 => out.push(0xa0 | n as u8),
        n @ 32..0x100 => out.extend([0xd9, n as u8]),
        n @ 0x100..0x1_0000 => put(out, 0xda, &(n as u16).to_be_bytes()),
        n => put(out, 0xdb, &(n as u32).to_be_bytes()),
    }
    out.extend_from_slice(text);
}

/// Append the head of so many bytes, which follow.
pub fn put_bin_head(out: &mut Vec<u8>, length: usize) {
    match length {
        n @ 0..0x100 => out.extend([0xc4, n as u8]),
        n @ 0x100..0x1_0000 => put(out, 0xc5, &(n as u16).to_be_bytes()),
        n => put(out, 0xc6, &(n as u32).to_be_bytes()),
    }
}

/// Append the head of an array of so many members, which follow.
pub fn put_array_head(out: &mut Vec<u8>, count: usize) {
    match count {
        n @ 0..16 => out.push(0x90 | n as u8),
        n @ 16..0x1_0000 => put(out, 0xdc, &(n as u16).to_be_bytes()),
        n => put(out, 0xdd, &(n as u32).to_be_bytes()),
    }
}

/// Append true or false.
pub fn put_flag(out: &mut Vec<u8>, flag: bool) {
    out.push(if flag { 0xc3 } else { 0xc2 });
}

fn put(out: &mut Vec<u8>, kind: u8, number: &[u8]) {
    out.push(kind);
    out.extend_from_slice(number);
}

/// Reads what was put; None where something else stands, longer forms of the same included.
pub struct Reader<'a> {
    pub bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    pub fn int(&mut self) -> Option<i64> {
        let kind = self.byte()?;
        let value = match kind {
            0..0x80 | 0xe0.. => return Some((kind as i8).into()),
            0xcc..=0xcf => i64::try_from(self.unsigned(1 << (kind - 0xcc))?).ok()?,
            0xd0..=0xd3 => {
                let width = 1 << (kind - 0xd0);
                let unused_bits = 64 - 8 * width;
                (self.unsigned(width)? << unused_bits) as i64 >> unused_bits
            }
            _ => return None,
        };
        let shortest = match value {
            0x1_0000_0000.. => 0xcf,
            0x1_0000.. => 0xce,
            0x100.. => 0xcd,
            0x80.. => 0xcc,
            -32.. => return None,
            -0x80.. => 0xd0,
            -0x8000.. => 0xd1,
            -0x8000_0000.. => 0xd2,
            _ => 0xd3,
        };
        (kind == shortest).then_some(value)
    }

    /// The bytes of a text; that they are UTF-8 is for the caller to check.
    #[inline]
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            byte @ 0xa0..0xc0 => usize::from(byte & 0x1f),
            0xd9 => self.length(1, 32)?,
            0xda => self.length(2, 0x100)?,
            0xdb => self.length(4, 0x1_0000)?,
            _ => return None,
        };
        self.take(length)
    }

    pub fn bin(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            0xc4 => self.length(1, 0)?,
            0xc5 => self.length(2, 0x100)?,
            0xc6 => self.length(4, 0x1_0000)?,
            _ => return None,
        };
        self.take(length)
    }

    /// How many members of an array follow.
    pub fn array_head(&mut self) -> Option<usize> {
        match self.byte()? {
            byte @ 0x90..0xa0 => Some(usize::from(byte & 0x0f)),
            0xdc => self.length(2, 16),
            0xdd => self.length(4, 0x1_0000),
            _ => None,
        }
    }

    pub fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0xc2 => Some(false),
            0xc3 => Some(true),
            _ => None,
        }
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let found = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(found)
    }

    fn unsigned(&mut self, width: usize) -> Option<u64> {
        let bytes = self.take(width)?.iter();
        Some(bytes.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn length(&mut self, width: usize, least: usize) -> Option<usize> {
        usize::try_from(self.unsigned(width)?).ok().filter(|&length| length >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_they_were_written_and_in_no_longer_form() {
        let edges =
            (0..63).flat_map(|bit| [1 << bit, (1 << bit) - 1, -(1 << bit), -(1 << bit) - 1]);
        for value in edges.chain([i64::MIN, i64::MAX]) {
            let mut bytes = Vec::new();
            put_int(&mut bytes, value);
            assert_eq!(Reader::new(&bytes).int(), Some(value));

            let longest = [&[0xd3][..], &value.to_be_bytes()].concat();
            assert_eq!(Reader::new(&longest).int().is_some(), longest == bytes);
        }
    }

    #[test]
    fn lengths_of_every_width_are_read_as_they_were_written() {
        for length in [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            let content = vec![b'a'; length];
            let mut bytes = Vec::new();
            put_text(&mut bytes, &content);
            put_bin_head(&mut bytes, length);
            bytes.extend_from_slice(&content);
            put_array_head(&mut bytes, length);
            put_flag(&mut bytes, true);

            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.text(), Some(&content[..]));
            assert_eq!(reader.bin(), Some(&content[..]));
            assert_eq!(reader.array_head(), Some(length));
            assert_eq!(reader.flag(), Some(true));
            assert_eq!(reader.at, bytes.len());
        }
    }
}
