//! What reader and writer share: where the fields of a batch's header are, and what they hold.

pub const BASE_OFFSET: usize = 0; // 8 bytes
pub const LENGTH: usize = 8; // 4 bytes: of what follows it
pub const AFTER_LENGTH: usize = 12;
pub const LEADER_EPOCH: usize = 12; // 4 bytes
pub const FORMAT: usize = 16; // 1 byte
pub const CRC: usize = 17; // 4 bytes: CRC-32C of all from the attributes on
pub const ATTRIBUTES: usize = 21; // 2 bytes
pub const LAST_DELTA: usize = 23; // 4 bytes: last offset less base offset
pub const FIRST_TIMESTAMP: usize = 27; // 8 bytes
pub const MAX_TIMESTAMP: usize = 35; // 8 bytes
pub const PRODUCER: usize = 43; // 8 + 2 + 4 bytes: id, epoch, first sequence number
pub const COUNT: usize = 57; // 4 bytes: of records
pub const RECORDS: usize = 61;

pub const FORMAT_2: u8 = 2;

/// The bits of the attributes.
pub const CODEC: i16 = 0b111;
pub const LOG_APPEND_TIME: i16 = 1 << 3;
pub const CONTROL: i16 = 1 << 5;

/// Name and value of one header of a record.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);
