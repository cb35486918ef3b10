"""What the `openai` SDK asks beyond chat: embeddings, completions, responses."""

import json

import openai
import pytest

from canned import (
    COMPLETIONS_USAGE, EMBEDDINGS_USAGE, FINAL_TEXT, RESPONSES_USAGE, TEXT, TOOL_ARGUMENTS, TOOL_CALL_IDS, TOOL_NAME,
    TOOL_PARAMETERS, VECTOR,
)

TOOLS = [{"type": "function", "name": TOOL_NAME, "parameters": TOOL_PARAMETERS, "strict": True}]


@pytest.mark.parametrize("options", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
def test_embeddings(gateway, openai_client, options):
    model = gateway.model("openai")
    answer = openai_client().embeddings.create(model=model, input="Köln", **options)
    assert answer.data[0].embedding == VECTOR
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (6, 6)
    assert gateway.received(model)[0]["encoding_format"] == options.get("encoding_format", "base64")
    gateway.check_records(model, EMBEDDINGS_USAGE, operation="embedding")


def test_completions(gateway, openai_client):
    model = gateway.model("openai")
    create = openai_client().completions.create
    assert create(model=model, prompt="Köln").choices[0].text == TEXT
    chunks = list(create(model=model, prompt="Köln", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == TEXT
    gateway.check_records(model, COMPLETIONS_USAGE, COMPLETIONS_USAGE, operation="completion")


@pytest.fixture(scope="module")
def responses_model(gateway):
    """One for all: the scripted provider gives each response the same id, and an id belongs to one deployment."""
    return gateway.model("openai")


def seen(usage):
    return usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens


def test_responses(gateway, openai_client, responses_model):
    create = openai_client().responses.create
    response = create(model=responses_model, input="Köln")
    events = list(create(model=responses_model, input="Köln", stream=True))
    call = create(model=responses_model, input="Köln", tools=TOOLS)
    [item] = call.output
    result = {"type": "function_call_output", "call_id": item.call_id, "output": "21 degrees"}
    final = create(model=responses_model, input=[result], tools=TOOLS, previous_response_id=call.id)
    streamed = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert (response.output_text, streamed, final.output_text) == (TEXT, TEXT, FINAL_TEXT)
    assert (item.name, json.loads(item.arguments)) == (TOOL_NAME, TOOL_ARGUMENTS)
    assert item.call_id == TOOL_CALL_IDS["openai"]
    answers = [response, events[-1].response, call, final]
    assert [seen(answer.usage) for answer in answers] == [(12, 7, 4)] * 4
    gateway.check_records(responses_model, *[RESPONSES_USAGE] * 4, operation="response")


def test_a_foreign_response_does_not_exist(gateway, openai_client, responses_model):
    own = openai_client().responses.create(model=responses_model, input="Köln")
    for client, response_id in [
        (openai_client(gateway.new_key(other_project=True)), own.id),
        (openai_client(), "resp_unknown"),
    ]:
        with pytest.raises(openai.NotFoundError) as caught:
            client.responses.create(model=responses_model, input="Köln", previous_response_id=response_id)
        assert caught.value.code == "object_not_found"


def test_responses_failure_in_the_stream(gateway, openai_client):
    model = gateway.model("openai:cut-mid-stream")
    events = []
    with pytest.raises(openai.APIError):
        for event in openai_client().responses.create(model=model, input="Köln", stream=True):
            events.append(event.type)
            if event.type in ("error", "response.failed"):
                raise openai.APIError("told by an event", request=None, body=None)
    assert "response.completed" not in events
    [record] = gateway.records(model, 1)
    assert (record["outcome"], record["usage_source"]) == ("failed", "estimated")


ONLY_OPENAI_HAS = {
    "embedding": lambda client, model: client.embeddings.create(model=model, input="Köln"),
    "completion": lambda client, model: client.completions.create(model=model, prompt="Köln"),
}


@pytest.mark.parametrize("operation", ONLY_OPENAI_HAS)
def test_operations_that_anthropic_does_not_have(gateway, openai_client, operation):
    model = gateway.model("anthropic")
    with pytest.raises(openai.BadRequestError) as caught:
        ONLY_OPENAI_HAS[operation](openai_client(), model)
    assert caught.value.code == "operation_not_supported"
    [record] = gateway.records(model, 1)
    assert (record["operation"], record["outcome"], record["status"]) == (operation, "refused", 400)
    assert gateway.received(model) == []
