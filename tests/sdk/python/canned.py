"""What the scripted provider answers, and what that costs at the prices of these tests."""

from decimal import ROUND_CEILING, Decimal

UPSTREAMS = ("openai", "anthropic")

TEXT = "Grüße aus Köln: 12 € für eine Fahrt 🚆, gute Reise!"
FINAL_TEXT = "It is 21 degrees in Paris."
TOOL_NAME = "get_weather"
TOOL_ARGUMENTS = {"city": "Paris", "days": 2}
TOOL_PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL_CALL_IDS = {"openai": "call_scripted0001", "anthropic": "toolu_scripted0001"}
CREDENTIALS = {
    "openai": [("authorization", "Bearer upstream-secret-openai")],
    "anthropic": [("x-api-key", "upstream-secret-anthropic")],
}
VECTOR = [0.25, -0.5, 0.125, 0.0, 1.0, -0.75, 0.0625, 0.5]

METERS = ("input", "cache_read", "cache_write", "cache_write_long", "output", "reasoning")


def usage(**meters):
    return {meter: meters.get(meter, 0) for meter in METERS}


# As Tollgate records it: no token is counted twice.
USAGE = {
    "openai": usage(input=8, cache_read=4, output=5, reasoning=2),
    "anthropic": usage(input=8, cache_read=4, cache_write=3, output=7),
}
RESPONSES_USAGE = USAGE["chat"] = USAGE["responses"] = USAGE["openai"]
COMPLETIONS_USAGE = usage(input=9, output=6)
EMBEDDINGS_USAGE = usage(input=6)

# US dollars for a million tokens; chosen so that a sum does not come out even.
PRICE = {"input": "2.5", "cache_read": "0.25", "cache_write": "3.125", "output": "10.0333"}


def cost_nanos_usd(used):
    """The exact cost, rounded up once. Reasoning costs what other output does."""
    prices = {**PRICE, "cache_write_long": "0", "reasoning": PRICE["output"]}
    nanos = sum(used[meter] * Decimal(prices[meter]) * 1000 for meter in METERS)
    return int(nanos.to_integral_value(ROUND_CEILING))


def openai_usage(used):
    """Prompt, completion and cached tokens as OpenAI's chat dialect counts them."""
    prompt = used["input"] + used["cache_read"] + used["cache_write"] + used["cache_write_long"]
    return prompt, used["output"] + used["reasoning"], used["cache_read"]


def anthropic_usage(used):
    """Input, cached read, cache write and output tokens as Anthropic's dialect counts them."""
    return used["input"], used["cache_read"], used["cache_write"], used["output"] + used["reasoning"]
