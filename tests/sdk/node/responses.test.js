// The Responses API of the `openai` SDK on upstreams that do not have it, and chat on one that has nothing else.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import OpenAI from "openai";

import { FINAL_TEXT, TEXT, TOOL_ARGUMENTS, TOOL_NAME, TOOL_PARAMETERS, USAGE, openaiUsage } from "./canned.js";
import { Gateway } from "./gateway.js";

const QUESTION = { role: "user", content: "Grüß Gott 🚆" };
const TOOLS = [{ type: "function", name: TOOL_NAME, parameters: TOOL_PARAMETERS, strict: true }];
const TEST = { timeout: 120_000 };

let gateway;
before(async () => {
  gateway = await Gateway.start();
});
after(() => gateway?.stop());

// Without retries of its own, so that only Tollgate's are seen.
const client = () =>
  new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: gateway.key, maxRetries: 0, timeout: 30_000 });

const seen = (usage) => [usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens];

function ask(stream, parameters) {
  const { responses } = client();
  return stream ? responses.stream(parameters).finalResponse() : responses.create(parameters);
}

for (const upstream of ["chat", "anthropic"]) {
  describe(`responses → ${upstream}`, () => {
    const used = USAGE[upstream];

    for (const stream of [false, true]) {
      test(`answer, stream ${stream}`, TEST, async () => {
        const model = await gateway.model(upstream);
        const response = await ask(stream, { model, input: [QUESTION], instructions: "Be brief." });
        assert.equal(response.output_text, TEXT);
        assert.deepEqual([response.status, response.instructions], ["completed", "Be brief."]);
        assert.deepEqual(seen(response.usage), openaiUsage(used));
        await gateway.checkRecords(model, [used], { stream, client_dialect: "openai_responses" });
      });

      test(`tool loop, stream ${stream}`, TEST, async () => {
        const model = await gateway.model(upstream);
        const { output } = await ask(stream, { model, tools: TOOLS, input: [QUESTION] });
        assert.equal(output.length, 1);
        const [call] = output;
        assert.deepEqual([call.type, call.name, JSON.parse(call.arguments)], ["function_call", TOOL_NAME, TOOL_ARGUMENTS]);
        const result = { type: "function_call_output", call_id: call.call_id, output: "21 degrees" };
        const answer = await ask(stream, { model, tools: TOOLS, input: [QUESTION, ...output, result] });
        assert.equal(answer.output_text, FINAL_TEXT);
        await gateway.checkRecords(model, [used, used], { stream });
      });
    }

    for (const [script, error] of [["400", OpenAI.BadRequestError], ["429", OpenAI.RateLimitError]]) {
      test(`provider error ${script}`, TEST, async () => {
        const model = await gateway.model(`${upstream}:${script}`);
        await assert.rejects(client().responses.create({ model, input: [QUESTION] }), error);
      });
    }

    test("failure in the stream", TEST, async () => {
      const model = await gateway.model(`${upstream}:cut-mid-stream`);
      const read = async () => {
        for await (const event of await client().responses.create({ model, input: [QUESTION], stream: true })) {
          assert.notEqual(event.type, "response.completed");
        }
      };
      await assert.rejects(read, OpenAI.APIError);
    });
  });
}

test("chat on responses", TEST, async () => {
  const model = await gateway.model("responses");
  const whole = await client().chat.completions.create({ model, messages: [QUESTION] });
  const options = { stream: true, stream_options: { include_usage: true } };
  const streamed = await client().chat.completions.stream({ model, messages: [QUESTION], ...options }).finalChatCompletion();
  for (const { choices, usage } of [whole, streamed]) {
    assert.deepEqual([choices[0].message.content, choices[0].finish_reason], [TEXT, "stop"]);
    assert.equal(usage.prompt_tokens, openaiUsage(USAGE.responses)[0]);
  }
});
