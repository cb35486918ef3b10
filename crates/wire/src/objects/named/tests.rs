use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::Dialect;

use crate::peek;

fn named(dialect: Dialect, body: &Value) -> Vec<(String, String)> {
    let peeked = peek(dialect, Bytes::from(body.to_string())).unwrap();
    peeked.objects().iter().map(|named| (named.path.to_string(), named.id.to_string())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(path, id)| ((*path).to_owned(), (*id).to_owned())).collect()
}

#[test]
fn items_that_only_point_at_something_are_named() {
    let body = json!({"model": "m", "input": [
        {"type": "item_reference", "id": "msg_1"},
        {"id": "msg_2"},
        {"type": null, "id": "msg_3"},
        {"type": "message", "id": "msg_own", "role": "assistant", "content": [
            {"type": "output_text", "text": "x", "annotations": [{"type": "file_citation", "file_id": "file-own"}]}]},
        {"role": "user", "id": "own", "content": [
            {"type": "input_text", "text": "{\"file_id\":\"no\"}"},
            {"type": "input_file", "file_id": "file-1"}, {"type": "input_image", "file_id": "file-2"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "id": "rs_own", "encrypted_content": "xyz"},
        {"type": "image_generation_call", "id": "ig_1", "result": ""},
        {"type": "function_call", "id": "fc_own", "arguments": "{\"id\":\"no\"}"},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "file_id": "file-3"}},
        {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"},
        {"type": "something_new", "id": "new_1"},
        {"type": "item_reference", "id": "msg_1"},
    ]});
    let expected = pairs(&[
        ("input[0].id", "msg_1"),
        ("input[1].id", "msg_2"),
        ("input[2].id", "msg_3"),
        ("input[4].content[1].file_id", "file-1"),
        ("input[4].content[2].file_id", "file-2"),
        ("input[5].id", "rs_1"),
        ("input[7].id", "ig_1"),
        ("input[9].output.file_id", "file-3"),
        ("input[10].container_id", "cntr_1"),
        ("input[10].id", "ci_1"),
        ("input[11].id", "new_1"),
    ]);
    assert_eq!(named(Dialect::OpenaiResponses, &body), expected);
}

#[test]
fn tools_and_stored_prompts_are_named() {
    let body = json!({"prompt": {"id": "pmpt_1", "version": "2"}, "input": "id", "tools": [
        {"type": "file_search", "vector_store_ids": ["vs_1", "vs_2"]},
        {"type": "code_interpreter", "container": "cntr_1"},
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}},
        {"type": "image_generation", "input_image_mask": {"file_id": "file-2"}},
        {"type": "function", "name": "f", "parameters": {"properties": {"file_id": {"const": "no"}, "container": "no"}}},
    ]});
    let expected = pairs(&[
        ("prompt.id", "pmpt_1"),
        ("tools[0].vector_store_ids[0]", "vs_1"),
        ("tools[0].vector_store_ids[1]", "vs_2"),
        ("tools[1].container", "cntr_1"),
        ("tools[2].container.file_ids[0]", "file-1"),
        ("tools[3].input_image_mask.file_id", "file-2"),
    ]);
    assert_eq!(named(Dialect::OpenaiResponses, &body), expected);
}

#[test]
fn the_other_dialects_name_files() {
    let chat = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "x"}, {"type": "file", "file": {"file_id": "file-1"}}]},
        {"role": "assistant", "id": "x", "tool_calls": [{"id": "call_1"}]}]});
    let expected = pairs(&[("messages[0].content[1].file.file_id", "file-1")]);
    assert_eq!(named(Dialect::OpenaiChat, &chat), expected);
    let messages = json!({"messages": [
        {"role": "user", "content": [
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "container_upload", "file_id": "file_2"}]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "toolu_1", "input": {"file_id": "no", "File_ID": 1}},
            {"type": "bash_code_execution_tool_result", "content": {"type": "bash_code_execution_result",
                "content": [{"type": "bash_code_execution_output", "file_id": "file_made"}]}},
            {"type": "text", "text": "x", "citations": [{"type": "char_location", "file_id": "no"}]}]}]});
    let expected = pairs(&[
        ("messages[0].content[0].source.file_id", "file_1"),
        ("messages[0].content[1].file_id", "file_2"),
    ]);
    assert_eq!(named(Dialect::AnthropicMessages, &messages), expected);
}

#[test]
fn another_spelling_or_a_second_one_is_refused_with_its_path() {
    let fault = |body: &str| {
        peek(Dialect::OpenaiResponses, Bytes::copy_from_slice(body.as_bytes())).expect_err(body).message
    };
    for (body, path) in [
        (r#"{"input":[{"type":"item_reference","ID":"x"}]}"#, "`input[0].id`"),
        (r#"{"input":[{"type":"item_reference","\u0069d":"x"}]}"#, "`input[0].id`"),
        (r#"{"input":[{"type":"message","type":"item_reference","id":"x"}]}"#, "`input[0].type`"),
        (r#"{"input":[{"id":"x","id":"y"}]}"#, "`input[0].id`"),
        (r#"{"input":[{"content":[{"File_Id":"x"}]}]}"#, "`input[0].content[0].file_id`"),
        ("{\"tools\":[{\"vector_\u{17F}tore_ids\":[\"x\"]}]}", "`tools[0].vector_store_ids`"),
    ] {
        assert!(fault(body).contains(path), "{body}: {}", fault(body));
    }
    let many: Vec<_> = (0..300).map(|number| json!({"id": number.to_string()})).collect();
    assert!(fault(&json!({"input": many}).to_string()).contains("256"));
    let deep = format!(r#"{{"input":{}{{"file_id":"x"}}{}}}"#, "[".repeat(125), "]".repeat(125));
    assert_eq!(peek(Dialect::OpenaiResponses, deep.into()).unwrap().objects().len(), 1);
}
