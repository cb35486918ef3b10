// A running Tollgate in front of a scripted provider, and what its admin API tells.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

import { PRICE, costNanosUsd } from "./canned.js";

// The script `late` answers after six seconds.
const SETTINGS = "limits: {stream_keep_alive_after_ms: 4000, stream_keep_alive_every_ms: 200}\n";
const START_MS = 20_000;
const STOP_MS = 10_000;
const RECORD_MS = 20_000;
const KINDS = {
  openai: "openai_compatible",
  anthropic: "anthropic_compatible",
  chat: "openai_chat_compatible",
  responses: "openai_responses_compatible",
};

// The SDKs read settings from here; nothing of the machine may change what they do.
for (const variable of Object.keys(process.env)) {
  if (/^(OPENAI|ANTHROPIC)_/.test(variable)) delete process.env[variable];
}

// Asks until there is an answer: other processes have no other way to tell.
async function waitFor(what, milliseconds, probe) {
  const deadline = Date.now() + milliseconds;
  while (Date.now() < deadline) {
    const found = await probe();
    if (found !== undefined) return found;
    await pause(20);
  }
  throw new Error(`${what} did not come within ${milliseconds} ms`);
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(timer);
}

async function startProvider() {
  const child = spawn(process.env.SCRIPTED_PROVIDER_BIN, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => JSON.parse((await lines.next()).value);
  const { url } = await line();
  return {
    url,
    requests() {
      child.stdin.write("requests\n");
      return line();
    },
    async stop() {
      child.stdin.end();
      await stop(child);
    },
  };
}

// An empty Tollgate, and what it tells at its first start.
async function startTollgate() {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-sdk-"));
  const [bootstrap, log] = [join(folder, "bootstrap.json"), join(folder, "log")];
  const output = openSync(log, "w");
  const config = join(folder, "tollgate.yaml");
  writeFileSync(config, SETTINGS);
  const place = ["--listen", "127.0.0.1:0", "--data", join(folder, "data"), "--bootstrap-file", bootstrap];
  place.push("--config", config);
  // Only the command line decides, not the machine.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TOLLGATE_")));
  const options = { stdio: ["ignore", output, output], cwd: folder, env };
  const child = spawn(process.env.TOLLGATE_BIN, ["serve", ...place], options);
  closeSync(output);
  const facts = () => {
    assert.equal(child.exitCode, null, `tollgate ended: ${readFileSync(log)}`);
    try {
      return JSON.parse(readFileSync(bootstrap));
    } catch {
      return undefined;
    }
  };
  const ready = async (url) => (await fetch(`${url}/readyz`).catch(() => ({}))).ok || undefined;
  const stopAndClean = async () => {
    child.kill("SIGTERM");
    await stop(child);
    rmSync(folder, { recursive: true });
  };
  try {
    const found = await waitFor("the bootstrap file", START_MS, facts);
    await waitFor("readiness", START_MS, () => ready(found.url));
    return { ...found, stop: stopAndClean };
  } catch (error) {
    console.error(readFileSync(log, "utf8"));
    await stopAndClean();
    throw error;
  }
}

export class Gateway {
  #bootstrap;
  #provider;
  #providers = {};
  #projects = [];
  #number = 0;

  static async start() {
    const gateway = new Gateway();
    gateway.#provider = await startProvider();
    try {
      gateway.#bootstrap = await startTollgate();
      await gateway.#make();
      return gateway;
    } catch (error) {
      await gateway.stop();
      throw error;
    }
  }

  async stop() {
    await this.#bootstrap?.stop();
    await this.#provider.stop();
  }

  get url() {
    return this.#bootstrap.url.replace(/\/$/, "");
  }

  async admin(method, path, body) {
    const { admin_url: url, admin_token: token } = this.#bootstrap;
    const response = await fetch(`${(url ?? this.url).replace(/\/$/, "")}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  #name() {
    this.#number += 1;
    return `sdk-${this.#number}`;
  }

  async #make() {
    const { items } = await this.admin("GET", "/organizations");
    if (items.length === 0) await this.admin("POST", "/organizations", { name: "sdk" });
    for (const [upstream, kind] of Object.entries(KINDS)) {
      const provider = {
        name: `scripted-${upstream}`,
        kind,
        base_url: `${this.#provider.url}/v1`,
        secret: `upstream-secret-${upstream}`,
        internal: true,
      };
      this.#providers[upstream] = (await this.admin("POST", "/providers", provider)).id;
    }
    const team = await this.admin("POST", "/teams", { name: "sdk-team" });
    for (let count = 0; count < 2; count += 1) {
      const project = { team_id: team.id, name: this.#name() };
      this.#projects.push((await this.admin("POST", "/projects", project)).id);
    }
    this.key = await this.newKey();
  }

  async newKey(allow = ["*"], { otherProject = false } = {}) {
    const owner = { project: this.#projects[otherProject ? 1 : 0] };
    return (await this.admin("POST", "/keys", { name: this.#name(), owned_by: owner, grants: { allow } })).secret;
  }

  // A model of its own for a test: each deployment is an upstream, or one with a script such as `openai:500`. The
  // first has all the weight, so the others serve only when it fails.
  async model(...specs) {
    const name = this.#name();
    const deployments = specs.map((spec, position) => {
      const [upstream, script = "ok"] = spec.split(":");
      return {
        provider_id: this.#providers[upstream],
        upstream_model: `script:${script}@${name}.${position}`,
        weight: position === 0 ? 1 : 0,
        price: PRICE,
      };
    });
    await this.admin("POST", "/models", { name, deployments });
    return name;
  }

  // The bodies that the provider received for a model, in order.
  async received(model) {
    const bodies = (await this.#provider.requests()).filter(({ body }) => body).map(({ body }) => JSON.parse(body));
    return bodies.filter((body) => body.model.includes(`@${model}.`));
  }

  // The request records of a model, the oldest first: exactly `count`.
  async records(model, count) {
    const items = await waitFor(`the records of ${model}`, RECORD_MS, async () => {
      const { items } = await this.admin("GET", `/requests?model=${model}`);
      return items.length >= count ? items : undefined;
    });
    assert.equal(items.length, count);
    return items.sort((a, b) => a.started_at - b.started_at);
  }

  // Status and whether it served, of each attempt.
  async attempts(record) {
    const { attempts } = await this.admin("GET", `/requests/${record.id}`);
    return attempts.map(({ status, served }) => [status, served]);
  }

  // One completed record for each of the expected usages, with its exact cost.
  async checkRecords(model, expected, fields = {}) {
    const records = await this.records(model, expected.length);
    const wanted = { status: 200, outcome: "completed", usage_source: "reported", fault: null, ...fields };
    records.forEach((record, position) => {
      const used = expected[position];
      assert.deepEqual(record.usage, used);
      assert.equal(record.cost_nanos_usd, costNanosUsd(used));
      const found = Object.fromEntries(Object.keys(wanted).map((name) => [name, record[name]]));
      assert.deepEqual(found, wanted);
    });
    return records;
  }
}
