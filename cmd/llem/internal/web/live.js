// Follows the runs of a study: one event per finished run. The browser connects again by itself, with the id of the
// last event, so that no run is lost and none is shown twice.
const state = /** @type {HTMLElement} */ (document.getElementById('state'));
const bar = /** @type {HTMLProgressElement} */ (document.getElementById('bar'));
const runs = /** @type {HTMLTableSectionElement} */ (document.getElementById('runs'));
const maxRows = 500;
const source = new EventSource(state.dataset.events ?? '');

/** @param {number} s seconds */
const duration = (s) => (s < 90 ? `${s.toFixed(0)} s` : s < 5400 ? `${(s / 60).toFixed(0)} min` : `${(s / 3600).toFixed(1)} h`);

state.textContent = 'Connecting …';
source.addEventListener('run', (event) => {
  const run = JSON.parse(event.data);
  const row = runs.insertRow(0);
  const energy = run.per_output_token_j === null ? '–' : run.per_output_token_j.toPrecision(4);
  for (const text of [run.n, run.label || run.id, run.cycle, run.status, energy, duration(run.took_s)]) {
    row.insertCell().textContent = String(text);
  }
  if (runs.rows.length > maxRows) runs.deleteRow(-1);
});
source.addEventListener('progress', (event) => {
  const p = JSON.parse(event.data);
  if (p.planned > 0) {
    bar.max = p.planned;
    bar.value = p.done;
  }
  const left = p.left_s === null || p.ended ? '' : `, about ${duration(p.left_s)} left`;
  state.textContent = `${p.done} of ${p.planned || '?'} runs finished${left}${p.ended ? ': the study is complete' : ''}`;
  if (p.ended) source.close();
});
source.addEventListener('reset', () => {
  source.close();
  location.reload();
});
source.addEventListener('error', () => {
  state.textContent = 'The connection is lost; trying again …';
});
