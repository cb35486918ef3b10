//! What leaves is what came: the provider gets the client's bytes and the client the provider's, but for named splices.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::Dialect;
use tollgate_testkit::gateway::PROVIDER_SECRET;
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, RecordedRequest, Reply, ScriptedProvider, TestGateway, canned,
};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

async fn setup() -> (ScriptedProvider, TestGateway) {
    let provider = ScriptedProvider::start().await;
    let plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .provider("an", "anthropic_compatible", &provider.url())
        .model("same", &[("oa", "same", 1)])
        .model("other", &[("oa", "vendor/\"quoted\" name", 1)])
        .model("same-an", &[("an", "same-an", 1)])
        .model("other-an", &[("an", "claude-upstream", 1)])
        .model("prefix/*", &[("oa", "", 1)]);
    (provider, TestGateway::start(plan))
}

async fn post(gateway: &TestGateway, path: &str, headers: &[(&str, &str)], body: &[u8]) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    let headers: Vec<(&str, &str)> =
        [("authorization", bearer.as_str())].iter().chain(headers).copied().collect();
    client.post(path, &headers, body).await.unwrap()
}

/// Odd but valid bodies; `MODEL` stands for the model's name as JSON text.
fn bodies() -> Vec<String> {
    let tail = r#""messages":[{"role":"user","content":"hello"}]"#;
    [
        format!(r#"{{"model":MODEL,{tail}}}"#),
        format!(r#"{{{tail},"model":MODEL}}"#),
        format!(r#"{{"a":1,"model":MODEL,{tail},"z":null}}"#),
        format!("\r\n\t {{ \"model\"\t:\n MODEL ,\n\n {tail} }} \r\n "),
        format!(
            r#"{{"model":MODEL,{tail},"big":123456789012345678901234567890,"numbers":[1.0,1e400,-0,0.10,1E+2]}}"#
        ),
        format!(r#"{{"model":MODEL,{tail},"escapes":"\u0041\/\b\ud83d\ude80\"\\","raw":"é🚆 "}}"#),
        format!(r#"{{"model":MODEL,{tail},"nested":{{"model":"inner","stream":7,"messages":[[[]]]}}}}"#),
        format!(r#"{{"model":MODEL,{tail},"k":1,"k":2,"":"","model ":"x","\u006dodels":[]}}"#),
        format!(r#"{{"model":MODEL,{tail},"text":"\"model\":\"trap\",\"stream\":true}}"}}"#),
        format!(r#"{{"model":MODEL,"stream":false,"stream_options":null,"temperature":null,{tail}}}"#),
    ]
    .into()
}

/// What `received` has instead of the rest of `sent` when both begin and end alike.
fn spliced<'a>(sent: &[u8], received: &'a [u8], removed: usize) -> &'a [u8] {
    let same =
        |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(one, other)| one == other).count();
    let start = same(&mut sent.iter().zip(received)).min(sent.len() - removed);
    let end = sent.len() - removed - start;
    assert_eq!(sent[sent.len() - end..], received[received.len() - end..], "only one place may change");
    &received[start..received.len() - end]
}

#[tokio::test]
async fn bodies_arrive_as_they_were_sent_but_for_the_models_name() {
    let (provider, gateway) = setup().await;
    let cases = [
        (CHAT, "same", "same"),
        (CHAT, "other", r#"vendor/\"quoted\" name"#),
        (MESSAGES, "same-an", "same-an"),
        (MESSAGES, "other-an", "claude-upstream"),
        (RESPONSES, "other", r#"vendor/\"quoted\" name"#),
        (CHAT, "prefix/a:b@c", "a:b@c"),
    ];
    // The provider's own parser would not read every one of them.
    let dialects = [
        (CHAT, Dialect::OpenaiChat),
        (MESSAGES, Dialect::AnthropicMessages),
        (RESPONSES, Dialect::OpenaiResponses),
    ];
    for (path, dialect) in dialects {
        provider.on(Match::path(path), canned::text(dialect).reply());
    }
    let mut number = 0;
    for (path, model, upstream) in cases {
        for body in bodies() {
            let sent = body.replacen("MODEL", &format!("\"{model}\""), 1);
            let answer = post(&gateway, path, &[], sent.as_bytes()).await;
            assert_eq!(answer.status, 200, "{sent}: {}", answer.text());
            let received = &provider.requests()[number].body;
            let expected = body.replacen("MODEL", &format!("\"{upstream}\""), 1);
            let got = String::from_utf8_lossy(received);
            if path == CHAT && model.starts_with("prefix") {
                // A pattern passes the name on, with or without what the pattern says.
                assert!(got == expected || got == sent, "{got}");
            } else {
                assert_eq!(got, expected);
            }
            number += 1;
        }
    }
    // A name that is written with escapes is the same name.
    let sent = br#"{"mod\u0065l":"s\u0061me","messages":[]}"#;
    let answer = post(&gateway, CHAT, &[], sent).await;
    if answer.status == 200 {
        assert_eq!(provider.last_request().json()["model"], "same");
    } else {
        assert_eq!(answer.status, 400, "another spelling of a key is refused");
    }
}

#[tokio::test]
async fn a_stream_adds_the_usage_option_and_nothing_else() {
    let (provider, gateway) = setup().await;
    let messages = r#""messages":[]"#;
    let asks_already =
        format!(r#"{{"model":"same","stream":true,"stream_options":{{"include_usage":true}},{messages}}}"#);
    let bodies = [
        (format!(r#"{{"model":"same","stream":true,{messages}}}"#), 0),
        (format!(r#"{{ "stream" : true , {messages} , "model" : "same" }} "#), 0),
        (format!(r#"{{"model":"same","stream":true,"stream_options":{{}},{messages}}}"#), 0),
        (format!(r#"{{"model":"same","stream":true,"stream_options":null,{messages}}}"#), "null".len()),
        (format!(r#"{{"model":"same","stream":true,"stream_options":{{"x":1}},{messages}}}"#), 0),
        (
            format!(
                r#"{{"model":"same","stream":true,"stream_options":{{"include_usage":false}},{messages}}}"#
            ),
            "false".len(),
        ),
    ];
    for (number, (body, removed)) in bodies.iter().enumerate() {
        let answer = post(&gateway, CHAT, &[], body.as_bytes()).await;
        assert_eq!(answer.body, canned::text_stream_without_usage(Dialect::OpenaiChat).body(), "{body}");
        let received = &provider.requests()[number];
        let mut expected: Value = serde_json::from_str(body).unwrap();
        if !expected["stream_options"].is_object() {
            expected["stream_options"] = json!({});
        }
        expected["stream_options"]["include_usage"] = json!(true);
        assert_eq!(received.json(), expected, "{body}");
        let added = String::from_utf8_lossy(spliced(body.as_bytes(), &received.body, *removed)).into_owned();
        assert!(added.len() <= r#","stream_options":{"include_usage":true}"#.len(), "{added}");
    }
    let answer = post(&gateway, CHAT, &[], asks_already.as_bytes()).await;
    assert_eq!(provider.last_request().body, asks_already);
    assert_eq!(answer.body, canned::text_stream(Dialect::OpenaiChat).body());
}

fn headers_of(received: &RecordedRequest) -> BTreeMap<String, Vec<String>> {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &received.headers {
        let name = String::from_utf8_lossy(name).to_lowercase();
        headers.entry(name).or_default().push(String::from_utf8_lossy(value).into_owned());
    }
    headers
}

/// What the provider must not see; `key` is the client's credential.
fn withheld(key: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("x-api-key", key),
        ("api-key", key),
        ("x-goog-api-key", key),
        ("cookie", "session=secret"),
        ("accept-encoding", "gzip, br, zstd"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("trailer", "x-t"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "keep-alive"),
        ("x-tollgate-tags", "a=b"),
        ("x-tollgate-customer", "c"),
        ("x-tollgate-anything", "d"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "internal"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=10.0.0.1"),
        ("via", "1.1 proxy"),
        ("x-real-ip", "10.0.0.1"),
        ("expect", "100-continue"),
        ("idempotency-key", "abc"),
        ("true-client-ip", "10.0.0.1"),
        ("cf-connecting-ip", "10.0.0.1"),
        ("cf-ray", "1"),
        ("x-client-ip", "10.0.0.1"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-amz-security-token", "secret"),
        ("x-token", "secret"),
        ("x-auth-token", "secret"),
        ("x-forwarded-anything", "x"),
        ("origin", "https://internal.example"),
        ("referer", "https://internal.example/page"),
    ]
}

#[tokio::test]
async fn headers_go_along_but_for_those_that_are_not_the_providers_business() {
    let (provider, gateway) = setup().await;
    let key = gateway.key.clone();
    let kept = [
        ("user-agent", "OpenAI/Python 2.0"),
        ("accept", "application/json"),
        ("x-stainless-retry-count", "0"),
        ("x-stainless-lang", "python"),
        ("anthropic-beta", "tools-2024-04-04, other"),
        ("anthropic-version", "2023-06-01"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "vendor=1"),
        ("x-custom", "one"),
        ("x-custom", "two"),
        ("x-empty", ""),
        ("accept-language", "de"),
    ];
    let withheld = withheld(&key);
    for (path, model, credential) in [(CHAT, "same", "authorization"), (MESSAGES, "same-an", "x-api-key")] {
        let body = json!({"model": model, "messages": [], "max_tokens": 5}).to_string();
        let headers: Vec<(&str, &str)> = withheld.iter().chain(&kept).copied().collect();
        let answer = post(&gateway, path, &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let request = provider.last_request();
        let mut received = headers_of(&request);
        assert!(!String::from_utf8_lossy(&request.head_bytes).contains(&key));
        let secret = received.remove(credential).expect("the provider's credential");
        assert!(secret.len() == 1 && secret[0].ends_with(PROVIDER_SECRET), "{secret:?}");
        assert_eq!(received.remove("host"), Some(vec![provider.address().to_string()]));
        assert_eq!(received.remove("content-length"), Some(vec![request.body.len().to_string()]));
        assert_eq!(received.remove("accept-encoding"), Some(vec!["identity".to_owned()]));
        assert_eq!(received.remove("content-type"), Some(vec!["application/json".to_owned()]));
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in kept {
            expected.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        assert_eq!(received, expected, "{path}");
    }
}

#[tokio::test]
async fn of_the_query_goes_along_what_names_a_version() {
    let (provider, gateway) = setup().await;
    let body = json!({"model": "same", "messages": []}).to_string();
    let path = format!(
        "{CHAT}?api-version=2026-01-01&key={key}&api_key={key}&Key={key}&%6bey={key}&x=%2F%20y&beta=true&&beta2=1",
        key = gateway.key
    );
    assert_eq!(post(&gateway, &path, &[], body.as_bytes()).await.status, 200);
    assert_eq!(provider.last_request().target, format!("{CHAT}?api-version=2026-01-01&beta=true"));
    let path = format!("{CHAT}?x=1");
    assert_eq!(post(&gateway, &path, &[], body.as_bytes()).await.status, 200);
    assert_eq!(provider.last_request().target, CHAT);
}

#[tokio::test]
async fn answers_come_back_as_they_were_sent_but_for_the_headers_that_are_ours() {
    let (provider, gateway) = setup().await;
    let body = "{ \"id\":\"x\",\t\"model\" : \"the upstream's name\", \"choices\":[ ],\n \"n\":1.00, \"usage\":\
                {\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}, \"e\":\"\\u00e9\" }\n";
    let kept = [
        ("openai-processing-ms", "12"),
        ("x-request-id", "req_1"),
        ("x-custom", "one"),
        ("x-custom", "two"),
        ("date", "Fri, 20 Nov 2026 10:00:00 GMT"),
        ("cache-control", "no-store"),
        ("content-type", "application/json; charset=utf-8"),
    ];
    let moved = [
        ("x-ratelimit-limit-requests", "x-upstream-ratelimit-limit-requests"),
        ("x-ratelimit-reset-tokens", "x-upstream-ratelimit-reset-tokens"),
        ("anthropic-ratelimit-tokens-remaining", "x-upstream-anthropic-ratelimit-tokens-remaining"),
        ("ratelimit-policy", "x-upstream-ratelimit-policy"),
    ];
    let removed = [
        "set-cookie",
        "keep-alive",
        "x-hop",
        "alt-svc",
        "strict-transport-security",
        "openai-organization",
        "anthropic-organization-id",
        "location",
        "www-authenticate",
        "proxy-authenticate",
        "clear-site-data",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "refresh",
        "content-security-policy",
        "content-security-policy-report-only",
        "report-to",
        "nel",
        "content-encoding",
    ];
    let mut reply = Reply::status(200).send(body);
    for (name, value) in kept {
        reply = reply.header(name, value);
    }
    for (name, _) in moved {
        reply = reply.header(name, "7");
    }
    for name in removed {
        reply = reply.header(name, "x");
    }
    provider.on(Match::any(), reply.header("connection", "x-hop"));
    let answer = post(&gateway, CHAT, &[], br#"{"model":"other","messages":[]}"#).await;
    assert_eq!((answer.status, &answer.body), (200, &Bytes::from(body)));
    for (name, _) in kept {
        let values = |wanted: &str| -> Vec<String> {
            let of = |(name, value): &(String, Bytes)| {
                name.eq_ignore_ascii_case(wanted).then(|| String::from_utf8_lossy(value).into_owned())
            };
            answer.headers.iter().filter_map(of).collect()
        };
        let expected: Vec<&str> =
            kept.iter().filter(|(other, _)| *other == name).map(|(_, value)| *value).collect();
        assert_eq!(values(name), expected, "{name}");
    }
    for (theirs, ours) in moved {
        assert_eq!((answer.header(theirs), answer.header(ours)), (None, Some("7")));
    }
    for name in removed {
        assert_eq!(answer.header(name), None, "{name}");
    }
    assert_eq!(answer.header("x-tollgate-model"), Some("other"));
}

#[tokio::test]
async fn streams_come_back_byte_for_byte_in_every_dialect() {
    let (provider, gateway) = setup().await;
    let cases = [
        (Dialect::OpenaiChat, CHAT, "other"),
        (Dialect::AnthropicMessages, MESSAGES, "other-an"),
        (Dialect::OpenaiResponses, RESPONSES, "other"),
    ];
    for (dialect, path, model) in cases {
        let stream = canned::text_stream(dialect);
        let body = match dialect {
            Dialect::OpenaiChat => {
                json!({"model": model, "messages": [], "stream": true, "stream_options": {"include_usage": true}})
            }
            Dialect::OpenaiResponses => json!({"model": model, "input": "x", "stream": true}),
            _ => json!({"model": model, "messages": [], "max_tokens": 5, "stream": true}),
        };
        for prefix in ["", ": comment\n\n", "\u{feff}"] {
            let whole = [prefix.as_bytes(), &stream.body()].concat();
            provider.forget_rules();
            provider.on(
                Match::any(),
                Reply::events(whole.chunks(7).map(Bytes::copy_from_slice)).header("x-kept", "yes"),
            );
            let answer = post(&gateway, path, &[], body.to_string().as_bytes()).await;
            assert_eq!((answer.status, answer.complete), (200, true), "{}", answer.text());
            assert_eq!(answer.body, whole, "{dialect:?} after {prefix:?}");
            assert_eq!(answer.header("content-type"), Some("text/event-stream"));
            assert_eq!(answer.header("x-kept"), Some("yes"));
        }
    }
}
