//! Streams that are cut, mixed and broken at random: the observer always ends in a defined state.

use bytes::Bytes;
use proptest::prelude::*;
use tollgate_core::Dialect;
use tollgate_wire::{ObserverOptions, SseReader, StreamObserver};

const DIALECTS: [Dialect; 4] =
    [Dialect::OpenaiChat, Dialect::OpenaiCompletions, Dialect::OpenaiResponses, Dialect::AnthropicMessages];

/// Pieces of streams, good and bad, of every dialect.
const PIECES: &[&[u8]] = &[
    b"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    b"data: {\"choices\":[{\"delta\":{\"content\":\"text\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    b"data: {\"choices\":[{\"text\":\"completion\"}]}\r\n\r\n",
    b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\r",
    b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
    b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-3}}\n\n",
    b"data: {\"error\":{\"message\":\"no\"}}\n\n",
    b"data: [DONE]\n\n",
    b"event: message_start\ndata: {\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":3}}}\n\n",
    b"event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n",
    b"event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n",
    b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    b"event: response.output_text.delta\ndata: {\"delta\":\"x\"}\n\n",
    b"event: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":3}}}\n\n",
    b"event: error\ndata: {\"type\":\"error\"}\n\n",
    b": comment\n\n",
    b"\n",
    b"\r\n",
    b"\r",
    b"\xEF\xBB\xBF",
    b"data: \xFF\xFE\n\n",
    b"data: {\"a\":\x00}\n\n",
    b"data: {\"a\":\n",
    b"data: 1}\n\n",
    b"data: [[[[[[\n\n",
    b"event: only a name\n\n",
    b"data\n\n",
    b"<html>no stream</html>",
    b"id: 5\nretry: x\n",
];

fn feed(
    dialect: Dialect,
    options: ObserverOptions,
    stream: &[u8],
    cuts: &[usize],
) -> (StreamObserver, Vec<u8>) {
    let mut observer = StreamObserver::new(dialect, options);
    let mut relayed = Vec::new();
    let mut start = 0;
    for cut in cuts.iter().copied().chain([stream.len()]) {
        let chunk = Bytes::copy_from_slice(&stream[start..cut]);
        observer.push(chunk).into_iter().for_each(|part| relayed.extend_from_slice(&part));
        start = cut;
    }
    relayed.extend_from_slice(&observer.finish().unwrap_or_default());
    (observer, relayed)
}

fn summary(observer: &StreamObserver) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {} {} {} {} {}",
        observer.usage(),
        observer.problem(),
        observer.error(),
        observer.finish_reason(),
        observer.response_id(),
        observer.produced_text().0,
        observer.is_committed(),
        observer.is_complete(),
        observer.usage_is_final(),
        observer.events(),
        observer.content_events(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_change_nothing(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        dialect in prop::sample::select(&DIALECTS[..]),
        remove_usage_event in any::<bool>(),
    ) {
        let stream = pieces.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let options = ObserverOptions { remove_usage_event, ..ObserverOptions::for_dialect(dialect) };
        let (whole, relayed) = feed(dialect, options, &stream, &[]);
        let (cut, relayed_cut) = feed(dialect, options, &stream, &cuts);
        prop_assert_eq!(summary(&cut), summary(&whole));
        prop_assert_eq!(&relayed_cut, &relayed);
        if !remove_usage_event {
            prop_assert_eq!(relayed, stream);
        }
    }

    #[test]
    fn the_reader_gives_every_byte_back(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..12),
        chunk_bytes in 1usize..40,
    ) {
        let stream = pieces.concat();
        let mut reader = SseReader::default();
        let mut raw = Vec::new();
        for chunk in stream.chunks(chunk_bytes) {
            for event in reader.push(Bytes::copy_from_slice(chunk)) {
                raw.extend_from_slice(&event.unwrap().raw);
            }
        }
        raw.extend(reader.finish().map(|event| event.raw.to_vec()).unwrap_or_default());
        prop_assert_eq!(raw, stream);
    }

    #[test]
    fn noise_is_no_success(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for dialect in DIALECTS {
            let (observer, _) = feed(dialect, ObserverOptions::default(), &bytes, &[]);
            prop_assert!(!observer.is_complete());
        }
    }
}

proptest! {
    #[test]
    fn the_output_bound_covers_all_that_was_produced(
        words in prop::collection::vec("[a-zé\u{1F686}\"\\\\\n ]{0,12}", 1..20), cut in 1..200_usize,
    ) {
        for dialect in DIALECTS {
            let stream: Vec<u8> = words.iter().flat_map(|word| event(dialect, word).into_bytes()).collect();
            let cuts: Vec<usize> = (1..).map(|at| at * cut).take_while(|at| *at < stream.len()).collect();
            let (observer, _) = feed(dialect, ObserverOptions::default(), &stream, &cuts);
            let bytes = words.concat().len() as u64;
            prop_assert_eq!(observer.produced_text().0, words.concat());
            let bound = observer.output_bound_tokens();
            prop_assert!(bound >= bytes && bound <= 2 * bytes + 64, "{:?}: {} for {}", dialect, bound, bytes);
        }
    }
}

fn event(dialect: Dialect, word: &str) -> String {
    let word = serde_json::Value::from(word);
    match dialect {
        Dialect::AnthropicMessages => format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"delta\":{{\"type\":\"text_delta\",\"text\":{word}}}}}\n\n"
        ),
        Dialect::OpenaiResponses => format!(
            "event: response.output_text.delta\ndata: {{\"item_id\":\"msg_1\",\"delta\":{word},\"obfuscation\":\"abc\"}}\n\n"
        ),
        Dialect::OpenaiCompletions => {
            format!("data: {{\"id\":\"c\",\"choices\":[{{\"text\":{word},\"index\":0}}]}}\n\n")
        }
        _ => format!(
            "data: {{\"id\":\"c\",\"choices\":[{{\"delta\":{{\"content\":{word}}},\"finish_reason\":null}}]}}\n\n"
        ),
    }
}
