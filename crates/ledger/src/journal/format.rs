//! Bytes on disk. All integers are little-endian.
//!
//! Frame: `u32` payload length, `u32` CRC-32C over the length and the payload, payload. The header's fields are listed in
//! [`Header::encode`].

use std::path::PathBuf;

use tollgate_core::{InstanceId, UnixMicros};

/// Longest payload of one frame.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
pub(super) const FRAME_PREFIX_BYTES: usize = 8;
pub(super) const HEADER_BYTES: u64 = 80;

const MAGIC: &[u8; 8] = b"TOLLJRNL";
const VERSION: u32 = 1;

/// Names one segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    pub core: u16,
    pub epoch: u64,
    pub sequence: u32,
}

impl SegmentName {
    /// Relative to the journal's directory.
    pub fn path(self) -> PathBuf {
        PathBuf::from(self.core.to_string()).join(format!("{:08}-{:06}.journal", self.epoch, self.sequence))
    }

    /// Reads the name of a file in the directory of `core`.
    pub fn parse(core: u16, file_name: &str) -> Option<Self> {
        let (epoch, sequence) = file_name.strip_suffix(".journal")?.split_once('-')?;
        Some(Self { core, epoch: epoch.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: SegmentName,
    pub(super) instance_id: InstanceId,
    /// Offset in the epoch's stream of the first frame in this file.
    pub(super) start: u64,
    /// Length of the stream when this file was begun. Older files hold nothing of the stream from here on, even if
    /// bytes are left there. Greater than `start` when this file repeats what an older one may have lost.
    pub(super) stream_end: u64,
    pub(super) created: UnixMicros,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.name.core).to_le_bytes());
        bytes.extend_from_slice(&self.instance_id.into_bytes());
        bytes.extend_from_slice(&self.name.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.start.to_le_bytes());
        bytes.extend_from_slice(&self.stream_end.to_le_bytes());
        bytes.extend_from_slice(&self.created.0.to_le_bytes());
        bytes.extend_from_slice(&self.name.sequence.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` when torn, foreign, of another version, or not the header of `name`.
    pub(super) fn decode(name: SegmentName, bytes: &[u8]) -> Option<Self> {
        let (body, checksum) = bytes.get(..HEADER_BYTES as usize)?.split_last_chunk::<4>()?;
        let (magic, mut rest) = body.split_first_chunk::<8>()?;
        if magic != MAGIC || crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let version = u32::from_le_bytes(take(&mut rest)?);
        let core = u32::from_le_bytes(take(&mut rest)?);
        let instance_id = InstanceId::from_bytes(take(&mut rest)?);
        let epoch = u64::from_le_bytes(take(&mut rest)?);
        let start = u64::from_le_bytes(take(&mut rest)?);
        let stream_end = u64::from_le_bytes(take(&mut rest)?);
        let created = UnixMicros(i64::from_le_bytes(take(&mut rest)?));
        let sequence = u32::from_le_bytes(take(&mut rest)?);
        let same = version == VERSION
            && core == u32::from(name.core)
            && (epoch, sequence) == (name.epoch, name.sequence);
        same.then_some(Self { name, instance_id, start, stream_end, created })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*chunk)
}

/// Appends one frame to `buffer`. The caller has checked the length against [`MAX_PAYLOAD_BYTES`].
pub(super) fn encode_frame(buffer: &mut Vec<u8>, payload: &[u8]) {
    let length = (payload.len() as u32).to_le_bytes();
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&length), payload);
    buffer.reserve(FRAME_PREFIX_BYTES + payload.len());
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(payload);
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// Whole and intact; the length is the frame's, prefix included.
    Frame { length: usize },
    /// More bytes are needed to say: at least this many in all.
    Incomplete { needed: usize },
    /// The checksum is wrong, but the length is plausible: another frame may begin after this many bytes.
    Damaged { length: usize },
    /// Not a frame at all.
    Garbage,
}

pub(super) fn decode_frame(bytes: &[u8]) -> Decoded {
    let mut rest = bytes;
    let (Some(length_bytes), Some(checksum)) = (take::<4>(&mut rest), take::<4>(&mut rest)) else {
        return Decoded::Incomplete { needed: FRAME_PREFIX_BYTES };
    };
    let payload_length = u32::from_le_bytes(length_bytes) as usize;
    if payload_length > MAX_PAYLOAD_BYTES {
        return Decoded::Garbage;
    }
    let length = FRAME_PREFIX_BYTES + payload_length;
    let Some(payload) = rest.get(..payload_length) else {
        return Decoded::Incomplete { needed: length };
    };
    let actual = crc32c::crc32c_append(crc32c::crc32c(&length_bytes), payload);
    if actual == u32::from_le_bytes(checksum) {
        Decoded::Frame { length }
    } else {
        Decoded::Damaged { length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip_and_any_changed_byte_is_noticed() {
        let mut bytes = Vec::new();
        encode_frame(&mut bytes, b"some payload");
        assert_eq!(decode_frame(&bytes), Decoded::Frame { length: bytes.len() });
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 0x10;
            assert_ne!(decode_frame(&changed), Decoded::Frame { length: bytes.len() }, "byte {index}");
        }
        assert_eq!(decode_frame(&[0; 64]), Decoded::Damaged { length: FRAME_PREFIX_BYTES });
    }

    #[test]
    fn headers_round_trip_and_belong_to_their_name() {
        let name = SegmentName { core: 3, epoch: 7, sequence: 11 };
        let header = Header {
            name,
            instance_id: InstanceId::from_bytes([9; 16]),
            start: 5,
            stream_end: 6,
            created: UnixMicros(12),
        };
        let bytes = header.encode();
        assert_eq!(bytes.len() as u64, HEADER_BYTES);
        assert_eq!(Header::decode(name, &bytes), Some(header));
        assert_eq!(Header::decode(SegmentName { sequence: 12, ..name }, &bytes), None);
        assert_eq!(Header::decode(name, &bytes[..79]), None);
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(Header::decode(name, &changed), None, "byte {index}");
        }
    }

    #[test]
    fn names_round_trip() {
        let name = SegmentName { core: 12, epoch: 123_456_789_012, sequence: 7 };
        let path = name.path();
        let file_name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(SegmentName::parse(12, file_name), Some(name));
        assert_eq!(SegmentName::parse(12, "lost+found"), None);
    }
}
