"""The `openai` SDK against upstreams of its own dialect and of Anthropic's."""

import json

import openai
import pytest

from canned import (
    CREDENTIALS, FINAL_TEXT, TEXT, TOOL_ARGUMENTS, TOOL_CALL_IDS, TOOL_NAME, TOOL_PARAMETERS, UPSTREAMS,
    USAGE, cost_nanos_usd, openai_usage,
)

MESSAGES = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Grüß Gott 🚆"}]
FUNCTION = {"name": TOOL_NAME, "description": "The weather", "parameters": TOOL_PARAMETERS, "strict": True}
TOOLS = [{"type": "function", "function": FUNCTION}]
MID_STREAM = ("error-mid-stream", "cut-mid-stream", "reset-mid-stream")

pytestmark = pytest.mark.parametrize("upstream", UPSTREAMS)


def seen(usage):
    return usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens


def check_headers(headers, model, used):
    assert headers["x-tollgate-request-id"].startswith("req_")
    assert headers["x-tollgate-deployment"].startswith("depl_")
    assert headers["x-tollgate-model"] == model
    assert int(headers["x-tollgate-overhead-us"]) >= 0
    cost = headers.get("x-tollgate-cost-usd")
    assert cost == (used and f"{cost_nanos_usd(used) / 1_000_000_000:.9f}")


def test_answer(gateway, openai_client, upstream):
    model, used = gateway.model(upstream), USAGE[upstream]
    raw = openai_client().chat.completions.with_raw_response.create(model=model, messages=MESSAGES)
    completion = raw.parse()
    [choice] = completion.choices
    assert (choice.message.content, choice.message.role, choice.finish_reason) == (TEXT, "assistant", "stop")
    assert seen(completion.usage) == openai_usage(used)
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    check_headers(raw.headers, model, used)
    [record] = gateway.check_records(model, used, stream=False, operation="chat", client_dialect="openai_chat")
    assert record["id"] == raw.headers["x-tollgate-request-id"]
    assert record["deployment_id"] == raw.headers["x-tollgate-deployment"]
    assert gateway.credentials(model) == CREDENTIALS[upstream]


@pytest.mark.parametrize("asks_for_usage", [False, True])
def test_stream(gateway, openai_client, upstream, asks_for_usage):
    model, used = gateway.model(upstream), USAGE[upstream]
    options = {"stream_options": {"include_usage": True}} if asks_for_usage else {}
    create = openai_client().chat.completions.with_raw_response.create
    raw = create(model=model, messages=MESSAGES, stream=True, **options)
    chunks = list(raw.parse())
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == TEXT
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [seen(usage) for usage in usages] == ([openai_usage(used)] if asks_for_usage else [])
    assert asks_for_usage or all(chunk.choices for chunk in chunks)
    check_headers(raw.headers, model, None)
    gateway.check_records(model, used, stream=True)


def test_stream_that_is_kept_alive(gateway, openai_client, upstream):
    model, used = gateway.model(f"{upstream}:late"), USAGE[upstream]
    raw = openai_client().chat.completions.with_raw_response.create(model=model, messages=MESSAGES, stream=True)
    # Begun before any deployment had answered.
    assert "x-tollgate-deployment" not in raw.headers
    choices = [choice for chunk in raw.parse() for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == TEXT
    gateway.check_records(model, used, stream=True)


def ask(client, stream, **parameters):
    if not stream:
        return client.chat.completions.create(**parameters)
    with client.chat.completions.stream(**parameters, stream_options={"include_usage": True}) as events:
        return events.get_final_completion()


@pytest.mark.parametrize("stream", [False, True])
def test_tool_loop(gateway, openai_client, upstream, stream):
    model, used = gateway.model(upstream), USAGE[upstream]
    parameters = {"model": model, "tools": TOOLS}
    question = ask(openai_client(), stream, messages=MESSAGES, **parameters)
    [choice] = question.choices
    [call] = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == (TOOL_NAME, TOOL_ARGUMENTS)
    result = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
    answer = ask(openai_client(), stream, messages=[*MESSAGES, choice.message, result], **parameters)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (FINAL_TEXT, "stop")
    assert [seen(question.usage), seen(answer.usage)] == [openai_usage(used)] * 2
    last = gateway.received(model)[-1]["messages"][-1]
    brought = last["tool_call_id"] if upstream == "openai" else last["content"][0]["tool_use_id"]
    assert brought == TOOL_CALL_IDS[upstream]
    gateway.check_records(model, used, used, stream=stream)


ERRORS = [
    ("400", openai.BadRequestError, 400, 1),
    ("401", openai.InternalServerError, 502, 1),
    ("404", openai.NotFoundError, 404, 1),
    ("429", openai.RateLimitError, 429, 3),
    ("500", openai.InternalServerError, 502, 3),
    ("529", openai.InternalServerError, 503, 3),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("script", "error", "status", "attempts"), ERRORS, ids=[row[0] for row in ERRORS])
def test_provider_error(gateway, openai_client, upstream, script, error, status, attempts, stream):
    """The SDK's own retries stay switched on: they must not multiply Tollgate's."""
    model = gateway.model(f"{upstream}:{script}")
    with pytest.raises(error) as caught:
        openai_client(max_retries=2).chat.completions.create(model=model, messages=MESSAGES, stream=stream)
    assert caught.value.status_code == status
    # What a provider says about Tollgate's own credential is not for the caller.
    assert (f"scripted error {script}" in caught.value.message) == (script != "401")
    assert caught.value.response.headers["x-tollgate-request-id"]
    assert len(gateway.received(model)) == attempts
    [record] = gateway.records(model, 1)
    assert (record["status"], record["outcome"], record["attempts"]) == (status, "failed", attempts)
    assert (record["cost_nanos_usd"], record["fault"]) == (0, "client" if status in (400, 404) else "provider")


@pytest.mark.parametrize("stream", [False, True])
def test_invisible_retry(gateway, openai_client, upstream, stream):
    model = gateway.model(f"{upstream}:429-then-ok")
    assert ask(openai_client(), stream, model=model, messages=MESSAGES).choices[0].message.content == TEXT
    [record] = gateway.check_records(model, USAGE[upstream])
    attempts = gateway.attempts(record)
    assert [(attempt["status"], attempt["served"]) for attempt in attempts] == [(429, False), (200, True)]


@pytest.mark.parametrize("stream", [False, True])
def test_invisible_failover(gateway, openai_client, upstream, stream):
    """The second deployment speaks the other dialect."""
    [other] = set(UPSTREAMS) - {upstream}
    model = gateway.model(f"{upstream}:500", other)
    assert ask(openai_client(), stream, model=model, messages=MESSAGES).choices[0].message.content == TEXT
    [record] = gateway.check_records(model, USAGE[other])
    attempts = gateway.attempts(record)
    assert [(attempt["status"], attempt["served"]) for attempt in attempts] == [(500, False), (200, True)]


@pytest.mark.parametrize("script", MID_STREAM)
def test_failure_in_the_stream(gateway, openai_client, upstream, script):
    model, text, finish_reasons = gateway.model(f"{upstream}:{script}"), "", []
    with pytest.raises(openai.APIError) as caught:
        for chunk in openai_client().chat.completions.create(model=model, messages=MESSAGES, stream=True):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            finish_reasons += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
    assert not isinstance(caught.value, openai.APIConnectionError)
    assert TEXT.startswith(text) and 0 < len(text) < len(TEXT)
    assert finish_reasons == []
    [record] = gateway.records(model, 1)
    assert (record["outcome"], record["fault"], record["usage_source"]) == ("failed", "provider", "estimated")
    assert record["cost_nanos_usd"] == cost_nanos_usd(record["usage"]) > 0


def test_models(gateway, openai_client, upstream):
    granted, other = gateway.model(upstream), gateway.model(upstream)
    client = openai_client(gateway.new_key([granted]))
    assert [model.id for model in client.models.list()] == [granted]
    assert client.models.retrieve(granted).id == granted
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(other)
    assert {granted, other} <= {model.id for model in openai_client().models.list()}


@pytest.mark.parametrize("stream", [False, True])
def test_refusals(gateway, openai_client, upstream, stream):
    model = gateway.model(upstream)
    call = {"messages": MESSAGES, "stream": stream}
    for key in ("sk-nonsense", gateway.key[:-1] + ("a" if gateway.key[-1] != "a" else "b")):
        with pytest.raises(openai.AuthenticationError):
            openai_client(key).chat.completions.create(model=model, **call)
    with pytest.raises(openai.NotFoundError) as caught:
        openai_client().chat.completions.create(model="no-such-model", **call)
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.PermissionDeniedError) as caught:
        openai_client(gateway.new_key(["something-else"])).chat.completions.create(model=model, **call)
    assert caught.value.code == "model_not_granted"
    [record] = gateway.records(model, 1)
    assert (record["outcome"], record["status"], record["error_kind"]) == ("refused", 403, "model_not_granted")
    assert gateway.received(model) == []
