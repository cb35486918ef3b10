use super::*;

fn read(dialect: Dialect, body: &str) -> Answer {
    read_answer(dialect, body.as_bytes()).unwrap()
}

#[test]
fn reads_a_chat_answer() {
    let body = r#"{"id":"c-1","model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":"Hello",
        "reasoning_content":"hm","tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]},
        "finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let answer = read(Dialect::OpenaiChat, body);
    assert_eq!((answer.id.as_deref(), answer.model.as_deref()), (Some("c-1"), Some("gpt-x")));
    assert_eq!(answer.finish_reason.as_deref(), Some("tool_calls"));
    assert_eq!(answer.text_bytes, 10);
    assert_eq!(answer.usage(), Ok(Some(TokenUsage { input: 3, output: 2, ..TokenUsage::default() })));
    assert_eq!(produced_text(Dialect::OpenaiChat, body.as_bytes()), "Hellohmf{}");
}

#[test]
fn reads_an_anthropic_answer_and_a_token_count() {
    let body = r#"{"id":"msg_1","type":"message","model":"claude-x","content":[{"type":"text","text":"Hi"},
        {"type":"thinking","thinking":"t","signature":"zzz"},{"type":"tool_use","id":"x","name":"f","input":{"a":"b"}}],
        "stop_reason":"end_turn","usage":{"input_tokens":3,"cache_read_input_tokens":9,"output_tokens":2}}"#;
    let answer = read(Dialect::AnthropicMessages, body);
    assert_eq!(answer.finish_reason.as_deref(), Some("end_turn"));
    assert_eq!(answer.text_bytes, 5);
    let expected = TokenUsage { input: 3, cache_read: 9, output: 2, ..TokenUsage::default() };
    assert_eq!(answer.usage(), Ok(Some(expected)));
    assert_eq!(produced_text(Dialect::AnthropicMessages, body.as_bytes()), "Hitf{\"a\":\"b\"}");
    let count = read(Dialect::AnthropicMessages, r#"{"input_tokens":42}"#);
    assert_eq!(count.usage().unwrap().unwrap().input, 42);
}

#[test]
fn reads_responses_embeddings_and_completions() {
    let body = r#"{"id":"resp_1","object":"response","status":"incomplete","error":null,"incomplete_details":{"reason":"max_output_tokens"},
        "output":[{"type":"message","id":"m","content":[{"type":"output_text","text":"Hey"}]}],
        "usage":{"input_tokens":5,"output_tokens":4,"output_tokens_details":{"reasoning_tokens":1}}}"#;
    let answer = read(Dialect::OpenaiResponses, body);
    assert_eq!(answer.finish_reason.as_deref(), Some("max_output_tokens"));
    assert_eq!((answer.error, answer.text_bytes), (None, 3));
    assert_eq!(produced_text(Dialect::OpenaiResponses, body.as_bytes()), "Hey");
    let body =
        r#"{"object":"list","data":[{"embedding":[0.1,1e-3]}],"usage":{"prompt_tokens":7,"total_tokens":7}}"#;
    let answer = read(Dialect::OpenaiEmbeddings, body);
    assert_eq!(answer.usage(), Ok(Some(TokenUsage { input: 7, ..TokenUsage::default() })));
    let answer = read(Dialect::OpenaiCompletions, r#"{"choices":[{"text":"abc","finish_reason":"length"}]}"#);
    assert_eq!((answer.text_bytes, answer.finish_reason.as_deref()), (3, Some("length")));
    assert_eq!(answer.usage(), Ok(None));
}

#[test]
fn errors_and_nonsense_are_told_apart() {
    let error =
        read(Dialect::OpenaiChat, r#"{"error":{"message":"no","type":"t","code":null}}"#).error.unwrap();
    assert_eq!((error.message.as_deref(), error.kind.as_deref(), error.code), (Some("no"), Some("t"), None));
    for body in [&b"<html>"[..], b"", b"[1]", b"7", b"null", b"{\"a\":1", b"{} {}", b"{\"a\":\"\xFF\"}"] {
        assert!(read_answer(Dialect::OpenaiChat, body).is_err());
    }
    let negative = read(Dialect::OpenaiChat, r#"{"usage":{"completion_tokens":-2}}"#);
    assert_eq!(negative.usage(), Err(UsageProblem::Negative("completion_tokens")));
}
