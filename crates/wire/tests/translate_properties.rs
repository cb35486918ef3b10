//! What must hold for every input: what both dialects can say survives, and nothing panics or lies.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tollgate_core::Dialect;
use tollgate_wire::SseReader;
use tollgate_wire::canonical::ApiErrorKind;
use tollgate_wire::translate::{
    Capabilities, Carry, RequestContext, StreamState, StreamTranslator, translate_error, translate_request,
    translate_response,
};

const DIALECTS: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::AnthropicMessages, Dialect::OpenaiResponses];

fn context() -> RequestContext<'static> {
    RequestContext {
        upstream_model: "m",
        default_max_output_tokens: 4096,
        output_cap_tokens: None,
        capabilities: Capabilities::default(),
    }
}

/// Text with something to see in it, which both dialects take anywhere.
fn text() -> impl Strategy<Value = String> {
    ("\\PC{0,20}", "[a-zß漢🚀\"\\\\]").prop_map(|(text, end)| format!("{text}{end}"))
}

fn tool_input() -> impl Strategy<Value = String> {
    vec(("[a-z]{1,8}", prop_oneof![text().prop_map(Value::from), any::<i64>().prop_map(Value::from)]), 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()).to_string())
}

/// A user's words, or one exchange with tools: calls, all their results, and an answer.
fn exchange() -> impl Strategy<Value = Vec<Value>> {
    let talk = (text(), text()).prop_map(|(question, answer)| {
        vec![json!({"role": "user", "content": question}), json!({"role": "assistant", "content": answer})]
    });
    let parts = (text(), text()).prop_map(|(question, answer)| {
        let image = "data:image/png;base64,iVBORw0KGgo=";
        let content = json!([
            {"type": "text", "text": question},
            {"type": "image_url", "image_url": {"url": image}},
        ]);
        vec![json!({"role": "user", "content": content}), json!({"role": "assistant", "content": answer})]
    });
    let tools = (text(), option::of(text()), vec((tool_input(), text()), 1..4), text()).prop_map(
        |(question, words, calls, answer)| {
            let list: Vec<Value> = calls
                .iter()
                .enumerate()
                .map(|(number, (arguments, _))| {
                    let function = json!({"name": "look_up", "arguments": arguments});
                    json!({"id": format!("call_{number}"), "type": "function", "function": function})
                })
                .collect();
            let mut messages = vec![
                json!({"role": "user", "content": question}),
                json!({"role": "assistant", "content": words, "tool_calls": list}),
            ];
            messages.extend(calls.iter().enumerate().map(|(number, (_, result))| {
                json!({"role": "tool", "tool_call_id": format!("call_{number}"), "content": result})
            }));
            messages.push(json!({"role": "assistant", "content": answer}));
            messages
        },
    );
    prop_oneof![talk, parts, tools]
}

fn request() -> impl Strategy<Value = Value> {
    let choice = prop_oneof![
        Just(json!("auto")),
        Just(json!("none")),
        Just(json!("required")),
        Just(json!({"type": "function", "function": {"name": "look_up"}})),
    ];
    let settings = (option::of(0u64..=100), option::of(vec("[a-z]{1,5}", 1..4)), choice, 1u64..100_000);
    (option::of(text()), vec(exchange(), 0..5), text(), settings).prop_map(
        |(system, exchanges, last, (temperature, stop, choice, limit))| {
            let mut messages: Vec<Value> =
                system.into_iter().map(|text| json!({"role": "system", "content": text})).collect();
            messages.extend(exchanges.into_iter().flatten());
            messages.push(json!({"role": "user", "content": last}));
            let parameters = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {}}});
            let function = json!({"name": "look_up", "description": "d", "parameters": parameters});
            let mut request = json!({
                "model": "m",
                "messages": messages,
                "tools": [{"type": "function", "function": function}],
                "tool_choice": choice,
                "max_completion_tokens": limit,
                "user": "alice",
            });
            if let Some(percent) = temperature {
                request["temperature"] = json!(percent as f64 / 100.0);
            }
            if let Some(stop) = stop {
                request["stop"] = json!(stop);
            }
            request
        },
    )
}

/// Inputs of the golden files, for damaging them.
fn golden_inputs(what: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(what);
    let mut inputs = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        for entry in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let input = text.split("=== input\n").nth(1).unwrap().split("\n=== output").next().unwrap();
            inputs.push(input.to_owned());
        }
    }
    inputs
}

/// A golden input with some bytes overwritten and its end cut off.
fn damaged(what: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let byte = prop::sample::select(b"{}[]\",:0nt\\ \xff".to_vec());
    (prop::sample::select(golden_inputs(what)), vec((any::<prop::sample::Index>(), byte), 0..4), 0usize..40)
        .prop_map(|(text, edits, cut)| {
            let mut bytes = text.into_bytes();
            for (index, byte) in edits {
                let position = index.index(bytes.len());
                bytes[position] = byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(20)));
            bytes
        })
}

/// Events of the golden streams in any order, some damaged.
fn stream_events() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let pool: Vec<Vec<u8>> = golden_inputs("stream")
        .iter()
        .flat_map(|stream| stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect::<Vec<_>>())
        .map(|data| data.as_bytes().to_vec())
        .collect();
    let damage = (any::<prop::sample::Index>(), any::<u8>());
    let event =
        (prop::sample::select(pool), option::weighted(0.05, damage)).prop_map(|(mut data, damage)| {
            if let Some((index, byte)) = damage {
                let position = index.index(data.len());
                data[position] = byte;
            }
            data
        });
    vec(event, 0..20)
}

/// A prefix of one golden stream, ended as the network pleases.
fn stream_prefix() -> impl Strategy<Value = Vec<Vec<u8>>> {
    (prop::sample::select(golden_inputs("stream")), 0usize..16).prop_map(|(stream, count)| {
        let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        data.take(count).map(|data| data.as_bytes().to_vec()).collect()
    })
}

/// The events that a client would see; panics when they are no well-formed event stream.
fn client_events(out: &[u8]) -> Vec<Value> {
    let text = str::from_utf8(out).unwrap();
    assert!(text.is_empty() || text.ends_with("\n\n"));
    let mut events = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':')) {
        let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.len(), 1, "one data line per event: {block}");
        if data[0] == "[DONE]" {
            events.push(json!("done"));
            continue;
        }
        let value: Value = serde_json::from_str(data[0]).unwrap();
        if let Some(name) = block.lines().find_map(|line| line.strip_prefix("event: ")) {
            assert_eq!(value["type"], name);
        }
        events.push(value);
    }
    events
}

/// Blocks are numbered in order, never overlap, and a successful end closes them all.
fn check_anthropic_grammar(events: &[Value]) {
    let (mut next, mut open, mut ended) = (0, false, false);
    for event in events {
        assert!(!ended, "nothing follows the end: {event}");
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(!open && event["index"] == next);
                open = true;
            }
            "content_block_delta" => assert!(open && event["index"] == next),
            "content_block_stop" => {
                assert!(open && event["index"] == next);
                open = false;
                next += 1;
            }
            "message_delta" => assert!(!open && event["usage"]["output_tokens"].is_u64()),
            "message_stop" => {
                assert!(!open);
                ended = true;
            }
            "error" => ended = true,
            "message_start" | "ping" => {}
            other => panic!("no event of the dialect: {other}"),
        }
    }
}

/// Numbers go up by one, items do not overlap, each is done as the sum of its pieces, and the end repeats them all.
fn check_responses_grammar(events: &[Value]) {
    let (mut items, mut open, mut pieces) = (Vec::new(), None::<Value>, String::new());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        let kind = event["type"].as_str().unwrap();
        if let Some(index) = event.get("output_index") {
            assert_eq!(index, items.len());
        }
        if let Some(id) = event.get("item_id") {
            assert_eq!(id, &open.as_ref().unwrap()["id"]);
        }
        match kind {
            "response.created" => assert_eq!(number, 0),
            "response.in_progress" => assert_eq!(number, 1),
            "response.output_item.added" => {
                assert!(open.is_none());
                open = Some(event["item"].clone());
                pieces.clear();
            }
            "response.output_item.done" => {
                let (begun, done) = (open.take().unwrap(), &event["item"]);
                assert_eq!(begun["type"], done["type"]);
                let whole = [
                    &done["content"][0]["text"],
                    &done["content"][0]["refusal"],
                    &done["summary"][0]["text"],
                    &done["arguments"],
                    &done["input"],
                ];
                let whole = whole.iter().find_map(|text| text.as_str()).unwrap_or_default();
                assert!(whole == pieces || whole == "{}" && pieces.is_empty());
                items.push(done.clone());
            }
            "response.completed" | "response.incomplete" => {
                assert!(open.is_none());
                assert_eq!(event["response"]["output"], json!(items));
                assert!(event["response"]["usage"]["total_tokens"].is_u64());
                assert_eq!(number + 1, events.len());
            }
            "response.failed" => assert_eq!(number + 1, events.len()),
            "error" => assert_eq!(number + 2, events.len()),
            other => {
                assert!(open.is_some(), "{other}");
                if other.ends_with(".delta") {
                    pieces.push_str(event["delta"].as_str().unwrap());
                }
            }
        }
    }
}

fn run_stream(from: Dialect, to: Dialect, events: &[Vec<u8>]) {
    let carry = Carry { include_usage: true, ..Carry::default() };
    let mut translator = StreamTranslator::new(from, to, carry).unwrap();
    let mut out = Vec::new();
    let mut failed = false;
    for data in events {
        let before = out.len();
        if translator.event(None, data, &mut out).is_err() {
            assert_eq!(out.len(), before, "a refused event writes nothing");
            failed = true;
            break;
        }
    }
    if failed || translator.finish(&mut out).is_err() {
        translator.fail(ApiErrorKind::Server, None, "broken", &mut out);
        assert!(matches!(translator.state(), StreamState::Failed(_)));
    }
    let events = client_events(&out);
    let ends = |event: &Value| {
        let kind = event["type"].as_str().unwrap_or_default();
        event == "done" || ["message_stop", "response.completed", "response.incomplete"].contains(&kind)
    };
    let tells_error = |event: &Value| event.get("error").or(event["response"].get("error")).is_some();
    match translator.state() {
        StreamState::Open => panic!("a finished stream is open"),
        StreamState::Complete => assert!(events.last().is_some_and(ends)),
        StreamState::Failed(_) => {
            assert!(events.last().is_some_and(tells_error));
            assert!(!events.iter().any(ends), "a failed stream looks complete");
        }
    }
    if to == Dialect::AnthropicMessages {
        check_anthropic_grammar(&events);
    }
    if to == Dialect::OpenaiResponses {
        check_responses_grammar(&events);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_both_can_say_survives_the_round_trip(request in request()) {
        let body = request.to_string();
        let there = translate_request(DIALECTS[0], DIALECTS[1], body.as_bytes(), &context()).unwrap();
        let back = translate_request(DIALECTS[1], DIALECTS[0], &there.body, &context()).unwrap();
        prop_assert!(there.losses.is_empty() && back.losses.is_empty());
        let back: Value = serde_json::from_slice(&back.body).unwrap();
        prop_assert_eq!(back, request);
    }

    #[test]
    fn what_chat_and_responses_can_say_survives_the_round_trip(mut request in request()) {
        // The responses dialect has no stop sequences.
        request.as_object_mut().unwrap().remove("stop");
        let (chat, responses) = (Dialect::OpenaiChat, Dialect::OpenaiResponses);
        let there = translate_request(chat, responses, request.to_string().as_bytes(), &context()).unwrap();
        let back = translate_request(responses, chat, &there.body, &context()).unwrap();
        prop_assert!(there.losses.is_empty() && back.losses.is_empty(), "{:?} {:?}", there.losses, back.losses);
        let mut back: Value = serde_json::from_slice(&back.body).unwrap();
        // What absence means differs, so it is spelled out.
        let strict = back["tools"][0]["function"].as_object_mut().unwrap().remove("strict");
        prop_assert_eq!(strict, Some(json!(false)));
        prop_assert_eq!(back, request);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_translated(bytes in vec(any::<u8>(), 0..200), status in 100u16..600) {
        for from in DIALECTS {
            for to in DIALECTS {
                let _ = translate_request(from, to, &bytes, &context());
                let _ = translate_response(from, to, &bytes, &Carry::default());
                let (_, body) = translate_error(from, to, status, &bytes);
                prop_assert!(serde_json::from_slice::<Value>(&body).is_ok());
                run_stream(from, to, std::slice::from_ref(&bytes));
            }
        }
    }

    #[test]
    fn damaged_requests_are_refused_or_translated(bytes in damaged("request")) {
        for from in DIALECTS {
            for to in DIALECTS {
                if let Ok(done) = translate_request(from, to, &bytes, &context()) {
                    prop_assert!(serde_json::from_slice::<Value>(&done.body).is_ok());
                }
            }
        }
    }

    #[test]
    fn damaged_answers_are_refused_or_translated(bytes in damaged("response")) {
        for from in DIALECTS {
            for to in DIALECTS {
                if let Ok(done) = translate_response(from, to, &bytes, &Carry::default()) {
                    prop_assert!(serde_json::from_slice::<Value>(&done.body).is_ok());
                }
            }
        }
    }

    #[test]
    fn streams_are_well_formed_and_never_falsely_complete(events in prop_oneof![stream_events(), stream_prefix()]) {
        for from in DIALECTS {
            for to in DIALECTS {
                run_stream(from, to, &events);
            }
        }
    }
}

#[test]
fn depth_is_no_danger() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let request = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}).to_string();
    for field in ["tools", "messages", "unknown", "response_format", "metadata"] {
        let body = format!("{},\"{field}\":{deep}}}", &request[..request.len() - 1]);
        for from in DIALECTS {
            for to in DIALECTS {
                let _ = translate_request(from, to, body.as_bytes(), &context());
                let _ = translate_response(from, to, body.as_bytes(), &Carry::default());
                run_stream(from, to, &[body.clone().into_bytes()]);
            }
        }
    }
}

/// What a client gets when the provider's bytes come in these pieces.
fn in_pieces<'a>(from: Dialect, to: Dialect, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut reader = SseReader::default();
    let mut translator = StreamTranslator::new(from, to, Carry::default()).unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        for event in reader.push(Bytes::copy_from_slice(piece)) {
            let event = event.unwrap();
            let name = event.name.as_deref().map(|name| str::from_utf8(name).unwrap());
            if let Some(data) = &event.data {
                translator.event(name, data, &mut out).unwrap();
            }
        }
    }
    translator.finish(&mut out).unwrap();
    assert_eq!(*translator.state(), StreamState::Complete);
    out
}

#[test]
fn where_a_stream_is_cut_into_pieces_does_not_matter() {
    let (chat, anthropic, responses) = (DIALECTS[0], DIALECTS[1], DIALECTS[2]);
    for (file, from, to) in [
        ("responses_to_anthropic/tools_at_the_same_time", responses, anthropic),
        ("openai_to_responses/text", chat, responses),
        ("anthropic_to_responses/max_tokens", anthropic, responses),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/stream").join(file);
        let text = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        let input = text.split("=== input\n").nth(1).unwrap().split("\n=== output").next().unwrap();
        let input = format!("{input}\n\n").into_bytes();
        let whole = in_pieces(from, to, std::iter::once(input.as_slice()));
        assert_eq!(in_pieces(from, to, input.chunks(1)), whole);
        for position in 1..input.len() {
            let (head, tail) = input.split_at(position);
            assert_eq!(in_pieces(from, to, [head, tail].into_iter()), whole, "{file} at {position}");
        }
    }
}

#[test]
fn an_answer_that_must_be_repeated_has_a_bound() {
    let mut translator =
        StreamTranslator::new(Dialect::OpenaiChat, Dialect::OpenaiResponses, Carry::default()).unwrap();
    let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "x".repeat(1 << 20)}}]});
    let mut out = Vec::new();
    for _ in 0..40 {
        out.clear();
        translator.event(None, chunk.to_string().as_bytes(), &mut out).unwrap();
        if let StreamState::Failed(_) = translator.state() {
            let last = client_events(&out).pop().unwrap();
            assert_eq!(last["type"], "response.failed");
            return;
        }
    }
    panic!("40 MiB are kept");
}
