"""What eip-operator promises when something fails. Each check gets a World of its own and raises Differs."""
import concurrent.futures
import itertools
import json
import os
import signal
import subprocess
import threading
import time

from promises import ALONE, BEFORE, LAST, api_server, fault, promise, refusal
from quota import values
from world import OURS, RBAC, ROOT, SETTLE, WRITING, eventually, same, throughout

# --- the start


@promise("missing and wrong variables are all named in one message, with exit code 1, and nothing is touched", BEFORE)
def wrong_variables(world):
    wrong = {"CLUSTER_NAME": None, "DRY_RUN": "maybe", "RECONCILE_INTERVAL": "0s", "EC2_SETTLE": "soon",
             "EC2_RATE": "-1", "DEFAULT_TAGS": "{", "LISTEN_ADDRESS": "nowhere"}
    world.start(ready=False, **wrong)
    same("the exit code", world.ended(5), 1)
    text = world.log()
    same("the message's first line", text.splitlines()[0], f"error: {len(wrong)} settings are wrong:")
    for name, value in wrong.items():
        told = f"{name} is unset: " if value is None else f"{name} is \"{value}\": "
        same(f"lines that begin with '{told}'", [line.strip().startswith(told) for line in text.splitlines()].count(True), 1)
    world.start(ready=False, CLUSTER_NAME=None)
    same("the exit code", world.ended(5), 1)
    world.said("error: 1 setting is wrong:")
    same("calls of EC2", world.calls(), [])
    same("requests of the API server", world.requests(), [])


@promise("a dry run without the definition says so once, is not ready until it appears, then plans and changes nothing",
         BEFORE)
def dry_run_without_definition(world):
    world.start(ready=False, DRY_RUN="true")
    eventually(20, world.said, "eips could not be read;")
    world.looks(4)
    world.said("eips could not be read;")
    world.answers("readyz", 503)
    definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/eips.materialize.cloud"
    same("the definition", world.kubernetes.ask("GET", definition), None)
    install_definition()
    eventually(20, world.make, "web", "web-0")
    eventually(20, world.answers, "readyz", 200)
    world.said("eips can be read again")
    eventually(10, lambda: same("a plan that allocates", '"op":"allocate"' in world.log(), True))
    world.looks(3)
    same("mutating calls of EC2", world.mutations(), [])
    same("writing requests", world.requests(WRITING), [])


def install_definition():
    """Idempotent: also for a run without the check above."""
    apply = ["kubectl", "apply", "--server-side", "-f", str(ROOT / "manifests/crd.yaml")]
    subprocess.run(apply, check=True, capture_output=True, timeout=30)
    wait = ["kubectl", "wait", "--for=condition=Established", "crd/eips.materialize.cloud", "--timeout=20s"]
    subprocess.run(wait, check=True, capture_output=True, timeout=30)


@promise("a dry run announces, byte for byte, what the operator then does, and does none of it")
def dry_run_is_the_run(world):
    world.start()
    for name in ("stays", "moves", "goes"):
        world.make(name, f"{name}-0")
        eventually(30, world.served, name, f"{name}-0")
    world.stop()
    world.point("moves", "other-0")
    world.delete("eips", "goes")
    world.delete("pods", "stays-0")
    for pod in ("other-0", "new-0"):
        world.make_pod(pod)
        eventually(20, world.has_ip, pod)
    world.make_eip("new", "new-0")
    world.make_pod("auto-0", autocreate_eip=True)
    eventually(20, world.has_ip, "auto-0")
    eventually(20, lambda: same("pod stays-0", world.kubernetes.ask("GET", world.path("pods", "stays-0")), None))
    mutations, writes = world.mutations(), world.requests(WRITING)
    world.start(DRY_RUN="true")
    world.looks(3)
    world.stop()
    same("mutating calls of the dry run", world.mutations(), mutations)
    same("writing requests of the dry run", world.requests(WRITING), writes)
    announced = world.announced(world.logs[-1])
    world.start()
    eventually(30, world.served, "new", "new-0")
    same("what is announced", world.announced(world.logs[-1]), announced)


# --- what cannot be read


@promise("without permission for pods that is said once, no pod is touched, a deleted Eip is released; with it pods are served")
def without_pods(world):
    role = world.kubernetes.ask("GET", f"{RBAC}/clusterroles/eip-operator")
    for name, of_pods in (("pods-only", True), ("all-but-pods", False)):
        rules = [rule for rule in role["rules"] if (rule["resources"] == ["pods"]) is of_pods]
        world.kubernetes.create(f"{RBAC}/clusterroles", metadata={"name": name}, rules=rules)
    world.start()
    world.make("web", "web-0")
    world.make_eip("spare", "nobody")
    world.make_pod("auto-0", autocreate_eip=True)
    for look in ((world.served, "web", "web-0"), (world.served, "auto-0", "auto-0"), (world.address, "spare")):
        eventually(30, *look)
    world.stop()
    world.unbind("eip-operator")
    world.bind("all-but-pods")
    for pod in ("web-0", "auto-0"):
        world.unlabel(pod)
    world.make("new", "new-0")
    before = len(world.calls("AssociateAddress", "DisassociateAddress"))
    world.start(ready=False)
    eventually(20, world.said, "pods could not be read;")
    world.delete("eips", "spare")
    eventually(20, world.released, "spare")
    world.looks(3)
    lines = world.lines()
    world.looks(4)
    same("log lines after four more cycles", world.lines(), lines)
    world.said("pods could not be read;")
    same("associations changed", len(world.calls("AssociateAddress", "DisassociateAddress")), before)
    same("eips deleted by the operator", world.requests(["delete"], "eips"), [])
    world.bind("pods-only")
    eventually(20, world.served, "new", "new-0")
    world.said("pods can be read again")
    eventually(20, world.idle, "web")
    eventually(20, world.released, "auto-0")


@promise("each error while addresses are read is said once, nothing is bought meanwhile, and what waited is served after it")
def addresses_unread(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    bought = len(world.calls("AllocateAddress"))
    kinds = ((503, "RequestLimitExceeded", 9), (500, None, 9), (403, "UnauthorizedOperation", 3))
    for times, (status, code, calls) in enumerate(kinds, 1):
        world.faults(refusal("DescribeAddresses", status, code))
        eventually(20, world.said, "addresses could not be read;", times)
        if times == 1:
            world.make("new", "new-0")
        eventually(40, world.struck, calls)  # the SDK tries three times, but for what is forbidden
        world.said("addresses could not be read;", times)
    same("addresses bought", len(world.calls("AllocateAddress")), bought)
    world.faults()
    eventually(20, world.served, "new", "new-0")
    world.said("addresses can be read again")
    same("addresses bought", len(world.calls("AllocateAddress")), bought + 1)


@promise("an error while interfaces are read is said once, nothing is associated meanwhile, and what waited is served after it")
def interfaces_unread(world):
    world.faults(refusal("DescribeNetworkInterfaces", 503, "Unavailable"))
    world.start(ready=False)
    world.make("web", "web-0")
    eventually(20, world.said, "interfaces could not be read;")
    eventually(40, world.struck, 9)
    world.said("interfaces could not be read;")
    world.idle("web")
    same("associations", world.calls("AssociateAddress"), [])
    world.faults()
    eventually(20, world.served, "web", "web-0")
    world.said("interfaces can be read again")


@promise("an interface that EC2 shows late is the Eip's Ready reason, and looked for again without an event or an interval")
def interface_shown_late(world):
    world.start(RECONCILE_INTERVAL="600s", EC2_SETTLE="300s")
    world.make("old", "old-0")  # from its node the operator learns of the VPC
    eventually(30, world.served, "old", "old-0")
    before = len(world.calls("DescribeNetworkInterfaces"))
    # A look that does not find the IP asks twice, by the IP and by the instance.
    world.faults(fault("DescribeNetworkInterfaces", "empty", times=6))
    world.make("web", "web-0")
    eventually(20, world.ready, "web", "False", "WaitingForENI")
    eventually(30, world.served, "web", "web-0")
    same("calls for interfaces until one shows it", len(world.calls("DescribeNetworkInterfaces")) - before, 7)
    loud = [line for line in world.log().splitlines() if json.loads(line)["level"] in ("WARN", "ERROR")]
    same("warnings of anything but the quota", [line for line in loud if "quota" not in line], [])


# --- what cannot be done


@promise("an AllocateAddress whose answer is lost leaves exactly one address")
def allocation_lost(world):
    world.faults(fault("AllocateAddress", "drop_after", nth=1))
    world.start()
    world.make("web", "web-0")
    eventually(60, world.served, "web", "web-0")
    throughout(SETTLE + 3, world.served, "web", "web-0")
    same("calls of AllocateAddress", len(world.calls("AllocateAddress")), 1)


@promise("an AllocateAddress that fails with InternalError is repeated after the settle time, and leaves exactly one address")
def allocation_failed(world):
    world.faults(refusal("AllocateAddress", 500, "InternalError", nth=1))
    world.start()
    world.make("web", "web-0")
    eventually(80, world.served, "web", "web-0")
    throughout(SETTLE + 3, world.served, "web", "web-0")
    calls = world.calls("AllocateAddress")
    same("answers of AllocateAddress", [one["status"] for one in calls], [500, 200])
    same("the second came after the settle time", calls[1]["time"] - calls[0]["time"] >= SETTLE, True)


@promise("AddressLimitExceeded is the Eip's Ready reason, other Eips are disassociated and released, and room is used")
def limit_exceeded(world):
    world.start()
    for name in ("one", "two"):
        world.make(name, f"{name}-0")
    for name in ("one", "two"):
        eventually(30, world.served, name, f"{name}-0")
    world.faults(refusal("AllocateAddress", 400, "AddressLimitExceeded"))
    world.make("web", "web-0")
    eventually(20, world.ready, "web", "False", "AddressLimitExceeded")
    world.looks(4)
    world.struck(1)
    same("refused purchases", [one["status"] for one in world.calls("AllocateAddress")].count(400), 1)
    world.delete("pods", "two-0")
    eventually(20, world.idle, "two")
    world.delete("eips", "one")
    eventually(20, world.released, "one")
    world.ready("web", "False", "AddressLimitExceeded")
    world.faults()
    world.delete("eips", "two")
    eventually(20, world.released, "two")
    eventually(20, world.served, "web", "web-0")


@promise("an AssociateAddress that finds no such address is sent once more, and the pod is served")
def association_too_early(world):
    world.faults(refusal("AssociateAddress", 400, "InvalidAllocationID.NotFound", nth=1))
    world.start()
    world.make("web", "web-0")
    eventually(40, world.served, "web", "web-0")
    same("answers of AssociateAddress", [one["status"] for one in world.calls("AssociateAddress")], [400, 200])
    same("purchases", len(world.calls("AllocateAddress")), 1)


@promise("an AssociateAddress whose answer is lost is found, not repeated, and the pod is annotated")
def association_lost(world):
    world.faults(fault("AssociateAddress", "drop_after", nth=1))
    world.start()
    world.make("web", "web-0")
    eventually(60, world.served, "web", "web-0")
    throughout(SETTLE + 2, world.served, "web", "web-0")
    same("calls of AssociateAddress", len(world.calls("AssociateAddress")), 1)
    same("calls of DisassociateAddress", len(world.calls("DisassociateAddress")), 0)
    same("purchases", len(world.calls("AllocateAddress")), 1)


@promise("a DisassociateAddress that fails with 503 is repeated until it is done")
def disassociation_fails(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    world.faults(refusal("DisassociateAddress", 503, "Unavailable", times=5))
    world.delete("pods", "web-0")
    eventually(40, world.idle, "web")
    world.looks(2)
    same("answers of DisassociateAddress", [one["status"] for one in world.calls("DisassociateAddress")], [503] * 5 + [200])


# --- the end of the process


@promise("an operator killed while it buys is followed by one that finds that address and buys no other")
def killed_while_buying(world):
    world.faults(fault("AllocateAddress", "delay", nth=1, seconds=3))
    world.start()
    world.make("web", "web-0")
    eventually(20, world.struck, 1)
    world.signal(signal.SIGKILL)
    same("the exit code", world.ended(5), -signal.SIGKILL)
    same("the call is unanswered", world.calls("AllocateAddress"), [])
    world.start()
    eventually(40, world.served, "web", "web-0")
    throughout(SETTLE + 3, world.served, "web", "web-0")
    same("calls of AllocateAddress", len(world.calls("AllocateAddress")), 1)


@promise("SIGTERM while a purchase hangs ends with 0 within 10 s, and the address that comes much later is given back")
def terminated_while_buying(world):
    world.faults(fault("AllocateAddress", "delay", nth=1, seconds=60))
    world.start()
    world.make("web", "web-0")
    eventually(20, world.struck, 1)
    world.stop(limit=10)
    same("the call is unanswered", world.calls("AllocateAddress"), [])
    world.start()
    eventually(40, world.served, "web", "web-0")
    first = world.address("web")["allocationId"]
    eventually(70, lambda: same("purchases", len(world.calls("AllocateAddress")), 2))
    eventually(SETTLE + 20, world.served, "web", "web-0")
    same("the address", world.address("web")["allocationId"], first)


@promise("SIGTERM while a look hangs ends with 0 within 10 s, and the next start serves")
def terminated_while_looking(world):
    world.start()
    world.faults(fault("DescribeAddresses", "delay", seconds=60))
    world.make("web", "web-0")
    eventually(20, world.struck, 1)
    world.stop(limit=10)
    world.faults()
    world.start()
    eventually(30, world.served, "web", "web-0")
    same("purchases", len(world.calls("AllocateAddress")), 1)


def killed_at(world, action, calls, bring, look):
    """kill -9 while this call is under way; it takes effect, and nobody hears of it. Then another operator starts, and
    in the end as many calls were made as by an operator that nobody kills."""
    before = len(world.mutations())
    world.faults(fault(action, "delay", nth=1, seconds=2))
    bring()
    eventually(40, world.struck, 1)
    world.signal(signal.SIGKILL)
    same("the exit code", world.ended(5), -signal.SIGKILL)
    time.sleep(2.5)
    world.faults()
    world.start()
    eventually(60, look)
    throughout(SETTLE + 2, look)
    same(f"calls, with the {action} of which the first operator did not hear", world.mutations()[before:], calls)


@promise("an operator killed at a call of usage A is followed by one that serves the pod, without a call more")
def killed_in_usage_a(world):
    for action in (calls := ["AllocateAddress", "AssociateAddress"]):
        name = action[:4].lower()
        world.start()
        killed_at(world, action, calls, lambda: world.make(name, f"{name}-0"),
                  lambda: world.served(name, f"{name}-0"))
        world.stop()


@promise("an operator killed at a call of usage B is followed by one that serves the pod, without a call more")
def killed_in_usage_b(world):
    for action in (calls := ["AllocateAddress", "AssociateAddress"]):
        name = f"{action[:4].lower()}-0"
        world.start()
        killed_at(world, action, calls, lambda: world.make_pod(name, autocreate_eip=True),
                  lambda: world.served(name, name))
        world.stop()


@promise("an operator killed at a call of a move is followed by one that ends the move, without a call more")
def killed_in_a_move(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    first, target = world.address("web")["publicIp"], "web-0"
    for action in (calls := ["DisassociateAddress", "AssociateAddress"]):
        # Each operator may move an address once without waiting.
        target = f"{action[:4].lower()}-0"
        world.make_pod(target)
        eventually(20, world.has_ip, target)
        killed_at(world, action, calls, lambda: world.point("web", target), lambda: world.served("web", target))
    same("the address", world.address("web")["publicIp"], first)


@promise("an operator killed at a call of a deletion is followed by one that leaves nothing behind, without a call more")
def killed_in_a_deletion(world):
    for action in (calls := ["DisassociateAddress", "ReleaseAddress"]):
        name = action[:4].lower()
        world.start()
        world.make(name, f"{name}-0")
        eventually(30, world.served, name, f"{name}-0")
        killed_at(world, action, calls, lambda: world.delete("eips", name), lambda: world.released(name))
        world.stop()


# --- what people do


@promise("an address without an Eip is reported, and released only with RELEASE_ORPHANS, after ORPHAN_GRACE")
def orphan(world):
    world.start()
    world.make_eip("other", "nobody")
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    world.stop()
    world.strip("web")
    world.delete("eips", "web")
    world.start()
    eventually(20, world.said, "which does not exist; it is not released")
    throughout(5, world.address, "web")
    world.stop()
    world.start(RELEASE_ORPHANS="true", ORPHAN_GRACE="10s")
    throughout(8, world.address, "web")
    eventually(30, world.released, "web")
    world.address("other")


TRIGGERS = 'eip_operator_triggers_total{trigger="exposure"}'


@promise("who comes is served while another pod's IP changes at every moment")
def restless(world):
    world.start()
    world.make_pod("restless")
    eventually(30, world.has_ip, "restless")
    over = threading.Event()

    def change():
        for ip in itertools.cycle(("10.250.0.1", "10.250.0.2")):
            if over.is_set():
                return
            status = {"podIP": ip, "podIPs": [{"ip": ip}]}
            world.kubernetes.ask("PATCH", world.path("pods", "restless") + "/status", {"status": status},
                                 "application/merge-patch+json")

    with concurrent.futures.ThreadPoolExecutor() as beside:
        changing = beside.submit(change)
        try:
            eventually(10, lambda: same("looks because of it", float(values(world).get(TRIGGERS, 0)) >= 3, True))
            world.make("web", "web-0")
            world.make_pod("auto", autocreate_eip=True)
            eventually(30, world.served, "web", "web-0")
            eventually(30, world.served, "auto", "auto")
        finally:
            over.set()
        changing.result()


@promise("an address whose tags a person took off is neither replaced nor touched, and served again once they are back")
def untagged(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    allocation = world.address("web")["allocationId"]
    bought, tags = len(world.calls("AllocateAddress")), world.take_tags(allocation)
    eventually(SETTLE + 20, world.ready, "web", "False", "Untagged")
    world.looks(5)
    world.ready("web", "False", "Untagged")
    world.put_tags(allocation, tags)
    eventually(20, world.served, "web", "web-0")
    same("purchases", len(world.calls("AllocateAddress")), bought)
    same("the address", world.address("web")["allocationId"], allocation)


@promise("when the definition is deleted the addresses stay on their pods until a person says that they may go", LAST)
def definition_deleted(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    before = world.mutations()
    definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/eips.materialize.cloud"
    world.kubernetes.ask("DELETE", definition)
    eventually(20, lambda: same("the eip is being deleted", "deletionTimestamp" in world.eip("web")["metadata"], True))
    eventually(20, world.said, "its address is kept until a person annotates")
    throughout(5, lambda: same("mutating calls", world.mutations(), before))
    world.address("web")
    release = {"metadata": {"annotations": {OURS + "release-all": "true"}}}
    world.kubernetes.ask("PATCH", definition, release, "application/merge-patch+json")
    eventually(30, world.released, "web")


# --- what concerns all


@promise("while the API server stands still nothing is changed in EC2 and /healthz says so; when it goes on all is repaired", ALONE)
def api_server_stands_still(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    world.looks(2)
    pid = api_server()
    os.kill(pid, signal.SIGSTOP)
    try:
        ec2 = [str(ROOT / "bin/ec2"), "disassociate", world.address("web")["publicIp"]]
        subprocess.run(ec2, check=True, capture_output=True, timeout=30)
        before = world.mutations()
        throughout(8, lambda: same("mutating calls", world.mutations(), before))
        world.answers("healthz", 503)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(40, world.served, "web", "web-0")
    eventually(10, world.answers, "healthz", 200)
    same("mutating calls", world.mutations(), [*before, "AssociateAddress"])
    world.cluster_works()


@promise("SIGTERM when nothing is to be done ends with 0 within 2 s", ALONE)
def terminated_when_idle(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    before = world.mutations()
    world.looks(3)
    same("mutating calls of an idle operator", world.mutations(), before)
    world.stop(limit=2)
