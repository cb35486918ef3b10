use super::*;

fn chat(body: &str) -> Result<Peeked, BadBody> {
    peek(Dialect::OpenaiChat, Bytes::copy_from_slice(body.as_bytes()))
}

fn fault(body: &str) -> Option<&'static str> {
    chat(body).expect_err(body).field
}

#[test]
fn reads_the_fields_of_a_chat_request() {
    let body = r#" { "model" : "gpt\u002d5.5", "stream":true, "stream_options":{"include_usage":false,"x":1},
        "max_tokens":10, "max_completion_tokens":20, "n":3, "user":"ümlaut", "service_tier":null, "store":false,
        "messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}},
        {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}], "unknown":{"model":1,"Model":2} }"#;
    let peeked = chat(body).unwrap();
    assert_eq!(peeked.model().as_deref(), Some("gpt-5.5"));
    assert!(peeked.is_stream());
    assert!(!peeked.wants_usage());
    assert!(!peeked.stream_options_is_empty());
    assert_eq!(peeked.count(Field::MaxTokens), Some(10));
    assert_eq!(peeked.output_cap(), Some(20));
    assert_eq!(peeked.choices(), 3);
    assert_eq!(peeked.text(Field::User).as_deref(), Some("ümlaut"));
    assert!(!peeked.has(Field::ServiceTier));
    assert!(peeked.span(Field::ServiceTier).is_some());
    assert_eq!(peeked.flag(Field::Store), Some(false));
    assert_eq!(peeked.references(), 1);
    assert!(peeked.span(Field::Messages).is_some_and(|span| span.len() > 100));
    assert_eq!(peeked.text(Field::MaxTokens), None);
    let span = peeked.span(Field::Model).unwrap();
    assert_eq!(&body[span.range()], r#""gpt\u002d5.5""#);
}

#[test]
fn reads_what_the_other_dialects_have() {
    let body = Bytes::from_static(
        br#"{"model":"m","metadata":{"user_id":"u-1","z":[]},"container":{"id":"c-1"},"max_tokens":0,"n":"free"}"#,
    );
    let peeked = peek(Dialect::AnthropicMessages, body).unwrap();
    assert_eq!(peeked.text(Field::MetadataUserId).as_deref(), Some("u-1"));
    assert_eq!(peeked.text(Field::ContainerId).as_deref(), Some("c-1"));
    assert_eq!(peeked.output_cap(), Some(0));
    let body = Bytes::from_static(
        br#"{"conversation":"conv_1","previous_response_id":"resp_1","background":true,"metadata":{"user_id":5}}"#,
    );
    let peeked = peek(Dialect::OpenaiResponses, body).unwrap();
    assert_eq!(peeked.text(Field::ConversationId).as_deref(), Some("conv_1"));
    assert_eq!(peeked.text(Field::PreviousResponseId).as_deref(), Some("resp_1"));
    assert_eq!(peeked.flag(Field::Background), Some(true));
}

#[test]
fn a_second_or_another_spelling_names_the_key() {
    for body in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":null,"model":"b"}"#,
        r#"{"Model":"a"}"#,
        r#"{"model":"a","MODEL":"b"}"#,
        r#"{"mod\u0065l":"a"}"#,
        r#"{"M\u006fdel":"a"}"#,
    ] {
        assert_eq!(fault(body), Some("model"), "{body}");
    }
    assert_eq!(fault("{\"\u{17F}tream\":true}"), Some("stream"));
    assert_eq!(fault("{\"max_to\u{212A}ens\":1}"), Some("max_tokens"));
    assert_eq!(fault(r#"{"\u017Ftream":true}"#), Some("stream"));
    assert_eq!(
        fault(r#"{"stream_options":{"include_usage":true,"Include_usage":false}}"#),
        Some("stream_options.include_usage")
    );
    assert!(chat(r#"{"other":1,"other":2,"Other":3,"models":[],"mod\u0065":1}"#).is_ok());
}

#[test]
fn wrong_types_and_ranges_name_the_field() {
    for (body, field) in [
        (r#"{"model":5}"#, "model"),
        (r#"{"model":["a"]}"#, "model"),
        (r#"{"stream":"true"}"#, "stream"),
        (r#"{"stream":1}"#, "stream"),
        (r#"{"stream_options":true}"#, "stream_options"),
        (r#"{"stream_options":{"include_usage":"yes"}}"#, "stream_options.include_usage"),
        (r#"{"n":1.5}"#, "n"),
        (r#"{"n":1e2}"#, "n"),
        (r#"{"n":-1}"#, "n"),
        (r#"{"n":0}"#, "n"),
        (r#"{"n":2147483648}"#, "n"),
        (r#"{"n":"3"}"#, "n"),
        (r#"{"max_tokens":-1}"#, "max_tokens"),
        (r#"{"max_tokens":9007199254740993}"#, "max_tokens"),
        (r#"{"max_tokens":9223372036854775808}"#, "max_tokens"),
        (r#"{"max_tokens":99999999999999999999999999}"#, "max_tokens"),
        (r#"{"max_completion_tokens":1e309}"#, "max_completion_tokens"),
        (r#"{"max_tokens":"5"}"#, "max_tokens"),
        (r#"{"user":{}}"#, "user"),
        (r#"{"store":0}"#, "store"),
    ] {
        assert_eq!(fault(body), Some(field), "{body}");
    }
    assert!(chat(r#"{"max_tokens":9007199254740992,"n":1024}"#).is_ok());
}

#[test]
fn hostile_bodies_are_refused_as_a_whole() {
    let deep = |open: &str, count: usize| format!("{{\"a\":{}", open.repeat(count));
    for body in [
        String::new(),
        "null".into(),
        "[]".into(),
        "\"x\"".into(),
        "{}{}".into(),
        "{} x".into(),
        "{\"a\":NaN}".into(),
        "{\"a\":Infinity}".into(),
        "{\"a\":01}".into(),
        "{\"a\":1.}".into(),
        "{\"a\":.5}".into(),
        "{\"a\":+1}".into(),
        "{\"a\":1,}".into(),
        "{\"a\":[1,]}".into(),
        "{'a':1}".into(),
        "{\"a\" 1}".into(),
        "{\"a\":\"\u{1}\"}".into(),
        "{\"a\":\"\n\"}".into(),
        "{\"a\":\"\0\"}".into(),
        "{\"a\":1\0}".into(),
        "\u{FEFF}{}".into(),
        r#"{"a":"\ud800"}"#.into(),
        r#"{"a":"\ud800\u0041"}"#.into(),
        r#"{"a":"\udc00"}"#.into(),
        r#"{"a":"\u12g4"}"#.into(),
        r#"{"a":"\x"}"#.into(),
        r#"{"a":"\u12"#.into(),
        r#"{"model":[}"#.into(),
        deep("[", 100_000),
        deep("{\"a\":", 100_000),
        format!("{}{}}}", deep("[", 127), "]".repeat(127)),
    ] {
        let error = chat(&body).expect_err(&body[..body.len().min(80)]);
        assert_eq!(error.field, None, "{error}");
    }
    assert!(chat(&format!("{}{}}}", deep("[", 126), "]".repeat(126))).is_ok());
    assert!(chat(r#"{"a":"\ud83d\ude00 \u0000"}"#).is_ok());
    assert!(chat(r#"{"a":1e999}"#).is_ok());
    for bytes in
        [&b"{\"a\":\"\xFF\"}"[..], b"{\"a\":\"\xED\xA0\x80\"}", b"{\"a\":\"\xC0\xAF\"}", b"{\0\"\0a\0"]
    {
        assert!(peek(Dialect::OpenaiChat, Bytes::copy_from_slice(bytes)).is_err());
    }
}

#[test]
fn a_million_keys_are_read_in_one_pass() {
    let keys: Vec<String> = (0..1_000_000).map(|number| format!("\"k{number}\":1")).collect();
    let peeked = chat(&format!("{{{},\"model\":\"m\"}}", keys.join(","))).unwrap();
    assert_eq!(peeked.model().as_deref(), Some("m"));
}

#[test]
fn the_input_bound_covers_bytes_tools_and_references() {
    let plain = chat(r#"{"messages":[{"role":"user","content":"hi"}]}"#).unwrap();
    assert!(input_bound_tokens(&plain) >= plain.body().len() as u64);
    let pointing = chat(r#"{"messages":[{"image_url":{"url":"https://x"}}],"tools":[]}"#).unwrap();
    assert!(input_bound_tokens(&pointing) >= TOKENS_PER_REFERENCE + 2_048);
}
