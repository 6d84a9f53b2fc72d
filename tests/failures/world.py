"""What a check sees and touches: a namespace, a ServiceAccount, an EC2 proxy and an operator, all of its own.

So checks run side by side, and a fault or a count of calls belongs to one of them alone.
"""
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from ec2_query import call, tag_parameters  # noqa: E402 (the path must be set first)
from processes import free_port, listens  # noqa: E402

SETTLE = 5
SETTINGS = {"RECONCILE_INTERVAL": "1s", "EC2_SETTLE": f"{SETTLE}s", "LOG_FORMAT": "json"}
OURS = "eip.materialize.cloud/"
TARGETS = ("external-dns.alpha.kubernetes.io/target", "external-dns.kubernetes.io/target")
EIPS, RBAC = "/apis/materialize.cloud/v1", "/apis/rbac.authorization.k8s.io/v1"
WRITING = ("create", "update", "patch", "delete", "deletecollection")
READING = ("Describe", "Get", "List")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Differs(Exception):
    """What was seen is not what was promised."""


def same(what, seen, expected):
    if seen != expected:
        raise Differs(f"{what}: saw {json.dumps(seen)}, expected {json.dumps(expected)}")


def eventually(limit, look, *arguments):
    """Looks again until it differs no more; after so many seconds what differs is the answer."""
    deadline = time.monotonic() + limit
    while True:
        try:
            return look(*arguments)
        except Differs as differs:
            if time.monotonic() > deadline:
                raise Differs(f"after {limit} s {differs}") from None
        time.sleep(0.2)


def throughout(seconds, look, *arguments):
    """Looks for so many seconds; it must never differ."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        look(*arguments)
        time.sleep(0.3)


class Kubernetes:
    """The API server, as its administrator."""

    def __init__(self, data):
        config = json.loads((data / "kubeconfig").read_text())
        self.cluster = config["clusters"][0]["cluster"]
        tls = ssl.create_default_context(cafile=data / "ca.crt")
        tls.load_cert_chain(data / "admin.crt", data / "admin.key")
        self.https = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))

    def ask(self, method, path, document=None, kind="application/json"):
        """The answer as a dictionary, none on 404."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.cluster["server"] + path, body, {"Content-Type": kind}, method=method)
        try:
            with self.https.open(request, timeout=10) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise Differs(f"{method} {path}: {error.code} {error.read().decode(errors='replace')[:300]}") from None
        except OSError as error:
            raise Differs(f"{method} {path}: {error}") from None

    def create(self, path, **document):
        made = self.ask("POST", path, document)
        if made is None:
            raise Differs(f"POST {path}: not found")
        return made

    def kubeconfig(self, token):
        """A kubeconfig for the bearer of a token."""
        user = {"name": "operator", "user": {"token": token}}
        context = {"name": "local", "context": {"cluster": "local", "user": "operator"}}
        return json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "local", "users": [user],
                           "contexts": [context], "clusters": [{"name": "local", "cluster": self.cluster}]})


class World:
    """The surroundings of one check, and what can be asked of them."""

    def __init__(self, name, operator, data):
        self.name, self.binary, self.data = name, operator, data
        self.kubernetes, self.user = Kubernetes(data), f"system:serviceaccount:{name}:operator"
        self.process, self.proxy, self.model, self.wire = None, None, None, None
        self.logs, self.notes = [], []

    def open(self, model=None, beside=None):
        """With `model`, a list of its options, the operator's EC2 is a model of its own instead of moto, and that of
        another world with `beside`."""
        self.calls_file = self.data / f"{self.name}.calls.jsonl"
        self.proxy_port, self.health_port = free_port(), free_port()
        shared = os.environ["EC2_DIRECT_URL"] if beside is None else beside.ec2
        self.ec2 = shared if model is None else self.start_model(model)
        ec2_port = self.ec2.rpartition(":")[2]
        proxy = [sys.executable, "-B", ROOT / "tests/tools/ec2_proxy.py", self.proxy_port, ec2_port, self.calls_file]
        self.proxy = subprocess.Popen(list(map(str, proxy)), stdin=subprocess.DEVNULL)
        create, metadata = self.kubernetes.create, {"name": self.name}
        create("/api/v1/namespaces", metadata=metadata)
        accounts = f"/api/v1/namespaces/{self.name}/serviceaccounts"
        create(accounts, metadata={"name": "operator"})
        token = create(f"{accounts}/operator/token", spec={"expirationSeconds": 7200})["status"]["token"]
        self.kubeconfig = self.data / f"{self.name}.kubeconfig"
        self.kubeconfig.write_text(self.kubernetes.kubeconfig(token))
        self.kubeconfig.chmod(0o600)
        self.bind("eip-operator")
        eventually(10, lambda: same("the proxy listens", listens(self.proxy_port), True))

    def start_model(self, options):
        """Starts the simulation's model of EC2, with the nodes of this cluster; its address."""
        nodes = [{"instance": node["spec"]["providerID"].rpartition("/")[2], "podCIDR": node["spec"]["podCIDR"]}
                 for node in self.kubernetes.ask("GET", "/api/v1/nodes")["items"]]
        file, port = self.data / f"{self.name}.nodes.json", free_port()
        file.write_text(json.dumps(nodes))
        program = pathlib.Path(self.binary).parent / "examples" / "ec2-model"
        self.model = subprocess.Popen([program, str(port), file, *map(str, options)], stdin=subprocess.DEVNULL)
        eventually(10, lambda: same("the model of EC2 listens", listens(port), True))
        return f"http://127.0.0.1:{port}"

    def behind(self, wire):
        """From its next start on, the operator speaks to the API server through this proxy."""
        self.wire = wire
        config = json.loads(self.kubeconfig.read_text())
        config["clusters"][0]["cluster"] = {"server": wire.url}
        self.kubeconfig.write_text(json.dumps(config))
        wire.wait()
        return wire

    def close(self):
        """Ends what was started, also after a failure; an operator that does not end well is one more."""
        try:
            if self.process and self.process.poll() is None:
                self.stop()
        finally:
            ours = (self.process, self.proxy, self.model, self.wire and self.wire.process)
            for process in filter(None, ours):
                if process.poll() is None:
                    process.kill()
                process.wait()

    # --- the operator

    def environment(self, settings):
        plain = {key: value for key, value in os.environ.items() if key not in ("NAMESPACE", "DEFAULT_TAGS")}
        own = {"KUBECONFIG": str(self.kubeconfig), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.proxy_port}",
               "CLUSTER_NAME": self.name, "NAMESPACE": self.name, "LISTEN_ADDRESS": f"127.0.0.1:{self.health_port}",
               "PLAN_ADDRESS": "127.0.0.1:0"}
        wanted = {**plain, **SETTINGS, **own, **settings}
        return {key: value for key, value in wanted.items() if value is not None}

    def start(self, ready=True, **settings):
        log = self.data / f"{self.name}-{len(self.logs) + 1}.log"
        self.logs.append(log)
        with open(log, "wb") as output:
            self.process = subprocess.Popen([self.binary], env=self.environment(settings), stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=subprocess.STDOUT)
        if ready:
            eventually(30, self.answers, "readyz", 200)

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self, limit):
        """The exit code."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Differs(f"the operator did not end within {limit} s") from None

    def stop(self, limit=10):
        self.signal(signal.SIGTERM)
        same("the exit code after SIGTERM", self.ended(limit), 0)

    def answers(self, path, status):
        """What /healthz or /readyz says, if it has this status."""
        url = f"http://127.0.0.1:{self.health_port}/{path}"
        try:
            with DIRECT.open(url, timeout=5) as answer:
                seen, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            seen, text = error.code, error.read().decode()
        except OSError as error:
            seen, text = str(error), ""
        same(f"/{path}", seen, status)
        same("the operator ended", self.process.poll(), None)
        return text

    def log(self):
        return "".join(log.read_text(errors="replace") for log in self.logs)

    def said(self, text, times=1):
        same(f"log lines with \"{text}\"", self.log().count(text), times)

    def announced(self, log):
        """The first plan in a log that is not empty: its number, its diff and its steps."""
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        first = next((line for line in lines if line.get("diff")), None)
        if first is None:
            raise Differs("no plan was announced")
        steps = [line["message"] for line in lines if line["message"].startswith("step: ") and line["plan"] == first["plan"]]
        # The one sentence by which a dry run's lines differ.
        summary = first["message"].removesuffix(" Dry run: nothing was changed.")
        return [first["plan"], summary, first["diff"], steps]

    def lines(self):
        return len(self.log().splitlines())

    # --- EC2

    def faults(self, *faults):
        body = json.dumps(faults).encode()
        url = f"http://127.0.0.1:{self.proxy_port}/_faults"
        with DIRECT.open(urllib.request.Request(url, body, method="PUT"), timeout=10):
            pass

    def struck(self, times):
        """The calls that the first fault was about, those under way included, are so many at least."""
        with DIRECT.open(f"http://127.0.0.1:{self.proxy_port}/_faults", timeout=10) as answer:
            fault = json.loads(answer.read())[0]
        if fault["seen"] < times:
            raise Differs(f"{fault['action']}: saw {fault['seen']} calls, expected at least {times}")

    def calls(self, *actions):
        """The answered calls through the proxy of these actions, or of all."""
        lines = self.calls_file.read_text().splitlines() if self.calls_file.exists() else []
        return [one for one in map(json.loads, lines) if not actions or one["action"] in actions]

    def mutations(self):
        return [one["action"] for one in self.calls() if not one["action"].startswith(READING)]

    def looks(self, times):
        """Waits for so many looks at the addresses, each of which is a cycle."""
        before = len(self.calls("DescribeAddresses"))
        eventually(30, lambda: same(f"{times} more looks at the addresses",
                                    len(self.calls("DescribeAddresses")) >= before + times, True))

    def addresses(self, eip):
        """Those that are tagged for the Eip, beside the proxy."""
        found = []
        for item in call(self.ec2, "DescribeAddresses", Truth="true").findall("addressesSet/item"):
            tags = {tag.findtext("key"): tag.findtext("value") for tag in item.findall("tagSet/item")}
            if (tags.get(OURS + "namespace"), tags.get(OURS + "eip_name")) == (self.name, eip):
                found.append({name: item.findtext(name) or None for name in (
                    "publicIp", "allocationId", "associationId", "privateIpAddress")})
        return found

    def take_tags(self, allocation):
        """Takes all tags off an address, and says what they were."""
        url, tags = self.ec2, {}
        for item in call(url, "DescribeAddresses", Truth="true", **{"AllocationId.1": allocation}).findall("addressesSet/item"):
            tags = {tag.findtext("key"): tag.findtext("value") for tag in item.findall("tagSet/item")}
        keys = {f"Tag.{n}.Key": key for n, key in enumerate(tags, 1)}
        call(url, "DeleteTags", **{"ResourceId.1": allocation, **keys})
        return tags

    def put_tags(self, allocation, tags):
        call(self.ec2, "CreateTags", **{"ResourceId.1": allocation}, **tag_parameters(tags))

    def address(self, eip):
        found = self.addresses(eip)
        same(f"number of addresses of eip {eip}", len(found), 1)
        return found[0]

    def idle(self, eip):
        same(f"private ip of eip {eip}'s address", self.address(eip)["privateIpAddress"], None)

    def released(self, eip):
        same(f"addresses of eip {eip}", self.addresses(eip), [])
        same(f"eip {eip} is there", bool(self.eip(eip)), False)

    # --- Kubernetes

    def path(self, kind, name=""):
        return f"{EIPS if kind == 'eips' else '/api/v1'}/namespaces/{self.name}/{kind}" + (name and f"/{name}")

    def make_eip(self, name, pod):
        self.kubernetes.create(self.path("eips"), apiVersion="materialize.cloud/v1", kind="Eip",
                               metadata={"name": name}, spec={"podName": pod})

    def make_pod(self, name, **labels):
        labels = {OURS + label: "true" for label in ("manage", *labels)}
        self.kubernetes.create(self.path("pods"), metadata={"name": name, "labels": labels},
                               spec={"containers": [{"name": "main", "image": "main"}], "serviceAccountName": "operator",
                                     "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1})

    def cluster_works(self):
        """The scheduler and the nodes have found the API server again, which may take them a minute after it was away, so
        that the checks that follow can make pods."""
        self.make_pod("after-0")
        eventually(180, self.has_ip, "after-0")

    def make(self, eip, pod):
        self.make_eip(eip, pod)
        self.make_pod(pod)

    def unlabel(self, pod):
        self.kubernetes.ask("PATCH", self.path("pods", pod), {"metadata": {"labels": {OURS + "manage": None}}},
                            "application/merge-patch+json")

    def point(self, eip, pod):
        self.kubernetes.ask("PATCH", self.path("eips", eip), {"spec": {"podName": pod}}, "application/merge-patch+json")

    def strip(self, eip):
        self.kubernetes.ask("PATCH", self.path("eips", eip), {"metadata": {"finalizers": None}},
                            "application/merge-patch+json")

    def has_ip(self, pod):
        found = self.kubernetes.ask("GET", self.path("pods", pod)) or {}
        same(f"ip of pod {pod} is there", bool(found.get("status", {}).get("podIP")), True)

    def delete(self, kind, name):
        self.kubernetes.ask("DELETE", self.path(kind, name))

    def eip(self, name):
        return self.kubernetes.ask("GET", self.path("eips", name))

    def ready(self, eip, status, reason):
        conditions = ((self.eip(eip) or {}).get("status") or {}).get("conditions", ())
        seen = next((one for one in conditions if one["type"] == "Ready"), {})
        same(f"Ready of eip {eip}", [seen.get("status"), seen.get("reason")], [status, reason])

    def served(self, eip, pod):
        """The one address of the Eip is on the pod, and everybody is told."""
        address, found = self.address(eip), self.kubernetes.ask("GET", self.path("pods", pod)) or {}
        same(f"ip of pod {pod} is there", bool(found.get("status", {}).get("podIP")), True)
        same(f"private ip of eip {eip}'s address", address["privateIpAddress"], found["status"]["podIP"])
        annotations = found["metadata"].get("annotations", {})
        seen = [annotations.get(name) for name in (*TARGETS, OURS + "allocation_id")]
        same(f"annotations of pod {pod}", seen, [address["publicIp"]] * 2 + [address["allocationId"]])
        self.ready(eip, "True", "Associated")

    def bind(self, role):
        subject = {"kind": "ServiceAccount", "name": "operator", "namespace": self.name}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        self.kubernetes.create(f"{RBAC}/clusterrolebindings", metadata={"name": f"{self.name}.{role}"},
                               roleRef=reference, subjects=[subject])

    def unbind(self, role):
        self.kubernetes.ask("DELETE", f"{RBAC}/clusterrolebindings/{self.name}.{role}")

    def may_elect(self):
        """The right to a Lease of its own namespace, as manifests/base gives it."""
        self.kubernetes.create(f"{RBAC}/namespaces/{self.name}/roles", metadata={"name": "lease"}, rules=[
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}])
        self.kubernetes.create(
            f"{RBAC}/namespaces/{self.name}/rolebindings", metadata={"name": "lease"},
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lease"},
            subjects=[{"kind": "ServiceAccount", "name": "operator", "namespace": self.name}])

    def lease_of(self, holder):
        """The Lease is this one's from now on, for an hour; of nobody, it is free."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.name}/leases"
        spec = {"holderIdentity": holder or None, "leaseDurationSeconds": 3600}
        if not self.kubernetes.ask("PATCH", f"{path}/eip-operator", {"spec": spec}, "application/merge-patch+json"):
            self.kubernetes.create(path, metadata={"name": "eip-operator"}, spec=spec)

    def requests(self, verbs=(), resource=None):
        """The operator's requests in the API server's audit log."""
        with open(os.environ["KUBE_AUDIT"], encoding="utf-8") as audit:
            own = [json.loads(line) for line in audit if self.user in line and line.endswith("\n")]
        return [f"{one['verb']} {one['requestURI']}" for one in own if one["user"]["username"] == self.user
                and (not verbs or one["verb"] in verbs)
                and (not resource or one.get("objectRef", {}).get("resource") == resource)]
