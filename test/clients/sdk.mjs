// Uses a server through the official TypeScript SDKs: v1 (@modelcontextprotocol/sdk)
// and v2 (@modelcontextprotocol/client). Prints what happened, as JSON.
//   node sdk.mjs PLAN
//   PLAN  {"sdk": "v1" | "v2", "mode": "legacy" | "auto" | REVISION, "url": URL, "scene": NAME,
//          "token": TOKEN
//          | "visits": [VISIT, …], "document": URL, "refresh": false   (see account.mjs)
//          | "credentials": {"id", "secret", "issuer"}}
import { setTimeout as wait } from "node:timers/promises";
import * as v1 from "@modelcontextprotocol/sdk/client/index.js";
import { ClientCredentialsProvider as Credentials1 } from "@modelcontextprotocol/sdk/client/auth-extensions.js";
import { StreamableHTTPClientTransport as Transport1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { LoggingMessageNotificationSchema, ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import * as v2 from "@modelcontextprotocol/client";
import { Account } from "./account.mjs";

const plan = JSON.parse(process.argv[2]);
const info = { name: `sdk-${plan.sdk}`, version: "1" };
const modern = plan.sdk === "v2" && plan.mode !== "legacy";
const said = { logs: [], updates: [], requests: 0 };

// A deadline for everything here: a client that hangs is a failure.
setTimeout(() => {
  console.error("nothing more happened");
  process.exit(3);
}, 60_000).unref();

const account = plan.visits && new Account(plan);
const { id, secret, issuer } = plan.credentials ?? {};
const provider =
  account ?? (plan.credentials && new (plan.sdk === "v1" ? Credentials1 : v2.ClientCredentialsProvider)({ clientId: id, clientSecret: secret, expectedIssuer: issuer }));

const counted = (...args) => {
  said.requests++;
  return fetch(...args);
};

function open() {
  const options = { fetch: counted, authProvider: provider, requestInit: plan.token && { headers: { Authorization: `Bearer ${plan.token}` } } };
  if (plan.sdk === "v1") return new Transport1(new URL(plan.url), options);
  return new v2.StreamableHTTPClientTransport(new URL(plan.url), options);
}

function create() {
  if (plan.sdk === "v1") {
    const client = new v1.Client(info);
    client.setNotificationHandler(LoggingMessageNotificationSchema, (n) => void said.logs.push(n.params));
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, (n) => void said.updates.push(n.params.uri));
    return client;
  }
  const mode = ["legacy", "auto"].includes(plan.mode) ? plan.mode : { pin: plan.mode };
  const client = new v2.Client(info, { versionNegotiation: { mode } });
  client.setNotificationHandler("notifications/message", (n) => void said.logs.push(n.params));
  client.setNotificationHandler("notifications/resources/updated", (n) => void said.updates.push(n.params.uri));
  return client;
}

const client = create();
let transport = open();

// asked does what, and after a login that it led to once more.
async function asked(what) {
  try {
    return await what();
  } catch (error) {
    const answer = account?.took();
    if (!answer) throw error;
    await transport.finishAuth(plan.sdk === "v1" ? answer.get("code") : answer);
    return await what();
  }
}

const connect = () =>
  asked(async () => {
    if (transport.used) {
      const old = transport;
      transport = open();
      await old.close();
    }
    transport.used = true;
    await client.connect(transport);
  });

const call = (name, args, options) =>
  asked(() => (plan.sdk === "v1" ? client.callTool({ name, arguments: args }, undefined, options) : client.callTool({ name, arguments: args }, options)));

const think = (operation, parameters, more, options) => call("clear_thought", { operation, parameters, ...more }, options);

async function until(what, holds) {
  for (const end = Date.now() + 20_000; !(await holds()); await wait(20)) {
    if (Date.now() > end) throw new Error(`it did not happen: ${what}`);
  }
}

async function all(list, field) {
  const found = [];
  for (let cursor; ; ) {
    const page = await list(cursor ? { cursor } : undefined);
    found.push(...page[field]);
    if (!(cursor = page.nextCursor)) return found;
  }
}

const fresh = modern ? { cacheMode: "bypass" } : undefined;
const firstText = (result) => result.contents[0].text;

const scenes = {
  // tour uses everything that a server offers.
  async tour() {
    await connect();
    const out = { server: client.getServerVersion().name, capabilities: Object.keys(client.getServerCapabilities()).sort(), instructions: client.getInstructions() };
    out.protocol = plan.sdk === "v1" ? transport.protocolVersion : client.getNegotiatedProtocolVersion();
    out.tools = (await client.listTools()).tools.map((t) => t.name);
    if (!modern) {
      out.ping = await client.ping();
      await client.setLoggingLevel("warning");
    }

    const progress = [];
    const run = { action: "run", domain: "nim", heaps: [3, 4, 5], simulations: 200_000, trees: 2, seed: 1, maxMillis: 60_000 };
    out.call = await think("mcts", run, {}, { onprogress: (p) => progress.push(p) });
    out.progress = progress;
    const sessionId = out.call.structuredContent.sessionId;
    const uri = `lyceum://sessions/${sessionId}`;

    out.resources = (await all((p) => client.listResources(p), "resources")).map((r) => r.uri);
    out.templates = (await all((p) => client.listResourceTemplates(p), "resourceTemplates")).map((r) => r.uriTemplate);
    out.guide = firstText(await client.readResource({ uri: "lyceum://guide" })).slice(0, 200);
    out.state = JSON.parse(firstText(await client.readResource({ uri })));
    out.missing = await client.readResource({ uri: "lyceum://sessions/rs_nope" }).then(
      () => "read",
      (error) => ({ code: error.code, message: error.message }),
    );
    out.prompts = (await client.listPrompts()).prompts.map((p) => p.name);
    out.prompt = (await client.getPrompt({ name: "search", arguments: { task: "Which opening move is best?" } })).messages[0].content.text;
    out.completion = (await client.complete({ ref: { type: "ref/prompt", name: "decide" }, argument: { name: "operation", value: "dec" } })).completion.values;

    const listening = modern ? await client.listen({ resourceSubscriptions: [uri] }) : undefined;
    if (!modern) await client.subscribeResource({ uri });
    await think("sequential_thinking", { thought: "6 * 7 = 42", thoughtNumber: 1, totalThoughts: 1, nextThoughtNeeded: false }, { sessionId });
    await until("an update", () => said.updates.includes(uri));
    out.subscribed = listening ? listening.honoredFilter : {};
    await (listening ? listening.close() : client.unsubscribeResource({ uri }));

    // A call of half a minute that is given up at its first sign of life.
    const ctl = new AbortController();
    const began = Date.now();
    const cut = { ...run, heaps: [30, 31, 32], simulations: 100_000_000, maxMillis: 25_000 };
    const inFlight = async () => JSON.parse(firstText(await client.readResource({ uri }, fresh))).session.inFlight; // the reading is one of them
    const onprogress = async () => {
      if (out.busy) return;
      out.busy = await inFlight();
      ctl.abort(new Error("enough"));
    };
    out.canceled = await think("mcts", cut, { sessionId }, { signal: ctl.signal, onprogress }).then(
      () => "answered",
      (error) => error.message,
    );
    await until("the server stops computing", async () => (out.idle = await inFlight()) === 1);
    out.stoppedAfter = Date.now() - began;

    out.sessions = (await call("session_list", {})).structuredContent.result.sessions.map((s) => s.sessionId);
    const ended = transport.sessionId;
    if (ended) {
      await transport.terminateSession();
      const headers = { Authorization: `Bearer ${plan.token}`, "Mcp-Session-Id": ended, "Content-Type": "application/json", Accept: "application/json, text/event-stream" };
      const answer = await fetch(plan.url, { method: "POST", headers, body: '{"jsonrpc":"2.0","id":1,"method":"ping"}' });
      out.afterEnd = answer.status;
    }
    return out;
  },

  // login calls before and after the access token has expired.
  async login() {
    await connect();
    const mine = (await call("session_create", { name: "mine" })).structuredContent.result.sessionId;
    if (account?.kept.refresh_token && account.plan.visits[0].ttl) {
      await wait(account.expires + 1_100 - Date.now()); // the server allows for one second
    }
    const sessions = (await call("session_list", {})).structuredContent.result.sessions.map((s) => s.sessionId);
    return { mine, sessions };
  },
};

const out = await scenes[plan.scene]();
await client.close();
console.log(JSON.stringify({ ...out, ...said, account: account?.says }));
