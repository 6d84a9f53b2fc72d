"""What is left when the operator is killed at a write to Kubernetes, or the API server in the middle of everything."""
import json
import os
import pathlib
import signal
import subprocess
import time
from collections import Counter

from promises import ALONE, api_server, fault, promise
from wire import Wire
from world import OURS, ROOT, SETTLE, Differs, eventually, same, throughout

# Two objects of each usage stand before the same write when the operator is killed: that of the one takes effect, and
# nobody hears of it; that of the other does not take effect.
FATES = (("unheard", "mute"), ("undone", "hang"))
QUIET = "quiet"


class Usage:
    """What a person does with an Eip and a pod of one name, and how it ends."""
    title, end = "", "served"

    def prepare(self, world, names):
        """What is there before, while an operator runs."""

    def bring(self, world, name):
        """What a person does, while no operator runs."""

    def look(self, world, name):
        world.served(name, name)

    def begin(self, world, names):
        """Prepares these, and leaves no operator running."""
        world.start()
        self.prepare(world, names)
        world.looks(2)
        world.stop()


class UsageA(Usage):
    title = "usage A"

    def bring(self, world, name):
        world.make(name, name)
        eventually(20, world.has_ip, name)


class UsageB(Usage):
    title = "usage B"

    def bring(self, world, name):
        world.make_pod(name, autocreate_eip=True)
        eventually(20, world.has_ip, name)


class Move(Usage):
    title = "a move"

    def prepare(self, world, names):
        for name in names:
            world.make(name, name)
            world.make_pod(f"{name}-to")
        for name in names:
            eventually(60, world.served, name, name)
            eventually(20, world.has_ip, f"{name}-to")

    def bring(self, world, name):
        world.point(name, f"{name}-to")

    def look(self, world, name):
        world.served(name, f"{name}-to")
        plain(world, name)


class Deletion(Usage):
    title, end = "a deletion", "released"

    def prepare(self, world, names):
        for name in names:
            world.make(name, name)
        for name in names:
            eventually(60, world.served, name, name)

    def bring(self, world, name):
        world.delete("eips", name)

    def look(self, world, name):
        world.released(name)
        plain(world, name)


class Withdrawal(Deletion):
    title = "a label taken off"

    def prepare(self, world, names):
        for name in names:
            world.make_pod(name, autocreate_eip=True)
        for name in names:
            eventually(60, world.served, name, name)

    def bring(self, world, name):
        world.unlabel(name)


def plain(world, pod):
    """Nobody is told of an address on this pod."""
    found = world.kubernetes.ask("GET", world.path("pods", pod)) or {"metadata": {}}
    annotations = found["metadata"].get("annotations", {})
    same(f"our annotations of pod {pod}", [name for name in annotations if "external-dns" in name or OURS in name], [])


def undisturbed(world, usage):
    """The writes to Kubernetes, each as action, name and its number among those alike; and the calls of EC2."""
    usage.begin(world, [QUIET])
    writes, calls = len(world.wire.writes()), len(world.mutations())
    usage.bring(world, QUIET)
    world.start()
    eventually(40, usage.look, world, QUIET)
    world.looks(2)
    world.stop()
    seen, numbered = Counter(), []
    for one in world.wire.writes()[writes:]:
        if QUIET in (one["name"] or ""):
            key = (one["action"], one["name"])
            seen[key] += 1
            numbered.append((*key, seen[key]))
    return numbered, Counter(world.mutations()[calls:])


def killed_at(world, usage, number, write, expected):
    """The end states of the two, and the calls of EC2 beyond those of two that nobody disturbs."""
    action, name, nth = write
    names = [f"{fate}-{number}" for fate, _ in FATES]
    before = len(world.mutations())
    for one in names:
        usage.bring(world, one)
    world.wire.faults(*(fault(action, mode, name=name.replace(QUIET, one), nth=nth, seconds=60)
                        for one, (_, mode) in zip(names, FATES)))
    world.start(ready=False)
    eventually(30, world.wire.struck, nth)
    heard = [(name.replace(QUIET, one), mode) for one, (_, mode) in zip(names, FATES)]
    # Only when the API server has answered the proxy, has the one write taken effect.
    eventually(10, lambda: same("writes that hang", sorted(
        (one["name"], one["fault"]) for one in world.wire.requests(action) if one.get("fault") in ("mute", "hang")
        and one["name"] in dict(heard)), sorted(heard)))
    world.signal(signal.SIGKILL)
    same("the exit code", world.ended(5), -signal.SIGKILL)
    world.wire.faults()
    world.start()
    ends = []
    for one in names:
        try:
            eventually(40, usage.look, world, one)
            ends.append(usage.end)
        except Differs as differs:
            ends.append(f"{differs}")
    world.looks(2)
    world.stop()
    made = Counter(world.mutations()[before:])
    extra = {call: made[call] - 2 * expected[call] for call in sorted({*made, *expected})
             if made[call] != 2 * expected[call]}
    return ends, extra


def killed_at_each_write(world, usage):
    wire = world.behind(Wire(world))
    writes, expected = undisturbed(world, usage)
    same("the usage writes to Kubernetes", len(writes) > 0, True)
    all_names = [f"{fate}-{number}" for number in range(1, len(writes) + 1) for fate, _ in FATES]
    usage.begin(world, all_names)
    wrong = []
    for number, write in enumerate(writes, 1):
        ends, extra = killed_at(world, usage, number, write, expected)
        told = ", ".join(f"{fate}: {end}" for (fate, _), end in zip(FATES, ends))
        world.notes.append(f"{usage.title} | {number}. {write[0]} {write[1].replace(QUIET, 'web')} | {told} | "
                           f"extra EC2 calls: {json.dumps(extra) if extra else 'none'}")
        if extra or ends != [usage.end] * 2:
            wrong.append(world.notes[-1])
    same("kills that left something else than an undisturbed operator", wrong, [])
    world.start()
    before = world.mutations()

    def stays():
        for name in (QUIET, *all_names):
            usage.look(world, name)
    eventually(10, stays)
    throughout(SETTLE + 1, stays)
    same("mutating calls of the last operator", world.mutations(), before)
    same("requests that failed beside the faults", [one for one in wire.requests() if one["status"] == 502], [])


def register():
    for usage in (UsageA(), UsageB(), Move(), Deletion(), Withdrawal()):
        def check(world, usage=usage):
            killed_at_each_write(world, usage)
        check.__name__ = f"killed_at_writes_{type(usage).__name__.lower()}"
        promise(f"an operator killed at any write to Kubernetes of {usage.title}, heard of or not, is followed by one "
                "that ends it, without an EC2 call more")(check)


register()


@promise("when the API server is killed in the middle nothing is lost and no second address bought; once it is back "
         "all is repaired", ALONE)
def api_server_killed(world):
    world.start()
    world.make("web", "web-0")
    world.make("gone", "gone-0")
    for name in ("web", "gone"):
        eventually(30, world.served, name, f"{name}-0")
    world.faults(fault("AllocateAddress", "delay", nth=1, seconds=3))
    world.make("new", "new-0")
    eventually(20, world.struck, 1)
    world.delete("eips", "gone")
    restart = kill_api_server()
    try:
        ec2 = [str(ROOT / "bin/ec2"), "disassociate", world.address("web")["publicIp"]]
        subprocess.run(ec2, check=True, capture_output=True, timeout=30)
        eventually(10, lambda: same("purchases", len(world.calls("AllocateAddress")), 3))
        world.looks(2)
        before = world.mutations()
        throughout(5, lambda: same("mutating calls", world.mutations(), before))
    finally:
        restart(world.data / "kube-apiserver.log")
    eventually(60, world.served, "web", "web-0")
    eventually(60, world.served, "new", "new-0")
    eventually(60, world.released, "gone")
    eventually(10, world.answers, "healthz", 200)
    same("purchases", len(world.calls("AllocateAddress")), 3)
    same("releases", len(world.calls("ReleaseAddress")), 1)
    same("the operator's starts", len(world.logs), 1)
    world.cluster_works()


def kill_api_server():
    """Returns what starts the same one again. What bin/with-cluster did not start itself it ends as well."""
    folder = pathlib.Path("/proc") / str(api_server())
    command, environment = ((folder / name).read_bytes().split(b"\0")[:-1] for name in ("cmdline", "environ"))
    where = os.readlink(folder / "cwd")
    os.kill(int(folder.name), signal.SIGKILL)

    def restart(log):
        with open(log, "wb") as output:
            subprocess.Popen(command, env=dict(one.partition(b"=")[::2] for one in environment), cwd=where,
                             stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        time.sleep(0.5)
    return restart
