// What the scripted provider answers, and what that costs at the prices of these tests.

export const UPSTREAMS = ["openai", "anthropic"];

export const TEXT = "Grüße aus Köln: 12 € für eine Fahrt 🚆, gute Reise!";
export const FINAL_TEXT = "It is 21 degrees in Paris.";
export const TOOL_NAME = "get_weather";
export const TOOL_ARGUMENTS = { city: "Paris", days: 2 };
export const TOOL_PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
export const TOOL_CALL_IDS = { openai: "call_scripted0001", anthropic: "toolu_scripted0001" };
export const VECTOR = [0.25, -0.5, 0.125, 0.0, 1.0, -0.75, 0.0625, 0.5];

const usage = (meters) => ({
  input: 0, cache_read: 0, cache_write: 0, cache_write_long: 0, output: 0, reasoning: 0, ...meters,
});

// As Tollgate records it: no token is counted twice.
export const USAGE = {
  openai: usage({ input: 8, cache_read: 4, output: 5, reasoning: 2 }),
  anthropic: usage({ input: 8, cache_read: 4, cache_write: 3, output: 7 }),
};
USAGE.chat = USAGE.responses = USAGE.openai;
export const EMBEDDINGS_USAGE = usage({ input: 6 });
export const COMPLETIONS_USAGE = usage({ input: 9, output: 6 });

// US dollars for a million tokens; chosen so that a sum does not come out even.
export const PRICE = { input: "2.5", cache_read: "0.25", cache_write: "3.125", output: "10.0333" };

// The same in tenths of a nano-USD for one token, because integers are exact. Reasoning costs what other output does.
const TENTHS = { input: 25_000, cache_read: 2_500, cache_write: 31_250, output: 100_333, reasoning: 100_333 };

// The exact cost, rounded up once.
export function costNanosUsd(used) {
  const tenths = Object.entries(used).reduce((sum, [meter, tokens]) => sum + tokens * (TENTHS[meter] ?? 0), 0);
  return Math.ceil(tenths / 10);
}

export const costHeader = (used) => (costNanosUsd(used) / 1e9).toFixed(9);

// Prompt, completion and cached tokens as OpenAI's chat dialect counts them.
export const openaiUsage = (used) => [
  used.input + used.cache_read + used.cache_write + used.cache_write_long,
  used.output + used.reasoning,
  used.cache_read,
];

// Input, cached read, cache write and output tokens as Anthropic's dialect counts them.
export const anthropicUsage = (used) => [used.input, used.cache_read, used.cache_write, used.output + used.reasoning];
