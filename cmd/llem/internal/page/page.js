// @ts-check
// The page is complete without this script; it sorts, filters, draws any two metrics, and zooms.

/** @typedef {{name: string, label: string, unit: string, higher: boolean}} Metric */
/** @typedef {{id: string, label: string, series: number, v: Record<string, (number|null)[]>, f: number[]|null}} Config */
/** @typedef {{key: string, values: string[], n: number[]}} Facet */
/** @typedef {{label: string, unit: string, t: number[], v: number[]}} Track */
/** @typedef {{label: string, from: number, to: number, data: string, spans: number[], doubts: [number, number, string, string][], tracks: Track[], others: [string, string][], mark: string}} Run */
/** @typedef {{metrics: Metric[], configs: Config[], series: string[], x: string, y: string, facets: Facet[], runs: Run[], mark: string}} Data */

const byId = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
/** @type {Data} */
const data = JSON.parse(byId("data").textContent || "{}");
document.documentElement.classList.add("scripted");

const colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"];
const prefixes = /** @type {[number, string][]} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]]);

/** Prints a value with three significant digits and an SI prefix.
 * @param {number} v @param {string} unit @returns {string} */
function si(v, unit) {
  if (v < 0) return "−" + si(-v, unit);
  if (unit === "ms") { v /= 1e3; unit = "s"; }
  if (unit === "%" || unit === "1/s" || unit === "" ) return `${Number(v.toPrecision(3))}${unit === "%" ? " %" : unit === "1/s" ? "/s" : ""}`;
  if (v === 0) return `0 ${unit}`;
  const p = prefixes.find((q) => v >= q[0] * 0.9995) || prefixes[prefixes.length - 1];
  return `${Number((v / p[0]).toPrecision(3))} ${p[1]}${unit}`;
}

/* Facets: a value of each key that varies, or several. */
/** The chosen places of values, by key. @type {Set<number>[]} */
const chosen = data.facets.map(() => new Set());
/** Called when the choice changes. @type {(() => void)[]} */
const onChoice = [];
/** @param {Config|undefined} c */
const matches = (c) => chosen.every((set, k) => !set.size || !!c && !!c.f && set.has(c.f[k]));

function facets() {
  const list = byId("facets");
  if (!list) return;
  const all = document.createElement("button");
  all.type = "button"; all.className = "chip"; all.textContent = "Show all"; all.hidden = true;
  const changed = () => { all.hidden = chosen.every((s) => !s.size); for (const f of onChoice) f(); };
  /** @type {(() => void)[]} */
  const resets = [];
  for (const [k, dd] of [...list.querySelectorAll(".chips")].entries()) {
    const f = data.facets[k];
    if (!f.values.length) continue; // too many: the filter finds them by words
    if (f.values.length > 12) {
      const select = document.createElement("select");
      select.setAttribute("aria-label", f.key);
      select.append(new Option("any", ""), ...f.values.map((v, i) => new Option(`${v} (${f.n[i]})`, String(i))));
      select.addEventListener("input", () => { chosen[k].clear(); if (select.value) chosen[k].add(Number(select.value)); changed(); });
      resets.push(() => { select.value = ""; });
      dd.replaceChildren(select);
      continue;
    }
    dd.setAttribute("role", "group");
    dd.setAttribute("aria-label", f.key);
    dd.replaceChildren(...f.values.map((v, i) => {
      const b = document.createElement("button"), n = document.createElement("span");
      b.type = "button"; b.className = "chip"; n.className = "pm"; n.textContent = String(f.n[i]);
      b.append(v + " ", n);
      b.setAttribute("aria-pressed", "false");
      b.addEventListener("click", () => {
        if (!chosen[k].delete(i)) chosen[k].add(i);
        b.setAttribute("aria-pressed", String(chosen[k].has(i)));
        changed();
      });
      resets.push(() => b.setAttribute("aria-pressed", "false"));
      return b;
    }));
  }
  all.addEventListener("click", () => { for (const s of chosen) s.clear(); for (const r of resets) r(); changed(); });
  list.after(all);
  const byConfig = new Map(data.configs.map((c) => [c.id, c]));
  const bodies = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("tbody[data-id]")]);
  onChoice.push(() => { for (const b of bodies) b.hidden = !matches(byConfig.get(b.dataset.id || "")); });
}

/* The table. */
function table() {
  const t = byId("table");
  if (!t) return;
  const body = t.tBodies[0];
  const rows = /** @type {HTMLTableRowElement[]} */ ([...body.rows]);
  for (const [i, th] of [...t.tHead.rows[0].cells].entries()) {
    const b = document.createElement("button");
    b.type = "button";
    b.textContent = th.textContent;
    th.replaceChildren(b);
    b.addEventListener("click", () => {
      const up = th.getAttribute("aria-sort") !== "ascending";
      for (const other of t.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (/** @type {HTMLTableRowElement} */ r) => r.cells[i].dataset.v || "";
      rows.sort((a, c) => {
        const x = value(a), y = value(c);
        if (x === "" || y === "") return x === y ? 0 : x === "" ? 1 : -1; // missing last, both ways
        const n = Number(x) - Number(y);
        return (up ? 1 : -1) * (Number.isNaN(n) ? x.localeCompare(y, "en", {numeric: true}) : n);
      });
      body.append(...rows);
    });
  }
  const filter = byId("filter"), shown = byId("shown");
  const byRow = new Map(data.configs.map((c) => ["c-" + c.id, c]));
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const r of rows) {
      const text = (r.textContent || "").toLowerCase();
      r.hidden = !matches(byRow.get(r.id)) || !words.every((/** @type {string} */ w) => text.includes(w));
      if (!r.hidden) n++;
    }
    shown.textContent = `${n} of ${rows.length} configurations`;
  };
  filter.addEventListener("input", apply);
  onChoice.push(apply);
  apply();
}

/* Two metrics. */
const NS = "http://www.w3.org/2000/svg";
/** @param {string} name @param {Record<string, string|number>} attributes @param {string} [text] */
function node(name, attributes, text) {
  const e = document.createElementNS(NS, name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, String(v));
  if (text !== undefined) e.textContent = text;
  return e;
}

/** @param {number[]} values @param {number} a @param {number} b */
function scaleOf(values, a, b) {
  let low = Math.min(...values), high = Math.max(...values);
  const log = low > 0 && high > 30 * low;
  if (low === high) { low -= Math.abs(low) * 0.05 || 1; high += Math.abs(high) * 0.05 || 1; }
  if (log) { const pad = (high / low) ** 0.04; low /= pad; high *= pad; } else { const pad = (high - low) * 0.05; low = low >= 0 ? Math.max(0, low - pad) : low - pad; high += pad; }
  const f = log ? Math.log : (/** @type {number} */ v) => v;
  const at = (/** @type {number} */ v) => a + (f(Math.max(v, log ? low : v)) - f(low)) / (f(high) - f(low)) * (b - a);
  /** @type {number[]} */
  let ticks = [];
  if (log) {
    for (const set of [[1, 2, 5], [1]]) {
      ticks = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) for (const m of set) { const v = m * 10 ** e; if (v >= low && v <= high) ticks.push(v); }
      if (ticks.length <= 7) break;
    }
  } else {
    const rough = (high - low) / Math.max(2, Math.min(5, Math.abs(b - a) / 70)), p = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * p).find((s) => s >= rough) || rough;
    for (let k = Math.ceil(low / step); k * step <= high; k++) ticks.push(k * step);
  }
  return {at, ticks};
}

/** Whether a beats b in a metric beyond the intervals (2), by value (1), or not (0); -1 where b is better by value.
 * @param {(number|null)[]} a @param {(number|null)[]} b @param {boolean} higher */
function beats(a, b, higher) {
  const s = higher ? -1 : 1;
  const x = /** @type {number} */ (a[0]) * s, y = /** @type {number} */ (b[0]) * s;
  if (x > y) return -1;
  if (x === y) return 0;
  const worst = Math.max(...[a[0], a[1], a[2]].filter((v) => v !== null).map((v) => Number(v) * s));
  const best = Math.min(...[b[0], b[1], b[2]].filter((v) => v !== null).map((v) => Number(v) * s));
  return worst < best ? 2 : 1;
}

function pareto() {
  const px = byId("px"), py = byId("py"), lm = byId("limit-metric"), limit = byId("limit");
  if (!px || !data.metrics.length) return;
  for (const m of data.metrics) for (const [select, chosen] of [[px, data.x], [py, data.y], [lm, ""]]) {
    select.append(new Option(`${m.label} (${m.name})`, m.name, false, m.name === chosen));
  }
  lm.prepend(new Option("nothing", "", true, true));
  const metric = (/** @type {string} */ name) => data.metrics.find((m) => m.name === name);
  const number = (/** @type {Config} */ c, /** @type {string} */ m) => c.v[m] && c.v[m][0] !== null ? Number(c.v[m][0]) : NaN;

  const draw = () => {
    const mx = metric(px.value), my = metric(py.value), ml = metric(lm.value);
    if (!mx || !my) return;
    let inside = data.configs.filter((c) => Number.isFinite(number(c, mx.name)) && Number.isFinite(number(c, my.name)));
    const all = inside, within = chosen.some((set) => set.size > 0);
    inside = inside.filter(matches);
    byId("limit-text").textContent = "no limit";
    if (ml) {
      const values = data.configs.map((c) => number(c, ml.name)).filter(Number.isFinite).sort((a, b) => a - b);
      const low = values[0], high = values[values.length - 1];
      const share = Number(limit.value) / 1000;
      const at = low > 0 ? low * (high / low) ** share : low + (high - low) * share;
      const bound = share >= 1 && !ml.higher ? high : share <= 0 && ml.higher ? low : at;
      byId("limit-text").textContent = `${ml.label} ${ml.higher ? "at least" : "at most"} ${si(bound, ml.unit)}`;
      inside = inside.filter((c) => ml.higher ? number(c, ml.name) >= bound : number(c, ml.name) <= bound);
    }
    const better = (/** @type {number} */ a, /** @type {number} */ b) => my.higher ? a > b : a < b;
    let best = inside[0];
    for (const c of inside) if (better(number(c, my.name), number(best, my.name))) best = c;
    byId("best").textContent = best
      ? `${ml ? `${inside.length} of ${data.configs.length} configurations meet the limit` : within ? `${inside.length} of ${data.configs.length} configurations are chosen` : `${data.configs.length} configurations, no limit`}. Best ${my.label}: ${best.label} with ${si(number(best, my.name), my.unit)}, ${mx.label} ${si(number(best, mx.name), mx.unit)}.`
      : "No configuration meets the limit.";
    byId("pareto-figure").replaceChildren(chart(all, new Set(inside), mx, my));
  };
  for (const e of [px, py, lm, limit]) e.addEventListener("input", draw);
  lm.addEventListener("input", () => { const m = metric(lm.value); limit.value = m && m.higher ? "0" : "1000"; draw(); });
  onChoice.push(draw);
  let wide = 0;
  new ResizeObserver(() => { const w = byId("pareto-figure").clientWidth; if (w !== wide && Math.min(w, wide) < 720) draw(); wide = w; }).observe(byId("pareto-figure"));
  byId("pareto-controls").addEventListener("submit", (/** @type {Event} */ e) => e.preventDefault());
  draw();
}

/** Draws many configurations as dots of one path for each series.
 * @param {Element} svg @param {Config[]} all @param {Set<Config>} inside @param {(c: Config) => string} dot */
function dots(svg, all, inside, dot) {
  /** @type {Map<string, string[]>} */
  const paths = new Map();
  for (const c of all) {
    const key = `${inside.has(c) ? 0.6 : 0.12} ${colours[c.series % colours.length]}`;
    const list = paths.get(key);
    if (list) list.push(dot(c)); else paths.set(key, [dot(c)]);
  }
  for (const [key, d] of paths) {
    const [opacity, stroke] = key.split(" ");
    svg.append(node("path", {d: d.join(""), stroke, "stroke-opacity": opacity, "stroke-width": 4, "stroke-linecap": "round", fill: "none"}));
  }
}

/** @param {Config[]} all @param {Set<Config>} inside @param {Metric} mx @param {Metric} my */
function chart(all, inside, mx, my) {
  const w = Math.max(300, Math.min(720, byId("pareto-figure").clientWidth || 720)); // text keeps its size on narrow screens
  const series = data.series.length > 1 ? data.series.map((s) => s.length > 24 ? s.slice(0, 23) + "…" : s) : [];
  const rows = legendRows(series, w - 80), below = legendRows(markKeys.map((k) => k[2]), w - 80);
  const head = (data.mark ? 20 : 0) + 18 * (rows.length + below.length), h = 375 + head, left = 80, bottom = h - 50, top = head + 20, right = w - 15;
  const svg = node("svg", {viewBox: `0 0 ${w} ${h}`, role: "img", "font-size": 13, fill: "currentColor"});
  svg.append(node("title", {}, `${my.label} over ${mx.label}, ${inside.size} configurations${data.mark && `, ${data.mark}`}`));
  if (data.mark) svg.append(node("text", {x: left, y: 18, "font-weight": "bold"}, data.mark));
  const list = (/** @type {string} */ m) => all.flatMap((c) => c.v[m].filter((v) => v !== null).map(Number));
  const x = scaleOf(list(mx.name), left, right), y = scaleOf(list(my.name), bottom, top);
  for (const t of x.ticks) svg.append(node("path", {d: `M${x.at(t)} ${top}V${bottom}`, stroke: "currentColor", "stroke-opacity": 0.15}), node("text", {x: x.at(t), y: bottom + 18, "text-anchor": "middle"}, si(t, mx.unit)));
  for (const t of y.ticks) svg.append(node("path", {d: `M${left} ${y.at(t)}H${right}`, stroke: "currentColor", "stroke-opacity": 0.15}), node("text", {x: left - 6, y: y.at(t) + 4, "text-anchor": "end"}, si(t, my.unit)));
  svg.append(node("path", {d: `M${left} ${top}V${bottom}H${right}`, stroke: "currentColor", fill: "none"}));
  svg.append(node("text", {x: (left + right) / 2, y: h - 10, "text-anchor": "middle"}, mx.label), node("text", {x: 0, y: 0, transform: `translate(16 ${(top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle"}, my.label));
  /** @type {[number, number, string][]} */
  const front = [];
  const states = new Set();
  const candidates = [...inside];
  const big = all.length > 3000;
  if (big) dots(svg, all, inside, (c) => `M${x.at(Number(c.v[mx.name][0])).toFixed(1)} ${y.at(Number(c.v[my.name][0])).toFixed(1)}h0`);
  else for (const c of all) {
    const vx = c.v[mx.name], vy = c.v[my.name], px = x.at(Number(vx[0])), py = y.at(Number(vy[0]));
    let open = false, beaten = !inside.has(c);
    if (!beaten) for (const o of candidates) {
      const bx = beats(o.v[mx.name], vx, mx.higher), by = beats(o.v[my.name], vy, my.higher);
      if (bx < 0 || by < 0 || bx + by === 0) continue;
      if (bx !== 1 && by !== 1) { beaten = true; break; }
      open = true;
    }
    if (beaten) open = false;
    if (inside.has(c)) states.add(beaten ? "dominated" : open ? "open" : "front");
    const colour = colours[c.series % colours.length];
    const g = node("g", {opacity: inside.has(c) ? beaten ? 0.5 : 1 : 0.12, stroke: colour, fill: open ? "var(--page)" : colour});
    if (vx[1] !== null && vx[2] !== null) g.append(node("path", {d: `M${x.at(vx[1])} ${py}H${x.at(vx[2])}`}));
    if (vy[1] !== null && vy[2] !== null) g.append(node("path", {d: `M${px} ${y.at(vy[1])}V${y.at(vy[2])}`}));
    const dot = node("circle", {cx: px, cy: py, r: 5, "stroke-width": 1.5});
    dot.append(node("title", {}, `${c.label}: ${mx.label} ${si(Number(vx[0]), mx.unit)}, ${my.label} ${si(Number(vy[0]), my.unit)}`));
    g.append(dot);
    svg.append(g);
    if (!beaten && !open) front.push([px, py, c.label]);
  }
  front.sort((a, b) => a[0] - b[0]);
  if (front.length > 1) svg.append(node("path", {d: "M" + front.map((p) => `${p[0]} ${p[1]}`).join("L"), stroke: "currentColor", fill: "none", "stroke-dasharray": 4, "stroke-opacity": 0.6}));
  if (!big) names(svg, front, all.map((c) => [x.at(Number(c.v[mx.name][0])), y.at(Number(c.v[my.name][0]))]), {left, right, top, bottom});
  let at = left, line = data.mark ? 34 : 14;
  /** @param {Element} sample @param {string} text */
  const key = (sample, text) => { svg.append(sample, node("text", {x: at + 15, y: line + 4}, text)); at += 30 + text.length * 7.2; };
  const round = (/** @type {Record<string, string|number>} */ o) => node("circle", {cx: at + 6, cy: line, r: 5, ...o});
  for (const row of rows) {
    for (const i of row) key(round({fill: colours[i % colours.length]}), series[i]);
    at = left; line += 18;
  }
  if (states.size > 1) for (const row of below) {
    for (const i of row) if (states.has(markKeys[i][0])) key(round(markKeys[i][1]), markKeys[i][2]);
    at = left; line += 18;
  }
  return svg;
}

/** Sorts the entries of a legend into lines of a width. @param {string[]} labels @param {number} width */
function legendRows(labels, width) {
  /** @type {number[][]} */
  const rows = [];
  let at = Infinity;
  for (const [i, s] of labels.entries()) {
    const w = 30 + s.length * 7.2;
    if (at + w > width) { rows.push([]); at = 0; }
    rows[rows.length - 1].push(i);
    at += w;
  }
  return rows;
}

/** What the states of marks mean. @type {[string, Record<string, string|number>, string][]} */
const markKeys = [["front", {fill: "currentColor"}, "Pareto front"], ["open", {fill: "none", stroke: "currentColor", "stroke-width": 1.5}, "not separable from it"],
  ["dominated", {fill: "currentColor", "fill-opacity": 0.4}, "dominated"]];

/** Writes the names of the front beside their marks, where there is room.
 * @param {Element} svg @param {[number, number, string][]} front @param {number[][]} marks
 * @param {{left: number, right: number, top: number, bottom: number}} area */
function names(svg, front, marks, area) {
  /** @type {number[][]} */
  const taken = marks.map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
  for (const [x, y, label] of front) {
    const text = label.length > 44 ? label.slice(0, 43) + "…" : label, w = text.length * 6.6;
    const box = [[x + 9, y - 18], [x + 9, y + 4], [x - 9 - w, y - 18], [x - 9 - w, y + 4], [x - w / 2, y - 24], [x - w / 2, y + 10]]
      .map(([a, b]) => [a, b, a + w, b + 14])
      .find((b) => b[0] >= area.left && b[2] <= area.right && b[1] >= area.top && b[3] <= area.bottom && !taken.some((t) => b[0] < t[2] && t[0] < b[2] && b[1] < t[3] && t[1] < b[3]));
    if (!box) continue;
    taken.push(box);
    svg.append(node("text", {x: box[0], y: box[1] + 11, "font-size": 12}, text));
  }
}

/* Power. A pyramid of least and greatest values keeps a frame short whatever the number of readings. */
/** @param {Float64Array} t @param {Float64Array} w */
function pyramid(t, w) {
  const levels = [{low: w, high: w, size: 1}];
  for (let size = 8; t.length / size > 512; size *= 8) {
    const below = levels[levels.length - 1], n = Math.ceil(below.low.length / 8);
    const low = new Float64Array(n).fill(Infinity), high = new Float64Array(n).fill(-Infinity);
    for (let i = 0; i < below.low.length; i++) {
      const k = i >> 3;
      if (below.low[i] < low[k]) low[k] = below.low[i];
      if (below.high[i] > high[k]) high[k] = below.high[i];
    }
    levels.push({low, high, size});
  }
  return levels;
}

/** The index of the first time at or after x. @param {Float64Array|number[]} t @param {number} x */
function search(t, x) {
  let a = 0, b = t.length;
  while (a < b) { const m = (a + b) >> 1; if (t[m] < x) a = m + 1; else b = m; }
  return a;
}

/** @param {string} text base64 of gzip of Int32 deltas: microseconds, then milliwatts */
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const buffer = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  const ints = new Int32Array(buffer), n = ints.length / 2;
  const t = new Float64Array(n), w = new Float64Array(n);
  for (let i = 0, a = 0, b = 0; i < n; i++) { a += ints[i]; b += ints[n + i]; t[i] = a / 1e6; w[i] = b / 1e3; }
  return {t, w};
}

/** The last value of a track before a time. @param {Track} k @param {number} at */
function valueAt(k, at) {
  const i = search(k.t, at);
  return k.v[k.t[i] === at ? i : Math.max(0, i - 1)];
}

/** Step lengths of about so many parts. @param {number} range @param {number} parts */
function niceStep(range, parts) {
  const rough = range / parts, p = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * p).find((s) => s >= rough) || rough;
}

const phaseColours = [colours[0], colours[5], "#999"];
const left = 62, top0 = 10, trackHeight = 54;

/** What the canvas shows. @typedef {{t: Float64Array, w: Float64Array, levels: ReturnType<typeof pyramid>, run: Run, peak: number}} Shown */

/** Draws the readings between two places: a column of least to greatest for each pixel, or a line of steps.
 * @param {CanvasRenderingContext2D} c @param {Shown} s @param {number} from @param {number} to
 * @param {number} wide @param {(v: number) => number} y @param {number} ratio */
function line(c, s, from, to, wide, y, ratio) {
  const i0 = Math.max(0, search(s.t, from) - 1), i1 = Math.min(s.t.length, search(s.t, to) + 1);
  const k = wide / (to - from), columns = wide * ratio;
  if (i1 - i0 <= 2 * wide) {
    c.beginPath();
    for (let i = i0, last = NaN; i < i1; i++) {
      const px = left + (s.t[i] - from) * k, py = y(s.w[i]);
      if (Number.isNaN(last)) c.moveTo(px, py); else { c.lineTo(px, last); c.lineTo(px, py); }
      last = py;
    }
    c.stroke();
    return;
  }
  let level = 0;
  while (level + 1 < s.levels.length && (i1 - i0) / s.levels[level + 1].size >= columns) level++;
  const {low, high, size} = s.levels[level], one = 1 / ratio, zero = y(0), scale = zero - y(1);
  let column = -1, least = Infinity, most = -Infinity, before = NaN;
  const flush = () => {
    if (column < 0) return;
    if (before < least) least = before; // meets the column before
    if (before > most) most = before;
    const y0 = Math.round((zero - most * scale) * ratio), y1 = Math.round((zero - least * scale) * ratio);
    c.fillRect(left + column * one, y0 * one, one, Math.max(1, y1 - y0) * one); // on whole pixels: nothing is blended
  };
  for (let j = Math.floor(i0 / size), last = Math.ceil(i1 / size); j < last; j++) {
    const at = Math.floor((s.t[j * size] - from) * k * ratio);
    if (at !== column) { flush(); if (column >= 0) before = (least + most) / 2; column = at; least = Infinity; most = -Infinity; }
    if (low[j] < least) least = low[j];
    if (high[j] > most) most = high[j];
  }
  flush();
}

/** Draws the phases as a band, those closer than half a pixel as one. @param {CanvasRenderingContext2D} c @param {number[]} s
 * @param {number} from @param {number} to @param {number} wide @param {number} y */
function phases(c, s, from, to, wide, y) {
  const k = wide / (to - from);
  for (const [phase, colour] of phaseColours.entries()) {
    c.fillStyle = colour;
    let a = NaN, b = NaN;
    for (let i = 0; i < s.length; i += 3) {
      if (s[i + 2] !== phase || s[i + 1] < from) continue;
      if (s[i] > to) break;
      const x0 = left + Math.max(0, (s[i] - from) * k), x1 = left + Math.min(wide, (s[i + 1] - from) * k);
      if (x0 - b < 0.5) { b = x1; continue; }
      if (!Number.isNaN(a)) c.fillRect(a, y, Math.max(0.5, b - a), 12);
      a = x0; b = x1;
    }
    if (!Number.isNaN(a)) c.fillRect(a, y, Math.max(0.5, b - a), 12);
  }
}

/** Shades what limits the numbers, with its code. @param {CanvasRenderingContext2D} c @param {Run} run @param {string} ink
 * @param {(t: number) => number} x @param {number} from @param {number} to @param {number} bottom */
function doubts(c, run, ink, x, from, to, bottom) {
  /** @type {number[]} */
  const ends = [];
  for (const [a, b, code] of run.doubts) {
    if (b < from || a > to) continue;
    const x0 = x(Math.max(a, from)), x1 = Math.max(x0 + 1, x(Math.min(b, to)));
    c.globalAlpha = 0.25; c.fillStyle = colours[1]; c.fillRect(x0, top0, x1 - x0, bottom - top0);
    c.globalAlpha = 1; c.fillStyle = ink; c.textAlign = "left";
    const wide = c.measureText(code).width, at = Math.min(x0, x(to) - wide);
    let row = 0;
    while (row < ends.length && ends[row] > at) row++;
    if (row === 3) continue; // the list below has it
    ends[row] = at + wide + 8;
    c.fillText(code, at + 2, top0 + 12 + 14 * row);
  }
}

/** Draws the temperature or a clock. @param {CanvasRenderingContext2D} c @param {Track} k @param {(t: number) => number} x
 * @param {number} from @param {number} to @param {number} wide @param {number} top */
function track(c, k, x, from, to, wide, top) {
  let low = Infinity, high = -Infinity;
  for (const v of k.v) { if (v < low) low = v; if (v > high) high = v; }
  const bottom = top + trackHeight - 8, y = (/** @type {number} */ v) => high === low ? (top + bottom) / 2 : bottom - (v - low) / (high - low) * (bottom - top - 16);
  c.globalAlpha = 0.2; c.fillRect(left, bottom + 3, wide, 1); c.globalAlpha = 1;
  c.textAlign = "right";
  if (high !== low) c.fillText(si(high, ""), left - 5, y(high) + 4);
  c.fillText(si(low, ""), left - 5, y(low) + 4);
  c.textAlign = "left"; c.fillText(`${k.label} (${k.unit})`, left + 2, top + 8);
  c.save(); c.beginPath(); c.rect(left, top, wide, trackHeight); c.clip(); c.beginPath();
  for (let i = Math.max(0, search(k.t, from) - 1), last = NaN; i < k.t.length; i++) {
    const px = x(k.t[i]), py = y(k.v[i]);
    if (Number.isNaN(last)) c.moveTo(px, py); else { c.lineTo(px, last); c.lineTo(px, py); }
    last = py;
    if (k.t[i] > to) break;
  }
  c.stroke(); c.restore();
}

async function power() {
  const canvas = byId("canvas"), select = byId("run");
  if (!canvas || !data.runs.length) return;
  for (const [i, r] of data.runs.entries()) select.append(new Option(r.label, String(i)));
  /** @type {Shown} */
  let shown;
  let from = 0, to = 1, pending = false, ink = "";
  const c = canvas.getContext("2d");
  const draw = () => {
    pending = false;
    const ratio = devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) { canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio); }
    if (!ink) ink = getComputedStyle(canvas).color;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, h);
    const run = shown.run, tracks = run.tracks.length * trackHeight, bottom = h - 44 - tracks, wide = w - left - 10, peak = shown.peak;
    const x = (/** @type {number} */ t) => left + (t - from) / (to - from) * wide, y = (/** @type {number} */ v) => bottom - v / peak * (bottom - top0);
    c.fillStyle = ink; c.strokeStyle = ink; c.font = "12px system-ui, sans-serif"; c.lineWidth = 1;
    const step = niceStep(peak, 5);
    for (let v = 0; v <= peak; v += step) { c.globalAlpha = 0.2; c.fillRect(left, y(v), wide, 1); c.globalAlpha = 1; c.textAlign = "right"; c.fillText(si(v, "W"), left - 5, y(v) + 4); }
    const ts = niceStep(to - from, Math.max(2, Math.min(6, wide / 90)));
    c.textAlign = "center";
    for (let k = Math.ceil(from / ts); k * ts <= to; k++) { c.globalAlpha = 0.2; c.fillRect(x(k * ts), top0, 1, h - 24 - top0); c.globalAlpha = 1; c.fillText(si(k * ts, "s"), x(k * ts), h - 6); }
    phases(c, run.spans, from, to, wide, bottom + 4);
    doubts(c, run, ink, x, from, to, bottom);
    c.fillStyle = ink;
    c.save(); c.beginPath(); c.rect(left, 0, wide, h); c.clip();
    line(c, shown, from, to, wide, y, ratio);
    c.setLineDash([4, 4]);
    for (const e of [run.from, run.to]) { c.beginPath(); c.moveTo(x(e), top0); c.lineTo(x(e), h - 24); c.stroke(); }
    c.restore(); c.setLineDash([]);
    c.textAlign = "left"; c.fillText("power", left + 4, top0 + 10);
    if (run.mark) { c.font = "bold 12px system-ui, sans-serif"; c.textAlign = "right"; c.fillText(run.mark, w - 14, bottom - 6); c.font = "12px system-ui, sans-serif"; }
    for (const [i, k] of run.tracks.entries()) track(c, k, x, from, to, wide, bottom + 20 + i * trackHeight);
  };
  const later = () => { if (!pending) { pending = true; requestAnimationFrame(draw); } };
  const view = (/** @type {number} */ a, /** @type {number} */ b) => {
    const low = shown.t[0], high = shown.t[shown.t.length - 1], wide = Math.max(Math.min(b - a, high - low), (high - low) / 1e6);
    from = Math.max(low, Math.min(a, high - wide)); to = from + wide;
    later();
  };
  const zoom = (/** @type {number} */ f, share = 0.5) => { const at = from + (to - from) * share; view(at - (at - from) * f, at + (to - at) * f); };
  const share = (/** @type {MouseEvent} */ e) => Math.min(1, Math.max(0, (e.offsetX - left) / (canvas.clientWidth - left - 10)));
  const load = async () => {
    const run = data.runs[Number(select.value)], u = await unpack(run.data), levels = pyramid(u.t, u.w);
    let peak = 1;
    for (const v of levels[levels.length - 1].high) if (v > peak) peak = v;
    shown = {t: u.t, w: u.w, levels, run, peak};
    canvas.style.height = `${280 + run.tracks.length * trackHeight}px`;
    marks(run);
    view(u.t[0], u.t[u.t.length - 1]);
  };
  /** Lists what limits the numbers of a run; a mark zooms to where it happened. @param {Run} run */
  const marks = (run) => {
    /** @type {Record<string, number>} */
    const n = {};
    const listed = run.doubts.filter((d) => (n[d[2]] = (n[d[2]] || 0) + 1) <= 5);
    byId("marks").replaceChildren(...listed.map(([a, b, code, what]) => {
      const li = document.createElement("li"), button = document.createElement("button");
      button.type = "button"; button.className = "chip";
      button.textContent = `${code}, ${si(a, "s")} to ${si(b, "s")}: ${what}`;
      button.addEventListener("click", () => { const pad = Math.max(b - a, 0.2); view(a - pad, b + pad); canvas.focus(); });
      li.append(button);
      return li;
    }));
    const more = run.doubts.length > listed.length ? `${run.doubts.length - listed.length} more marks are in the chart. ` : "";
    byId("others").textContent = more + (run.others.length ? `True of the whole run: ${run.others.map((o) => o[0]).join(", ")} (explained under Limits).` : "");
    byId("others").title = run.others.map((o) => `${o[0]}: ${o[1]}`).join("\n");
  };
  await load();
  select.addEventListener("input", load);
  byId("in").addEventListener("click", () => zoom(0.5));
  byId("out").addEventListener("click", () => zoom(2));
  byId("all").addEventListener("click", () => { from = shown.t[0]; to = shown.t[shown.t.length - 1]; later(); });
  canvas.addEventListener("wheel", (/** @type {WheelEvent} */ e) => { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : 0.8, share(e)); }, {passive: false});
  let held = NaN;
  canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ e) => { held = share(e); canvas.setPointerCapture(e.pointerId); });
  canvas.addEventListener("pointerup", () => { held = NaN; });
  canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ e) => {
    const s = share(e);
    if (!Number.isNaN(held)) { const d = (held - s) * (to - from); held = s; view(from + d, to + d); }
    const t = from + s * (to - from), i = Math.max(0, search(shown.t, t) - 1);
    const tracks = shown.run.tracks.map((k) => `, ${k.label} ${valueAt(k, t)} ${k.unit}`).join("");
    const here = shown.run.doubts.filter(([a, b]) => a <= t && t <= b).map((d) => `; ${d[2]}: ${d[3]}`).join("");
    byId("readout").textContent = `${si(shown.t[i], "s")}: ${si(shown.w[i], "W")}${tracks}${here}`;
  });
  canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => {
    const d = (to - from) / 5;
    if (e.key === "ArrowLeft") view(from - d, to - d); else if (e.key === "ArrowRight") view(from + d, to + d);
    else if (e.key === "+" || e.key === "=") zoom(0.5); else if (e.key === "-") zoom(2); else return;
    e.preventDefault();
  });
  new ResizeObserver(later).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { ink = ""; later(); });
}

facets();
table();
pareto();
power();
