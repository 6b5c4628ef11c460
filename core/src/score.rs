//! Scores as the JSON of the scores topic, byte for byte as `stream/pipeline/encoding.py` writes it.

use blake2b_simd::Params;

use crate::json::{put_integer, put_text};

const ID_BYTES: usize = 16;

/// Whose score it is, and what it covers.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub key: &'a [u8],
    pub partition: i32,
    pub offset: i64,
    pub ts_ms: i64,
    pub actions: usize, // in the user's sequence
}

/// What is the same in every score of one model at one level.
#[derive(Debug)]
pub struct ScoreWriter {
    topic: Vec<u8>,
    source: Vec<u8>, // the model's version, and the level unless it is full
    model: Vec<u8>,
    horizon_ms: i64,
}

impl ScoreWriter {
    pub fn new(
        events_topic: &str,
        name: &str,
        version: &str,
        source: &[u8],
        horizon_s: i64,
    ) -> Self {
        let mut topic = Vec::new();
        put_text(&mut topic, events_topic.as_bytes());
        let mut model = Vec::new();
        model.extend_from_slice(b"{\"name\":");
        put_text(&mut model, name.as_bytes());
        model.extend_from_slice(b",\"version\":");
        put_text(&mut model, version.as_bytes());
        model.push(b'}');
        Self { topic, source: source.to_vec(), model, horizon_ms: horizon_s * 1000 }
    }

    /// Append one score; `prediction` is the model's part of it, without braces.
    ///
    /// `scratch` is written over.
    pub fn put(
        &self,
        out: &mut Vec<u8>,
        of: &Subject<'_>,
        prediction: &[u8],
        scored_at_ms: i64,
        scratch: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"{\"score_id\":\"");
        self.put_id(out, of, scratch);
        out.extend_from_slice(b"\",\"user_id\":");
        put_text(out, of.key);
        out.extend_from_slice(b",\"as_of\":{\"topic\":");
        out.extend_from_slice(&self.topic);
        let numbers = [
            (&b",\"partition\":"[..], of.partition.into()),
            (b",\"offset\":", of.offset),
            (b",\"ts\":", of.ts_ms),
            (b"},\"scored_at\":", scored_at_ms),
            (b",\"valid_until\":", of.ts_ms + self.horizon_ms),
        ];
        for (name, number) in numbers {
            out.extend_from_slice(name);
            put_integer(out, number);
        }
        out.extend_from_slice(b",\"model\":");
        out.extend_from_slice(&self.model);
        out.push(b',');
        out.extend_from_slice(prediction);
        out.extend_from_slice(b",\"n_events\":");
        put_integer(out, of.actions as i64);
        out.push(b'}');
    }

    /// BLAKE2b-128 of user, source offset and model version, in hexadecimal digits.
    fn put_id(&self, out: &mut Vec<u8>, of: &Subject<'_>, scratch: &mut Vec<u8>) {
        scratch.clear();
        scratch.extend_from_slice(of.key);
        scratch.push(0);
        put_integer(scratch, of.offset);
        scratch.push(0);
        scratch.extend_from_slice(&self.source);
        let id = Params::new().hash_length(ID_BYTES).hash(scratch);
        out.extend_from_slice(id.to_hex().as_bytes());
    }
}
