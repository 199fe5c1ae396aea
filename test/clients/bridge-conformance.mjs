// The client under test of the official suite's client leg: a host that speaks MCP
// over the stdin and stdout of `lyceum stdio --url URL`, and the person at the
// browser. What the suite wants from a bridge, the bridge does; this program only
// does what every host does.
//   LYCEUM_BIN  the program
// The suite gives the scenario, the revision and a context in the environment, and
// the URL as the last argument.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? "";
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? "2025-11-25";
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const url = process.argv.at(-1);
const modern = revision >= "2026-07-28";

const args = ["stdio", "--url", url, "--login-wait", "60s", "--client-metadata-url", "https://conformance-test.local/client-metadata.json"];
if (context.client_id) args.push("--client-id", context.client_id);
if (scenario === "auth/client-credentials-basic") args.push("--client-credentials");

const cache = mkdtempSync(join(tmpdir(), "bridge-"));
const child = spawn(process.env.LYCEUM_BIN, args, {
  stdio: ["pipe", "pipe", "pipe"],
  env: { ...process.env, HOME: cache, XDG_CACHE_HOME: cache, ...(context.client_secret && { LYCEUM_CLIENT_SECRET: context.client_secret }) },
});

// The person: opens what is printed on a line of its own, and agrees.
createInterface({ input: child.stderr }).on("line", (line) => {
  process.stderr.write(line + "\n");
  if (/^https?:\/\/\S+[?&]code_challenge=\S+$/.test(line)) fetch(line).catch((e) => console.error("browser:", e.message));
});

const waiting = new Map();
let last = 0;

const send = (message) => child.stdin.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");

function request(method, params = {}) {
  const id = ++last;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    send({ id, method, params: modern ? { ...params, _meta } : params });
  });
}

const capabilities = { elicitation: { form: { applyDefaults: true } } };
const clientInfo = { name: "conformance-host", version: "1.0.0" };
const _meta = {
  "io.modelcontextprotocol/protocolVersion": revision,
  "io.modelcontextprotocol/clientInfo": clientInfo,
  "io.modelcontextprotocol/clientCapabilities": { elicitation: {} },
};

// What a user who leaves a form as it is would send.
const filled = ({ requestedSchema: { properties = {} } = {} }) => ({
  action: "accept",
  content: Object.fromEntries(Object.entries(properties).flatMap(([name, p]) => ("default" in p ? [[name, p.default]] : p.type === "boolean" ? [[name, true]] : []))),
});

createInterface({ input: child.stdout }).on("line", (line) => {
  const message = JSON.parse(line);
  if (message.method === "elicitation/create") send({ id: message.id, result: filled(message.params) });
  else if (message.method && message.id !== undefined) send({ id: message.id, result: {} });
  else if (waiting.has(message.id)) {
    waiting.get(message.id)(message);
    waiting.delete(message.id);
  }
});

const example = { string: "text", number: 5, integer: 5, boolean: true, array: [], object: {} };
function argumentsFor({ properties = {}, required = [] } = {}) {
  return Object.fromEntries(required.map((name) => [name, properties[name]?.default ?? example[properties[name]?.type] ?? "text"]));
}

async function call(name, args) {
  let message = await request("tools/call", { name, arguments: args });
  while (message.result?.resultType === "input_required") {
    const inputResponses = Object.fromEntries(Object.entries(message.result.inputRequests ?? {}).map(([key, r]) => [key, filled(r.params)]));
    const state = message.result.requestState;
    message = await request("tools/call", { name, arguments: args, inputResponses, ...(state !== undefined && { requestState: state }) });
  }
  return message;
}

async function converse() {
  if (modern) {
    const found = await request("server/discover");
    if (found.error?.code === -32022) await request("server/discover"); // its list has the one version that is spoken here
  } else {
    const started = await request("initialize", { protocolVersion: revision, capabilities, clientInfo });
    if (started.error) return started;
    send({ method: "notifications/initialized" });
  }
  const listed = await request("tools/list");
  if (listed.error) return listed;
  if (scenario === "http-standard-headers") {
    const { result: { resources = [] } = {} } = await request("resources/list");
    if (resources[0]) await request("resources/read", { uri: resources[0].uri });
    const { result: { prompts = [] } = {} } = await request("prompts/list");
    if (prompts[0]) await request("prompts/get", { name: prompts[0].name });
  }
  if (context.toolCalls) {
    for (const { name, arguments: args } of context.toolCalls) await call(name, args);
    return;
  }
  if (scenario === "json-schema-2020-12-preservation") {
    const { inputSchema } = listed.result.tools.find((t) => t.name === "json_schema_2020_12_tool");
    return call("json_schema_echo", { schema: inputSchema });
  }
  let message;
  for (const tool of listed.result.tools) message = await call(tool.name, argumentsFor(tool.inputSchema));
  if (scenario === "auth/authorization-server-migration") message = await request("tools/list");
  return message;
}

const message = await converse();
if (message?.error) console.error("the last answer:", JSON.stringify(message.error));
child.stdin.end();
const code = await new Promise((resolve) => child.on("close", resolve));
rmSync(cache, { recursive: true, force: true });
process.exit(message?.error ? 1 : code);
