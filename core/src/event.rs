//! The usual event of the wire contract, as nearly every producer writes it.
//!
//! It takes less than `stream/events.py`, and nothing that is not taken there with the same
//! meaning: a flat object, texts without escapes, plain numbers. Anything else is Python's to judge.

const FIRST_TS_MS: i64 = 100_000_000_000; // as in model/times.py
const LAST_TS_MS: i64 = 253_402_300_799_999;
const NO_CLOCK_MS: i64 = -1;
const MOST_BYTES: usize = 256; // of an id: as many characters are allowed
const MOST_ACTION_BYTES: usize = 64;
const MOST_DIGITS: usize = 18; // that fit 64 bits whatever they are

/// What the value of a record says; the texts are parts of it.
#[derive(Debug, PartialEq)]
pub struct Payload<'a> {
    pub user_id: &'a [u8],
    pub item_id: &'a [u8],
    pub action: &'a [u8],
    pub ts_ms: i64,
    pub event_id: Option<&'a [u8]>,
    pub category: Option<&'a [u8]>, // an empty one is none
}

/// The time of a record, or NO_CLOCK_MS: `clock_of` in stream/events.py.
pub fn clock_ms(timestamp_ms: i64) -> i64 {
    if is_time(timestamp_ms) { timestamp_ms } else { NO_CLOCK_MS }
}

fn is_time(ms: i64) -> bool {
    (FIRST_TS_MS..=LAST_TS_MS).contains(&ms)
}

/// Read the value of a record; None if it is unusual.
pub fn read(value: &[u8]) -> Option<Payload<'_>> {
    simdutf8::basic::from_utf8(value).ok()?;
    let mut reader = Reader { bytes: value, at: 0 };
    let mut found = Fields::default();
    reader.expect(b'{')?;
    loop {
        let name = reader.text()?;
        reader.expect(b':')?;
        found.read(name, &mut reader)?;
        match reader.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    reader.skip_space();
    if reader.at < value.len() { None } else { found.payload() }
}

/// The fields of an object so far; the outer None is a field that was not there.
#[derive(Default)]
struct Fields<'a> {
    user_id: Option<&'a [u8]>,
    item_id: Option<&'a [u8]>,
    action: Option<&'a [u8]>,
    ts_ms: Option<i64>,
    event_id: Option<Option<&'a [u8]>>,
    category: Option<Option<&'a [u8]>>,
    others: u8, // a bit for each of those that are checked and not used
}

impl<'a> Fields<'a> {
    /// Read the value of one field; None for what is unusual, and for a name that came before.
    fn read(&mut self, name: &[u8], reader: &mut Reader<'a>) -> Option<()> {
        match name {
            b"user_id" => once(&mut self.user_id, reader.id()?),
            b"item_id" => once(&mut self.item_id, reader.id()?),
            b"action" => once(&mut self.action, reader.text_of(1, MOST_ACTION_BYTES)?),
            b"ts" => once(&mut self.ts_ms, reader.integer().filter(|&ts| is_time(ts))?),
            b"event_id" => once(&mut self.event_id, reader.or_null(Reader::id)?),
            b"category" => once(&mut self.category, reader.or_null(Reader::short)?),
            b"session_id" => self.other(1, reader.or_null(Reader::short)),
            b"price" => self.other(2, reader.or_null(Reader::number)),
            b"quantity" => self.other(4, reader.or_null(Reader::number)),
            _ => reader.skip_scalar(),
        }
    }

    fn other<T>(&mut self, bit: u8, value: Option<T>) -> Option<()> {
        value.filter(|_| self.others & bit == 0)?;
        self.others |= bit;
        Some(())
    }

    fn payload(self) -> Option<Payload<'a>> {
        Some(Payload {
            user_id: self.user_id?,
            item_id: self.item_id?,
            action: self.action?,
            ts_ms: self.ts_ms?,
            event_id: self.event_id.flatten(),
            category: self.category.flatten().filter(|category| !category.is_empty()),
        })
    }
}

fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// Reads JSON from the left to the right; None for what is unusual or no JSON.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no space.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        self.skip_space();
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// A text without escapes; a control character in it is no JSON.
    #[inline]
    fn text(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        self.at += end + 1;
        (rest[end] == b'"').then_some(&rest[..end])
    }

    fn text_of(&mut self, least: usize, most: usize) -> Option<&'a [u8]> {
        self.text().filter(|text| (least..=most).contains(&text.len()))
    }

    fn id(&mut self) -> Option<&'a [u8]> {
        self.text_of(1, MOST_BYTES)
    }

    fn short(&mut self) -> Option<&'a [u8]> {
        self.text_of(0, MOST_BYTES)
    }

    fn or_null<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.word(b"null") { Some(None) } else { read(self).map(Some) }
    }

    fn word(&mut self, word: &[u8]) -> bool {
        self.skip_space();
        let found = self.bytes[self.at..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// Digits, of which the first is no zero unless it is the only one.
    #[inline]
    fn digits(&mut self) -> Option<i64> {
        let start = self.at;
        let mut value = 0i64;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
            self.at += 1;
        }
        let count = self.at - start;
        let is_plain =
            (1..=MOST_DIGITS).contains(&count) && (count == 1 || self.bytes[start] != b'0');
        is_plain.then_some(value)
    }

    /// An integer without a sign.
    #[inline]
    fn integer(&mut self) -> Option<i64> {
        self.skip_space();
        self.digits().filter(|_| !matches!(self.peek(), Some(b'.' | b'e' | b'E')))
    }

    /// A number without an exponent; its value is used nowhere.
    fn number(&mut self) -> Option<()> {
        self.skip_space();
        self.at += usize::from(self.peek() == Some(b'-'));
        self.digits()?;
        if self.peek() == Some(b'.') {
            self.at += 1;
            let start = self.at;
            while matches!(self.peek(), Some(b'0'..=b'9')) {
                self.at += 1;
            }
            (1..=MOST_DIGITS).contains(&(self.at - start)).then_some(())?;
        }
        (!matches!(self.peek(), Some(b'e' | b'E'))).then_some(())
    }

    /// The value of an unknown field, unless it is an object or an array.
    fn skip_scalar(&mut self) -> Option<()> {
        self.skip_space();
        match self.peek()? {
            b'"' => self.text().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            _ => [&b"null"[..], b"true", b"false"].iter().any(|word| self.word(word)).then_some(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Payload, read};

    const EVENT: &str = r#"{"user_id":"u1","item_id":"i1","action":"click","ts":1790000000000}"#;

    fn with(field: &str) -> String {
        EVENT.replace('}', &format!(", {field} }}"))
    }

    #[test]
    fn a_usual_event_is_read() {
        let value = with(r#""event_id":"e1" ,"category":"shoes","price":-1.50"#);

        let expected = Payload {
            user_id: b"u1",
            item_id: b"i1",
            action: b"click",
            ts_ms: 1_790_000_000_000,
            event_id: Some(b"e1"),
            category: Some(b"shoes"),
        };
        assert_eq!(read(value.as_bytes()), Some(expected));
    }

    #[test]
    fn null_and_an_empty_category_are_none() {
        for field in [r#""category":"""#, r#""category":null"#, r#""event_id":null"#] {
            let value = with(field);
            let payload = read(value.as_bytes()).expect(field);
            assert_eq!((payload.event_id, payload.category), (None, None));
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        for field in [r#""a":"x""#, r#""a":-0.5"#, r#""a":true"#, r#""a":null"#, r#""a":0,"a":1"#] {
            assert!(read(with(field).as_bytes()).is_some(), "{field}");
        }
    }

    #[test]
    fn what_is_unusual_is_handed_back() {
        let unusual = [
            EVENT.replace("u1", r"\u0031"),
            EVENT.replace("1790000000000", "1.79e12"),
            EVENT.replace("1790000000000", "01790000000000"),
            EVENT.replace("1790000000000", "1790000000"),
            EVENT.replace("1790000000000", r#""2026-01-31T12:00:00Z""#),
            EVENT.replace("u1", ""),
            EVENT.replace("click", &"a".repeat(65)),
            EVENT.replace("i1", &"a".repeat(257)),
            EVENT.replace("i1", "a\nb"),
            EVENT.replace('}', ""),
            EVENT.replace(r#""item_id":"i1","#, ""),
            with(r#""ts":1790000000000"#),
            with(r#""price":1e3"#),
            with(r#""price":.5"#),
            with(r#""price":"1""#),
            with(r#""properties":{}"#),
            with(r#""a":nul"#),
            with(""),
            format!("{EVENT}x"),
            "[]".into(),
            String::new(),
        ];
        for value in unusual {
            assert_eq!(read(value.as_bytes()), None, "{value}");
        }
        let mut not_utf8 = EVENT.to_owned().into_bytes();
        not_utf8[12] = 0xff; // the u of u1
        assert_eq!(read(&not_utf8), None);
    }
}
