use super::*;

type Seen = Vec<(Option<String>, String)>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The events with data, and all raw bytes.
fn read(chunks: &[&[u8]]) -> (Seen, Vec<u8>) {
    let mut reader = SseReader::default();
    let (mut seen, mut raw) = (Vec::new(), Vec::new());
    let mut take = |event: SseEvent| {
        raw.extend_from_slice(&event.raw);
        if let Some(data) = &event.data {
            seen.push((event.name.as_deref().map(text), text(data)));
        }
    };
    for chunk in chunks {
        for event in reader.push(Bytes::copy_from_slice(chunk)) {
            take(event.unwrap());
        }
    }
    if let Some(event) = reader.finish() {
        take(event);
    }
    (seen, raw)
}

const STREAMS: &[&[u8]] = &[
    b"data: one\n\ndata:two\n\n",
    b"\xEF\xBB\xBFevent: a\r\ndata: 1\r\ndata: 2\r\n\r\n: comment\r\n\r\nevent:b\r\ndata\r\n\r\n",
    b"data: x\rdata: y\r\rdata: z\r\r",
    b"data: mixed\r\n\n\r\n\rdata: a\n\rid: 5\nretry: 1\ndatax: no\ndata:  two spaces\n\n",
    b"\n\n\r\n: keep-alive\n\n\ndata: {\"a\":\"\xC3\xA9\"}\n\nevent: last\ndata: no blank line",
];

#[test]
fn fields_are_read_as_the_standard_says() {
    let (seen, _) = read(&[STREAMS[1]]);
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(seen, [(name("a"), "1\n2".into()), (name("b"), String::new())]);
    let (seen, _) = read(&[STREAMS[3]]);
    assert_eq!(seen, [(None, "mixed".into()), (None, "a".into()), (None, " two spaces".into())]);
}

#[test]
fn a_cut_anywhere_changes_nothing() {
    for stream in STREAMS {
        let (whole, raw) = read(&[stream]);
        assert_eq!(&raw, stream);
        for cut in 0..=stream.len() {
            let (first, second) = stream.split_at(cut);
            assert_eq!(read(&[first, second]), (whole.clone(), stream.to_vec()), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&bytes), (whole, stream.to_vec()));
    }
}

#[test]
fn events_within_a_chunk_share_its_memory() {
    let chunk = Bytes::from_static(b"event: e\ndata: abc\n\n");
    let event = SseReader::default().push(chunk.clone()).next().unwrap().unwrap();
    let inside = |part: &Bytes| chunk.as_ptr_range().contains(&part.as_ptr());
    assert!(
        inside(&event.raw) && inside(event.data.as_ref().unwrap()) && inside(event.name.as_ref().unwrap())
    );
}

#[test]
fn an_event_beyond_the_limit_is_an_error_once() {
    for chunk_bytes in [1, 7, 1000] {
        let mut reader = SseReader::new(64);
        let stream = [b"data: ok\n\ndata: ".as_slice(), &[b'x'; 100], b"\n\ndata: later\n\n"].concat();
        let events: Vec<_> = stream
            .chunks(chunk_bytes)
            .flat_map(|chunk| reader.push(Bytes::copy_from_slice(chunk)).collect::<Vec<_>>())
            .collect();
        assert_eq!(events.len(), 2, "chunks of {chunk_bytes}");
        assert_eq!(events[1], Err(SseError::EventTooLarge { limit: 64 }));
        assert_eq!(reader.finish(), None);
    }
}

#[test]
fn what_is_written_can_be_read() {
    for data in ["", "plain", "two\nlines", "cr\rlf\r\nend\n", "{\"a\":1}"] {
        let mut out = BytesMut::new();
        encode_comment(&mut out, "keep\nalive");
        encode_event(&mut out, Some("na\nme"), data);
        encode_event(&mut out, None, data);
        let (seen, _) = read(&[&out]);
        let data = data.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(seen, [(Some("name".into()), data.clone()), (None, data)]);
    }
}
