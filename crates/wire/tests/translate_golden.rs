//! Golden files under `tests/golden/<what>/<from>_to_<to>/<feature>.txt`: what goes in, what must come out.
//!
//! A file has the sections `=== options` (optional JSON), `=== input`, `=== output` and `=== losses`.
//! `UPDATE_GOLDEN=1` rewrites the last two; review the difference before keeping it.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tollgate_core::Dialect;
use tollgate_wire::canonical::{ApiErrorKind, Json, Loss};
use tollgate_wire::translate::{
    Capabilities, Carry, RequestContext, StreamTranslator, TranslateError, translate_error,
    translate_request, translate_response,
};

/// Folders, and the dialects they are named after: `openai` is the chat dialect.
const PAIRS: [(&str, Dialect, Dialect); 7] = [
    ("openai_to_anthropic", Dialect::OpenaiChat, Dialect::AnthropicMessages),
    ("anthropic_to_openai", Dialect::AnthropicMessages, Dialect::OpenaiChat),
    ("responses_to_openai", Dialect::OpenaiResponses, Dialect::OpenaiChat),
    ("openai_to_responses", Dialect::OpenaiChat, Dialect::OpenaiResponses),
    ("responses_to_anthropic", Dialect::OpenaiResponses, Dialect::AnthropicMessages),
    ("anthropic_to_responses", Dialect::AnthropicMessages, Dialect::OpenaiResponses),
    ("responses_to_responses", Dialect::OpenaiResponses, Dialect::OpenaiResponses),
];

#[derive(Default)]
struct Case {
    options: Value,
    input: String,
}

/// What came out: the text of the `output` section and of the `losses` section.
type Outcome = (String, String);

#[test]
fn requests() {
    check_all("request", |case, from, to| {
        let context = RequestContext {
            upstream_model: "upstream-model",
            default_max_output_tokens: 4096,
            output_cap_tokens: case.options["output_cap_tokens"].as_u64(),
            capabilities: capabilities(&case.options),
        };
        match translate_request(from, to, case.input.as_bytes(), &context) {
            Ok(done) => {
                let mut output = pretty(&done.body);
                for (upstream, client) in &done.carry.tool_names {
                    write!(output, "\ncarry: {upstream} is {client}").unwrap();
                }
                for name in &done.carry.free_text_tools {
                    write!(output, "\ncarry: {name} takes plain text").unwrap();
                }
                for (name, namespace) in &done.carry.namespaces {
                    write!(output, "\ncarry: {name} is in {namespace}").unwrap();
                }
                (output, losses(&done.losses))
            }
            Err(error) => (failure(&error), String::new()),
        }
    });
}

#[test]
fn responses() {
    check_all("response", |case, from, to| {
        match translate_response(from, to, case.input.as_bytes(), &carry(&case.options)) {
            Ok(done) => (pretty(&done.body), losses(&done.losses)),
            Err(error) => (failure(&error), String::new()),
        }
    });
}

#[test]
fn streams() {
    check_all("stream", |case, from, to| {
        let mut translator = StreamTranslator::new(from, to, carry(&case.options)).unwrap();
        let mut out = Vec::new();
        let mut result = Ok(());
        for event in case.input.split("\n\n").filter(|event| !event.trim().is_empty()) {
            let name = event.lines().find_map(|line| line.strip_prefix("event: "));
            let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            result = translator.event(name, data.as_bytes(), &mut out);
            if result.is_err() {
                break;
            }
        }
        if let Err(error) = result.and_then(|()| translator.finish(&mut out)) {
            write!(out_text(&mut out), "{}\n\n", failure(&error)).unwrap();
            translator.fail(ApiErrorKind::Server, None, "the provider's stream broke off", &mut out);
        }
        (String::from_utf8(out).unwrap().trim_end().to_owned(), String::new())
    });
}

#[test]
fn errors() {
    check_all("error", |case, from, to| {
        let status = u16::try_from(case.options["status"].as_u64().unwrap()).unwrap();
        let (status, body) = translate_error(from, to, status, case.input.as_bytes());
        (format!("status: {status}\n{}", pretty(&body)), String::new())
    });
}

/// A `String`-like view for writing formatted text into bytes.
fn out_text(out: &mut Vec<u8>) -> impl std::fmt::Write + '_ {
    struct Text<'a>(&'a mut Vec<u8>);
    impl std::fmt::Write for Text<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    Text(out)
}

fn check_all(what: &str, run: impl Fn(&Case, Dialect, Dialect) -> Outcome) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(what);
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = String::new();
    let mut count = 0;
    for (folder, from, to) in PAIRS {
        for path in files(&root.join(folder)) {
            count += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let case = Case {
                options: section(&text, "options")
                    .map_or(Value::Null, |options| serde_json::from_str(options).unwrap()),
                input: section(&text, "input").unwrap().to_owned(),
            };
            let (output, losses) = run(&case, from, to);
            let expected = render(&text, &output, &losses);
            if update {
                std::fs::write(&path, expected).unwrap();
            } else if text != expected {
                write!(differences, "\n{}\n{expected}\n", path.display()).unwrap();
            }
        }
    }
    assert!(count > 0, "no golden files under {}", root.display());
    assert!(differences.is_empty(), "these differ from their golden files:{differences}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("=== {name}\n"))? + name.len() + 5;
    let rest = &text[start..];
    Some(rest.find("\n=== ").map_or(rest, |end| &rest[..end]).trim())
}

fn render(text: &str, output: &str, losses: &str) -> String {
    let head = text.find("\n=== output\n").map_or(text.trim_end(), |end| text[..end].trim_end());
    let mut rendered = format!("{head}\n=== output\n{output}\n");
    if !losses.is_empty() {
        write!(rendered, "=== losses\n{losses}").unwrap();
    }
    rendered
}

fn pretty(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

fn failure(error: &TranslateError) -> String {
    let kind = match error {
        TranslateError::Request { .. } => "request error",
        TranslateError::Response { .. } => "response error",
        TranslateError::Unsupported { .. } => "unsupported",
    };
    format!("{kind}: {error}")
}

fn losses(losses: &[Loss]) -> String {
    losses.iter().fold(String::new(), |mut text, loss| {
        writeln!(text, "{} {}: {}", loss.effect.as_str(), loss.field, loss.note).unwrap();
        text
    })
}

fn capabilities(options: &Value) -> Capabilities {
    let default = Capabilities::default();
    let flag = |name: &str, otherwise: bool| options[name].as_bool().unwrap_or(otherwise);
    Capabilities {
        sampling_params: flag("sampling_params", default.sampling_params),
        adaptive_thinking: flag("adaptive_thinking", default.adaptive_thinking),
        thinking_always_on: flag("thinking_always_on", default.thinking_always_on),
        forced_tool_choice: flag("forced_tool_choice", default.forced_tool_choice),
        assistant_prefill: flag("assistant_prefill", default.assistant_prefill),
        mid_conversation_system: flag("mid_conversation_system", default.mid_conversation_system),
        native_structured_output: flag("native_structured_output", default.native_structured_output),
        reasoning_effort: flag("reasoning_effort", default.reasoning_effort),
        replay_reasoning: flag("replay_reasoning", default.replay_reasoning),
        max_completion_tokens: flag("max_completion_tokens", default.max_completion_tokens),
    }
}

fn carry(options: &Value) -> Carry {
    let mut carry = Carry {
        model: "public-model".to_owned(),
        include_usage: options["include_usage"].as_bool().unwrap_or(false),
        stream: true,
        created_unix_s: 1_700_000_000,
        ..Carry::default()
    };
    for (upstream, client) in options["tool_names"].as_object().into_iter().flatten() {
        carry.tool_names.insert(upstream.clone(), client.as_str().unwrap().to_owned());
    }
    for name in options["free_text_tools"].as_array().into_iter().flatten() {
        carry.free_text_tools.insert(name.as_str().unwrap().to_owned());
    }
    for (name, namespace) in options["namespaces"].as_object().into_iter().flatten() {
        carry.namespaces.insert(name.clone(), namespace.as_str().unwrap().to_owned());
    }
    for (key, value) in options["echo"].as_object().into_iter().flatten() {
        carry.echo.push((String::leak(key.clone()), Json::parse(&value.to_string()).unwrap()));
    }
    carry
}
