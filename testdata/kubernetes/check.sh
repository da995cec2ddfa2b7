#!/usr/bin/env bash
# Checks the manifests of `llem submit --on kubernetes` against the types of the Kubernetes API.
set -euo pipefail
cd "$(dirname "$0")"
CGO_ENABLED=0 go test -count=1 ./...
