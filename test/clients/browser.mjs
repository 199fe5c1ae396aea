// Plays the person who logs in: opens a page, follows redirects with cookies, picks
// a name in the form of the development issuer, and goes on to the program that
// asked. Used by the other scripts here, and as the browser of programs that open
// one, by browser.sh:
//   node browser.mjs URL
//   BROWSER_PLAN      {"visits": [VISIT, …], "delay": ms, "log": FILE}
//   VISIT               {"user", "scope", "ttl"}; the last one also counts for later visits
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const named = { amp: "&", lt: "<", gt: ">", quot: '"' };
const unescape = (text) =>
  text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (whole, dec, hex, name) =>
    name ? (named[name] ?? whole) : String.fromCodePoint(dec ? Number(dec) : Number.parseInt(hex, 16)),
  );

const attribute = (tag, name) => {
  const found = tag.match(new RegExp(`\\s${name}="([^"]*)"`, "i"));
  return found && unescape(found[1]);
};

// form reads the only form of a page as a person who presses the button of user.
function form(html, url, user) {
  const tag = html.match(/<form\b[^>]*>/i)?.[0];
  if (!tag) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of html.matchAll(/<input\b[^>]*>/gi)) fields.append(attribute(input, "name"), attribute(input, "value") ?? "");
  const buttons = [...html.matchAll(/<button\b[^>]*>/gi)].map(([button]) => [attribute(button, "name"), attribute(button, "value")]);
  const button = buttons.find(([, value]) => value === user);
  if (!button) throw new Error(`the page offers ${buttons.map((b) => b[1])}, not ${user}`);
  fields.append(...button);
  return { url: new URL(attribute(tag, "action") ?? url, url), method: (attribute(tag, "method") ?? "get").toUpperCase(), fields };
}

// visit logs user in at page. A scope is what the person grants instead of what was
// asked for, and ttl how long access tokens live, in seconds. With until the visit
// ends at the first redirect to that URL, which is not opened.
export async function visit(page, { user = "alice", scope, ttl, until } = {}) {
  let url = new URL(page);
  if (scope) url.searchParams.set("scope", scope);
  if (ttl) url.searchParams.set("ttl", String(ttl));
  const cookies = new Map(); // by origin and name
  let request = {};
  for (let step = 0; step < 10; step++) {
    const cookie = [...cookies].filter(([key]) => key.startsWith(`${url.origin} `)).map(([key, value]) => `${key.split(" ")[1]}=${value}`);
    const answer = await fetch(url, {
      ...request,
      redirect: "manual",
      signal: AbortSignal.timeout(20_000),
      headers: { ...request.headers, ...(cookie.length > 0 && { cookie: cookie.join("; ") }) },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      cookies.set(`${url.origin} ${name}`, value);
    }
    const text = await answer.text();
    const to = answer.headers.get("location");
    if (answer.status >= 300 && answer.status < 400 && to) {
      url = new URL(to, url);
      if (until && url.href.startsWith(until)) return { url, status: answer.status, text };
      request = {};
      continue;
    }
    const next = answer.ok ? form(text, url, user) : undefined;
    if (!next) return { url, status: answer.status, text };
    request = {
      method: next.method,
      body: next.fields,
      headers: { origin: url.origin, "sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded" },
    };
    url = next.url;
  }
  throw new Error(`too many redirects, now at ${url}`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  setTimeout(() => process.exit(3), 60_000).unref(); // whoever opened it has given up
  const { visits = [{}], delay = 0, log } = JSON.parse(process.env.BROWSER_PLAN ?? "{}");
  const before = log && existsSync(log) ? readFileSync(log, "utf8").split("\n").length - 1 : 0;
  const tell = (line) => (log ? appendFileSync(log, `${JSON.stringify(line)}\n`) : console.log(JSON.stringify(line)));
  const page = process.argv.findLast((arg) => arg.startsWith("http"));
  try {
    await wait(delay);
    const { url, status, text } = await visit(page, visits[Math.min(before, visits.length - 1)]);
    tell({ page, end: `${url.origin}${url.pathname}`, status, text: text.slice(0, 2000) });
  } catch (error) {
    tell({ page, error: String(error.cause ?? error) });
    process.exitCode = 1;
  }
}
