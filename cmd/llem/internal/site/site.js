// The leaderboard: sorts, filters, and applies a limit on a metric. Everything it needs is in the tables.

/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement | HTMLSelectElement} */ (document.getElementById(id));
const tables = [...document.querySelectorAll("table")];
const sections = [...document.querySelectorAll("section")];
const rows = tables.flatMap((t) => [...t.tBodies[0].rows]);
const keys = ["gpu", "model", "engine", "dtype", "work"];

/** @param {string} id @param {[string, string][]} options */
function fill(id, options) {
  for (const [value, label] of options) {
    const o = document.createElement("option");
    o.value = value;
    o.textContent = label;
    input(id).append(o);
  }
}

for (const key of keys) {
  const values = [...new Set(rows.map((r) => r.dataset[key] ?? ""))].sort();
  fill("f-" + key, [["*", "all"], ...values.map((v) => /** @type {[string, string]} */ ([v, v || "unknown"]))]);
}
fill("f-class", [["*", "all, in tables of their own"], ...sections.map((s) =>
  /** @type {[string, string]} */ ([s.dataset.class ?? "", s.querySelector("h2")?.textContent ?? ""]))]);

/** @type {Map<string, {column: number, unit: string}>} */
const metrics = new Map();
for (const [column, h] of [...(tables[0]?.tHead?.rows[0].cells ?? [])].entries()) {
  if (h.dataset.metric) {
    metrics.set(h.dataset.metric, {column, unit: h.dataset.unit ?? ""});
    fill("limit-metric", [[h.dataset.metric, h.textContent ?? ""]]);
  }
}

/** @param {HTMLTableRowElement} row */
function within(row) {
  const m = metrics.get(input("limit-metric").value);
  const limit = input("limit").value;
  if (!m || limit === "") return true;
  const v = row.cells[m.column].dataset.v ?? "";
  if (v === "") return false;
  return input("limit-sign").value === "most" ? Number(v) <= Number(limit) : Number(v) >= Number(limit);
}

function filter() {
  const words = input("words").value.toLowerCase().split(/\s+/).filter((w) => w !== "");
  let shown = 0;
  for (const row of rows) {
    const text = row.textContent?.toLowerCase() ?? "";
    const ok = keys.every((k) => ["*", row.dataset[k] ?? ""].includes(input("f-" + k).value)) &&
      words.every((w) => text.includes(w)) && within(row);
    row.hidden = !ok;
  }
  for (const s of sections) {
    const open = [...s.querySelectorAll("tbody tr")].filter((r) => !(/** @type {HTMLElement} */ (r)).hidden).length;
    s.hidden = open === 0 || !["*", s.dataset.class].includes(input("f-class").value);
    if (!s.hidden) shown += open;
  }
  const unit = metrics.get(input("limit-metric").value)?.unit;
  const label = document.getElementById("limit-unit");
  if (label) label.textContent = unit ? `(${unit})` : "";
  const output = document.getElementById("shown");
  if (output) output.textContent = `${shown} of ${rows.length} configurations shown`;
}

/** @param {HTMLTableElement} table @param {number} column @param {HTMLTableCellElement} head */
function sort(table, column, head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const h of table.tHead?.rows[0].cells ?? []) h.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const sign = down ? -1 : 1;
  /** @param {HTMLTableRowElement} r */
  const text = (r) => r.cells[column].dataset.v ?? r.cells[column].textContent ?? "";
  const body = table.tBodies[0];
  const sorted = [...body.rows].map((r) => ({r, t: text(r), n: Number.parseFloat(text(r))}));
  const numeric = !head.classList.contains("text");
  sorted.sort((a, b) => {
    if (!numeric) return sign * a.t.localeCompare(b.t);
    if (Number.isNaN(a.n) || Number.isNaN(b.n)) return Number(Number.isNaN(a.n)) - Number(Number.isNaN(b.n));
    return sign * (a.n - b.n);
  });
  body.append(...sorted.map((s) => s.r));
}

for (const table of tables) {
  for (const [column, head] of [...(table.tHead?.rows[0].cells ?? [])].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, column, head));
    if (head.dataset.metric === "energy") head.setAttribute("aria-sort", "ascending");
  }
}
document.getElementById("controls")?.addEventListener("input", filter);
document.getElementById("controls")?.addEventListener("submit", (e) => e.preventDefault());
document.documentElement.classList.add("scripted");
filter();
