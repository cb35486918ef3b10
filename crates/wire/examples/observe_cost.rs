//! What the hot path costs: `cargo run --release -p tollgate-wire --example observe_cost`.
//!
//! Prints figures, asserts nothing. The best of several rounds is shown, because noise only ever adds. Every round
//! reads the same input again, so these are figures of warm caches and trained branch prediction: lower bounds of the
//! cost. Plain text is read in three vector passes, and a body larger than the last-level cache is bound by memory.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tollgate_core::Dialect;
use tollgate_wire::{Edits, ModelText, ObserverOptions, StreamObserver, peek, read_answer, splice};

const ROUNDS: usize = 30;

fn best(mut run: impl FnMut()) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

fn report_bytes(name: &str, bytes: usize, repeats: usize, mut run: impl FnMut()) {
    let time = best(|| (0..repeats).for_each(|_| run())) / repeats as u32;
    let rate = bytes as f64 / time.as_secs_f64() / 1e9;
    println!("{name:<44} {:>10.1} ns  {rate:>6.2} GB/s", time.as_secs_f64() * 1e9);
}

fn chat_body(text_bytes: usize, with_escapes: bool) -> Bytes {
    let words = if with_escapes {
        "a line of \\\"code\\\" that ends here\\n"
    } else {
        "words of a long prompt, then "
    };
    let text = words.repeat(text_bytes / words.len() + 1);
    format!(
        r#"{{"model":"gpt-5.5","stream":true,"temperature":0.7,"messages":[{{"role":"system","content":"Be brief."}},{{"role":"user","content":"{text}"}}],"max_completion_tokens":512}}"#
    )
    .into()
}

fn many_messages(count: usize) -> Bytes {
    let message =
        r#"{"role":"user","content":[{"type":"text","text":"a short question, forty bytes of text"}]}"#;
    format!(r#"{{"model":"gpt-5.5","messages":[{}]}}"#, vec![message; count].join(",")).into()
}

fn event(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::AnthropicMessages => concat!(
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":",
            "{\"type\":\"text_delta\",\"text\":\" a few words of an answer that a model has written just now\"}}\n\n"
        ),
        Dialect::OpenaiResponses => concat!(
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_0123456789\",",
            "\"output_index\":0,\"content_index\":0,\"delta\":\" words\",\"sequence_number\":17,\"obfuscation\":\"abcdefgh\"}\n\n"
        ),
        _ => concat!(
            "data: {\"id\":\"chatcmpl-0123456789abcdefghijklmnop\",\"object\":\"chat.completion.chunk\",\"created\":1763000000,",
            "\"model\":\"gpt-5.5\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" words\"},\"finish_reason\":null}],\"usage\":null}\n\n"
        ),
    }
}

fn observe(dialect: Dialect, remove_usage_event: bool, per_chunk: usize, tee_bytes: usize) {
    const EVENTS: usize = 3_600;
    let chunk = Bytes::from(event(dialect).repeat(per_chunk));
    let options = ObserverOptions { remove_usage_event, tee_bytes, ..ObserverOptions::default() };
    let time = best(|| {
        let mut observer = StreamObserver::new(dialect, options);
        for _ in 0..EVENTS / per_chunk {
            black_box(observer.push(black_box(chunk.clone())));
        }
        black_box(observer.events());
    });
    println!(
        "observe {:<20} {:>3} B, {per_chunk:>2}/chunk, tee {:>5}, remove {remove_usage_event:<5} {:>8.1} ns per event",
        dialect.as_str(),
        event(dialect).len(),
        tee_bytes,
        time.as_secs_f64() * 1e9 / EVENTS as f64
    );
}

fn main() {
    for (name, body) in [
        ("peek 1 KiB", chat_body(1 << 10, false)),
        ("peek 100 KiB of text", chat_body(100 << 10, false)),
        ("peek 100 KiB of text with escapes", chat_body(100 << 10, true)),
        ("peek 100 KiB of short messages", many_messages(1_100)),
        ("peek 10 MiB of text", chat_body(10 << 20, false)),
    ] {
        let repeats = ((4 << 20) / body.len()).max(1);
        report_bytes(name, body.len(), repeats, || {
            black_box(peek(Dialect::OpenaiChat, black_box(body.clone())).expect("a good body"));
        });
    }
    let body = chat_body(1 << 10, false);
    let peeked = peek(Dialect::OpenaiChat, body.clone()).expect("a good body");
    let model = ModelText::new("upstream-model");
    report_bytes("splice model and usage of 1 KiB", body.len(), 4_000, || {
        let edits = Edits { model: Some(&model), include_usage: true, output_cap: None };
        black_box(splice(&peeked, black_box(&edits)));
    });
    let answer = Bytes::from(format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1763000000,"model":"gpt-5.5","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}}}}"#,
        "an answer ".repeat(70)
    ));
    report_bytes("read_answer 1 KiB", answer.len(), 4_000, || {
        black_box(read_answer(Dialect::OpenaiChat, black_box(&answer)).expect("a good answer"));
    });
    let vector = vec!["-0.0123456789"; 1_536].join(",");
    let vectors =
        Bytes::from(format!(r#"{{"data":[{{"embedding":[{vector}]}}],"usage":{{"prompt_tokens":9}}}}"#));
    report_bytes("read_answer, an embedding as floats", vectors.len(), 400, || {
        black_box(read_answer(Dialect::OpenaiEmbeddings, black_box(&vectors)).expect("a good answer"));
    });
    for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages, Dialect::OpenaiResponses] {
        observe(dialect, false, 1, 64 << 10);
        observe(dialect, false, 36, 64 << 10);
        observe(dialect, true, 1, 64 << 10);
        observe(dialect, false, 1, 0);
    }
}
