//! Writing JSON straight into the output, without a tree: compact, in the order of the calls.

use serde::Serialize;

use crate::canonical::Json;

/// Writes one object.
pub(crate) fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.push(b'{');
    fill(&mut ObjectWriter { out, first: true });
    out.push(b'}');
}

fn scalar(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let start = out.len();
    // Neither strings nor numbers nor a growing buffer can fail; null keeps the document valid regardless.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

#[derive(Debug)]
pub(crate) struct ObjectWriter<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl ObjectWriter<'_> {
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        scalar(self.out, key);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn value(&mut self, key: &str, value: &(impl Serialize + ?Sized)) {
        scalar(self.key(key), value);
    }

    pub(crate) fn text(&mut self, key: &str, text: &str) {
        self.value(key, text);
    }

    pub(crate) fn number(&mut self, key: &str, number: u64) {
        self.value(key, &number);
    }

    pub(crate) fn optional(&mut self, key: &str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.value(key, value);
        }
    }

    pub(crate) fn null(&mut self, key: &str) {
        self.key(key).extend_from_slice(b"null");
    }

    pub(crate) fn json(&mut self, key: &str, json: &Json) {
        self.key(key).extend_from_slice(json.as_str().as_bytes());
    }

    /// A value that was written before.
    pub(crate) fn encoded(&mut self, key: &str, json: &[u8]) {
        self.key(key).extend_from_slice(json);
    }

    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        object(self.key(key), fill);
    }

    pub(crate) fn array(&mut self, key: &str, fill: impl FnOnce(&mut ArrayWriter<'_>)) {
        let out = self.key(key);
        out.push(b'[');
        fill(&mut ArrayWriter { out, first: true });
        out.push(b']');
    }
}

#[derive(Debug)]
pub(crate) struct ArrayWriter<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl ArrayWriter<'_> {
    fn item(&mut self) -> &mut Vec<u8> {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        self.out
    }

    pub(crate) fn text(&mut self, text: &str) {
        scalar(self.item(), text);
    }

    /// A value that was written before.
    pub(crate) fn encoded(&mut self, json: &[u8]) {
        self.item().extend_from_slice(json);
    }

    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        object(self.item(), fill);
    }
}
