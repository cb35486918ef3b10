use bytes::Bytes;
use tollgate_core::Dialect;

use super::Beyond::{
    self, Audio, AudioAnswer, Echo, OtherModels, Prediction, ProviderTools, Referenced, Residency, Speed,
};
use crate::peek::{Field, Peeked, peek};

const ALL: [Beyond; 10] = [
    Referenced,
    Beyond::Media,
    Audio,
    AudioAnswer,
    ProviderTools,
    Prediction,
    Echo,
    Speed,
    Residency,
    OtherModels,
];

fn read(dialect: Dialect, body: &str) -> Peeked {
    peek(dialect, Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn found(dialect: Dialect, body: &str) -> Vec<Beyond> {
    let beyond_text = read(dialect, body).beyond_text();
    ALL.into_iter().filter(|what| beyond_text.has(*what)).collect()
}

#[test]
fn content_that_is_not_text_in_the_body_is_seen() {
    let chat = [
        (r#"{"type":"image_url","image_url":{"url":"https://x/"}}"#, vec![Referenced]),
        (r#"{"type":"image_url","image_url":{"u\u0072l":"https://x/"}}"#, vec![Referenced]),
        (r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}"#, vec![Beyond::Media]),
        (r#"{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}"#, vec![Beyond::Media, Audio]),
        (r#"{"type":"audio_url","audio_url":{"url":"data:audio/wav;base64,AA"}}"#, vec![Audio]),
        (r#"{"type":"file","file":{"file_data":"AA"}}"#, vec![Beyond::Media]),
        (r#"{"type":"file","file":{"file_id":"file-1"}}"#, vec![Referenced]),
        (r#"{"type":"text","text":"data: https://x/ url"}"#, vec![]),
    ];
    for (part, expected) in chat {
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
        assert_eq!(found(Dialect::OpenaiChat, &body), expected, "{body}");
    }
    let blocks = [
        (
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}}"#,
            vec![Beyond::Media],
        ),
        (r#"{"type":"document","source":{"type":"url","url":"https://x/"}}"#, vec![Referenced]),
        (
            r#"{"type":"tool_result","content":[{"type":"image","source":{"type":"url","url":"u"}}]}"#,
            vec![Referenced],
        ),
        (r#"{"type":"tool_use","name":"fetch","input":{"url":"https://x/","data":"y"}}"#, vec![]),
    ];
    for (block, expected) in blocks {
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{block}]}}]}}"#);
        assert_eq!(found(Dialect::AnthropicMessages, &body), expected, "{body}");
    }
    let items = [
        (r#"{"role":"user","content":[{"type":"input_image","image_url":"https://x/"}]}"#, vec![Referenced]),
        (r#"{"role":"user","content":[{"type":"input_file","file_data":"AA"}]}"#, vec![Beyond::Media]),
        (r#"{"type":"item_reference","id":"msg_1"}"#, vec![Referenced]),
        (
            r#"{"type":"web_search_call","id":"ws_1","action":{"type":"open_page","url":"https://x/"}}"#,
            vec![Referenced],
        ),
        (
            r#"{"role":"assistant","content":[{"type":"output_text","text":"t","annotations":[{"url":"https://x/"}]}]}"#,
            vec![],
        ),
    ];
    for (item, expected) in items {
        let body = format!(r#"{{"input":[{item}]}}"#);
        assert_eq!(found(Dialect::OpenaiResponses, &body), expected, "{body}");
    }
}

#[test]
fn only_known_tools_are_the_callers_own() {
    // Another spelling of a key that decides something else may be refused altogether.
    let run_by_provider = |dialect, tool: &str| {
        let body = format!(r#"{{"tools":[{{"type":"function","name":"f"}},{tool}]}}"#);
        peek(dialect, body.into()).map_or(true, |peeked| peeked.beyond_text().has(ProviderTools))
    };
    for own in [
        r#"{"type":"function","function":{"name":"f","parameters":{"properties":{"type":{"type":"web_search"}}}}}"#,
        r#"{"name":"f","input_schema":{"type":"object"}}"#,
        r#"{"type":"custom","name":"apply_patch","format":{"type":"grammar"}}"#,
        r#"{"type":"bash_20250124","name":"bash"}"#,
        r#"{"type":"text_editor_20250728","name":"str_replace_based_edit_tool"}"#,
        r#"{"type":"local_shell"}"#,
    ] {
        assert!(!run_by_provider(Dialect::AnthropicMessages, own), "{own}");
        assert!(!run_by_provider(Dialect::OpenaiResponses, own), "{own}");
    }
    for providers in [
        r#"{"type":"web_search"}"#,
        r#"{"type":"web_search_20250305","name":"web_search"}"#,
        r#"{"type":"mcp","server_url":"https://x/"}"#,
        r#"{"type":"code_interpreter","container":{"type":"auto"}}"#,
        r#"{"t\u0079pe":"web_search","name":"f"}"#,
        r#"{"Type":"web_search","name":"f"}"#,
        r#"{"type":"web_se\u0061rch"}"#,
        r#"{"type":"function","type":"web_search"}"#,
        r#"{"type":["web_search"],"name":"f"}"#,
        r#"{"google_search":{}}"#,
        r#""web_search""#,
    ] {
        assert!(run_by_provider(Dialect::OpenaiResponses, providers), "{providers}");
    }
}

#[test]
fn options_are_seen_in_any_spelling_unless_they_ask_for_nothing() {
    let chat = |member: &str| found(Dialect::OpenaiChat, &format!("{{{member}}}"));
    for (member, expected) in [
        (r#""web_search_options":{"x":1}"#, ProviderTools),
        (r#""mcp\u005fservers":[{}]"#, ProviderTools),
        (r#""Plugins":[{"id":"web"}]"#, ProviderTools),
        (r#""context_management":{"edits":[{"type":"compact_20260112"}]}"#, ProviderTools),
        (r#""context_management":{"edits":[{"type":"c\u006fmpact_20260112"}]}"#, ProviderTools),
        (r#""extra_body":{"google":{"cached_content":"c"}}"#, Referenced),
        (r#""modalities":["text","audio"]"#, AudioAnswer),
        (r#""prediction":{"type":"content","content":"x"}"#, Prediction),
        (r#""echo":true"#, Echo),
        (r#""speed":"fast""#, Speed),
        (r#""inference_geo":"us""#, Residency),
        (r#""models":["other"]"#, OtherModels),
    ] {
        assert_eq!(chat(member), [expected], "{member}");
    }
    for member in [
        r#""plugins":[]"#,
        r#""mcp_servers":null"#,
        r#""echo":false"#,
        r#""modalities":["text"]"#,
        r#""speed":"standard""#,
        r#""context_management":{"edits":[{"type":"clear_thinking_20251015"}]}"#,
        r#""other":1"#,
    ] {
        assert_eq!(chat(member), [], "{member}");
    }
}

#[test]
fn each_prompt_of_a_completion_has_its_own_answers() {
    let choices = |body: &str| read(Dialect::OpenaiCompletions, body).choices();
    assert_eq!(choices(r#"{"prompt":"a"}"#), 1);
    assert_eq!(choices(r#"{"prompt":["a","b","c"],"n":2}"#), 6);
    assert_eq!(choices(r#"{"prompt":[1,2,3],"best_of":5}"#), 5);
    assert_eq!(choices(r#"{"prompt":[[1],[2,3]],"n":1}"#), 2);
    assert_eq!(choices(r#"{"prompt":[]}"#), 1);
}

#[test]
fn the_thinking_budget_is_a_number_in_its_own_place() {
    let peeked = read(Dialect::AnthropicMessages, r#"{"thinking":{"type":"enabled","budget_tokens":2048}}"#);
    assert_eq!(peeked.count(Field::ThinkingBudget), Some(2048));
    let adaptive = read(Dialect::AnthropicMessages, r#"{"thinking":{"type":"adaptive"},"max_tokens":5}"#);
    assert_eq!((adaptive.count(Field::ThinkingBudget), adaptive.output_cap()), (None, Some(5)));
    let bad = peek(Dialect::AnthropicMessages, Bytes::from_static(br#"{"thinking":{"budget_tokens":1.5}}"#));
    assert_eq!(bad.unwrap_err().field, Some("thinking.budget_tokens"));
}
