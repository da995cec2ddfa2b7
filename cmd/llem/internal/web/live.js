// Follows what a study does. The server sends parts of the page, escaped, and an event for each finished run. After a
// cut connection everything comes again, but only the runs that are not shown.

/** @param {string} id */
const element = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const state = element('state');
const link = element('link');
const bar = /** @type {HTMLProgressElement} */ (element('bar'));
const runs = /** @type {HTMLTableSectionElement} */ (element('runs'));
const maxRows = 500;
const silence = 15_000; // ms without a sign of life; the server gives one every 5 s
const pause = 2_000; // ms before another try if the browser gives up

/** @type {EventSource | undefined} */
let source;
let newest = ''; // id of the newest event of a run: what is shown up to it does not come again
let heard = Date.now();
let over = false;

/** @param {number} s seconds */
const duration = (s) => (s < 90 ? `${s.toFixed(0)} s` : s < 5400 ? `${(s / 60).toFixed(0)} min` : `${(s / 3600).toFixed(1)} h`);

/** Replaces a text if it differs, so that screen readers do not read it again. @param {HTMLElement} e @param {string} text */
function say(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

/** @param {any} run */
function addRun(run) {
  const row = runs.insertRow(0);
  row.insertCell().textContent = String(run.n);
  const to = document.createElement('a');
  to.href = `${state.dataset.study}run/${encodeURIComponent(`${run.id}-c${run.cycle}`)}/`;
  to.textContent = run.label || run.id;
  row.insertCell().append(to);
  const outcome = run.message ? `${run.status}: ${run.message}` : run.status;
  for (const text of [run.cycle, run.text, outcome, duration(run.took_s)]) {
    row.insertCell().textContent = String(text);
  }
  if (runs.rows.length > maxRows) runs.deleteRow(-1);
}

/** @type {Record<string, (data: any) => void>} */
const takes = {
  run: addRun,
  progress(p) {
    if (p.planned > 0) {
      bar.max = p.planned;
      bar.value = Math.min(p.done, p.planned);
    }
    over = p.ended;
  },
  now(part) {
    say(state, part.text);
    state.className = part.class ?? '';
    element('workers').innerHTML = part.html;
  },
  intervals(part) {
    element('intervals').innerHTML = part.html;
  },
  beat() {},
  reset() {
    source?.close();
    location.reload();
  },
};

function lost() {
  if (over) {
    source?.close();
    return;
  }
  say(link, `Connection lost, retrying. This is what was known at ${new Date(heard).toLocaleTimeString()}.`);
  document.body.classList.add('lost');
}

function connect() {
  source?.close();
  heard = Date.now();
  source = new EventSource(`${state.dataset.events}?from=${encodeURIComponent(newest)}`);
  for (const [kind, take] of Object.entries(takes)) {
    source.addEventListener(kind, (event) => {
      heard = Date.now();
      say(link, '');
      document.body.classList.remove('lost');
      if (event.lastEventId) newest = event.lastEventId;
      take(JSON.parse(event.data));
    });
  }
  source.addEventListener('error', (event) => {
    lost();
    if (event.target === source && source?.readyState === EventSource.CLOSED && !over) setTimeout(connect, pause);
  });
}

setInterval(() => {
  if (!over && !document.hidden && Date.now() - heard > silence) {
    lost();
    connect();
  }
}, 1_000);
// A page that nobody sees asks for nothing.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) source?.close();
  else if (!over) connect();
});
connect();
