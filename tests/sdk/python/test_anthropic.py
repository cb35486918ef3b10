"""The `anthropic` SDK against upstreams of its own dialect and of OpenAI's."""

import anthropic
import pytest

from canned import (
    CREDENTIALS, FINAL_TEXT, TEXT, TOOL_ARGUMENTS, TOOL_CALL_IDS, TOOL_NAME, TOOL_PARAMETERS, UPSTREAMS,
    USAGE, anthropic_usage, cost_nanos_usd,
)

CALL = {"max_tokens": 64, "system": "Answer briefly.", "messages": [{"role": "user", "content": "Grüß Gott 🚆"}]}
TOOLS = [{"name": TOOL_NAME, "description": "The weather", "input_schema": TOOL_PARAMETERS}]
MID_STREAM = ("error-mid-stream", "cut-mid-stream", "reset-mid-stream")

pytestmark = pytest.mark.parametrize("upstream", UPSTREAMS)


def seen(usage):
    written = usage.cache_creation_input_tokens or 0
    return usage.input_tokens, usage.cache_read_input_tokens or 0, written, usage.output_tokens


def check_headers(headers, model, used):
    assert headers["x-tollgate-request-id"].startswith("req_")
    assert headers["x-tollgate-model"] == model
    cost = headers.get("x-tollgate-cost-usd")
    assert cost == (used and f"{cost_nanos_usd(used) / 1_000_000_000:.9f}")


def test_answer(gateway, anthropic_client, upstream):
    model, used = gateway.model(upstream), USAGE[upstream]
    raw = anthropic_client().messages.with_raw_response.create(model=model, **CALL)
    message = raw.parse()
    [block] = message.content
    assert (block.type, block.text, message.role, message.stop_reason) == ("text", TEXT, "assistant", "end_turn")
    assert seen(message.usage) == anthropic_usage(used)
    check_headers(raw.headers, model, used)
    [record] = gateway.check_records(model, used, stream=False, operation="chat", client_dialect="anthropic_messages")
    assert record["id"] == raw.headers["x-tollgate-request-id"]
    assert record["deployment_id"] == raw.headers["x-tollgate-deployment"]
    assert gateway.credentials(model) == CREDENTIALS[upstream]


def test_stream(gateway, anthropic_client, upstream):
    model, used = gateway.model(upstream), USAGE[upstream]
    with anthropic_client().messages.stream(model=model, **CALL) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert (text, message.content[0].text, message.stop_reason) == (TEXT, TEXT, "end_turn")
    assert seen(message.usage) == anthropic_usage(used)
    check_headers(stream.response.headers, model, None)
    gateway.check_records(model, used, stream=True)


def ask(client, stream, **parameters):
    if not stream:
        return client.messages.create(**CALL | parameters)
    with client.messages.stream(**CALL | parameters) as events:
        return events.get_final_message()


@pytest.mark.parametrize("stream", [False, True])
def test_tool_loop(gateway, anthropic_client, upstream, stream):
    model, used = gateway.model(upstream), USAGE[upstream]
    parameters = {"model": model, "tools": TOOLS}
    question = ask(anthropic_client(), stream, **parameters)
    [call] = question.content
    assert (question.stop_reason, call.type, call.name, call.input) == (
        "tool_use", "tool_use", TOOL_NAME, TOOL_ARGUMENTS
    )
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"}
    turns = [{"role": "assistant", "content": question.content}, {"role": "user", "content": [result]}]
    answer = ask(anthropic_client(), stream, messages=CALL["messages"] + turns, **parameters)
    assert (answer.content[0].text, answer.stop_reason) == (FINAL_TEXT, "end_turn")
    assert [seen(question.usage), seen(answer.usage)] == [anthropic_usage(used)] * 2
    last = gateway.received(model)[-1]["messages"][-1]
    brought = last["tool_call_id"] if upstream == "openai" else last["content"][0]["tool_use_id"]
    assert brought == TOOL_CALL_IDS[upstream]
    gateway.check_records(model, used, used, stream=stream)


@pytest.mark.parametrize("stream", [False, True])
def test_tool_runner(gateway, anthropic_client, upstream, stream):
    """The SDK's own loop, which calls the beta endpoint."""
    model, calls = gateway.model(upstream), []

    @anthropic.beta_tool
    def get_weather(city: str, days: int) -> str:
        """The weather."""
        calls.append({"city": city, "days": days})
        return "21 degrees"

    runner = anthropic_client().beta.messages.tool_runner(model=model, tools=[get_weather], stream=stream, **CALL)
    message = runner.until_done()
    assert (message.content[0].text, calls) == (FINAL_TEXT, [TOOL_ARGUMENTS])
    gateway.check_records(model, USAGE[upstream], USAGE[upstream], stream=stream)


ERRORS = [
    ("400", anthropic.BadRequestError, 400, 1),
    ("401", anthropic.InternalServerError, 502, 1),
    ("404", anthropic.NotFoundError, 404, 1),
    ("429", anthropic.RateLimitError, 429, 3),
    ("500", anthropic.InternalServerError, 502, 3),
    ("529", anthropic.APIStatusError, 529, 3),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("script", "error", "status", "attempts"), ERRORS, ids=[row[0] for row in ERRORS])
def test_provider_error(gateway, anthropic_client, upstream, script, error, status, attempts, stream):
    """The SDK's own retries stay switched on: they must not multiply Tollgate's."""
    model = gateway.model(f"{upstream}:{script}")
    with pytest.raises(error) as caught:
        anthropic_client(max_retries=2).messages.create(model=model, stream=stream, **CALL)
    assert caught.value.status_code == status
    # What a provider says about Tollgate's own credential is not for the caller.
    assert (f"scripted error {script}" in caught.value.message) == (script != "401")
    assert caught.value.body["type"] == "error"
    assert caught.value.response.headers["x-tollgate-request-id"]
    assert len(gateway.received(model)) == attempts
    [record] = gateway.records(model, 1)
    assert (record["status"], record["outcome"], record["attempts"]) == (status, "failed", attempts)
    assert (record["cost_nanos_usd"], record["fault"]) == (0, "client" if status in (400, 404) else "provider")


@pytest.mark.parametrize("stream", [False, True])
def test_invisible_retry(gateway, anthropic_client, upstream, stream):
    model = gateway.model(f"{upstream}:429-then-ok")
    assert ask(anthropic_client(), stream, model=model).content[0].text == TEXT
    [record] = gateway.check_records(model, USAGE[upstream])
    attempts = gateway.attempts(record)
    assert [(attempt["status"], attempt["served"]) for attempt in attempts] == [(429, False), (200, True)]


@pytest.mark.parametrize("stream", [False, True])
def test_invisible_failover(gateway, anthropic_client, upstream, stream):
    """The second deployment speaks the other dialect."""
    [other] = set(UPSTREAMS) - {upstream}
    model = gateway.model(f"{upstream}:500", other)
    assert ask(anthropic_client(), stream, model=model).content[0].text == TEXT
    [record] = gateway.check_records(model, USAGE[other])
    attempts = gateway.attempts(record)
    assert [(attempt["status"], attempt["served"]) for attempt in attempts] == [(500, False), (200, True)]


@pytest.mark.parametrize("script", MID_STREAM)
def test_failure_in_the_stream(gateway, anthropic_client, upstream, script):
    model, text, ends = gateway.model(f"{upstream}:{script}"), "", []
    with pytest.raises(anthropic.APIError) as caught:
        for event in anthropic_client().messages.create(model=model, stream=True, **CALL):
            if event.type == "content_block_delta":
                text += event.delta.text
            if event.type in ("message_delta", "message_stop"):
                ends.append(event)
    assert not isinstance(caught.value, anthropic.APIConnectionError)
    assert TEXT.startswith(text) and 0 < len(text) < len(TEXT)
    assert ends == []
    [record] = gateway.records(model, 1)
    assert (record["outcome"], record["fault"], record["usage_source"]) == ("failed", "provider", "estimated")
    assert record["cost_nanos_usd"] == cost_nanos_usd(record["usage"]) > 0


def test_models(gateway, anthropic_client, upstream):
    granted, other = gateway.model(upstream), gateway.model(upstream)
    client = anthropic_client(gateway.new_key([granted]))
    assert [model.id for model in client.models.list()] == [granted]
    assert client.models.retrieve(granted).id == granted
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve(other)
    assert {granted, other} <= {model.id for model in anthropic_client().models.list()}


def test_stream_that_is_kept_alive(gateway, anthropic_client, upstream):
    model, used = gateway.model(f"{upstream}:late"), USAGE[upstream]
    with anthropic_client().messages.stream(model=model, **CALL) as stream:
        # Begun before any deployment had answered.
        assert "x-tollgate-deployment" not in stream.response.headers
        assert stream.get_final_message().content[0].text == TEXT
    gateway.check_records(model, used, stream=True)


@pytest.mark.parametrize("stream", [False, True])
def test_refusals(gateway, anthropic_client, upstream, stream):
    model = gateway.model(upstream)
    for key in ("sk-nonsense", gateway.key[:-1] + ("a" if gateway.key[-1] != "a" else "b")):
        with pytest.raises(anthropic.AuthenticationError) as caught:
            anthropic_client(key).messages.create(model=model, stream=stream, **CALL)
        assert caught.value.body["error"]["type"] == "authentication_error"
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client().messages.create(model="no-such-model", stream=stream, **CALL)
    with pytest.raises(anthropic.PermissionDeniedError) as caught:
        anthropic_client(gateway.new_key(["something-else"])).messages.create(model=model, stream=stream, **CALL)
    assert caught.value.body["error"]["type"] == "permission_error"
    [record] = gateway.records(model, 1)
    assert (record["outcome"], record["status"], record["error_kind"]) == ("refused", 403, "model_not_granted")
    assert gateway.received(model) == []


def test_count_tokens(gateway, anthropic_client, upstream):
    model = gateway.model(upstream)
    question = {name: CALL[name] for name in ("system", "messages")}
    count = anthropic_client().messages.count_tokens
    if upstream == "anthropic":
        assert count(model=model, **question).input_tokens == 15
        [record] = gateway.records(model, 1)
        assert (record["operation"], record["cost_nanos_usd"]) == ("count_tokens", 0)
        return
    with pytest.raises(anthropic.BadRequestError):
        count(model=model, **question)
    [record] = gateway.records(model, 1)
    assert (record["outcome"], record["error_kind"]) == ("refused", "operation_not_supported")
