#!/usr/bin/env bash
# Spreads studies over a real Slurm cluster of two nodes on this machine: `testdata/slurm/check.sh bin/llem`. First the
# commands of docs/tutorial-cluster.md, from install to the report. Then one worker is started again by the scheduler in
# the middle, and one is asked to end as before a time limit; each run is there once.
set -euo pipefail
llem=$(realpath "${1:?the program}")
cd "$(dirname "$0")"
document=$(realpath ../../docs/tutorial-cluster.md)
. ./cluster.sh
. ./page.sh
work=$(mktemp -d)
slurm_install
trap slurm_stop EXIT
slurm_start "$work/slurm"
cd "$work"

echo "== the tutorial, from install to the report: docs/tutorial-cluster.md"
page_check "$document" "$llem" "$work/home"
grep -A 1 'batches: 8 of 8 runs ok' "$work/home/page.out" | head -2
for _ in $(seq 60); do squeue -h | grep -q . || break; sleep 0.5; done

export LLEM_CONFIG= LLEM_RESULTS= XDG_CONFIG_HOME=$work LLEM_CACHE=$work/cache
cat > study.yaml << 'EOF'
name: cluster
model: random:tiny-llama
backend: fake
workload: {prompts: 8, input_tokens: 32, output_tokens: 16}
baseline: {seconds: 0.3, resident_seconds: 0.3}
energy: {max_window: 3}
sweep: {fake.batch_size: [1, 2, 4]}
execution: {cycles: 4}
EOF
fail() { echo "FAILED: $*"; tail -n 30 "$dir"/jobs/*.out; exit 1; }
made() { "$llem" submit --status "$dir" 2> /dev/null | sed -n 's/^\([0-9]*\) of 12 runs.*/\1/p'; }

echo "== two workers on two nodes"
dir=$("$llem" submit study.yaml --on slurm --workers 2 --gpus 0 -o results --now 2> submit.log) || { cat submit.log; exit 1; }
id=$(sed -n 's/^submitted: slurm \([0-9]*\).*/\1/p' submit.log)
for _ in $(seq 60); do [ "$(made)" -ge 2 ] 2> /dev/null && break; sleep 0.5; done
"$llem" submit --status "$dir"

echo "== a worker is asked to end, as Slurm does before a time limit; the other goes on"
scancel --batch --signal=INT "${id}_1"
for _ in $(seq 40); do grep -q interrupted "$dir/jobs/${id}_1.out" && break; sleep 0.5; done
grep -q "interrupted" "$dir/jobs/${id}_1.out" || fail "the worker did not end on the signal"

echo "== the other one is lost with its node, and is started again"
scontrol requeue "${id}_0"
# Slurm holds a job that it has started again for two minutes.
for _ in $(seq 30); do [ "$(squeue -h -j "$id" -o %t)" = PD ] && break; sleep 0.5; done
scontrol update "jobid=${id}_0" StartTime=now || true

echo "== more workers join"
"$llem" submit study.yaml --on slurm --workers 2 --gpus 0 --resume "$dir" --now > /dev/null 2>> submit.log
for _ in $(seq 240); do squeue -h | grep -q . || break; sleep 0.5; done
[ "$(made)" = 12 ] || fail "$(made) of 12 runs"
"$llem" report "$dir" > report.txt || fail "no report"
head -8 report.txt
grep -q "12 of 12 runs ok" report.txt || fail "the report lacks runs"
[ "$(ls "$dir/runs" | grep -c -E '^[0-9a-f]{12}-c[0-9]+$')" = 12 ] || fail "$(ls "$dir/runs")"
[ -z "$(ls "$dir/claims")" ] || fail "claims are left: $(ls "$dir/claims")"
nodes=$(ls "$dir"/journal-slurm-*.jsonl | wc -l)
[ "$nodes" -ge 3 ] || fail "only $nodes workers have a journal"

echo "== cancelled: no job is left"
dir=$("$llem" submit study.yaml --on slurm --workers 2 --gpus 0 -o results --now 2> /dev/null)
sleep 3
"$llem" submit --cancel "$dir" 2> /dev/null
for _ in $(seq 60); do squeue -h | grep -q . || break; sleep 0.5; done
squeue -h | grep . && fail "jobs are left"
echo "all passed, $nodes workers"
