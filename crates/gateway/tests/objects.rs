//! What a provider keeps for one payer does not exist for another, wherever in a body its id stands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use serde_json::{Value, json};
use tollgate_core::Dialect;
use tollgate_ledger::record::{JournalRecord, ProviderObjectKind};
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, TestGateway, canned,
};

async fn setup() -> (ScriptedProvider, TestGateway) {
    let provider = ScriptedProvider::start().await;
    let plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .provider("an", "anthropic_compatible", &provider.url())
        .model("oa", &[("oa", "first", 0), ("oa", "second", 1)])
        .model("an", &[("an", "upstream-name", 1)]);
    let gateway = TestGateway::start(plan);
    (provider, gateway)
}

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    client.post(path, &[("authorization", &bearer)], body.to_string()).await.unwrap()
}

#[tokio::test]
async fn an_id_that_nobody_was_given_is_a_404_that_names_its_place() {
    let (provider, gateway) = setup().await;
    let responses = |part: Value| {
        let mut body = json!({"model": "oa", "input": "x"});
        body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        ("/v1/responses", body)
    };
    let content = |part: Value| json!([{"role": "user", "content": [part]}]);
    let cases = [
        (responses(json!({"previous_response_id": "resp_x"})), "previous_response_id"),
        (responses(json!({"input": [{"type": "item_reference", "id": "msg_x"}]})), "input[0].id"),
        (
            responses(json!({"input": content(json!({"type": "input_file", "file_id": "file-x"}))})),
            "input[0].content[0].file_id",
        ),
        (responses(json!({"prompt": {"id": "pmpt_x"}})), "prompt.id"),
        (
            responses(json!({"tools": [{"type": "file_search", "vector_store_ids": ["vs_x"]}]})),
            "tools[0].vector_store_ids[0]",
        ),
        (
            responses(json!({"tools": [{"type": "code_interpreter", "container": "cntr_x"}]})),
            "tools[0].container",
        ),
        (
            (
                "/v1/chat/completions",
                json!({"model": "oa", "messages": content(json!({"type": "file", "file": {"file_id": "file-x"}}))}),
            ),
            "messages[0].content[0].file.file_id",
        ),
    ];
    for ((path, body), param) in &cases {
        let answer = post(&gateway, path, body).await;
        let error = &answer.json()["error"];
        assert_eq!(answer.status, 404, "{body}: {}", answer.text());
        assert_eq!(
            (error["code"].as_str(), error["param"].as_str()),
            (Some("object_not_found"), Some(*param))
        );
    }
    let file = json!({"type": "document", "source": {"type": "file", "file_id": "file_x"}});
    for part in [json!({"container": "container_x"}), json!({"messages": content(file)})] {
        let mut body = json!({"model": "an", "max_tokens": 9, "messages": []});
        body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        let answer = post(&gateway, "/v1/messages", &body).await;
        assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (404, Some("not_found_error")));
        assert!(answer.text().contains("_x`"), "{}", answer.text());
    }
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn items_of_a_stored_answer_can_be_referred_to_where_they_are_held() {
    for stream in [false, true] {
        let (provider, gateway) = setup().await;
        // The first answer comes from the deployment that is drawn least.
        provider.on(Match::model("second"), canned::error(Dialect::OpenaiChat, 500).reply());
        let first = json!({"model": "oa", "input": "x", "stream": stream});
        assert_eq!(post(&gateway, "/v1/responses", &first).await.status, 200);
        provider.forget_rules();
        let later = json!({"model": "oa", "input": [{"type": "item_reference", "id": "msg_scripted0001"}]});
        let answer = post(&gateway, "/v1/responses", &later).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(provider.last_request().json()["model"], "first");
        gateway.wait_for_settlements(2).await;
        let kinds: Vec<_> = gateway
            .records()
            .into_iter()
            .filter_map(|record| match record {
                JournalRecord::ProviderObject(object) => Some((object.object_id, object.kind)),
                _ => None,
            })
            .collect();
        assert_eq!(kinds[0], ("resp_scripted0001".into(), ProviderObjectKind::Response));
        assert_eq!(kinds[1], ("msg_scripted0001".into(), ProviderObjectKind::Item));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_stored_leaves_only_what_outlives_it() {
    let (provider, gateway) = setup().await;
    let answer = json!({"id": "resp_1", "object": "response", "status": "completed", "output": [
        {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1", "code": "1"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]}],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}});
    provider.on(Match::any(), Reply::json(200, answer.to_string()));
    let call = json!({"model": "oa", "input": "x", "store": false});
    assert_eq!(post(&gateway, "/v1/responses", &call).await.status, 200);
    let mut again = call.clone();
    again["tools"] = json!([{"type": "code_interpreter", "container": "cntr_1"}]);
    assert_eq!(post(&gateway, "/v1/responses", &again).await.status, 200);
    for id in ["msg_1", "resp_1"] {
        again["input"] = json!([{"type": "item_reference", "id": id}]);
        assert_eq!(post(&gateway, "/v1/responses", &again).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn a_container_of_anthropics_can_be_used_again_by_its_owner() {
    for stream in [false, true] {
        let (provider, gateway) = setup().await;
        let container = json!({"id": "container_1", "expires_at": "2030-01-01T00:00:00Z"});
        let reply = if stream {
            let event =
                |value: Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap());
            Reply::events(
                [
                    json!({"type": "message_start", "message": {"id": "msg_1", "usage": {"input_tokens": 1}}}),
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}),
                    json!({"type": "content_block_stop", "index": 0}),
                    json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "container": container},
                        "usage": {"output_tokens": 1}}),
                    json!({"type": "message_stop"}),
                ]
                .map(event),
            )
        } else {
            let body = json!({"id": "msg_1", "type": "message", "role": "assistant", "container": container,
                "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn",
                "usage": {"input_tokens": 1, "output_tokens": 1}});
            Reply::json(200, body.to_string())
        };
        provider.on(Match::any(), reply);
        let mut call = json!({"model": "an", "max_tokens": 9, "messages": [], "stream": stream});
        assert_eq!(post(&gateway, "/v1/messages", &call).await.status, 200);
        call["container"] = "container_1".into();
        assert_eq!(post(&gateway, "/v1/messages", &call).await.status, 200);
    }
}
