"""Measures one operator in the cluster of bin/with-cluster: run.py TASK, a JSON document that bin/bench makes."""
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from ec2_query import call  # noqa: E402 (the path must be set first)
from observed import (  # noqa: E402
    EIPS, NAMESPACE, OURS, PODS, Api, Calls, Failed, Usage, Watch, by_action, by_verb, trace, watch_pods)
from processes import free_port, listens  # noqa: E402

DATA = pathlib.Path(os.environ.get("CLUSTER_DATA", ""))
LABELS = {OURS + "manage": "true", OURS + "autocreate_eip": "true"}
QUOTA, RATE, BURST = 100_000, 5, 50  # of the account
PATIENCE, INTERVALS = 900, 5
OPEN = {"EC2_RATE": "100", "EC2_BURST": "1000"}


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def wait_for(what, holds, limit=60):
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: waited {limit} s in vain")
        time.sleep(0.1)


class Bench:
    """A cluster, a model of EC2 and an operator, with what is counted of them."""

    def __init__(self, task):
        self.task, self.operator, self.made = task, task["operator"], 0
        # With the account's limits two calls a pod are made at four a second.
        self.patience = PATIENCE + max(pods for _, pods in task["scenarios"]) * (1 if task["limits"] else 0)
        self.api, self.ec2_log = Api(DATA), DATA / "bench-calls.jsonl"
        self.model, self.process = None, None

    def open(self):
        nodes = self.api.items("/api/v1/nodes")
        self.cidrs = {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in nodes}
        (DATA / "bench-nodes.json").write_text(json.dumps([
            {"instance": node["spec"]["providerID"].rpartition("/")[2], "podCIDR": node["spec"]["podCIDR"]} for node in nodes]))
        self.ec2_log.touch()
        port = free_port()
        self.ec2 = f"http://127.0.0.1:{port}"
        limits = ["--rate", RATE, "--burst", BURST] if self.task["limits"] else []
        arguments = [port, DATA / "bench-nodes.json", "--limit", QUOTA, "--latency", self.task["latency"], *limits, "--calls", self.ec2_log]
        self.model = subprocess.Popen([self.task["model"], *map(str, arguments)], stdin=subprocess.DEVNULL)
        wait_for("the model of EC2", lambda: listens(port))
        self.api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        self.interval = self.start_operator()
        self.user = "system:serviceaccount:eip-operator:" + ("eip-operator" if self.operator["own"] else "bench")
        self.pods = watch_pods(self.api)
        wait_for("a definition of Eips", self.has_definition)
        self.eips = Watch(self.api, EIPS, {"there": lambda eip: True})
        self.calls = Calls(self.ec2_log, os.environ["KUBE_AUDIT"], self.user)
        # One pod from its beginning to its end shows that the operator works, and has it warmed up.
        self.appear(1)
        self.go()
        self.calls.quiet(3)

    def has_definition(self):
        self.alive()
        try:
            return self.api.ask("GET", f"{EIPS}?limit=1") is not None
        except Failed:
            return False

    def alive(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.operator['name']} ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")

    def start_operator(self):
        """Starts it with rights of its own; the seconds of its interval."""
        self.log, kubeconfig, own = DATA / "bench-operator.log", DATA / "bench.kubeconfig", self.operator["own"]
        script = 'source bin/lib.sh; install_manifests manifests/base; '
        if not own:
            script += ("kubectl create serviceaccount bench -n eip-operator >&2; kubectl create clusterrolebinding bench"
                       " --clusterrole=cluster-admin --serviceaccount=eip-operator:bench >&2; ")
        script += f'service_account_kubeconfig "$1" {"" if own else "bench"}'
        subprocess.run(["bash", "-euo", "pipefail", "-c", script, "bash", kubeconfig], cwd=ROOT, check=True, timeout=120)
        wide = {} if self.task["limits"] else OPEN
        given = {**wide, **os.environ, "CLUSTER_NAME": "bench"}
        given |= {"KUBECONFIG": str(kubeconfig), "AWS_ENDPOINT_URL": self.ec2, **self.operator["environment"]}
        given.pop("NAMESPACE", None)
        if own:
            self.port = free_port()
            given |= {"LISTEN_ADDRESS": f"127.0.0.1:{self.port}", "PLAN_ADDRESS": "127.0.0.1:0", "LOG_FORMAT": "json"}
        began = time.monotonic()
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen([self.operator["program"]], env=given, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        if own:
            wait_for("eip-operator ready", self.is_ready)
            say(f"eip-operator was ready {time.monotonic() - began:.2f} s after its start, its first look included")
        parts = re.findall(r"([0-9.]+)(h|m|s)", given.get("RECONCILE_INTERVAL", "30s"))
        return sum(float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts)

    def is_ready(self):
        self.alive()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def close(self):
        for process in filter(None, (self.process, self.model)):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # --- what happens

    def create(self, number, held=False):
        """Makes pods with names that were never there; the time of each."""
        names = [f"pod-{self.made + n}" for n in range(number)]
        self.made += number
        annotations = {"demo.eip/hold-ip": "true"} if held else {}
        times, spec = {}, {"containers": [{"name": "main", "image": "none"}]}

        def create(name):
            times[name] = time.time()
            self.api.ask("POST", PODS, {"metadata": {"name": name, "labels": LABELS, "annotations": annotations}, "spec": spec})

        list(self.api.pool.map(create, names))
        return times

    def appear(self, number):
        times = self.create(number)
        done = self.pods.seen["annotated"]
        self.pods.wait(f"{number} pods annotated", lambda: all(name in done for name in times), self.patience)
        return [done[name] - created for name, created in times.items()], max(done[name] for name in times) - min(times.values())

    def go(self):
        """All pods are deleted; the seconds until each Eip is gone."""
        names, began = set(self.eips.now), time.time()
        self.api.ask("DELETE", PODS)
        self.eips.wait("every Eip gone", lambda: names <= set(self.eips.gone), self.patience)
        self.pods.wait("every pod gone", lambda: not self.pods.now, self.patience)
        return [self.eips.gone[name] - began for name in names]

    def replace(self, number):
        old, began = set(self.eips.now), time.time()
        self.api.ask("DELETE", PODS)
        seconds, last = self.appear(number)
        self.eips.wait("every Eip of before gone", lambda: old <= set(self.eips.gone), self.patience)
        return seconds, last, max(self.eips.gone[name] for name in old) - began

    def one(self):
        """A pod that has waited for its IP gets it; that time, and when it was annotated."""
        (name,) = self.create(1, held=True)
        self.eips.wait("the Eip of one more pod", lambda: name in self.eips.now, self.patience)
        before = self.calls.quiet(3)
        node = self.pods.now[name]["spec"]["nodeName"]
        # kwok counts from below, and a node has no more than 250 pods.
        ip = self.cidrs[node].replace(".0/24", ".254")
        conditions = [{"type": kind, "status": "True"} for kind in ("PodReadyToStartContainers", "ContainersReady", "Ready")]
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
        self.api.ask("PATCH", f"{PODS}/{name}/status", {"status": status}, "application/merge-patch+json")
        done, visible = self.pods.seen["annotated"], self.pods.seen["visible"]
        self.pods.wait("one more pod annotated", lambda: name in done, self.patience)
        return visible[name], done[name], before

    # --- what is measured of it

    def measure(self, kind, pods):
        self.prepare(kind, pods)
        say(f"{self.operator['name']}: {kind}-{pods}")
        self.calls.look()
        usage, found, more = Usage(self.process.pid), ([], []), {}
        seconds, last = [], None
        if kind == "appear":
            seconds, last = self.appear(pods)
        elif kind == "replace":
            seconds, last, more["seconds_gone"] = self.replace(pods)
        elif kind == "go":
            seconds = self.go()
        elif kind == "idle":
            more["intervals"] = INTERVALS
            time.sleep(INTERVALS * self.interval)
        else:
            visible, annotated, found = self.one()
            seconds = [annotated - visible]
        rest = self.calls.look() if kind == "idle" else self.calls.quiet(4)
        ec2, audit = found[0] + rest[0], found[1] + rest[1]
        if kind == "one":
            # The last that is waited for: a patch of the pod, and nothing but the watch's own way is behind it.
            more["trace"] = trace(*rest, visible, annotated)
        self.alive()
        cpu, peak = usage.end()
        if kind == "one":
            name = f"pod-{self.made - 1}"
            self.api.ask("DELETE", f"{PODS}/{name}")
            self.eips.wait("the Eip of one more pod gone", lambda: name in self.eips.gone, self.patience)
        if kind == "go":
            answer = call(self.ec2, "DescribeAddresses", Truth="true")
            more["addresses_left"] = sum(1 for one in answer.iter() if one.tag.endswith("allocationId"))
        last = last if last is not None else max(seconds, default=None)
        return {"operator": self.operator["name"], "own": self.operator["own"], "scenario": kind, "pods": pods,
                "seconds_last": rounded(last), "seconds_median": rounded(statistics.median(seconds) if seconds else None),
                "ec2_calls": by_action(ec2), "kubernetes_calls": by_verb(audit), "cpu_seconds": cpu, "peak_rss_mib": peak,
                **{name: rounded(value) for name, value in more.items()}}

    def prepare(self, kind, pods):
        """As many pods as the scenario begins with; none for those that appear."""
        wanted = 0 if kind == "appear" else pods
        there = len(self.pods.now)
        if there != wanted:
            if wanted < there:
                self.go()
                there = 0
            if wanted > there:
                say(f"{wanted - there} pods to begin with")
                self.appear(wanted - there)
        self.calls.quiet(4)


def rounded(value):
    return round(value, 3) if isinstance(value, float) else value


def main():
    task = json.loads(sys.argv[1])
    bench, figures = Bench(task), []
    try:
        bench.open()
        for kind, pods in task["scenarios"]:
            figures.append(bench.measure(kind, pods))
            # What was measured is not lost should the next fail.
            pathlib.Path(task["results"]).write_text(json.dumps(figures))
        return 0
    except (Failed, OSError, subprocess.SubprocessError) as problem:
        say(problem)
        if bench.process:
            say("the end of what the operator said:")
            sys.stderr.write("".join(bench.log.read_text(errors="replace").splitlines(keepends=True)[-15:]))
        return 1
    finally:
        bench.close()


if __name__ == "__main__":
    sys.exit(main())
