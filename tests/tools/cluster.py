"""The control plane and the EC2 stand-in of bin/with-cluster: what is started, with which arguments, in which order."""
import base64
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

from processes import Component, Failed, free_port, listens, say, wait_until

HELPERS = pathlib.Path(__file__).resolve().parent
TOOLS = HELPERS.parent.parent / ".tools"
POD_READY_SKIP, POD_DELETE_SKIP = "demo.eip/hold-ip", "demo.eip/hold-delete"
START_LIMIT = 60  # seconds for each component to be ready


class Cluster:
    def __init__(self, options, data):
        self.options, self.data = options, data
        self.components = []
        self.ports = {name: free_port() for name in ("etcd", "etcd-peer", "api", "moto", "proxy")}
        no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1,localhost"]))
        # HOME is the data folder, so that no personal configuration is read (kwok has one in ~/.kwok).
        self.environment = {**os.environ, "NO_PROXY": no_proxy, "no_proxy": no_proxy}
        self.own_environment = {**self.environment, "HOME": str(self.data), "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self):
        began = time.monotonic()
        # The stand-in is filled while the API server, the slowest, comes up.
        self.start_moto()
        self.start_etcd()
        self.make_keys()
        self.start_api_server()
        self.seed_ec2()
        wait_until("kube-apiserver to be ready", lambda: self.api("/readyz") is not None, START_LIMIT, self.components)
        self.start_controllers()
        self.start_kwok()
        nodes = self.seeded_nodes()
        self.run("ec2-proxy", sys.executable, "-B", HELPERS / "ec2_proxy.py", self.ports["proxy"], self.ports["moto"],
                 self.data / "ec2-calls.jsonl")
        self.create_nodes(nodes)
        wait_until("the proxy", lambda: listens(self.ports["proxy"]), START_LIMIT, self.components)
        wait_until("ServiceAccount default/default",
                   lambda: self.api("/api/v1/namespaces/default/serviceaccounts/default") is not None,
                   START_LIMIT, self.components)
        version = self.api("/version")["gitVersion"]
        say(f"cluster ready in {time.monotonic() - began:.0f} s: kube-apiserver {version}, {len(nodes)} nodes, "
            f"{len(nodes) * self.options['interfaces']} interfaces")

    def run(self, name, *arguments, output=None, environment=()):
        component = Component(name, arguments, self.data, {**self.own_environment, **dict(environment)}, output)
        self.components.append(component)
        return component

    def start_moto(self):
        self.run("moto", TOOLS / "moto/bin/python", "-m", "moto.server", "-H", "127.0.0.1", "-p", self.ports["moto"],
                 environment={"MOTO_EC2_LOAD_DEFAULT_AMIS": "false"})

    def start_etcd(self):
        client, peer = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "etcd-peer"))
        self.run("etcd", TOOLS / "etcd", "--data-dir", self.data / "etcd", "--unsafe-no-fsync", "--log-level", "warn",
                 "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
                 "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}")

    def make_keys(self):
        """An authority, a server certificate for 127.0.0.1, an administrator's one, and the key for ServiceAccounts."""
        key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        self.openssl(f"req -x509 {key} -keyout ca.key -out ca.crt -days 30 -subj /CN=ca")
        self.openssl("ecparam -genkey -name prime256v1 -noout -out sa.key")
        names = "DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1"
        for who, subject in (("server", "/CN=kube-apiserver"), ("admin", "/O=system:masters/CN=admin")):
            self.openssl(f"req -new {key} -keyout {who}.key -out {who}.csr -subj {subject}")
            # An extension makes it a certificate of version 3; rustls refuses older ones.
            extension = f"subjectAltName={names}" if who == "server" else "extendedKeyUsage=clientAuth"
            (self.data / "extensions").write_text(f"{extension}\n")
            self.openssl(f"x509 -req -in {who}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out {who}.crt -days 30"
                         " -extfile extensions")
        self.write_kubeconfig()
        self.tls = ssl.create_default_context(cafile=self.data / "ca.crt")
        self.tls.load_cert_chain(self.data / "admin.crt", self.data / "admin.key")
        self.https = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                 urllib.request.HTTPSHandler(context=self.tls))

    def openssl(self, arguments):
        done = subprocess.run(["openssl", *arguments.split()], cwd=self.data, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise Failed(f"openssl {arguments} failed: {done.stderr.strip()}")

    def write_kubeconfig(self):
        def embed(name):
            return base64.b64encode((self.data / name).read_bytes()).decode()
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "local",
            "clusters": [{"name": "local", "cluster": {"server": f"https://127.0.0.1:{self.ports['api']}",
                                                       "certificate-authority-data": embed("ca.crt")}}],
            "users": [{"name": "admin", "user": {"client-certificate-data": embed("admin.crt"),
                                                 "client-key-data": embed("admin.key")}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}]}
        self.kubeconfig = self.data / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(config, indent=1))
        self.kubeconfig.chmod(0o600)

    def start_api_server(self):
        data = self.data
        wait_until("etcd", lambda: listens(self.ports["etcd"]), START_LIMIT, self.components)
        (data / "audit-policy.yaml").write_text(
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n")
        (data / "audit.jsonl").touch()
        self.run("kube-apiserver", TOOLS / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
                 f"--secure-port={self.ports['api']}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
                 f"--tls-cert-file={data / 'server.crt'}", f"--tls-private-key-file={data / 'server.key'}",
                 f"--client-ca-file={data / 'ca.crt'}", f"--service-account-key-file={data / 'sa.key'}",
                 f"--service-account-signing-key-file={data / 'sa.key'}",
                 "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
                 "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
                 f"--audit-policy-file={data / 'audit-policy.yaml'}", f"--audit-log-path={data / 'audit.jsonl'}",
                 "--audit-log-maxsize=10000")

    def seed_ec2(self):
        wait_until("moto", lambda: listens(self.ports["moto"]), START_LIMIT, self.components)
        with open(self.data / "nodes.json", "wb") as output:
            self.seed = self.run("seed-ec2", sys.executable, "-B", HELPERS / "seed_ec2.py",
                                 f"http://127.0.0.1:{self.ports['moto']}", self.options["nodes"],
                                 self.options["interfaces"], output=output)
            # It ends by itself, so it is not among the components that have to stay alive.
            self.components.remove(self.seed)

    def seeded_nodes(self):
        # Two calls an interface, and moto takes its time on a busy machine.
        limit = START_LIMIT + self.options["nodes"] * self.options["interfaces"] // 5
        wait_until("EC2 to be filled", lambda: self.seed.process.poll() is not None, limit, self.components)
        if self.seed.process.returncode != 0:
            raise Failed("filling EC2 failed", self.seed.log)
        return json.loads((self.data / "nodes.json").read_text())

    def start_controllers(self):
        common = [f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0", "--kube-api-qps=2000",
                  "--kube-api-burst=4000"]
        self.run("kube-controller-manager", TOOLS / "kube-controller-manager", *common,
                 f"--service-account-private-key-file={self.data / 'sa.key'}", f"--root-ca-file={self.data / 'ca.crt'}",
                 "--use-service-account-credentials=false", "--concurrent-gc-syncs=20")
        self.run("kube-scheduler", TOOLS / "kube-scheduler", *common)

    def start_kwok(self):
        stages = self.data / "kwok-stages"
        shutil.copytree(TOOLS / "kwok-stages", stages)
        for stage, annotation in (("pod-ready", POD_READY_SKIP), ("pod-delete", POD_DELETE_SKIP)):
            self.skip_annotated(stages / f"{stage}.yaml", annotation)
        # A configuration with options gets no defaults for the numbers it leaves out. Pods are played one at a time:
        # side by side kwok renders some twice, each time with another IP, and runs past the interfaces that exist.
        (stages / "kwok.yaml").write_text(
            "apiVersion: config.kwok.x-k8s.io/v1alpha1\nkind: KwokConfiguration\noptions:\n"
            "  manageAllNodes: true\n  cidr: 10.255.0.1/16\n  podPlayStageParallelism: 1\n"
            "  nodePlayStageParallelism: 4\n  nodeLeaseDurationSeconds: 40\n  nodeLeaseParallelism: 4\n"
            "  podsOnNodeSyncParallelism: 4\n")
        configuration = [argument for file in sorted(stages.glob("*.yaml")) for argument in ("-c", file)]
        self.run("kwok", TOOLS / "kwok", f"--kubeconfig={self.kubeconfig}", *configuration)

    @staticmethod
    def skip_annotated(stage, annotation):
        """Adds a condition to a stage, so that it does not apply to pods with the annotation."""
        anchor = "    matchExpressions:\n"
        text = stage.read_text()
        if text.count(anchor) != 1:
            raise Failed(f"kwok's stage {stage.name} has no single line \"matchExpressions:\" to extend")
        condition = f"    - key: '.metadata.annotations[\"{annotation}\"]'\n      operator: 'NotIn'\n      values: ['true']\n"
        stage.write_text(text.replace(anchor, anchor + condition))

    def create_nodes(self, nodes):
        for node in nodes:
            capacity = {"cpu": "1000", "memory": "1Ti", "pods": "250"}
            made = self.api("/api/v1/nodes", {
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"name": node["name"], "annotations": {"kwok.x-k8s.io/node": "fake"},
                             "labels": {"kubernetes.io/hostname": node["name"], "kubernetes.io/os": "linux",
                                        "topology.kubernetes.io/zone": node["zone"]}},
                "spec": {"podCIDR": node["podCIDR"], "podCIDRs": [node["podCIDR"]], "providerID": node["providerID"]},
                "status": {"capacity": capacity, "allocatable": capacity,
                           "addresses": [{"type": "InternalIP", "address": node["ip"]},
                                         {"type": "Hostname", "address": node["name"]}]}})
            if made is None:
                raise Failed(f"kube-apiserver refused node {node['name']}: {self.refusal}")
        wait_until("all nodes to be Ready and schedulable", lambda: self.ready_nodes() == len(nodes), START_LIMIT,
                   self.components)

    def ready_nodes(self):
        items = (self.api("/api/v1/nodes") or {"items": []})["items"]
        return sum(not node["spec"].get("taints") and any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in node["status"].get("conditions", ())) for node in items)

    def api(self, path, document=None):
        """GETs, or POSTs a document; the answer, or None when there is none that counts."""
        request = urllib.request.Request(f"https://127.0.0.1:{self.ports['api']}{path}",
                                         document and json.dumps(document).encode(), {"Content-Type": "application/json"})
        try:
            with self.https.open(request, timeout=5) as answer:
                text = answer.read()
                return json.loads(text) if text.startswith(b"{") else text
        except urllib.error.HTTPError as error:
            self.refusal = error.read().decode(errors="replace")
        except OSError as error:
            self.refusal = str(error)
        return None

    def command_environment(self):
        proxy = f"http://127.0.0.1:{self.ports['proxy']}"
        return {**self.environment, "KUBECONFIG": str(self.kubeconfig), "PATH": f"{TOOLS}:{os.environ['PATH']}",
                "AWS_ENDPOINT_URL": proxy, "EC2_DIRECT_URL": f"http://127.0.0.1:{self.ports['moto']}",
                "EC2_FAULTS": f"{proxy}/_faults", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true",
                "CLUSTER_DATA": str(self.data),
                "EC2_CALLS": str(self.data / "ec2-calls.jsonl"), "KUBE_AUDIT": str(self.data / "audit.jsonl")}
