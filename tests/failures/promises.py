"""What a check is made of: its promise, when it runs, and the faults of EC2 and of the API server."""
import os
import pathlib

from world import Differs

BEFORE, TOGETHER, ALONE = "before the definition is installed", "side by side", "one after another"
LAST = "when the definition is needed no more"
CHECKS = []  # (when, promise, function)


def promise(text, when=TOGETHER, model=None):
    """`model`: the check's EC2 is a model of its own, with these options; else it is moto."""
    def add(function):
        function.model = model
        CHECKS.append((when, text, function))
        return function
    return add


def fault(action, mode, **more):
    return {"action": action, "mode": mode, **more}


def refusal(action, status, code=None, **more):
    """EC2's."""
    return fault(action, "status", status=status, **({"code": code} if code else {}), **more)


def api_server():
    """The process whose command line has the audit log of this cluster: only its API server is given that path."""
    wanted = f"--audit-log-path={os.environ['KUBE_AUDIT']}".encode()
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "cmdline").read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:
            continue  # It has just ended.
    raise Differs("no process has the audit log of this cluster in its command line")
