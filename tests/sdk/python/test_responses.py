"""The Responses API of the `openai` SDK on upstreams without it, and other clients on upstreams with nothing else."""

import json

import openai
import pydantic
import pytest

from canned import FINAL_TEXT, TEXT, TOOL_ARGUMENTS, TOOL_NAME, TOOL_PARAMETERS, USAGE, anthropic_usage, openai_usage

TOOLS = [{"type": "function", "name": TOOL_NAME, "parameters": TOOL_PARAMETERS, "strict": True}]
QUESTION = {"role": "user", "content": "Grüß Gott 🚆"}
FAILURES = ("error-mid-stream", "cut-mid-stream", "reset-mid-stream")

upstreams = pytest.mark.parametrize("upstream", ["chat", "anthropic"])
streams = pytest.mark.parametrize("stream", [False, True])


def seen(usage):
    return usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens


def ask(client, stream, **parameters):
    if not stream:
        return client.responses.create(**parameters)
    with client.responses.stream(**parameters) as events:
        return events.get_final_response()


@upstreams
@streams
def test_answer(gateway, openai_client, upstream, stream):
    model, used = gateway.model(upstream), USAGE[upstream]
    asked = {"instructions": "Be brief.", "metadata": {"a": "b"}, "temperature": 0.5}
    response = ask(openai_client(), stream, model=model, input=[QUESTION], **asked)
    assert (response.output_text, response.status, response.error) == (TEXT, "completed", None)
    assert {field: getattr(response, field) for field in asked} == asked
    assert seen(response.usage) == openai_usage(used)
    assert response.usage.output_tokens_details.reasoning_tokens == used["reasoning"]
    # Strict: every field is of the type that the SDK declares.
    type(response).model_validate(response.model_dump())
    fields = {"operation": "response", "client_dialect": "openai_responses", "stream": stream}
    gateway.check_records(model, used, **fields)


@upstreams
def test_events(gateway, openai_client, upstream):
    model = gateway.model(upstream)
    events = list(openai_client().responses.create(model=model, input=[QUESTION], stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [events[0].type, events[1].type] == ["response.created", "response.in_progress"]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == TEXT
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output == done
    for event in events:
        pydantic.TypeAdapter(type(event)).validate_python(event.model_dump())


@upstreams
@streams
def test_tool_loop(gateway, openai_client, upstream, stream):
    model, used = gateway.model(upstream), USAGE[upstream]
    question = ask(openai_client(), stream, model=model, tools=TOOLS, input=[QUESTION])
    [call] = question.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", TOOL_NAME, TOOL_ARGUMENTS)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
    history = [QUESTION, *[item.to_dict() for item in question.output], result]
    answer = ask(openai_client(), stream, model=model, tools=TOOLS, input=history)
    assert answer.output_text == FINAL_TEXT
    last = gateway.received(model)[-1]["messages"][-1]
    brought = last["tool_call_id"] if upstream == "chat" else last["content"][0]["tool_use_id"]
    assert brought == call.call_id
    gateway.check_records(model, used, used, stream=stream)


@upstreams
@pytest.mark.parametrize(("script", "error", "attempts"), [
    ("400", openai.BadRequestError, 1),
    ("429", openai.RateLimitError, 3),
    ("500", openai.InternalServerError, 3),
])
def test_error(gateway, openai_client, upstream, script, error, attempts):
    model = gateway.model(f"{upstream}:{script}")
    with pytest.raises(error):
        openai_client().responses.create(model=model, input=[QUESTION])
    assert len(gateway.received(model)) == attempts


@upstreams
@pytest.mark.parametrize("script", FAILURES)
def test_failure_in_the_stream(gateway, openai_client, upstream, script):
    model, text = gateway.model(f"{upstream}:{script}"), ""
    with pytest.raises(openai.APIError):
        for event in openai_client().responses.create(model=model, input=[QUESTION], stream=True):
            assert event.type != "response.completed"
            text += event.delta if event.type == "response.output_text.delta" else ""
    assert TEXT.startswith(text) and 0 < len(text) < len(TEXT)
    [record] = gateway.records(model, 1)
    assert (record["outcome"], record["fault"]) == ("failed", "provider")


@upstreams
def test_what_only_a_provider_keeps(gateway, openai_client, upstream):
    model = gateway.model(upstream)
    first = openai_client().responses.create(model=model, input=[QUESTION])
    assert first.store is False
    for field, value in [("previous_response_id", first.id), ("prompt", {"id": "pmpt_1"})]:
        with pytest.raises(openai.NotFoundError) as caught:
            openai_client().responses.create(model=model, input=[QUESTION], **{field: value})
        assert field in caught.value.message and "send the content itself" in caught.value.message
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client().responses.create(model=model, input=[QUESTION], background=True)
    assert "background" in caught.value.message
    assert len(gateway.received(model)) == 1


@streams
def test_chat_on_responses(gateway, openai_client, stream):
    model, used = gateway.model("responses"), USAGE["responses"]
    tools = [{"type": "function", "function": {"name": TOOL_NAME, "parameters": TOOL_PARAMETERS, "strict": True}}]

    def complete(messages):
        completions = openai_client().chat.completions
        if not stream:
            return completions.create(model=model, messages=messages, tools=tools)
        options = {"stream_options": {"include_usage": True}}
        with completions.stream(model=model, messages=messages, tools=tools, **options) as events:
            return events.get_final_completion()

    question = complete([QUESTION])
    message = question.choices[0].message
    [call] = message.tool_calls
    assert json.loads(call.function.arguments) == TOOL_ARGUMENTS
    answer = complete([QUESTION, message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}])
    assert answer.choices[0].message.content == FINAL_TEXT
    assert answer.usage.prompt_tokens == openai_usage(used)[0]
    assert gateway.received(model)[-1]["store"] is False
    gateway.check_records(model, used, used, client_dialect="openai_chat", stream=stream)


@streams
def test_messages_on_responses(gateway, anthropic_client, stream):
    model, used = gateway.model("responses"), USAGE["responses"]
    tools = [{"name": TOOL_NAME, "input_schema": TOOL_PARAMETERS}]

    def send(messages):
        parameters = {"model": model, "max_tokens": 64, "messages": messages, "tools": tools}
        if not stream:
            return anthropic_client().messages.create(**parameters)
        with anthropic_client().messages.stream(**parameters) as events:
            return events.get_final_message()

    question = send([QUESTION])
    [use] = question.content
    assert (use.type, use.input, question.stop_reason) == ("tool_use", TOOL_ARGUMENTS, "tool_use")
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "21 degrees"}
    turns = [QUESTION, {"role": "assistant", "content": question.content}, {"role": "user", "content": [result]}]
    answer = send(turns)
    assert answer.content[0].text == FINAL_TEXT
    usage = answer.usage
    counted = usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.output_tokens
    assert counted == anthropic_usage(used)
    gateway.check_records(model, used, used, client_dialect="anthropic_messages", stream=stream)
