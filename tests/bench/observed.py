"""What a scenario is made of and measured by: the API server, watches, logs of calls, and a process's own account."""
import collections
import concurrent.futures
import datetime
import http.client
import json
import os
import pathlib
import ssl
import threading
import time

from report import READING

NAMESPACE = "bench"
EIPS = f"/apis/materialize.cloud/v1/namespaces/{NAMESPACE}/eips"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
OURS = "eip.materialize.cloud/"
# Every operator of this kind writes one of them once the pod has its address.
ANNOTATIONS = (OURS + "allocation_id", "external-dns.kubernetes.io/target", "external-dns.alpha.kubernetes.io/target")
AT_ONCE = 8  # requests of ours under way
IDLE = 60  # seconds after which a connection is not used again


class Failed(Exception):
    """The measurement could not be made."""


class Api:
    """The API server as its administrator sees it. Each thread keeps a connection."""

    def __init__(self, data):
        cluster = json.loads((data / "kubeconfig").read_text())["clusters"][0]["cluster"]
        self.host = cluster["server"].removeprefix("https://")
        self.tls = ssl.create_default_context(cafile=data / "ca.crt")
        self.tls.load_cert_chain(data / "admin.crt", data / "admin.key")
        self.local = threading.local()
        self.pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)

    def connect(self, timeout=60):
        return http.client.HTTPSConnection(self.host, context=self.tls, timeout=timeout)

    def ask(self, method, path, document=None, kind="application/json"):
        # The server closes a connection that was idle for a minute and a half.
        if getattr(self.local, "until", 0) < time.monotonic():
            self.local.connection = self.connect()
        self.local.until = time.monotonic() + IDLE
        connection = self.local.connection
        body = None if document is None else json.dumps(document)
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.local.until = 0
            raise Failed(f"{method} {path}: {error}") from None
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {text.decode(errors='replace')[:300]}")
        return json.loads(text)

    def items(self, path):
        return self.ask("GET", path)["items"]


class Watch(threading.Thread):
    """Follows the objects below a path: when each was first seen, when `marks` first held for it, and when it was gone."""

    def __init__(self, api, path, marks):
        super().__init__(daemon=True)
        self.connection, self.path, self.marks = api.connect(timeout=None), path, marks
        self.seen, self.gone, self.now = {mark: {} for mark in marks}, {}, {}
        # From the beginning, so that nothing is missed.
        self.version = api.ask("GET", f"{path}?limit=1")["metadata"]["resourceVersion"]
        self.lost = None
        self.start()

    def run(self):
        try:
            # The server ends a watch whose reader falls behind, and that is then continued.
            while True:
                path = f"{self.path}?watch=true&resourceVersion={self.version}&timeoutSeconds=86400"
                self.connection.request("GET", path)
                for line in self.connection.getresponse():
                    self.take(json.loads(line), time.time())
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.lost = error

    def take(self, event, now):
        one = event["object"]
        if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
            raise ValueError(one.get("message", event["type"]))
        name, self.version = one["metadata"]["name"], one["metadata"]["resourceVersion"]
        if event["type"] == "DELETED":
            self.gone[name] = now
            self.now.pop(name, None)
            return
        self.now[name] = one
        for mark, holds in self.marks.items():
            if name not in self.seen[mark] and holds(one):
                self.seen[mark][name] = now

    def wait(self, what, holds, limit):
        deadline = time.monotonic() + limit
        while not holds():
            if self.lost:
                raise Failed(f"the watch of {self.path} is lost: {self.lost}")
            if time.monotonic() > deadline:
                raise Failed(f"{what}: waited {limit} s in vain")
            time.sleep(0.05)


def watch_pods(api):
    def annotated(pod):
        return any(name in pod["metadata"].get("annotations", {}) for name in ANNOTATIONS)

    return Watch(api, PODS, {"annotated": annotated, "visible": lambda pod: "podIP" in pod.get("status", {})})


class Lines:
    """A file of JSON lines that others write; read from where the last read ended."""

    def __init__(self, path):
        self.file, self.rest = open(path, encoding="utf-8"), ""

    def new(self):
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        return [json.loads(line) for line in lines]


class Calls:
    """Calls to EC2, and those of one user to Kubernetes, since the last look."""

    def __init__(self, ec2, audit, user):
        self.ec2_log, self.audit_log, self.user = Lines(ec2), Lines(audit), user
        self.look()

    def look(self):
        audit = [one for one in self.audit_log.new() if one["user"]["username"] == self.user]
        return self.ec2_log.new(), audit

    def quiet(self, seconds, limit=300):
        """Collects calls until none that changes anything is made for a while."""
        ec2, audit, began = [], [], time.monotonic()
        since = began
        while time.monotonic() < since + seconds:
            if time.monotonic() > began + limit:
                raise Failed(f"the operator did not come to rest within {limit} s")
            time.sleep(0.3)
            new = self.look()
            ec2 += new[0]
            audit += new[1]
            changes = any(not one["action"].startswith(READING) for one in new[0])
            if changes or any(one["verb"] in ("create", "patch", "update", "delete") and is_counted(one) for one in new[1]):
                since = time.monotonic()
        return ec2, audit


def resource(audited):
    reference = audited.get("objectRef", {})
    return "/".join(filter(None, (reference.get("resource", audited["requestURI"]), reference.get("subresource"))))


def by_action(ec2):
    return dict(collections.Counter(call["action"] for call in ec2).most_common())


def by_verb(audit):
    return dict(collections.Counter(f"{one['verb']} {resource(one)}" for one in audit).most_common())


def is_counted(audited):
    """Lists, watches and the Lease do not grow with the pods."""
    return audited["verb"] not in ("list", "watch") and "leases" not in resource(audited)


class Usage:
    """What the kernel says of a process."""

    def __init__(self, pid):
        self.folder = pathlib.Path("/proc") / str(pid)
        self.cpu_before = self.cpu()
        # The highest of its memory is counted anew from here (proc(5), clear_refs).
        (self.folder / "clear_refs").write_text("5")

    def cpu(self):
        fields = (self.folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        """Seconds of processor time, and MiB of memory at most."""
        peak = next(line for line in (self.folder / "status").read_text().splitlines() if line.startswith("VmHWM:"))
        return round(self.cpu() - self.cpu_before, 2), round(int(peak.split()[1]) / 1024, 1)


def seconds_of(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def trace(ec2, audit, since, until):
    """Every call of the operator that was under way between two times, in order, and the operator's own time between them."""
    calls = [(one["time"], one["time"] + one["seconds"], f"EC2 {one['action']}") for one in ec2]
    calls += [(seconds_of(one["requestReceivedTimestamp"]), seconds_of(one["stageTimestamp"]),
               f"Kubernetes {one['verb']} {resource(one)}") for one in audit if one["verb"] != "watch" and "leases" not in resource(one)]
    calls = sorted(one for one in calls if one[1] > since and one[0] < until)
    rows, free = [], since
    for began, ended, what in calls:
        if began - free > 0.0005:
            rows.append((free, began, "(operator)"))
        rows.append((began, ended, what))
        free = max(free, ended)
    if until - free > 0.0005:
        rows.append((free, until, "(operator)"))
    return [{"at_ms": round((began - since) * 1000, 1), "took_ms": round((ended - began) * 1000, 1), "what": what}
            for began, ended, what in rows]
