"""What /healthz and /readyz say of a loop that hangs, stood still, or waits for its turn."""
import re
import signal
import time

from promises import fault, promise
from quota import values
from world import eventually, same, throughout

STILL = 5  # Seconds: longer than the three intervals after which the pulse counts as lost.
LEASE = 15  # Seconds after which another may take the Lease.


class StandsStill:
    """A process that is stopped, as by a debugger or a machine that hangs, for so many seconds at least."""

    def __init__(self, world, seconds=STILL):
        self.world, self.seconds = world, seconds

    def __enter__(self):
        self.world.signal(signal.SIGSTOP)
        self.until = time.monotonic() + self.seconds

    def __exit__(self, *_):
        time.sleep(max(0, self.until - time.monotonic()))
        self.world.signal(signal.SIGCONT)


@promise("an operator that stood still for longer than three intervals goes on, is healthy and serves")
def stood_still(world):
    world.start()
    with StandsStill(world):
        world.make("web", "web-0")
    eventually(20, world.served, "web", "web-0")
    eventually(20, world.answers, "healthz", 200)


@promise("/healthz answers 503 while no cycle ends for three intervals, and 200 after the next")
def healthz(world):
    world.start()
    world.answers("healthz", 200)
    world.faults(fault("DescribeAddresses", "delay", nth=1, seconds=8))
    eventually(10, world.struck, 1)
    text = eventually(7, world.answers, "healthz", 503)
    same("its first words", text[:21], "no cycle ended for 3s")
    eventually(10, world.answers, "healthz", 200)


@promise("/healthz of an operator that stood still says so until its next cycle has ended, not only begun; it stays ready")
def healthz_after_standing_still(world):
    world.start(RECONCILE_INTERVAL="2s")

    def cycles():
        return sum(float(count) for name, count in values(world).items() if name.startswith("controller_runtime_reconcile_total"))

    # It stops between two cycles, for one that is under way may end first when it goes on.
    before = cycles()
    eventually(10, lambda: same("a cycle has just ended", cycles() > before, True))
    with StandsStill(world, 2 * STILL):
        # So that what is said before that cycle has ended can be seen.
        world.faults(fault("DescribeAddresses", "delay", seconds=5))
    eventually(10, world.struck, 1)
    text = world.answers("healthz", 503)
    same(f"{text!r} is its words", bool(re.fullmatch(r"no cycle ended for \d+s, at most 6s is accepted\n", text)), True)
    world.answers("readyz", 200)
    world.faults()
    eventually(20, world.answers, "healthz", 200)


@promise("one that stands by is healthy and ready without a cycle, also after it stood still, and calls nothing; when "
         "its turn comes it is ready once it has looked")
def stands_by(world):
    world.may_elect()
    world.lease_of("another")
    world.start(LEADER_ELECT="true", POD_NAMESPACE=world.name, LEASE_NAME="eip-operator")
    world.said("standing by")
    throughout(STILL, world.answers, "healthz", 200)
    with StandsStill(world):
        pass
    for path in ("healthz", "readyz"):
        throughout(2, world.answers, path, 200)
    same("looks of one that stands by", world.calls("DescribeAddresses"), [])
    world.faults(fault("DescribeAddresses", "delay", nth=1, seconds=5))
    world.lease_of("")
    eventually(20, world.struck, 1)
    same("what it says", world.answers("readyz", 503), "no complete look yet\n")
    world.answers("healthz", 200)
    eventually(10, world.answers, "readyz", 200)


@promise("a leader that stood still until another took its Lease ends, without a changing call")
def leader_stood_still(world):
    world.may_elect()
    world.start(LEADER_ELECT="true", POD_NAMESPACE=world.name, LEASE_NAME="eip-operator")
    world.make("web", "web-0")
    eventually(20, world.served, "web", "web-0")
    before = len(world.mutations())
    with StandsStill(world, LEASE + 1):
        world.delete("eips", "web")
        time.sleep(LEASE)
        world.lease_of("another")
    same("the exit code", world.ended(20), 1)
    same("changing calls after it", world.mutations()[before:], [])
    world.said("no longer leading: lease")
    world.lease_of("")
    world.start(LEADER_ELECT="true", POD_NAMESPACE=world.name, LEASE_NAME="eip-operator")
    eventually(20, world.released, "web")


@promise("a cycle that takes longer than the interval skips looks, says how many, and the next is not missed")
def skips_looks(world):
    world.start()
    world.faults(fault("DescribeAddresses", "delay", nth=1, seconds=3.2))
    eventually(10, world.struck, 1)
    eventually(10, lambda: same("at least 3 are told", bool(re.search(r"so that looks are skipped: [3-9]", world.log())), True))
    world.looks(2)


@promise("a quiet cluster is looked at once in an interval, however busy it was")
def quiet_again(world):
    world.start(RECONCILE_INTERVAL="5s")
    world.make("web", "web-0")
    for n in range(10):
        world.make_pod(f"job-{n}", autocreate_eip=True)
        time.sleep(0.7)
        world.delete("pods", f"job-{n}")
    eventually(60, world.served, "web", "web-0")
    for n in range(10):
        eventually(60, world.released, f"job-{n}")

    def looks():
        before = len(world.calls("DescribeAddresses"))
        time.sleep(20)
        return len(world.calls("DescribeAddresses")) - before

    # What was done of late is looked at again until it would have shown; after that there is nothing to wait for.
    eventually(60, lambda: same("at most five looks in four intervals", looks() <= 5, True))
