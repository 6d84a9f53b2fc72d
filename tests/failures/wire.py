"""The proxy between one operator and the API server: its faults, and the requests it saw."""
import json
import os
import subprocess
import sys
import urllib.request

from world import DIRECT, ROOT, Differs, eventually, free_port, listens, same

PROXY = ROOT / "tests/tools/kubernetes_proxy.py"


class Wire:
    def __init__(self, world):
        self.file = world.data / f"{world.name}.requests.jsonl"
        self.port = free_port()
        api = world.kubernetes.cluster["server"].rpartition(":")[2]
        proxy = [sys.executable, "-B", PROXY, self.port, api, world.data / "ca.crt", self.file]
        self.process = subprocess.Popen(list(map(str, proxy)), stdin=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"

    def wait(self):
        eventually(10, lambda: same("the proxy of the API server listens", listens(self.port), True))

    def faults(self, *faults):
        request = urllib.request.Request(f"{self.url}/_faults", json.dumps(faults).encode(), method="PUT")
        with DIRECT.open(request, timeout=10):
            pass

    def struck(self, times):
        """The requests that each of the faults was about are so many at least."""
        with DIRECT.open(f"{self.url}/_faults", timeout=10) as answer:
            faults = json.loads(answer.read())
        same("there are faults", bool(faults), True)
        for fault in faults:
            if fault["seen"] < times:
                subject = f"{fault['action']} {fault.get('name') or 'of any name'}"
                raise Differs(f"{subject}: saw {fault['seen']} requests, expected at least {times}")

    def requests(self, *actions):
        """The requests of these actions, or all: those that were answered, and those that hang."""
        lines = self.file.read_text().split("\n")[:-1] if self.file.exists() else []
        return [one for one in map(json.loads, lines) if not actions or one["action"] in actions]

    def writes(self):
        """Those that change something. Events do not: they are told beside the work, and lost with who tells them."""
        return [one for one in self.requests() if one["action"].split()[0] in ("create", "update", "patch", "delete")
                and one["action"].split()[1] != "events"]
