"""What is made of the account's quota of Elastic IPs."""
from promises import promise, refusal
from world import call, eventually, same


@promise("what the quota leaves is in the plan and in /metrics; what does not fit waits and is not asked for until there is room",
         model=("--limit", 3))
def quota(world):
    call(world.ec2, "AllocateAddress", Domain="vpc")  # Somebody else's, which counts.
    world.start()
    eventually(10, world.said, "quota of Elastic IPs")
    shows(world, limit=3, used=1)
    for name in ("one", "two", "three"):
        world.make_eip(name, f"{name}-0")
        eventually(20, bought_or_waits, world, name)
    world.said("to allocate (2 of 3 left)")
    world.said("to allocate (1 of 3 left)")
    world.ready("three", "False", "QuotaExceeded")
    shows(world, limit=3, used=3)
    world.looks(3)
    same("purchases", [one["status"] for one in world.calls("AllocateAddress")], [200, 200])
    world.delete("eips", "one")
    eventually(20, world.idle, "three")
    # The limit and the use are asked for every five minutes; what we change is counted meanwhile.
    same("questions for the quota", len(world.calls("GetServiceQuota")), 1)
    shows(world, limit=3, used=3)


@promise("a quota that cannot be asked for is unknown, said once and in no plan or metric, and EC2's own refusal decides",
         model=("--limit", 1))
def no_quota(world):
    world.faults(refusal("GetServiceQuota", 400, "AccessDeniedException"))
    world.start()
    eventually(10, world.said, "quota of Elastic IPs is unknown")
    same("the quota in /metrics", [name for name in values(world) if "quota" in name], [])
    for name, reason in (("one", "PodNotFound"), ("two", "AddressLimitExceeded")):
        world.make_eip(name, f"{name}-0")
        eventually(20, world.ready, name, "False", reason)
    same("plans that tell a quota", " left)" in world.log(), False)
    same("purchases", [one["status"] for one in world.calls("AllocateAddress")], [200, 400])


def bought_or_waits(world, eip):
    status = (world.eip(eip) or {}).get("status") or {}
    ready = next((one["reason"] for one in status.get("conditions", ()) if one["type"] == "Ready"), None)
    same(f"the end of eip {eip}", ready in ("PodNotFound", "QuotaExceeded"), True)


def values(world):
    """The samples of /metrics: by name and labels."""
    lines = world.answers("metrics", 200).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def shows(world, limit, used):
    expected = [float(limit), float(used)]
    names = ("eip_operator_quota_limit{}", "eip_operator_quota_used{}")
    eventually(10, lambda: same("limit and use", [float(values(world).get(name, -1)) for name in names], expected))
