// The `anthropic` SDK against upstreams of its own dialect and of OpenAI's.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import {
  FINAL_TEXT, TEXT, TOOL_ARGUMENTS, TOOL_CALL_IDS, TOOL_NAME, TOOL_PARAMETERS, UPSTREAMS, USAGE, anthropicUsage,
  costHeader, costNanosUsd,
} from "./canned.js";
import { Gateway } from "./gateway.js";

const CALL = { max_tokens: 64, system: "Answer briefly.", messages: [{ role: "user", content: "Grüß Gott 🚆" }] };
const TEST = { timeout: 120_000 };

let gateway;
before(async () => {
  gateway = await Gateway.start();
});
after(() => gateway?.stop());

// Without retries of its own, so that only Tollgate's are seen.
const client = ({ apiKey = gateway.key, maxRetries = 0 } = {}) =>
  new Anthropic({ baseURL: gateway.url, apiKey, maxRetries, timeout: 30_000 });

const seen = (usage) => [
  usage.input_tokens,
  usage.cache_read_input_tokens ?? 0,
  usage.cache_creation_input_tokens ?? 0,
  usage.output_tokens,
];

function ask(stream, parameters) {
  const [{ messages }, call] = [client(), { ...CALL, ...parameters }];
  return stream ? messages.stream(call).finalMessage() : messages.create(call);
}

for (const upstream of UPSTREAMS) {
  describe(`anthropic → ${upstream}`, () => {
    const used = USAGE[upstream];

    test("answer", TEST, async () => {
      const model = await gateway.model(upstream);
      const { data, response } = await client().messages.create({ ...CALL, model }).withResponse();
      assert.deepEqual(data.content.map(({ type, text }) => [type, text]), [["text", TEXT]]);
      assert.equal(data.stop_reason, "end_turn");
      assert.deepEqual(seen(data.usage), anthropicUsage(used));
      assert.equal(response.headers.get("x-tollgate-model"), model);
      assert.equal(response.headers.get("x-tollgate-cost-usd"), costHeader(used));
      const fields = { stream: false, operation: "chat", client_dialect: "anthropic_messages" };
      const [record] = await gateway.checkRecords(model, [used], fields);
      assert.equal(response.headers.get("x-tollgate-request-id"), record.id);
      assert.equal(response.headers.get("x-tollgate-deployment"), record.deployment_id);
    });

    test("stream that is kept alive", TEST, async () => {
      const model = await gateway.model(`${upstream}:late`);
      const call = client().messages.create({ ...CALL, model, stream: true });
      const { data, response } = await call.withResponse();
      // Begun before any deployment had answered.
      assert.equal(response.headers.get("x-tollgate-deployment"), null);
      let text = "";
      for await (const event of data) text += event.delta?.text ?? "";
      assert.equal(text, TEXT);
      await gateway.checkRecords(model, [used], { stream: true });
    });

    test("stream", TEST, async () => {
      const model = await gateway.model(upstream);
      const stream = client().messages.stream({ ...CALL, model });
      let text = "";
      stream.on("text", (piece) => {
        text += piece;
      });
      const message = await stream.finalMessage();
      assert.deepEqual([text, message.content[0].text, message.stop_reason], [TEXT, TEXT, "end_turn"]);
      assert.deepEqual(seen(message.usage), anthropicUsage(used));
      await gateway.checkRecords(model, [used], { stream: true });
    });

    for (const stream of [false, true]) {
      test(`tool loop, stream ${stream}`, TEST, async () => {
        const model = await gateway.model(upstream);
        const tools = [{ name: TOOL_NAME, description: "The weather", input_schema: TOOL_PARAMETERS }];
        const question = await ask(stream, { model, tools });
        const [call] = question.content;
        assert.deepEqual([question.stop_reason, call.name, call.input], ["tool_use", TOOL_NAME, TOOL_ARGUMENTS]);
        const result = { type: "tool_result", tool_use_id: call.id, content: "21 degrees" };
        const turns = [{ role: "assistant", content: question.content }, { role: "user", content: [result] }];
        const answer = await ask(stream, { model, tools, messages: [...CALL.messages, ...turns] });
        assert.deepEqual([answer.content[0].text, answer.stop_reason], [FINAL_TEXT, "end_turn"]);
        for (const { usage } of [question, answer]) assert.deepEqual(seen(usage), anthropicUsage(used));
        const last = (await gateway.received(model)).at(-1).messages.at(-1);
        assert.equal(upstream === "openai" ? last.tool_call_id : last.content[0].tool_use_id, TOOL_CALL_IDS[upstream]);
        await gateway.checkRecords(model, [used, used], { stream });
      });

      // The SDK's own loop, which calls the beta endpoint.
      test(`tool runner, stream ${stream}`, TEST, async () => {
        const model = await gateway.model(upstream);
        const calls = [];
        const weather = {
          type: "custom",
          name: TOOL_NAME,
          description: "The weather",
          input_schema: TOOL_PARAMETERS,
          parse: (given) => given,
          run: (given) => {
            calls.push(given);
            return "21 degrees";
          },
        };
        const runner = client().beta.messages.toolRunner({ ...CALL, model, tools: [weather], stream });
        const message = await runner.runUntilDone();
        assert.deepEqual([message.content[0].text, calls], [FINAL_TEXT, [TOOL_ARGUMENTS]]);
        await gateway.checkRecords(model, [used, used], { stream });
      });

      test(`a retry and a failover are invisible, stream ${stream}`, TEST, async () => {
        const other = UPSTREAMS.find((name) => name !== upstream);
        const cases = [[429, upstream, [`${upstream}:429-then-ok`]], [500, other, [`${upstream}:500`, other]]];
        for (const [status, served, deployments] of cases) {
          const model = await gateway.model(...deployments);
          assert.equal((await ask(stream, { model })).content[0].text, TEXT);
          const [record] = await gateway.checkRecords(model, [USAGE[served]]);
          assert.deepEqual(await gateway.attempts(record), [[status, false], [200, true]]);
        }
      });
    }

    for (const [script, error, status, attempts] of [
      ["400", Anthropic.BadRequestError, 400, 1],
      ["401", Anthropic.InternalServerError, 502, 1],
      ["404", Anthropic.NotFoundError, 404, 1],
      ["429", Anthropic.RateLimitError, 429, 3],
      ["500", Anthropic.InternalServerError, 502, 3],
      ["529", Anthropic.APIError, 529, 3],
    ]) {
      // The SDK's own retries stay switched on: they must not multiply Tollgate's.
      test(`provider error ${script}`, TEST, async () => {
        const model = await gateway.model(`${upstream}:${script}`);
        const caught = await client({ maxRetries: 2 }).messages.create({ ...CALL, model }).catch((e) => e);
        assert.ok(caught instanceof error, `${caught}`);
        assert.deepEqual([caught.status, caught.error.type], [status, "error"]);
        assert.equal((await gateway.received(model)).length, attempts);
        const [record] = await gateway.records(model, 1);
        assert.deepEqual([record.status, record.outcome, record.attempts], [status, "failed", attempts]);
      });
    }

    for (const script of ["error-mid-stream", "cut-mid-stream", "reset-mid-stream"]) {
      test(`failure in the stream: ${script}`, TEST, async () => {
        const model = await gateway.model(`${upstream}:${script}`);
        let text = "";
        const ends = [];
        const read = async () => {
          for await (const event of await client().messages.create({ ...CALL, model, stream: true })) {
            if (event.type === "content_block_delta") text += event.delta.text;
            if (event.type === "message_delta" || event.type === "message_stop") ends.push(event);
          }
        };
        const told = (e) => e instanceof Anthropic.APIError && !(e instanceof Anthropic.APIConnectionError);
        await assert.rejects(read, told);
        assert.ok(TEXT.startsWith(text) && text.length > 0 && text.length < TEXT.length, text);
        assert.deepEqual(ends, []);
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
  await assert.rejects(models.retrieve(other), Anthropic.NotFoundError);
});

test("refusals", TEST, async () => {
  const granted = await gateway.model("anthropic");
  const create = (apiKey, model) => client({ apiKey }).messages.create({ ...CALL, model });
  await assert.rejects(create("sk-nonsense", granted), Anthropic.AuthenticationError);
  await assert.rejects(create(gateway.key, "no-such-model"), Anthropic.NotFoundError);
  await assert.rejects(create(await gateway.newKey(["something-else"]), granted), Anthropic.PermissionDeniedError);
  const [record] = await gateway.records(granted, 1);
  assert.deepEqual([record.outcome, record.error_kind], ["refused", "model_not_granted"]);
});

test("counting tokens", TEST, async () => {
  const [own, foreign] = [await gateway.model("anthropic"), await gateway.model("openai")];
  const { max_tokens: _, ...question } = CALL;
  assert.equal((await client().messages.countTokens({ ...question, model: own })).input_tokens, 15);
  await assert.rejects(client().messages.countTokens({ ...question, model: foreign }), Anthropic.BadRequestError);
  const [record] = await gateway.records(own, 1);
  assert.deepEqual([record.operation, record.cost_nanos_usd], ["count_tokens", 0]);
});
