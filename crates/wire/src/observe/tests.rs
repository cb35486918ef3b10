use super::*;

const CHAT: &str = concat!(
    ": OPENROUTER PROCESSING\n\n",
    "data: {\"id\":\"c-1\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",",
    "\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"usage\\\":{\"},\"finish_reason\":null}]}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"usage\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}\n\n",
    "data: [DONE]\n\n",
);

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-x\",",
    "\"usage\":{\"input_tokens\":12,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":",
    "{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":",
    "{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":",
    "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"look\",\"input\":{}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":",
    "{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},",
    "\"usage\":{\"input_tokens\":0,\"output_tokens\":20}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",",
    "\"model\":\"gpt-r\",\"status\":\"in_progress\",\"usage\":null}}\n\n",
    "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"item\":{\"content\":[]}}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n",
    "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\" you\"}\n\n",
    "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"Hi you\"}\n\n",
    "event: response.incomplete\ndata: {\"type\":\"response.incomplete\",\"response\":{\"id\":\"resp_1\",\"status\":",
    "\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"usage\":{\"input_tokens\":8,",
    "\"input_tokens_details\":{\"cached_tokens\":3},\"output_tokens\":6,\"output_tokens_details\":",
    "{\"reasoning_tokens\":2},\"total_tokens\":14}}}\n\n",
);

fn observe(dialect: Dialect, options: ObserverOptions, chunks: &[&[u8]]) -> (StreamObserver, Vec<u8>) {
    let mut observer = StreamObserver::new(dialect, options);
    let mut relayed = Vec::new();
    for chunk in chunks {
        for part in observer.push(Bytes::copy_from_slice(chunk)) {
            relayed.extend_from_slice(&part);
        }
    }
    relayed.extend_from_slice(&observer.finish().unwrap_or_default());
    (observer, relayed)
}

fn whole(dialect: Dialect, stream: &str) -> StreamObserver {
    observe(dialect, ObserverOptions::default(), &[stream.as_bytes()]).0
}

fn removing() -> ObserverOptions {
    ObserverOptions { remove_usage_event: true, ..ObserverOptions::default() }
}

#[test]
fn reads_a_chat_stream() {
    let seen = whole(Dialect::OpenaiChat, CHAT);
    assert_eq!(
        (seen.model(), seen.response_id(), seen.finish_reason()),
        (Some("gpt-x"), Some("c-1"), Some("stop"))
    );
    assert!(seen.content_seen() && seen.terminated() && seen.is_complete() && seen.usage_is_final());
    assert_eq!(seen.usage(), Ok(Some(TokenUsage { input: 9, output: 4, ..TokenUsage::default() })));
    assert_eq!((seen.error(), seen.problem()), (None, None));
    assert_eq!((seen.events(), seen.content_events()), (7, 3));
    assert_eq!(seen.produced_text(), ("Hel\"usage\":{usage".into(), 1.0));
}

#[test]
fn reads_an_anthropic_stream_and_merges_its_usage() {
    let seen = whole(Dialect::AnthropicMessages, ANTHROPIC);
    assert_eq!((seen.model(), seen.response_id()), (Some("claude-x"), Some("msg_1")));
    assert_eq!(seen.finish_reason(), Some("tool_use"));
    assert!(seen.terminated() && seen.usage_is_final());
    let expected = TokenUsage { input: 12, cache_read: 5, output: 20, ..TokenUsage::default() };
    assert_eq!(seen.usage(), Ok(Some(expected)));
    assert_eq!(seen.produced_text().0, "Hellolook{}");
}

#[test]
fn reads_a_responses_stream() {
    let seen = whole(Dialect::OpenaiResponses, RESPONSES);
    assert_eq!((seen.model(), seen.response_id()), (Some("gpt-r"), Some("resp_1")));
    assert_eq!(seen.finish_reason(), Some("max_output_tokens"));
    let expected = TokenUsage { input: 5, cache_read: 3, output: 4, reasoning: 2, ..TokenUsage::default() };
    assert_eq!(seen.usage(), Ok(Some(expected)));
    assert!(seen.terminated() && seen.error().is_none());
    assert_eq!(seen.produced_text().0, "Hi you");
}

#[test]
fn the_first_content_commits() {
    for (dialect, stream, mark) in [
        (Dialect::OpenaiChat, CHAT, "Hel"),
        (Dialect::AnthropicMessages, ANTHROPIC, "Hello"),
        (Dialect::OpenaiResponses, RESPONSES, "Hi"),
    ] {
        let place = stream.find(mark).unwrap();
        let start = stream[..place].rfind("\n\n").unwrap() + 2;
        let end = place + stream[place..].find("\n\n").unwrap() + 2;
        assert!(!whole(dialect, &stream[..start]).is_committed());
        assert!(whole(dialect, &stream[..end]).content_seen());
    }
}

#[test]
fn a_cut_anywhere_changes_nothing() {
    for (dialect, stream) in [
        (Dialect::OpenaiChat, CHAT.to_owned()),
        (Dialect::OpenaiChat, CHAT.replace("\r\n", "\n").replace('\n', "\r\n")),
        (Dialect::OpenaiChat, CHAT.replace("\r\n", "\n").replace('\n', "\r")),
        (Dialect::AnthropicMessages, ANTHROPIC.to_owned()),
        (Dialect::OpenaiResponses, RESPONSES.to_owned()),
    ] {
        let stream = stream.as_bytes();
        for options in [ObserverOptions::default(), removing()] {
            let (one, relayed) = observe(dialect, options, &[stream]);
            let mut cuts: Vec<Vec<&[u8]>> =
                (0..=stream.len()).map(|cut| vec![&stream[..cut], &stream[cut..]]).collect();
            cuts.push(stream.chunks(1).collect());
            cuts.push(stream.chunks(7).collect());
            for chunks in cuts {
                let (other, bytes) = observe(dialect, options, &chunks);
                assert_eq!(other.facts, one.facts);
                assert_eq!(other.produced_text().0, one.produced_text().0);
                assert_eq!(bytes, relayed, "cut after {}", chunks[0].len());
            }
        }
    }
}

#[test]
fn only_the_usage_event_is_removed() {
    let start = CHAT.find("data: {\"choices\":[],").unwrap();
    let end = CHAT.find("data: [DONE]").unwrap();
    let expected = [&CHAT[..start], &CHAT[end..]].concat();
    let (seen, relayed) = observe(Dialect::OpenaiChat, removing(), &[CHAT.as_bytes()]);
    assert_eq!(String::from_utf8(relayed).unwrap(), expected);
    assert_eq!(seen.usage().unwrap().unwrap().output, 4);
    let azure = "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n";
    let busy = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n";
    for kept in [azure, busy] {
        assert_eq!(observe(Dialect::OpenaiChat, removing(), &[kept.as_bytes()]).1, kept.as_bytes());
    }
    let two = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n".repeat(2) + azure;
    assert_eq!(observe(Dialect::OpenaiChat, removing(), &[two.as_bytes()]).1, azure.as_bytes());
}

#[test]
fn a_whole_chunk_is_relayed_without_a_copy() {
    for options in [ObserverOptions::default(), removing()] {
        let chunk = Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
        let relay = StreamObserver::new(Dialect::OpenaiChat, options).push(chunk.clone());
        assert_eq!(relay.single().unwrap().as_ptr(), chunk.as_ptr());
    }
}

#[test]
fn a_held_back_cut_event_is_dropped_and_a_whole_one_is_not() {
    let cut = observe(Dialect::OpenaiChat, removing(), &[b"data: {\"choices\":[],\"us"]);
    assert_eq!((cut.1, cut.0.problem()), (Vec::new(), None));
    let unterminated = b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n";
    assert_eq!(observe(Dialect::OpenaiChat, removing(), &[unterminated]).1, unterminated);
    let late = observe(
        Dialect::OpenaiChat,
        removing(),
        &[b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\n"],
    );
    assert_eq!((late.0.usage().unwrap().unwrap().input, late.1), (7, Vec::new()));
}

#[test]
fn the_end_of_the_relayed_bytes_is_known() {
    let mut observer = StreamObserver::new(Dialect::OpenaiChat, ObserverOptions::default());
    for (chunk, mid) in [("data: [", true), ("DONE]", true), ("\n\n", false), ("data: 1\n\ndata", true)] {
        observer.push(Bytes::copy_from_slice(chunk.as_bytes()));
        assert_eq!(observer.mid_event(), mid, "{chunk}");
    }
    let mut removing = StreamObserver::new(Dialect::OpenaiChat, removing());
    assert!(removing.push(Bytes::from_static(b"data: {")).is_empty());
    assert!(!removing.mid_event());
}

#[test]
fn errors_in_the_stream_are_no_success() {
    for (dialect, stream, message) in [
        (
            Dialect::OpenaiChat,
            "data: {\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":500}}\n\n",
            "boom",
        ),
        (Dialect::OpenaiChat, "data: {\"error\":\"boom\"}\n\ndata: [DONE]\n\n", "boom"),
        (
            Dialect::AnthropicMessages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"boom\"}}\n\n",
            "boom",
        ),
        (
            Dialect::OpenaiResponses,
            "event: error\ndata: {\"type\":\"error\",\"message\":\"boom\"}\n\n",
            "boom",
        ),
        (
            Dialect::OpenaiResponses,
            "event: response.failed\ndata: {\"response\":{\"status\":\"failed\",\"error\":{\"message\":\"boom\"}}}\n\n",
            "boom",
        ),
    ] {
        let seen = whole(dialect, stream);
        assert_eq!(seen.error().and_then(|error| error.message.as_deref()), Some(message), "{stream}");
        assert!(!seen.is_complete() && !seen.is_committed());
    }
    let late =
        [CHAT.split("data: [DONE]").next().unwrap(), "data: {\"error\":{\"message\":\"late\"}}\n\n"].concat();
    assert!(!whole(Dialect::OpenaiChat, &late).is_complete());
    let reason = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"error\"}]}\n\n";
    assert!(whole(Dialect::OpenaiChat, reason).error().is_some());
}

#[test]
fn malformed_streams_have_a_problem() {
    let large = format!("data: {}\n\ndata: [DONE]\n\n", "x".repeat(2_000));
    let options = ObserverOptions { max_event_bytes: 1_000, ..ObserverOptions::default() };
    for chunk_bytes in [1, 64, 5_000] {
        for options in [options, ObserverOptions { remove_usage_event: true, ..options }] {
            let chunks: Vec<&[u8]> = large.as_bytes().chunks(chunk_bytes).collect();
            let (seen, relayed) = observe(Dialect::OpenaiChat, options, &chunks);
            assert_eq!(seen.problem(), Some(StreamProblem::EventTooLarge { limit: 1_000 }));
            assert!(seen.terminated());
            if options.remove_usage_event {
                assert_eq!(relayed, large.as_bytes());
            }
        }
    }
    let problem =
        |bytes: &[u8]| observe(Dialect::OpenaiChat, ObserverOptions::default(), &[bytes]).0.problem();
    assert_eq!(problem(b"data: {\"a\":\"\xFF\"}\n\n"), Some(StreamProblem::InvalidUtf8));
    assert_eq!(problem(b"data: <html>\n\n"), Some(StreamProblem::InvalidJson));
    assert_eq!(problem(b"data: {\"usage\":{\"prompt_tokens\":1}\n\n"), Some(StreamProblem::InvalidJson));
    assert_eq!(problem(b"<html>no stream</html>\n\n"), None);
    let content = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let later = |bytes: &[u8]| problem(&[content.as_bytes(), bytes].concat());
    assert_eq!(later(b"data: {\"choices\":[{\"delta\":{\n\n"), Some(StreamProblem::InvalidJson));
    assert_eq!(later(b"data: {\"a\":\"\0\"}\n\n"), Some(StreamProblem::InvalidJson));
    assert_eq!(later(b"data: {\"a\":\"\xFF\"}\n\n"), Some(StreamProblem::InvalidUtf8));
    assert_eq!(later(b"data: {\"a\":\t1}\r\n\r\n"), None);
    let negative = whole(Dialect::OpenaiChat, "data: {\"usage\":{\"prompt_tokens\":-1}}\n\n");
    assert_eq!(negative.usage(), Err(UsageProblem::Negative("prompt_tokens")));
}

#[test]
fn the_last_usage_wins_and_other_places_count() {
    let twice = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5}}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":6}}\n\n";
    assert_eq!(whole(Dialect::OpenaiChat, twice).usage().unwrap().unwrap().input, 6);
    let groq = "data: {\"choices\":[],\"x_groq\":{\"usage\":{\"prompt_tokens\":5}}}\n\n";
    assert_eq!(whole(Dialect::OpenaiChat, groq).usage().unwrap().unwrap().input, 5);
}

#[test]
fn what_does_not_fit_the_tee_is_extrapolated() {
    let event = "data: {\"choices\":[{\"delta\":{\"content\":\"abcd\"}}]}\n\n";
    let options = ObserverOptions { tee_bytes: event.len() * 10, ..ObserverOptions::default() };
    let (seen, _) = observe(Dialect::OpenaiChat, options, &[event.repeat(40).as_bytes()]);
    let (text, factor) = seen.produced_text();
    assert_eq!(text, "abcd".repeat(10));
    assert!((factor - 4.0).abs() < 1e-9);
    assert_eq!(whole(Dialect::OpenaiChat, ": nothing\n\n").produced_text(), (String::new(), 1.0));
}

#[test]
fn usage_is_final_only_at_the_end() {
    let start = ANTHROPIC.find("event: message_delta").unwrap();
    let early = whole(Dialect::AnthropicMessages, &ANTHROPIC[..start]);
    assert!(early.usage().unwrap().is_some() && !early.usage_is_final());
    let without = ANTHROPIC.replace(",\"usage\":{\"input_tokens\":0,\"output_tokens\":20}", "");
    let without = whole(Dialect::AnthropicMessages, &without);
    assert!(without.is_complete() && !without.usage_is_final());
    let running = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"prompt_tokens\":1}}\n\n";
    assert!(!whole(Dialect::OpenaiChat, running).usage_is_final());
    assert!(whole(Dialect::OpenaiResponses, RESPONSES).usage_is_final());
}

#[test]
fn data_lines_without_a_space_are_read() {
    let seen = whole(Dialect::OpenaiChat, &CHAT.replace("data: ", "data:"));
    assert_eq!(seen.facts.content_events, 3);
    assert!(seen.is_complete() && seen.usage_is_final());
}
