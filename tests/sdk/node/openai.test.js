// The `openai` SDK against upstreams of its own dialect and of Anthropic's.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import OpenAI from "openai";

import {
  COMPLETIONS_USAGE, EMBEDDINGS_USAGE, FINAL_TEXT, TEXT, TOOL_ARGUMENTS, TOOL_CALL_IDS, TOOL_NAME, TOOL_PARAMETERS,
  UPSTREAMS, USAGE, VECTOR, costHeader, costNanosUsd, openaiUsage,
} from "./canned.js";
import { Gateway } from "./gateway.js";

const MESSAGES = [{ role: "system", content: "Answer briefly." }, { role: "user", content: "Grüß Gott 🚆" }];
const TEST = { timeout: 120_000 };

let gateway;
before(async () => {
  gateway = await Gateway.start();
});
after(() => gateway?.stop());

// Without retries of its own, so that only Tollgate's are seen.
const client = ({ apiKey = gateway.key, maxRetries = 0 } = {}) =>
  new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey, maxRetries, timeout: 30_000 });

const seen = (usage) => [usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens];

const streamOptions = { stream: true, stream_options: { include_usage: true } };

function ask(stream, parameters) {
  const { completions } = client().chat;
  if (!stream) return completions.create(parameters);
  return completions.stream({ ...parameters, ...streamOptions }).finalChatCompletion();
}

for (const upstream of UPSTREAMS) {
  describe(`openai → ${upstream}`, () => {
    const used = USAGE[upstream];

    test("answer", TEST, async () => {
      const model = await gateway.model(upstream);
      const call = client().chat.completions.create({ model, messages: MESSAGES });
      const { data, response } = await call.withResponse();
      assert.equal(data.choices.length, 1);
      assert.equal(data.choices[0].message.content, TEXT);
      assert.equal(data.choices[0].finish_reason, "stop");
      assert.deepEqual(seen(data.usage), openaiUsage(used));
      assert.equal(response.headers.get("x-tollgate-model"), model);
      assert.equal(response.headers.get("x-tollgate-cost-usd"), costHeader(used));
      const [record] = await gateway.checkRecords(model, [used], { stream: false, client_dialect: "openai_chat" });
      assert.equal(response.headers.get("x-tollgate-request-id"), record.id);
      assert.equal(response.headers.get("x-tollgate-deployment"), record.deployment_id);
    });

    test("stream that is kept alive", TEST, async () => {
      const model = await gateway.model(`${upstream}:late`);
      const call = client().chat.completions.create({ model, messages: MESSAGES, stream: true });
      const { data, response } = await call.withResponse();
      // Begun before any deployment had answered.
      assert.equal(response.headers.get("x-tollgate-deployment"), null);
      let text = "";
      for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? "";
      assert.equal(text, TEXT);
      await gateway.checkRecords(model, [used], { stream: true });
    });

    for (const asksForUsage of [false, true]) {
      test(`stream, usage ${asksForUsage ? "" : "not "}asked for`, TEST, async () => {
        const model = await gateway.model(upstream);
        const options = asksForUsage ? streamOptions : { stream: true };
        const chunks = [];
        for await (const chunk of await client().chat.completions.create({ model, messages: MESSAGES, ...options })) {
          chunks.push(chunk);
        }
        const choices = chunks.flatMap((chunk) => chunk.choices);
        assert.equal(choices.map((choice) => choice.delta.content ?? "").join(""), TEXT);
        assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
        const usages = chunks.map((chunk) => chunk.usage).filter(Boolean);
        assert.deepEqual(usages.map(seen), asksForUsage ? [openaiUsage(used)] : []);
        assert.ok(asksForUsage || chunks.every((chunk) => chunk.choices.length > 0));
        await gateway.checkRecords(model, [used], { stream: true });
      });
    }

    for (const stream of [false, true]) {
      test(`tool loop, stream ${stream}`, TEST, async () => {
        const model = await gateway.model(upstream);
        const calls = [];
        const weather = {
          name: TOOL_NAME,
          description: "The weather",
          parameters: TOOL_PARAMETERS,
          parse: JSON.parse,
          function: (given) => {
            calls.push(given);
            return "21 degrees";
          },
        };
        const tools = [{ type: "function", function: weather }];
        const options = stream ? streamOptions : {};
        const runner = client().chat.completions.runTools({ model, messages: MESSAGES, tools, ...options });
        assert.equal(await runner.finalContent(), FINAL_TEXT);
        assert.deepEqual(calls, [TOOL_ARGUMENTS]);
        const answers = runner.allChatCompletions();
        assert.equal(answers.length, 2);
        for (const { usage } of answers) assert.deepEqual(seen(usage), openaiUsage(used));
        const last = (await gateway.received(model)).at(-1).messages.at(-1);
        assert.equal(upstream === "openai" ? last.tool_call_id : last.content[0].tool_use_id, TOOL_CALL_IDS[upstream]);
        await gateway.checkRecords(model, [used, used], { stream });
      });

      test(`a retry and a failover are invisible, stream ${stream}`, TEST, async () => {
        const other = UPSTREAMS.find((name) => name !== upstream);
        const cases = [[429, upstream, [`${upstream}:429-then-ok`]], [500, other, [`${upstream}:500`, other]]];
        for (const [status, served, deployments] of cases) {
          const model = await gateway.model(...deployments);
          assert.equal((await ask(stream, { model, messages: MESSAGES })).choices[0].message.content, TEXT);
          const [record] = await gateway.checkRecords(model, [USAGE[served]]);
          assert.deepEqual(await gateway.attempts(record), [[status, false], [200, true]]);
        }
      });
    }

    for (const [script, error, status, attempts] of [
      ["400", OpenAI.BadRequestError, 400, 1],
      ["401", OpenAI.InternalServerError, 502, 1],
      ["404", OpenAI.NotFoundError, 404, 1],
      ["429", OpenAI.RateLimitError, 429, 3],
      ["500", OpenAI.InternalServerError, 502, 3],
      ["529", OpenAI.InternalServerError, 503, 3],
    ]) {
      // The SDK's own retries stay switched on: they must not multiply Tollgate's.
      test(`provider error ${script}`, TEST, async () => {
        const model = await gateway.model(`${upstream}:${script}`);
        const { completions } = client({ maxRetries: 2 }).chat;
        const caught = await completions.create({ model, messages: MESSAGES }).catch((e) => e);
        assert.ok(caught instanceof error, `${caught}`);
        assert.equal(caught.status, status);
        assert.equal((await gateway.received(model)).length, attempts);
        const [record] = await gateway.records(model, 1);
        assert.deepEqual([record.status, record.outcome, record.attempts], [status, "failed", attempts]);
      });
    }

    for (const script of ["error-mid-stream", "cut-mid-stream", "reset-mid-stream"]) {
      test(`failure in the stream: ${script}`, TEST, async () => {
        const model = await gateway.model(`${upstream}:${script}`);
        let text = "";
        const finishReasons = [];
        const read = async () => {
          const call = { model, messages: MESSAGES, stream: true };
          for await (const { choices } of await client().chat.completions.create(call)) {
            text += choices.map((choice) => choice.delta.content ?? "").join("");
            finishReasons.push(...choices.map((choice) => choice.finish_reason).filter(Boolean));
          }
        };
        const told = (e) => e instanceof OpenAI.APIError && !(e instanceof OpenAI.APIConnectionError);
        await assert.rejects(read, told);
        assert.ok(TEXT.startsWith(text) && text.length > 0 && text.length < TEXT.length, text);
        assert.deepEqual(finishReasons, []);
        const [record] = await gateway.records(model, 1);
        assert.deepEqual([record.outcome, record.fault, record.usage_source], ["failed", "provider", "estimated"]);
        assert.equal(record.cost_nanos_usd, costNanosUsd(record.usage));
      });
    }
  });
}

test("models are those that the key may use", TEST, async () => {
  const [granted, other] = [await gateway.model("openai"), await gateway.model("anthropic")];
  const { models } = client({ apiKey: await gateway.newKey([granted]) });
  const names = [];
  for await (const model of models.list()) names.push(model.id);
  assert.deepEqual(names, [granted]);
  assert.equal((await models.retrieve(granted)).id, granted);
  await assert.rejects(models.retrieve(other), OpenAI.NotFoundError);
});

test("refusals", TEST, async () => {
  const granted = await gateway.model("openai");
  const create = (apiKey, model) => client({ apiKey }).chat.completions.create({ model, messages: MESSAGES });
  await assert.rejects(create("sk-nonsense", granted), OpenAI.AuthenticationError);
  await assert.rejects(create(gateway.key, "no-such-model"), OpenAI.NotFoundError);
  await assert.rejects(create(await gateway.newKey(["something-else"]), granted), OpenAI.PermissionDeniedError);
  const [record] = await gateway.records(granted, 1);
  assert.deepEqual([record.outcome, record.error_kind], ["refused", "model_not_granted"]);
});

test("embeddings and completions", TEST, async () => {
  const model = await gateway.model("openai");
  const embedded = await client().embeddings.create({ model, input: "Köln" });
  assert.deepEqual([...embedded.data[0].embedding], VECTOR);
  assert.equal((await gateway.received(model))[0].encoding_format, "base64");
  const completed = await client().completions.create({ model, prompt: "Köln" });
  assert.equal(completed.choices[0].text, TEXT);
  await gateway.checkRecords(model, [EMBEDDINGS_USAGE, COMPLETIONS_USAGE]);
});

test("responses", TEST, async () => {
  const model = await gateway.model("openai");
  const { responses } = client();
  const response = await responses.create({ model, input: "Köln" });
  assert.equal(response.output_text, TEXT);
  let streamed = "";
  let completed;
  for await (const event of await responses.create({ model, input: "Köln", stream: true })) {
    if (event.type === "response.output_text.delta") streamed += event.delta;
    if (event.type === "response.completed") completed = event.response;
  }
  assert.equal(streamed, TEXT);
  const next = await responses.create({ model, input: "Bonn", previous_response_id: response.id });
  for (const { usage } of [response, completed, next]) {
    assert.deepEqual([usage.input_tokens, usage.output_tokens, usage.input_tokens_details.cached_tokens], [12, 7, 4]);
  }
  await gateway.checkRecords(model, [USAGE.openai, USAGE.openai, USAGE.openai], { operation: "response" });
  const foreign = client({ apiKey: await gateway.newKey(["*"], { otherProject: true }) }).responses;
  await assert.rejects(
    foreign.create({ model, input: "Bonn", previous_response_id: response.id }),
    OpenAI.NotFoundError,
  );
});
