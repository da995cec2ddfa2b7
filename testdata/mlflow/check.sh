#!/usr/bin/env bash
# Sends a study to a real MLflow tracking server from PyPI and reads it back with MLflow's own client.
#
#   testdata/mlflow/check.sh bin/llem
set -euo pipefail
bin="$(realpath "$1")"
venv="${LLEM_MLFLOW_VENV:-$HOME/.cache/llem-mlflow-venv}"
unset LLEM_MLFLOW_VENV # llem takes it for a setting
version=3.17.2
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import mlflow' 2> /dev/null ||
  "$venv/bin/pip" install --quiet --disable-pip-version-check "mlflow==$version"

work="$(mktemp -d)"
port="$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
"$venv/bin/mlflow" server --backend-store-uri "sqlite:///$work/mlflow.db" --artifacts-destination "$work/artifacts" \
  --host 127.0.0.1 --port "$port" --workers 1 > "$work/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2> /dev/null; wait "$server" 2> /dev/null; rm -rf "$work"' EXIT
"$venv/bin/python" - "http://127.0.0.1:$port/health" << 'PY' || { tail -20 "$work/server.log"; exit 1; }
import sys
import time
import urllib.request

end = time.monotonic() + 300  # a first start compiles all of it
while True:
    try:
        urllib.request.urlopen(sys.argv[1], timeout=10)
        break
    except OSError as error:
        if time.monotonic() > end:
            sys.exit(f"the server does not answer: {error}")
        time.sleep(0.5)
PY
cd "$work"
"$bin" run -b fake -m random:tiny-llama -n 4 --input-tokens 16 --output-tokens 8 --batch-size 1,4 \
  -s baseline.seconds=0.5 --no-gaps -q -o results > /dev/null
to="mlflow:http://127.0.0.1:$port#energy"
"$bin" push results/* "$to"
"$bin" push results/* "$to" | grep -q '0 runs sent with 0 files, 2 there already'
MLFLOW_TRACKING_URI="http://127.0.0.1:$port" "$venv/bin/python" -W ignore - results/* << 'PY'
import json
import pathlib
import sys

from mlflow import MlflowClient

study = pathlib.Path(sys.argv[1])
client = MlflowClient()
experiment = client.get_experiment_by_name("energy")
runs = client.search_runs([experiment.experiment_id], "tags.`llem.kind` = 'run'")
assert len(runs) == 2, runs
for run in runs:
    record = json.loads((study / "runs" / run.info.run_name / "result.json").read_text())
    assert run.info.status == "FINISHED" and run.data.tags["llem.complete"] == "yes"
    assert run.data.metrics["throughput.output_tokens_per_s"] == record["throughput"]["output_tokens_per_s"]
    assert run.data.params["workload.output_tokens"] == "8" and run.data.tags["mlflow.parentRunId"]
    names = {f.path for f in client.list_artifacts(run.info.run_id)}
    assert {"result.json", "requests.parquet"} <= names, names
print("MLflow: 2 runs read back")
PY
