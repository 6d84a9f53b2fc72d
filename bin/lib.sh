# shellcheck shell=bash
# What bin/demo, bin/run-tests and the suites share: to be sourced, after `set -euo pipefail`.
# It expects the environment of bin/with-cluster where it speaks to a cluster.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OPERATOR=${CARGO_TARGET_DIR:-$ROOT/target}/debug/eip-operator

# say TEXT: a line of progress.
say() { printf '%s\n' "$*" >&2; }

# build_operator: the operator as it is in the tree. The first build takes ten minutes.
build_operator() {
  [ -x "$OPERATOR" ] || say "building eip-operator (about 10 minutes on two cores, once)"
  (cd "$ROOT" && cargo build --locked --quiet)
}

# build_model: the model of EC2 that tests/failures asks over the wire.
build_model() { (cd "$ROOT" && cargo build --locked --quiet --example ec2-model); }

# install_manifests KUSTOMIZATION: applies it, for its ServiceAccount and its RBAC. Its Deployment is
# scaled to none: the operator under test runs beside the cluster, as a process.
install_manifests() {
  kubectl apply -k "$1" >/dev/null
  kubectl -n eip-operator scale deployment/eip-operator --replicas=0 >/dev/null
}

# service_account_kubeconfig FILE [NAME]: a kubeconfig with the rights of the operator's ServiceAccount alone, or of another
# in its namespace.
service_account_kubeconfig() {
  local file=$1 token
  token=$(kubectl create token "${2:-eip-operator}" -n eip-operator --duration=2h)
  (umask 077 && kubectl config view --raw --minify >"$file")
  kubectl --kubeconfig "$file" config unset users >/dev/null
  kubectl --kubeconfig "$file" config set-credentials operator --token="$token" >/dev/null
  kubectl --kubeconfig "$file" config set-context --current --user=operator >/dev/null
}

# free_port: a port of 127.0.0.1 that nobody listens on now.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# is_ready: the operator answers /readyz with 200. Without curl, which not every machine has.
is_ready() {
  local code
  { exec 3<>"/dev/tcp/127.0.0.1/$OPERATOR_PORT"; } 2>/dev/null || return 1
  printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
  read -r -t 2 _ code _ <&3 || code=
  exec 3>&-
  [ "$code" = 200 ]
}

# start_operator LOG KUBECONFIG [NAME=VALUE…]: starts the operator, waits until it is ready, and
# leaves its pid in OPERATOR_PID, its health port in OPERATOR_PORT, and that of its plan in PLAN_PORT.
start_operator() {
  local log=$1 kubeconfig=$2 waited
  shift 2
  OPERATOR_PORT=$(free_port) PLAN_PORT=$(free_port)
  env KUBECONFIG="$kubeconfig" LISTEN_ADDRESS="127.0.0.1:$OPERATOR_PORT" PLAN_ADDRESS="127.0.0.1:$PLAN_PORT" "$@" "$OPERATOR" >"$log" 2>&1 &
  OPERATOR_PID=$!
  for waited in $(seq 1 150); do
    if is_ready; then return 0; fi
    if ! kill -0 "$OPERATOR_PID" 2>/dev/null; then
      say "eip-operator ended before it was ready:"
      tail -n 20 "$log" >&2
      return 1
    fi
    sleep 0.2
  done
  say "eip-operator was not ready after $((waited / 5)) s:"
  tail -n 20 "$log" >&2
  return 1
}

# stop_operator: SIGTERM, and its exit code must be 0 within 10 s.
stop_operator() {
  local code=0
  [ -n "${OPERATOR_PID:-}" ] || return 0
  kill -TERM "$OPERATOR_PID" 2>/dev/null || true
  timeout 10 tail --pid="$OPERATOR_PID" -f /dev/null || {
    say "eip-operator did not end within 10 s of SIGTERM"
    kill -KILL "$OPERATOR_PID"
  }
  wait "$OPERATOR_PID" || code=$?
  OPERATOR_PID=
  [ "$code" = 0 ] || say "eip-operator ended with $code"
  return "$code"
}
