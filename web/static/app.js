// Keeps the table as the server says it is, and lets one act on it. What to show
// and in which order is decided by the server; what comes from clients is put in
// as text, never as markup.
const $ = (id) => document.getElementById(id);
const tbody = document.querySelector("#sessions tbody");
const blank = $("row").content.querySelector("tr");
const mayEnd = document.body.dataset.write === "true";
const rows = new Map([...tbody.rows].map((tr) => [tr.dataset.ref, tr]));

const GONE_FOR = 12_000; // milliseconds that an ended session is still shown
let source = null;
let paused = false;
let stopped = ""; // why the server ended the stream for good
let retry = 0; // timer of the next attempt
let attempts = 0;
let skew = Number(document.body.dataset.now) - Date.now(); // the server's clock is the one that counts
let matching = 0;
let asked = $("q").value.trim();

// The same as ago, size and short in page.go.
function ago(ms) {
  const s = Math.floor(Math.max(0, Date.now() + skew - ms) / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}
function size(n) {
  if (n < 1000) return `${n} B`;
  let unit = 0;
  while (n >= 999.5 && unit < 4) { n /= 1000; unit++; }
  return `${n.toFixed(n < 9.95 ? 1 : 0)} ${" kMGT"[unit]}B`;
}
const short = (ref) => ref.slice(0, 8);
const stamp = (ms) => new Date(ms).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");

function put(el, text) {
  text = String(text);
  if (el && el.textContent !== text) el.textContent = text;
}
function setTime(el, ms) {
  el.dataset.t = ms;
  el.dateTime = new Date(ms).toISOString();
  el.title = stamp(ms);
  put(el, ago(ms));
}

// fill writes a session into its row.
function fill(tr, r) {
  tr.dataset.ref = r.ref;
  tr.dataset.state = r.state;
  for (const name of ["subject", "tenant", "name", "kind", "client", "client_version", "revision", "transport", "state", "calls", "errors"]) {
    put(tr.querySelector(`[data-f=${name}]`), r[name]);
  }
  put(tr.querySelector("[data-f=in_flight]"), r.streams ? `${r.in_flight} + ${r.streams} open` : r.in_flight);
  put(tr.querySelector("[data-f=bytes]"), size(r.bytes));
  setTime(tr.querySelector("[data-f=created]"), r.created);
  setTime(tr.querySelector("[data-f=used]"), r.used);
  const ref = tr.querySelector("[data-f=ref]");
  put(ref, short(r.ref));
  ref.title = r.ref;
  ref.closest("a").href = `/admin/sessions/${r.ref}`;
  tr.querySelector(".who").title = r.issuer;
  tr.querySelector(".end")?.setAttribute("aria-label", `End session ${short(r.ref)}`);
  tone(tr);
}
function tone(tr) {
  for (const name of ["in_flight", "calls", "errors"]) {
    const td = tr.querySelector(`[data-f=${name}]`);
    td.classList.toggle("zero", td.textContent === "0");
    if (name === "errors") td.classList.toggle("failed", td.textContent !== "0");
  }
}

function row(r, fresh) {
  let tr = rows.get(r.ref);
  if (!tr) {
    tr = blank.cloneNode(true);
    tr.classList.toggle("new", fresh);
    rows.set(r.ref, tr);
    tbody.append(tr);
  }
  fill(tr, r);
}

// bury shows for a moment that and why a session ended, where it was.
function bury(ref, why) {
  const tr = rows.get(ref) ?? tbody.querySelector(`tr.gone[data-ref="${ref}"]`);
  if (!tr) return;
  rows.delete(ref);
  const first = !tr.classList.contains("gone");
  tr.classList.add("gone");
  tr.classList.remove("new");
  put(tr.querySelector("[data-f=state]"), "ended");
  tr.dataset.state = "ended";
  if (first) {
    // The numbers make room for the reason.
    const from = tr.querySelector("[data-f=created]").closest("td");
    const over = Object.assign(document.createElement("td"), { className: "over", colSpan: tr.cells.length - from.cellIndex });
    while (from.nextSibling) from.nextSibling.remove();
    from.replaceWith(over);
  }
  const over = tr.querySelector(".over");
  put(over, why);
  over.title = why;
  if (first) setTimeout(() => { if (document.activeElement === tr) step(1); tr.remove(); }, GONE_FOR);
}

// arrange puts the rows in order. Those that are gone stay where they were.
function arrange(order) {
  const skip = (el) => { while (el?.classList.contains("gone")) el = el.nextElementSibling; return el; };
  let at = skip(tbody.firstElementChild);
  for (const ref of order) {
    const tr = rows.get(ref);
    if (!tr) continue;
    if (tr === at) at = skip(at.nextElementSibling);
    else {
      const focused = tr === document.activeElement;
      tbody.insertBefore(tr, at);
      if (focused) tr.focus({ preventScroll: true });
    }
  }
}

function head(s) {
  put($("version"), s.version);
  put($("ready"), s.ready ? "ready" : "draining");
  $("ready").className = `badge ${s.ready ? "good" : "warn"}`;
  $("since").dataset.t = s.since;
  for (const name of ["in_flight", "running", "tickets", "queued", "lanes"]) put($(name), s[name]);
  for (const a of document.querySelectorAll(".facets a")) put(a.querySelector("b"), s.counts[a.dataset.facet]);
}

// warn shows the alerts as the server says they are. Rows stay where they can: a
// link that has the focus keeps it.
function warn(all) {
  const list = $("alertList");
  if (!list) return;
  all.forEach((a, i) => {
    let li = [...list.children].find((el) => el.dataset.name === a.name);
    if (!li) {
      li = $("alert").content.querySelector("li").cloneNode(true);
      li.dataset.name = a.name;
    }
    if (list.children[i] !== li) list.insertBefore(li, list.children[i] ?? null);
    li.dataset.state = a.state;
    li.dataset.severity = a.severity;
    for (const name of ["state", "name", "severity", "summary", "value"]) put(li.querySelector(`[data-f=${name}]`), a[name]);
    const link = li.querySelector("a");
    if (a.runbook) link.href = a.runbook; else link.removeAttribute("href");
    setTime(li.querySelector("time"), a.since);
  });
  while (list.children.length > all.length) list.lastElementChild.remove();
  const n = all.filter((a) => a.state === "firing").length;
  put($("said"), n === 0 ? "No alert is firing" : n === 1 ? "1 alert is firing" : `${n} alerts are firing`);
}

function counted() {
  const shown = rows.size;
  put($("count"), shown === matching ? `${matching} shown` : `${shown} of ${matching} shown`);
  $("empty").hidden = tbody.rows.length > 0;
  put($("emptyTitle"), asked ? "No session matches" : "No sessions");
  const text = $("emptyText");
  if (!asked) put(text, "As soon as a client calls, its session appears here.");
  else if (!text.querySelector("a")) {
    const a = Object.assign(document.createElement("a"), { textContent: "Show all sessions", href: "?" });
    a.addEventListener("click", (e) => { e.preventDefault(); ask(""); });
    text.replaceChildren(a);
  }
}

function take(m) {
  if (m.now) skew = m.now - Date.now();
  if (m.type === "bye") return bye(m.why);
  attempts = 0;
  if (m.status) head(m.status);
  if (m.alerts) warn(m.alerts);
  if (m.matching !== undefined) matching = m.matching;
  const fresh = m.type === "delta";
  if (!fresh) {
    const known = new Set((m.rows ?? []).map((r) => r.ref));
    for (const [ref, tr] of rows) if (!known.has(ref)) { rows.delete(ref); tr.remove(); }
    m.order ??= (m.rows ?? []).map((r) => r.ref);
  }
  for (const r of m.rows ?? []) row(r, fresh);
  for (const ref of m.out ?? []) { rows.get(ref)?.remove(); rows.delete(ref); }
  for (const g of m.gone ?? []) bury(g.ref, g.why);
  if (m.order) arrange(m.order);
  counted();
  if (paused) close();
  live(paused ? "paused" : "on");
}

const words = { on: "live", wait: "connecting", lost: "reconnecting", paused: "paused", off: "stopped" };
function live(how) {
  $("live").dataset.live = how;
  put($("liveText"), words[how]);
}
function problem(text) {
  put($("problem"), text);
  $("problem").hidden = !text;
}
function bye(why) {
  close();
  stopped = why;
  if (why === "draining") {
    put($("ready"), "draining");
    $("ready").className = "badge warn";
    problem("The server is stopping. This page goes on when it is back.");
    stopped = "";
    again();
    return;
  }
  live("off");
  problem(why === "logged_out" ? "You have logged out. Reload the page to log in again." : "Your login has ended. Reload the page to log in again.");
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
}
function again() {
  live("lost");
  clearTimeout(retry);
  retry = setTimeout(open, Math.min(30_000, 1000 * 2 ** attempts++) * (0.75 + Math.random() / 2));
}
// open begins a stream for what the address says. Nobody looking needs none.
function open() {
  close();
  if (stopped || document.hidden) return;
  const es = new EventSource(`/admin/events${location.search}`);
  source = es;
  es.onmessage = (e) => {
    if (source !== es) return;
    problem("");
    take(JSON.parse(e.data));
  };
  es.onerror = async () => {
    if (source !== es) return;
    close();
    again();
    // An EventSource does not say what was wrong; one request does.
    const resp = await fetch(`/admin/events${location.search}`, { headers: { Accept: "application/problem+json" } }).catch(() => null);
    const status = resp?.status;
    resp?.body?.cancel();
    if (status === 401 || status === 403) bye("expired");
    else if (status === 503) problem("The server takes no more pages just now. This one tries again.");
    else if (!resp) problem("The server cannot be reached. This page tries again.");
  };
}

// ask makes text the filter.
function ask(text) {
  $("q").value = text;
  look(text);
}
let pending = 0;
function look(text) {
  if (text.trim() === asked) return;
  asked = text.trim();
  const p = new URLSearchParams(location.search);
  if (asked) p.set("q", asked); else p.delete("q");
  history.replaceState(null, "", p.size ? `?${p}` : location.pathname);
  for (const a of document.querySelectorAll(".facets a")) {
    if (a.dataset.text === asked) a.setAttribute("aria-current", "true"); else a.removeAttribute("aria-current");
    const to = new URLSearchParams(p);
    if (a.dataset.text) to.set("q", a.dataset.text); else to.delete("q");
    a.search = to;
  }
  for (const a of document.querySelectorAll("th a")) {
    const to = new URLSearchParams(a.search);
    if (asked) to.set("q", asked); else to.delete("q");
    a.search = to;
  }
  clearTimeout(pending);
  pending = setTimeout(open, 200);
}
function sortBy(th) {
  const a = th.querySelector("a");
  history.replaceState(null, "", a.search || location.pathname);
  const p = new URLSearchParams(a.search);
  // What the link meant is what the table is now; the next click is the reverse.
  const dir = p.get("dir") ?? "asc";
  for (const other of document.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", dir === "asc" ? "ascending" : "descending");
  p.set("sort", th.dataset.key);
  p.set("dir", dir === "asc" ? "desc" : "asc");
  a.search = p;
  open();
}

// The row that the keyboard is at.
const current = () => document.activeElement?.closest?.("#sessions tbody tr") ?? null;
function step(by) {
  const all = [...tbody.rows];
  if (!all.length) return;
  const at = all.indexOf(current());
  const tr = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
  tr.focus();
  tr.scrollIntoView({ block: "nearest" });
}

let toasted = 0;
function toast(text) {
  put($("toast"), text);
  $("toast").hidden = false;
  clearTimeout(toasted);
  toasted = setTimeout(() => { $("toast").hidden = true; }, 6000);
}

// confirm asks before a session is ended.
let ending = "";
function confirmEnd(tr) {
  if (!tr || tr.classList.contains("gone")) return;
  if (!mayEnd) return toast("You may look but not end sessions: that needs the scope admin.write.");
  const text = (f) => tr.querySelector(`[data-f=${f}]`).textContent;
  ending = tr.dataset.ref;
  put($("confirmOwner"), `${text("subject")} @ ${text("tenant")}`);
  put($("confirmClient"), `${text("client")} ${text("client_version")}`.trim());
  put($("confirmRef"), short(ending));
  const flight = text("in_flight");
  const busy = flight === "0" ? "Nothing runs in it now." : `In flight: ${flight}. That is told to stop.`;
  put($("confirmText"), `${busy} What the session holds is deleted, and its owner cannot use it any more.`);
  $("reason").value = "";
  $("confirm").returnValue = "";
  $("confirm").showModal();
  $("reason").focus();
}
async function end(ref, reason) {
  try {
    const resp = await fetch(`/admin/sessions/${ref}/end`, { method: "POST", body: new URLSearchParams({ reason }) });
    const doc = await resp.json();
    if (!resp.ok) return toast(resp.status === 404 ? "That session is over already." : `Not ended: ${doc.detail ?? doc.title}`);
    if (doc.ended) bury(ref, doc.why);
    else if (rows.has(ref)) {
      const tr = rows.get(ref);
      tr.dataset.state = "draining";
      put(tr.querySelector("[data-f=state]"), "draining");
    }
    counted();
    toast(doc.ended ? `Session ${short(ref)} has ended.` : `Session ${short(ref)} ends as soon as what runs in it has stopped.`);
  } catch {
    toast("Not ended: the server cannot be reached.");
  }
}
// The event comes later than the closing: the dialog may be open again for
// another session, and then has no answer.
$("confirm").addEventListener("close", () => {
  if ($("confirm").returnValue === "yes") end(ending, $("reason").value);
});
// Enter in the field means the button that the question is about.
$("reason").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && !e.isComposing) { e.preventDefault(); $("confirm").close("yes"); }
});

function pause() {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  put($("pause"), paused ? "Go on" : "Pause");
  if (paused) { close(); live("paused"); } else { live("wait"); open(); }
}

tbody.addEventListener("click", (e) => {
  const tr = e.target.closest("tr");
  if (e.target.closest(".end")) confirmEnd(tr);
});
document.querySelector("thead").addEventListener("click", (e) => {
  const th = e.target.closest("th");
  if (!th?.querySelector("a") || e.metaKey || e.ctrlKey || e.shiftKey) return;
  e.preventDefault();
  sortBy(th);
});
document.querySelector(".facets").addEventListener("click", (e) => {
  const a = e.target.closest("a");
  if (!a || e.metaKey || e.ctrlKey || e.shiftKey) return;
  e.preventDefault();
  ask(a.dataset.text);
});
$("q").addEventListener("input", () => look($("q").value));
$("filter").addEventListener("submit", (e) => { e.preventDefault(); look($("q").value); });
$("pause").addEventListener("click", pause);
$("keys").addEventListener("click", () => $("help").showModal());

document.addEventListener("keydown", (e) => {
  if (e.defaultPrevented || e.metaKey || e.ctrlKey || e.altKey || document.querySelector("dialog[open]")) return;
  if (e.target === $("q")) {
    if (e.key === "Escape") { if ($("q").value) ask(""); else $("q").blur(); }
    return;
  }
  if (e.target.matches("input, textarea, select")) return;
  const act = { "/": () => { $("q").focus(); $("q").select(); }, j: () => step(1), k: () => step(-1), o: () => current()?.querySelector("a.open")?.click(), x: () => confirmEnd(current()), p: pause, "?": () => $("help").showModal() }[e.key];
  if (act) { e.preventDefault(); act(); }
});
document.addEventListener("visibilitychange", () => {
  if (paused || stopped) return;
  if (document.hidden) close(); else open();
});

for (const tr of tbody.rows) tone(tr);
matching = rows.size;
setInterval(() => { if (!paused && !document.hidden) for (const t of document.querySelectorAll("time[data-t]")) put(t, ago(Number(t.dataset.t))); }, 1000);
open();
