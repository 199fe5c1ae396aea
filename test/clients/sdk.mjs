// Lists the tools of a server with the official TypeScript SDK and calls one.
//   node sdk.mjs URL TOKEN
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, token] = process.argv.slice(2);
const client = new Client({ name: "sdk-probe", version: "1" });
const transport = new StreamableHTTPClientTransport(new URL(url), {
  requestInit: { headers: { Authorization: `Bearer ${token}` } },
});
await client.connect(transport);
const { tools } = await client.listTools();
const progress = [];
const result = await client.callTool(
  { name: "clear_thought", arguments: { operation: "describe", parameters: { operation: "statistical_reasoning" } } },
  undefined,
  { onprogress: (p) => progress.push(p) },
);
await transport.terminateSession();
await client.close();
console.log(JSON.stringify({ tools: tools.map((t) => t.name), result: result.structuredContent, isError: result.isError ?? false }));
