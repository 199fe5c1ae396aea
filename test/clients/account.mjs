// Who a client is: an OAuthClientProvider of the TypeScript SDKs, both versions,
// that logs in by itself and counts what happened.
import { randomUUID } from "node:crypto";
import { visit } from "./browser.mjs";

const back = "http://127.0.0.1:7777/callback"; // nobody listens there: the visit ends before

export class Account {
  registrations = 0;
  visits = [];
  issued = []; // what access tokens said

  // plan says how to behave: visits are those of browser.mjs, document is the URL of
  // the client's metadata, and refresh false does without refresh tokens.
  constructor(plan) {
    this.plan = plan;
    this.clientMetadataUrl = plan.document;
  }

  get redirectUrl() {
    return back;
  }
  get clientMetadata() {
    return {
      client_name: "TypeScript SDK",
      redirect_uris: [back],
      grant_types: this.plan.refresh === false ? ["authorization_code"] : ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  }
  state() {
    return (this.expected = randomUUID());
  }
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
    if (!this.plan.document) this.registrations++;
  }
  tokens() {
    return this.kept;
  }
  saveTokens(tokens) {
    this.kept = tokens;
    const { sub, scope, client_id: client, exp, iat } = JSON.parse(Buffer.from(tokens.access_token.split(".")[1], "base64url").toString());
    this.issued.push({ sub, scope, client, lives: exp - iat });
    this.expires = exp * 1000;
  }
  // Where the login began is where it must end.
  saveDiscoveryState(state) {
    this.discovered = state;
  }
  discoveryState() {
    return this.discovered;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
  async redirectToAuthorization(page) {
    const plan = this.plan.visits[Math.min(this.visits.length, this.plan.visits.length - 1)];
    this.visits.push(page.searchParams.get("scope"));
    const { url, status, text } = await visit(page, { ...plan, until: back });
    if (!url.href.startsWith(back)) throw new Error(`the login ended at ${url} with ${status}: ${text}`);
    if (url.searchParams.get("state") !== this.expected) throw new Error(`state ${url.searchParams.get("state")}, want ${this.expected}`);
    this.answer = url.searchParams;
  }
  // took returns what the login led to, once.
  took() {
    const answer = this.answer;
    this.answer = undefined;
    return answer;
  }
  // says is what a test wants to know.
  get says() {
    return { registrations: this.registrations, visits: this.visits, issued: this.issued, client: this.client?.client_id };
  }
}
