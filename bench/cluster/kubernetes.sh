#!/usr/bin/env bash
# Builds a real Kubernetes control plane (API server, controllers, scheduler) and kwok, which pretends two nodes with a
# GPU each, starts all of it on loopback, and submits a study to it: `bench/cluster/kubernetes.sh bin/llem [FOLDER]`.
# The pods run nothing: kwok lets them succeed. It needs Go, etcd (Debian: etcd-server), kubectl (Debian:
# kubernetes-client), 10 GB of disk, and takes 10 to 30 minutes the first time; FOLDER keeps what was built.
set -euo pipefail
llem=$(realpath "${1:?the program}")
here=$(cd "$(dirname "$0")" && pwd)
root=${2:-$HOME/.cache/llem-kubernetes}
version=1.37.2
kwok=v0.8.0
mkdir -p "$root/bin" "$root/build" "$root/kwok"

build() {
  cd "$root/build"
  local minor=${version#1.} m
  [ -s go.mod ] || {
    # k8s.io/kubernetes cannot be installed by its name, because it replaces the modules that it is staged from.
    printf 'module llem-kubernetes\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v%s\n' "$version" > go.mod
    local list
    list=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    sed -n 's/^\t\(k8s.io\/[a-z0-9-]*\) => .*/\1/p' "$list" | while read -r m; do
      printf 'replace %s => %s v0.%s\n' "$m" "$m" "$minor" >> go.mod
    done
    printf 'package main\n\nimport (\n' > tools.go
    for m in kube-apiserver kube-controller-manager kube-scheduler; do
      printf '\t_ "k8s.io/kubernetes/cmd/%s/app"\n' "$m" >> tools.go
    done
    printf ')\n\nfunc main() {}\n' >> tools.go
    GOFLAGS=-mod=mod go mod tidy
  }
  for m in kube-apiserver kube-controller-manager kube-scheduler; do
    [ -x "$root/bin/$m" ] || CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags '-s -w' -o "$root/bin/$m" \
      "k8s.io/kubernetes/cmd/$m"
  done
  [ -x "$root/bin/kwok" ] || GOBIN=$root/bin CGO_ENABLED=0 go install "sigs.k8s.io/kwok/cmd/kwok@$kwok"
  cd - > /dev/null
}

pids=()
finish() { [ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2> /dev/null || true; }
trap finish EXIT
run() { local log=$root/$1.log; shift; "$@" > "$log" 2>&1 & pids+=($!); }

start() {
  local state
  state=$(mktemp -d)
  openssl genrsa -out "$state/sa.key" 2048 2> /dev/null
  openssl rsa -in "$state/sa.key" -pubout -out "$state/sa.pub" 2> /dev/null
  echo 'secret,admin,admin,system:masters' > "$state/tokens"
  run etcd etcd --data-dir "$state/etcd" --listen-client-urls http://127.0.0.1:12379 \
    --advertise-client-urls http://127.0.0.1:12379 --listen-peer-urls http://127.0.0.1:12380
  run apiserver "$root/bin/kube-apiserver" --etcd-servers=http://127.0.0.1:12379 --bind-address=127.0.0.1 \
    --secure-port=16443 --endpoint-reconciler-type=none --cert-dir="$state/certs" \
    --service-account-key-file="$state/sa.pub" --service-account-signing-key-file="$state/sa.key" \
    --service-account-issuer=https://llem.invalid --service-cluster-ip-range=10.0.0.0/24 \
    --token-auth-file="$state/tokens" --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount
  export KUBECONFIG=$state/kubeconfig
  kubectl config set-cluster c --server=https://127.0.0.1:16443 --insecure-skip-tls-verify > /dev/null
  kubectl config set-credentials u --token=secret > /dev/null
  kubectl config set-context x --cluster=c --user=u > /dev/null
  kubectl config use-context x > /dev/null
  for _ in $(seq 120); do kubectl get --raw=/readyz > /dev/null 2>&1 && break; sleep 1; done
  run controllers "$root/bin/kube-controller-manager" --kubeconfig="$KUBECONFIG" --leader-elect=false \
    --service-account-private-key-file="$state/sa.key" --use-service-account-credentials=false
  run scheduler "$root/bin/kube-scheduler" --kubeconfig="$KUBECONFIG" --leader-elect=false
  local zip
  zip=$(cd "$root/build" && go mod download -json "sigs.k8s.io/kwok@$kwok" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  local config=()
  for f in "$zip"/kustomize/stage/{pod/fast,node/fast,node/heartbeat-with-lease}/*.yaml; do
    case $f in *kustomization*) ;; *) config+=(--config "$f") ;; esac
  done
  run kwok "$root/bin/kwok" --kubeconfig="$KUBECONFIG" --manage-all-nodes=true "${config[@]}"
  for n in g1 g2; do
    kubectl create -f - > /dev/null << EOF
apiVersion: v1
kind: Node
metadata: {name: $n, labels: {kubernetes.io/hostname: $n, gpu: h100}}
EOF
    kubectl patch node $n --subresource=status -p '{"status":{
      "capacity":{"cpu":"32","memory":"256Gi","pods":"110","nvidia.com/gpu":"1"},
      "allocatable":{"cpu":"32","memory":"256Gi","pods":"110","nvidia.com/gpu":"1"}}}' > /dev/null
  done
  kubectl create -f - > /dev/null << 'EOF'
apiVersion: v1
kind: PersistentVolume
metadata: {name: results}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany], hostPath: {path: /tmp}, storageClassName: ""}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: results, namespace: default}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}, storageClassName: "", volumeName: results}
EOF
}

submit() {
  cat > "$root/site.yaml" << 'EOF'
kubernetes: {image: "registry.invalid/llem:1", claim: results, node_selector: "gpu=h100", memory: 16Gi, rapl: true}
EOF
  export LLEM_CONFIG=$root/site.yaml
  cd "$here"
  echo "== the API server accepts the manifests, strictly"
  "$llem" submit study.yaml --on kubernetes -o /results --workers 4 2> /dev/null > "$root/manifests.yaml"
  kubectl create --dry-run=server --validate=strict -f "$root/manifests.yaml"
  echo "== and refuses a misspelt field"
  sed 's/backoffLimitPerIndex/backofLimitPerIndex/' "$root/manifests.yaml" |
    { kubectl create --dry-run=server --validate=strict -f - 2>&1 || true; } | grep 'unknown field'
  echo "== four workers on two nodes with one GPU each"
  local dir
  dir=$("$llem" submit study.yaml --on kubernetes -o /results --workers 4 --now 2> /dev/null)
  for _ in $(seq 60); do
    "$llem" submit --status "$dir" --on kubernetes > "$root/status" 2> /dev/null
    [ "$(grep -c ' ended' "$root/status")" = 4 ] && break
    sleep 1
  done
  cat "$root/status"
  kubectl get pods -o custom-columns=POD:.metadata.name,NODE:.spec.nodeName,PHASE:.status.phase
  kubectl get job -o custom-columns=JOB:.metadata.name,DONE:.status.completedIndexes,OK:.status.succeeded
  echo "== cancelled: nothing is left"
  "$llem" submit --cancel "$dir" --on kubernetes
  sleep 3
  kubectl get job,configmap -l app.kubernetes.io/name=llem
}

build
start
submit
