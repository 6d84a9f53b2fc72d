"""Each error of EC2, over the wire, has its treatment. The EC2 of these checks is the simulation's model.

The codes are those of the EC2 API reference ("Error codes"); what each means for the operator is src/plan/meaning.rs.
"""
from promises import fault, promise, refusal
from world import SETTLE, eventually, same, throughout

# The status that comes with a code; all others come with 400.
STATUS = {"RequestLimitExceeded": 503, "Unavailable": 503, "ServiceUnavailable": 503, "InternalError": 500,
          "InternalFailure": 500, "ServerInternal": 500, "AuthFailure": 401, "UnauthorizedOperation": 403,
          "Blocked": 403, "OptInRequired": 401}
THROTTLED = ("RequestLimitExceeded", "Throttling")
UNCLEAR = ("InternalError", "InternalFailure", "ServerInternal", "Unavailable", "ServiceUnavailable")
CONFIGURED = ("TagPolicyViolation", "InvalidTagKey.Malformed", "TagLimitExceeded", "MissingParameter", "UnknownParameter",
              "InsufficientFreeAddressesInSubnet", "PrivateIpAddressLimitExceeded", "A.Code.Of.Tomorrow")
DENIED = ("AuthFailure", "UnauthorizedOperation")
STOPPING = ("RequestExpired", "InvalidSecurity.RequestHasExpired", "ExpiredToken",
            "InvalidClientTokenId", "OptInRequired", "PendingVerification", "Blocked")
PLENTY = ("--limit", 90)


def refused_once(action, code, where, times=1):
    return refusal(action, STATUS.get(code, 400), code, where=where, times=times)


def told(world, eip, code):
    """The condition says the code, without the dots that a reason may not have."""
    world.ready(eip, "False", code.replace(".", ""))


def answers(world, action, where):
    return [one["status"] for one in world.calls(action) if where in one["params"].values()]


def numbered(*groups):
    """A name for each code."""
    return {f"c{number:02}": code for number, code in enumerate([code for group in groups for code in group])}


@promise("each error of AllocateAddress is tried again, waited for or told, as it means, and delays no other Eip", model=PLENTY)
def errors_of_allocate(world):
    codes = numbered(THROTTLED, UNCLEAR, CONFIGURED, DENIED, ["InsufficientAddressCapacity"])
    world.faults(*(refused_once("AllocateAddress", code, name) for name, code in codes.items()))
    world.start()
    for name in codes:
        world.make_eip(name, f"{name}-0")
    world.make("fine", "fine-0")
    eventually(60, world.served, "fine", "fine-0")
    for name, code in codes.items():
        if code in THROTTLED + UNCLEAR:
            eventually(80, world.address, name)
            expected = [STATUS.get(code, 400), 200]
            eventually(20, lambda: same(f"answers to {code}", answers(world, "AllocateAddress", name), expected))
            calls = [one for one in world.calls("AllocateAddress") if name in one["params"].values()]
            waited = calls[1]["time"] - calls[0]["time"] >= SETTLE
            same(f"{code} waits for the settle time", waited or code in THROTTLED, True)
        else:
            eventually(30, told, world, name, code)
            same(f"answers to {code}", answers(world, "AllocateAddress", name), [STATUS.get(code, 400)])
    world.stop()
    world.start()
    for name, code in codes.items():
        eventually(80, world.address, name)
        eventually(20, lambda: same(f"purchases for the eip of {code}",
                                   answers(world, "AllocateAddress", name).count(200), 1))


@promise("each error of AssociateAddress is tried again or told, as it means, and delays no other Eip", model=PLENTY)
def errors_of_associate(world):
    again = ("InvalidAllocationID.NotFound", "InvalidAddressID.NotFound", "IncorrectInstanceState", "InvalidInstanceID",
             "Resource.AlreadyAssociated", "InvalidNetworkInterfaceID.NotFound", "InvalidNetworkInterface.NotFound",
             "InvalidParameterValue")
    slow = ("AuthFailure", "UnauthorizedOperation", "Gateway.NotAttached", "OperationNotPermitted")
    codes = numbered(THROTTLED, UNCLEAR, again, slow, CONFIGURED)
    world.start()
    for name in codes:
        world.make_eip(name, f"{name}-0")
    for name in codes:
        eventually(60, world.address, name)
    ids = {name: world.address(name)["allocationId"] for name in codes}
    throughout(SETTLE + 1, world.address, name)  # to a new one a right may come late
    world.faults(*(refused_once("AssociateAddress", code, ids[name]) for name, code in codes.items()))
    for name in codes:
        world.make_pod(f"{name}-0")
    world.make("fine", "fine-0")
    eventually(60, world.served, "fine", "fine-0")
    for name, code in codes.items():
        if code in THROTTLED + UNCLEAR + again:
            eventually(60, world.served, name, f"{name}-0")
            same(f"answers to {code}", answers(world, "AssociateAddress", ids[name]), [STATUS.get(code, 400), 200])
        else:
            eventually(30, told, world, name, code)
            same(f"answers to {code}", answers(world, "AssociateAddress", ids[name]), [STATUS.get(code, 400)])
    world.stop()
    world.start()
    for name, code in codes.items():
        eventually(60, world.served, name, f"{name}-0")
    same("answers beside them", {name: world.address(name)["allocationId"] for name in codes}, ids)


@promise("an association that is refused for want of rights is tried again within seconds while the address is new", model=PLENTY)
def rights_of_a_new_address(world):
    world.faults(refusal("AssociateAddress", 403, "UnauthorizedOperation", nth=1))
    world.start()
    world.make("web", "web-0")
    eventually(20, world.served, "web", "web-0")
    eventually(20, lambda: same("answers", [one["status"] for one in world.calls("AssociateAddress")], [403, 200]))


@promise("after any error of DisassociateAddress it is tried again until it is done, for no pause holds it back", model=PLENTY)
def errors_of_disassociate(world):
    codes = numbered(THROTTLED, UNCLEAR, DENIED, STOPPING, CONFIGURED, ["InvalidAssociationID.NotFound"])
    world.start()
    for name in codes:
        world.make(name, f"{name}-0")
    for name in codes:
        eventually(60, world.served, name, f"{name}-0")
    ids = {name: world.address(name)["associationId"] for name in codes}
    world.faults(*(refused_once("DisassociateAddress", code, ids[name], times=4) for name, code in codes.items()))
    for name in codes:
        world.delete("pods", f"{name}-0")
    for name, code in codes.items():
        eventually(60, world.idle, name)
        # A call is recorded when it has been answered, a moment after it took effect.
        expected = [STATUS.get(code, 400)] * 4 + [200]
        eventually(20, lambda: same(f"answers to {code}", answers(world, "DisassociateAddress", ids[name])[:5], expected))


@promise("each error of ReleaseAddress is tried again or told, as it means, and the Eip stays until its address is gone", model=PLENTY)
def errors_of_release(world):
    again = ("InvalidAllocationID.NotFound", "InvalidAddressID.NotFound", "InvalidIPAddress.InUse")
    slow = ("InvalidAddress.Locked", "InvalidAddress.PtrSet")
    codes = numbered(THROTTLED, UNCLEAR, again, slow, CONFIGURED, DENIED)
    world.start()
    for name in [*codes, "fine"]:
        world.make_eip(name, f"{name}-0")
    for name in [*codes, "fine"]:
        eventually(60, world.address, name)
    ids = {name: world.address(name)["allocationId"] for name in codes}
    world.faults(*(refused_once("ReleaseAddress", code, ids[name]) for name, code in codes.items()))
    for name in [*codes, "fine"]:
        world.delete("eips", name)
    eventually(60, world.released, "fine")
    for name, code in codes.items():
        if code in THROTTLED + UNCLEAR + again:
            eventually(60, world.released, name)
        else:
            eventually(30, told, world, name, code)
            world.address(name)
            same(f"answers to {code}", answers(world, "ReleaseAddress", ids[name]), [STATUS.get(code, 400)])
    world.stop()
    world.start()
    for name in codes:
        eventually(60, world.released, name)


@promise("an error that concerns the whole account stops that action alone, is told, and hits one call", model=PLENTY)
def errors_of_the_account(world):
    for number, code in enumerate(STOPPING):
        idle, gone, new, served = (f"{what}{number}" for what in ("idle", "gone", "new", "served"))
        world.start()
        world.make(served, f"{served}-0")
        for name in (idle, gone):
            world.make_eip(name, f"{name}-0")
            eventually(30, world.address, name)
        eventually(30, world.served, served, f"{served}-0")
        before = len(world.calls("AllocateAddress")), len(world.calls("ReleaseAddress"))
        world.faults(*(refusal(action, STATUS.get(code, 400), code) for action in ("AllocateAddress", "ReleaseAddress")))
        world.make_eip(new, f"{new}-0")
        world.delete("eips", gone)
        eventually(20, told, world, new, code)
        eventually(20, told, world, gone, code)
        world.make_eip(f"{new}-too", f"{new}-0-too")
        eventually(20, told, world, f"{new}-too", code)
        # What does not need these actions goes on.
        world.make_pod(f"{idle}-0")
        world.delete("pods", f"{served}-0")
        eventually(20, world.served, idle, f"{idle}-0")
        eventually(20, world.idle, served)
        after = len(world.calls("AllocateAddress")), len(world.calls("ReleaseAddress"))
        same(f"calls that {code} hit", [now - then for now, then in zip(after, before)], [1, 1])
        world.stop()
        world.faults()
        world.start()
        eventually(20, world.released, gone)
        world.stop()
    world.start()
    for number, _ in enumerate(STOPPING):
        eventually(80, world.address, f"new{number}")
        eventually(80, world.address, f"new{number}-too")


@promise("an answer that is no document, is cut off or never comes leaves one address for each Eip, on its pod", model=PLENTY)
def answers_that_are_none(world):
    actions = ("AllocateAddress", "AssociateAddress", "DisassociateAddress", "ReleaseAddress")
    modes = ("garbage", "cut", "drop_after")
    world.start()
    for mode in modes:
        world.faults(*(fault(action, mode, nth=1) for action in actions))
        world.make(mode.replace("_", "-"), f"{mode[:4]}-0")
        eventually(80, world.served, mode.replace("_", "-"), f"{mode[:4]}-0")
        world.delete("pods", f"{mode[:4]}-0")
        eventually(40, world.idle, mode.replace("_", "-"))
        world.delete("eips", mode.replace("_", "-"))
        eventually(60, world.released, mode.replace("_", "-"))
    same("purchases", len(world.calls("AllocateAddress")), len(modes))


@promise("while reads are answered with garbage, with half a page or with an error nothing is changed, and all is repaired", model=PLENTY)
def reads_that_are_none(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    reads = ("DescribeAddresses", "DescribeNetworkInterfaces")
    codes = ("FilterLimitExceeded", "InvalidNextToken", "InvalidPaginationToken", "InvalidMaxResults", "RequestExpired")
    kinds = [fault(action, mode) for action in reads for mode in ("garbage", "cut")]
    kinds += [refusal(action, 400, code) for action in reads for code in codes]
    before, served = world.mutations(), 0
    for number, kind in enumerate(kinds):
        world.faults(kind)
        name = f"new{number}"
        world.make(name, f"{name}-0")
        eventually(30, world.struck, 2)
        what = f"calls while {kind['action']} answers {kind.get('code', kind['mode'])}"
        bought = ["AllocateAddress"] * (kind["action"] != reads[0])
        eventually(10, lambda: same(what, world.mutations()[len(before):], bought))
        world.faults()
        eventually(40, world.served, name, f"{name}-0")
        before, served = world.mutations(), served + 1
    same("purchases", len(world.calls("AllocateAddress")), served + 1)


@promise("while EC2 shows each change up to 4 s late there is one purchase for each Eip, and no move too many",
         model=(*PLENTY, "--lag", 4000, "--prefixes"))
def late_answers(world):
    lagging(world)


@promise("while EC2 shows a change in one answer and not in the next the same holds", model=(*PLENTY, "--flicker", 4000))
def flickering_answers(world):
    lagging(world)


@promise("while EC2 refuses all but one changing call a second the same holds", model=(*PLENTY, "--rate", 1, "--burst", 3))
def throttled(world):
    lagging(world, purchases=False)


def lagging(world, purchases=True):
    names = [f"web{number}" for number in range(5)]
    world.start()
    for name in names:
        world.make(name, f"{name}-0")
    world.make_pod("auto-0", autocreate_eip=True)
    for name in (*names, "auto"):
        eventually(90, world.served, name if name != "auto" else "auto-0", f"{name}-0")
    if purchases:
        same("calls", sorted(world.mutations()), ["AllocateAddress"] * 6 + ["AssociateAddress"] * 6)
    world.make_pod("other-0")
    eventually(20, world.has_ip, "other-0")
    world.point(names[0], "other-0")
    world.delete("eips", names[1])
    world.delete("pods", "auto-0")
    for name in (names[1], "auto-0"):
        eventually(90, world.released, name)
    eventually(90, world.served, names[0], "other-0")
    # Nothing is left that an answer which comes late could undo.
    throughout(SETTLE + 2, world.served, names[0], "other-0")
    for name in names[2:]:
        world.served(name, f"{name}-0")
    if purchases:
        extra = ["AllocateAddress", "AssociateAddress"] * 6 + ["AssociateAddress"] + ["DisassociateAddress"] * 3
        same("calls", sorted(world.mutations()), sorted([*extra, *["ReleaseAddress"] * 2]))
