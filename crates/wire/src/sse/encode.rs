//! Writes events of our own.

use bytes::{BufMut, BytesMut};

/// Appends one event. A line break in `data` makes a further `data:` line; one in `name` would start a new field, so
/// it is left out.
pub fn encode_event(out: &mut BytesMut, name: Option<&str>, data: &str) {
    out.reserve(data.len() + name.map_or(0, str::len) + 16);
    if let Some(name) = name {
        out.put_slice(b"event: ");
        name.split(['\n', '\r']).for_each(|part| out.put_slice(part.as_bytes()));
        out.put_u8(b'\n');
    }
    let data = data.as_bytes();
    let mut rest = data;
    loop {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        out.put_slice(b"data: ");
        out.put_slice(line);
        out.put_u8(b'\n');
        rest = match after {
            [] => break,
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
        };
    }
    out.put_u8(b'\n');
}

/// Appends a comment, which every client ignores: a keep-alive.
pub fn encode_comment(out: &mut BytesMut, text: &str) {
    out.put_slice(b": ");
    text.split(['\n', '\r']).for_each(|part| out.put_slice(part.as_bytes()));
    out.put_slice(b"\n\n");
}
