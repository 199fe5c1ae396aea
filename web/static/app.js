// Keeps the table of sessions up to date and lets one act on it. Everything that
// comes from a client is put in as text, never as markup.
const $ = (id) => document.getElementById(id);
const body = document.querySelector("#sessions tbody");
const canEnd = document.body.dataset.canEnd === "true";

const rows = new Map(); // by reference: what the server says
const gone = new Map(); // by reference: what is shown for a moment after it ended
let head = null;
let paused = false;
let sort = { key: "created", up: false };
let filter = $("q").value;
let timer = 0;

for (const el of document.querySelectorAll(".needs-script")) el.hidden = false;

function ago(ms) {
  const s = Math.max(0, Math.floor((Date.now() - ms) / 1000));
  if (s < 1) return "now";
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m`;
  if (s < 172800) return `${Math.floor(s / 3600)}h ${Math.floor(s / 60) % 60}m`;
  return `${Math.floor(s / 86400)}d`;
}

function size(n) {
  if (n < 1024) return `${n} B`;
  if (n < 1048576) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / 1048576).toFixed(1)} MiB`;
}

function el(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(props)) {
    if (k === "label") e.dataset.label = v;
    else if (k === "class") e.className = v;
    else e[k] = v;
  }
  e.append(...children);
  return e;
}

const muted = (text) => el("span", { class: "muted" }, text);
const time = (ms, label) => el("td", { class: "num", label, title: new Date(ms).toLocaleString() }, ago(ms));
const num = (n, label) => el("td", { class: "num", label }, String(n));

function cells(r) {
  const over = gone.has(r.ref);
  const act = el("td");
  if (canEnd && !over) {
    const b = el("button", { type: "button", title: "End this session" }, "End");
    b.addEventListener("click", () => ask(r));
    act.append(b);
  }
  const streams = r.streams ? ` + ${r.streams} stream${r.streams > 1 ? "s" : ""}` : "";
  return [
    el("td", { label: "Owner", title: r.issuer }, el("b", {}, r.subject), " ", muted(`@ ${r.tenant}`)),
    el("td", { label: "Kind" }, el("span", { class: `kind ${r.kind}` }, r.kind)),
    el("td", { label: "Client" }, r.client || muted("—")),
    el("td", { label: "Revision" }, `${r.revision} `, muted(r.transport)),
    el("td", { label: "State" }, el("span", { class: `state ${over ? "ended" : r.state}` }, over ? "ended" : r.state)),
    time(r.created, "Age"),
    time(r.lastUsed, "Last activity"),
    el("td", { class: "num", label: "In flight" }, `${r.inFlight}${streams}`),
    num(r.calls, "Calls"),
    num(r.errors, "Errors"),
    el("td", { class: "num", label: "Size" }, size(r.bytes)),
    el("td", { label: "Session", title: r.name }, el("code", {}, r.ref)),
    act,
  ];
}

function matches(r) {
  const text = [r.ref, r.kind, r.subject, r.tenant, r.issuer, r.name, r.client, r.revision, r.transport, r.state].join(" ").toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((w) => text.includes(w));
}

function order(a, b) {
  const x = a[sort.key], y = b[sort.key];
  const d = typeof x === "string" ? x.localeCompare(y) : x - y;
  return (sort.up ? d : -d) || a.ref.localeCompare(b.ref);
}

function draw() {
  timer = 0;
  const focused = document.activeElement?.closest?.("tr")?.dataset.ref;
  const list = [...rows.values(), ...[...gone.values()].filter((r) => !rows.has(r.ref))].filter(matches).sort(order);
  const have = new Map([...body.children].map((tr) => [tr.dataset.ref, tr]));
  list.forEach((r, i) => {
    let tr = have.get(r.ref);
    const key = JSON.stringify(r) + ago(r.created) + ago(r.lastUsed) + gone.has(r.ref);
    if (!tr) tr = el("tr", { tabIndex: -1 });
    have.delete(r.ref);
    if (tr.dataset.drawn !== key) {
      tr.dataset.ref = r.ref;
      tr.dataset.drawn = key;
      tr.tabIndex = -1;
      tr.classList.toggle("gone", gone.has(r.ref));
      const inside = document.activeElement?.tagName === "BUTTON" && tr.contains(document.activeElement);
      tr.replaceChildren(...cells(r));
      if (inside) tr.querySelector("button")?.focus();
    }
    if (body.children[i] !== tr) body.insertBefore(tr, body.children[i] ?? null);
  });
  for (const tr of have.values()) tr.remove();
  if (focused && !document.activeElement?.closest?.("tr")) body.querySelector(`tr[data-ref="${CSS.escape(focused)}"]`)?.focus();
  $("empty").hidden = list.length > 0;
  const text = `${list.length} shown`;
  if ($("count").textContent !== text) $("count").textContent = text;
  if (!head) return;
  $("version").textContent = head.version;
  $("ready").textContent = head.ready ? "ready" : "draining";
  $("ready").className = `badge ${head.ready ? "good" : "bad"}`;
  $("up").textContent = ago(head.since);
  $("total").textContent = head.sessions;
  $("inflight").textContent = head.inFlight;
  $("running").textContent = head.running;
  $("tickets").textContent = head.tickets;
  $("queued").textContent = head.queued;
}

const redraw = () => { if (!timer && !paused) timer = requestAnimationFrame(draw); };
setInterval(redraw, 1000);

function live(state, text) {
  $("live").className = `live ${state}`;
  $("liveText").textContent = text;
}

function apply(u) {
  if (u.head) head = u.head;
  if (u.type === "snapshot") rows.clear();
  for (const r of u.rows ?? []) { rows.set(r.ref, r); gone.delete(r.ref); }
  for (const ref of u.gone ?? []) {
    const r = rows.get(ref);
    rows.delete(ref);
    if (!r) continue;
    gone.set(ref, r);
    setTimeout(() => { gone.delete(ref); redraw(); }, 4000);
  }
  redraw();
}

function connect() {
  const source = new EventSource("/admin/events");
  source.onopen = () => live(paused ? "off" : "", paused ? "paused" : "live");
  source.onmessage = (e) => {
    const u = JSON.parse(e.data);
    if (u.type === "end") { source.close(); live("lost", "ended"); location.reload(); return; }
    apply(u);
  };
  source.onerror = () => {
    live("lost", "reconnecting");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}
connect();

function problem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

async function ask(r) {
  const dialog = $("confirm");
  $("confirmText").textContent = `${r.kind} session ${r.ref} of ${r.subject} @ ${r.tenant}, ${r.calls} call${r.calls === 1 ? "" : "s"}, ${r.inFlight} in flight.`;
  $("reason").value = "";
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
  if (dialog.returnValue !== "yes") return;
  problem("");
  try {
    const answer = await fetch(`/admin/sessions/${encodeURIComponent(r.ref)}/end`, { method: "POST", body: new URLSearchParams({ reason: $("reason").value }) });
    if (!answer.ok) problem(`The session was not ended: ${(await answer.json()).detail}`);
  } catch {
    problem("The session was not ended: the server cannot be reached.");
  }
}

function togglePause() {
  paused = !paused;
  $("pause").textContent = paused ? "Go on" : "Pause";
  $("pause").setAttribute("aria-pressed", String(paused));
  live(paused ? "off" : "", paused ? "paused" : "live");
  redraw();
}
$("pause").addEventListener("click", togglePause);
$("keys").addEventListener("click", () => $("help").showModal());

$("q").addEventListener("input", () => {
  filter = $("q").value;
  const url = new URL(location.href);
  if (filter) url.searchParams.set("q", filter); else url.searchParams.delete("q");
  history.replaceState(null, "", url);
  draw();
});
$("q").form.addEventListener("submit", (e) => e.preventDefault());

for (const th of document.querySelectorAll("th[data-key]")) {
  const b = el("button", { type: "button" }, th.textContent);
  th.replaceChildren(b);
  b.addEventListener("click", () => {
    const key = th.dataset.key;
    sort = { key, up: sort.key === key ? !sort.up : false };
    mark();
    draw();
  });
}
function mark() {
  for (const th of document.querySelectorAll("th[data-key]")) {
    if (th.dataset.key === sort.key) th.setAttribute("aria-sort", sort.up ? "ascending" : "descending");
    else th.removeAttribute("aria-sort");
  }
}
mark();

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
  const typing = e.target.tagName === "INPUT";
  if (typing) { if (e.key === "Escape") e.target.blur(); return; }
  const current = document.activeElement?.closest?.("#sessions tbody tr");
  switch (e.key) {
    case "/": e.preventDefault(); $("q").focus(); break;
    case "?": $("help").showModal(); break;
    case "p": togglePause(); break;
    case "j": (current ? current.nextElementSibling : body.firstElementChild)?.focus(); break;
    case "k": (current ? current.previousElementSibling : body.lastElementChild)?.focus(); break;
    case "x": { const r = current && rows.get(current.dataset.ref); if (r && canEnd) ask(r); break; }
  }
});
