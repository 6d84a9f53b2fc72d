"""What eip-operator promises when the API server refuses, answers nonsense, or does not answer."""
from collections import Counter

from promises import fault, promise
from wire import Wire
from world import SETTLE, eventually, same, throughout

MOVING = ("AssociateAddress", "DisassociateAddress", "ReleaseAddress")


def refused(action, status, **more):
    """By the API server."""
    return fault(action, "status", status=status, **more)


def met(world, faults, rounds=1):
    """Each of the faults was made as often as it was to be, in each of so many rounds."""
    made = Counter((one["action"], one["name"]) for one in world.wire.requests() if one.get("fault"))
    due = {(one["action"], one["name"]): one.get("times", 1) * rounds for one in faults}
    same("faults made", [[*key, made[key]] for key in due], [[*key, times] for key, times in due.items()])


@promise("a write to an Eip or a pod that meets a conflict, an error or loses its answer is repeated until it is "
         "done, with one purchase and one release")
def writes_repeated(world):
    world.behind(Wire(world))
    world.start()
    kinds = {"conflict": refused("", 409, times=4), "error": refused("", 500, times=2),
             "busy": refused("", 429, times=2), "lost": fault("", "drop_after", nth=1),
             "silent": fault("", "hang", nth=1, seconds=60)}
    actions = {"hold": "patch eips", "record": "patch eips/status", "annotate": "patch pods"}
    names = [f"{write}-{kind}" for write in actions for kind in kinds]
    faults = [{**wrong, "action": action, "name": f"{write}-{kind}"} for write, action in actions.items()
              for kind, wrong in kinds.items()]
    world.wire.faults(*faults)
    for name in names:
        world.make(name, name)
    for name in names:
        eventually(90, world.served, name, name)
    met(world, faults)
    throughout(SETTLE + 2, lambda: [world.served(name, name) for name in names[::5]])
    same("mutating calls", sorted(world.mutations()), sorted(["AllocateAddress", "AssociateAddress"] * len(names)))
    # The same on the way out: annotations are cleared, and the finalizer goes.
    faults = [one for one in faults if one["action"] != "patch eips/status"]
    gone = [one["name"] for one in faults]
    world.wire.faults(*faults)
    for name in gone:
        world.delete("eips", name)
    for name in gone:
        eventually(90, world.released, name)
    met(world, faults, 2)
    world.looks(3)
    calls = world.mutations()[2 * len(names):]
    same("mutating calls", sorted(calls), sorted(["DisassociateAddress", "ReleaseAddress"] * len(gone)))


def unread(world, part, interfere, idle, only_when_needed=False):
    """Whatever is wrong with the list of this part, it is said once, and idle() says that nothing was done on it."""
    action, told = f"list {part}", f"{part} could not be read;"
    # So many bytes are the same in each answer, and so is what is wrong with them.
    wrong = [refused(action, status) for status in (500, 429, 504)] + [
        fault(action, "garbage"), fault(action, "garbage", half=True, bytes=60), fault(action, "cut", half=True)]
    # Before the first of them comes the one that takes 30 s, the limit for a call; people go on meanwhile.
    world.wire.faults(fault(action, "hang", seconds=60, nth=1), wrong[0])
    if only_when_needed:
        interfere()
        eventually(20, world.wire.struck, 1)
    else:
        eventually(20, world.wire.struck, 1)
        interfere()
    for times, one in enumerate(wrong, 2):
        if times > 2:
            world.wire.faults(one)
        eventually(60, world.said, told, times)
        world.looks(3)
        eventually(20, world.wire.struck, 3)
        world.said(told, times)
        idle()
    world.said(f"{part} can be read again", 0)
    world.wire.faults()
    eventually(20, world.said, f"{part} can be read again")


def stand(world, *names, **settings):
    """An operator behind the proxy, with these Eips and pods served."""
    world.behind(Wire(world))
    world.start(**settings)
    for name in names:
        world.make(name, f"{name}-0")
    for name in names:
        eventually(30, world.served, name, f"{name}-0")
    world.looks(2)


@promise("whatever is wrong with the list of Eips is said once; nothing is bought, moved or released meanwhile, all "
         "is done after it")
def eips_unread(world):
    stand(world, "web", "old", "lost")
    before = world.mutations()

    def interfere():
        world.delete("eips", "old")
        world.delete("pods", "lost-0")
        world.make("new", "new-0")
        world.make_pod("auto-0", autocreate_eip=True)
    unread(world, "eips", interfere, lambda: same("mutating calls", world.mutations(), before))
    eventually(30, world.released, "old")
    eventually(30, world.idle, "lost")
    eventually(30, world.served, "new", "new-0")
    eventually(30, world.served, "auto-0", "auto-0")
    world.served("web", "web-0")
    same("calls afterwards", sorted(world.mutations()[len(before):]), sorted(
        ["DisassociateAddress", "ReleaseAddress", "DisassociateAddress"] + ["AllocateAddress", "AssociateAddress"] * 2))


@promise("whatever is wrong with the list of pods is said once; nothing is moved, released or made for pods "
         "meanwhile, all is done after it")
def pods_unread(world):
    stand(world, "web", "lost")
    world.make_pod("kept-0", autocreate_eip=True)
    eventually(30, world.served, "kept-0", "kept-0")
    before = len(world.calls(*MOVING))

    def interfere():
        world.delete("pods", "lost-0")
        world.unlabel("kept-0")
        world.make("new", "new-0")
        world.make_pod("auto-0", autocreate_eip=True)

    def idle():
        same("addresses moved or released", len(world.calls(*MOVING)), before)
        same("the Eip of pod auto-0", world.eip("auto-0"), None)
    unread(world, "pods", interfere, idle)
    eventually(30, world.idle, "lost")
    eventually(30, world.released, "kept-0")
    eventually(30, world.served, "new", "new-0")
    eventually(30, world.served, "auto-0", "auto-0")
    world.served("web", "web-0")
    same("purchases", len(world.calls("AllocateAddress")), 5)


@promise("whatever is wrong with the list of nodes is said once; nothing is associated meanwhile, what waited is "
         "served after it")
def nodes_unread(world):
    stand(world, "web")
    before = world.calls("AssociateAddress")
    # Nodes are read only when a pod waits for an address, which is bought without them.
    unread(world, "nodes", lambda: world.make("new", "new-0"),
           lambda: same("associations", world.calls("AssociateAddress"), before), only_when_needed=True)
    eventually(20, world.served, "new", "new-0")
    world.served("web", "web-0")
    same("mutating calls", sorted(world.mutations()), ["AllocateAddress"] * 2 + ["AssociateAddress"] * 2)


@promise("a page of a list that has expired leaves the whole list unknown, nothing is done on its first pages, and it "
         "is read anew from its beginning")
def page_expired(world):
    stand(world, "one", "two", "three")
    before = world.mutations()
    for part in ("eips", "pods"):
        # Each page has one object: the second would be asked for with the token of the first.
        pages = fault(f"list {part}", "pages", limit=1)
        world.wire.faults(pages, fault(f"page {part}", "expired"))
        eventually(20, world.said, f"{part} could not be read;")
        world.looks(4)
        world.wire.struck(4)
        world.said(f"{part} could not be read;")
        same("mutating calls", world.mutations(), before)
        for name in ("one", "two", "three"):
            world.served(name, f"{name}-0")
        # Only the second page of one list has expired: the next list is whole again, in pages.
        world.wire.faults(pages, fault(f"page {part}", "pages", limit=1))
        eventually(20, world.said, f"{part} can be read again")
        world.wire.struck(1)
    world.delete("eips", "three")
    eventually(20, world.released, "three")
    world.make("four", "four-0")
    eventually(20, world.served, "four", "four-0")
    same("mutating calls", world.mutations()[len(before):].count("AllocateAddress"), 1)


@promise("whatever is wrong with the watches, new pods and new Eips are served by the interval")
def watches(world):
    stand(world)
    both = ("watch pods", "watch eips")
    kinds = {"gone": fault("", "expired"), "event": fault("", "expired", event=True), "cut": fault("", "cut"),
             "half": fault("", "cut", half=True), "garbage": fault("", "garbage"), "forbidden": refused("", 403),
             "hang": fault("", "hang", seconds=60)}
    for kind, wrong in kinds.items():
        world.wire.faults(*({**wrong, "action": action} for action in both))
        eventually(60, world.wire.struck, 1)
        world.make(kind, f"{kind}-0")
        world.make_pod(f"auto-{kind}", autocreate_eip=True)
        eventually(20, world.served, kind, f"{kind}-0")
        eventually(20, world.served, f"auto-{kind}", f"auto-{kind}")
    same("purchases", len(world.calls("AllocateAddress")), 2 * len(kinds))
    same("the watches' failure is said", "the watch fails, the interval goes on without it" in world.log(), True)


@promise("watches that were not answered, that were cut, that expired or that brought nonsense work again by "
         "themselves: a pod is served long before the interval is over")
def watches_again(world):
    world.behind(Wire(world))
    world.start(RECONCILE_INTERVAL="600s")
    kinds = (("hang", {"seconds": 600}), ("expired", {}), ("expired", {"event": True}), ("garbage", {}), ("cut", {}),
             ("cut", {"half": True}))
    world.wire.faults(*(fault(action, mode, nth=nth, **more) for action in ("watch pods", "watch eips")
                        for nth, (mode, more) in enumerate(kinds, 1)))
    # The last of them cuts the line that tells of the first pod, or of its Eip.
    eventually(120, world.wire.struck, len(kinds))
    world.make("first", "first-0")
    eventually(90, world.wire.struck, len(kinds) + 1)
    eventually(60, world.served, "first", "first-0")
    world.make("second", "second-0")
    eventually(30, world.served, "second", "second-0")
    same("purchases", len(world.calls("AllocateAddress")), 2)
    same("the watch works again", world.log().count("the watch works again") >= 2, True)


@promise("an Eip for a pod whose creation is refused, fails or loses its answer is made once and gets one address")
def creation_repeated(world):
    world.behind(Wire(world))
    world.start()
    kinds = {"exists": refused("create eips", 409, reason="AlreadyExists", times=2),
             "error": refused("create eips", 500, times=2), "lost": fault("create eips", "drop_after", nth=1),
             "late": fault("create eips", "mute", nth=1, seconds=20)}
    world.wire.faults(*({**wrong, "name": name} for name, wrong in kinds.items()))
    for name in kinds:
        world.make_pod(name, autocreate_eip=True)
        eventually(60, world.served, name, name)
    answers = {name: [one["status"] for one in world.wire.requests("create eips") if one["name"] == name]
               for name in kinds}
    same("answers", answers, {"exists": [409, 409, 201], "error": [500, 500, 201], "lost": [201], "late": [201]})
    throughout(SETTLE + 2, lambda: [world.served(name, name) for name in kinds])
    eips = world.kubernetes.ask("GET", world.path("eips"))["items"]
    same("the Eips", sorted(one["metadata"]["name"] for one in eips), sorted(kinds))
    same("mutating calls", sorted(world.mutations()), sorted(["AllocateAddress", "AssociateAddress"] * len(kinds)))


@promise("while no Eip can be made for a pod, because that is forbidden, nothing is bought for it, and other pods do "
         "not wait")
def creation_forbidden(world):
    world.behind(Wire(world))
    world.start()
    world.wire.faults(refused("create eips", 403, name="forbidden"))
    world.make_pod("forbidden", autocreate_eip=True)
    eventually(20, world.wire.struck, 1)
    world.looks(2)
    same("mutating calls", world.mutations(), [])
    world.make_pod("other", autocreate_eip=True)
    eventually(30, world.served, "other", "other")
    same("the Eip of the pod", world.eip("forbidden"), None)
    same("mutating calls", world.mutations(), ["AllocateAddress", "AssociateAddress"])
    world.wire.faults()
    world.stop()
    world.start()
    eventually(30, world.served, "forbidden", "forbidden")


@promise("a pod that may be listed but not read gets no address and loses none; one that may not be written keeps its "
         "address, and the next operator tells it")
def pods_forbidden(world):
    stand(world, "web")
    before = world.mutations()
    world.wire.faults(refused("get pods", 403, name="unread"), refused("patch pods", 403, name="unwritten"))
    world.make("unread", "unread")
    world.make("unwritten", "unwritten")
    eventually(30, world.wire.struck, 1)
    eventually(20, world.ready, "unread", "False", "Forbidden")
    world.looks(4)
    world.idle("unread")
    world.served("web", "web-0")
    same("mutating calls", sorted(world.mutations()[len(before):]), ["AllocateAddress"] * 2 + ["AssociateAddress"])
    world.stop()
    world.wire.faults()
    world.start()
    eventually(30, world.served, "unread", "unread")
    eventually(30, world.served, "unwritten", "unwritten")
    same("mutating calls", sorted(world.mutations()[len(before):]), ["AllocateAddress"] * 2 + ["AssociateAddress"] * 2)


@promise("an error of the API server that lasts is said once: no look that meets it again adds a line to the log")
def error_lasts(world):
    stand(world)
    kinds = {"an error": refused("list pods", 500), "no json": fault("list pods", "garbage"),
             "half an answer": fault("list pods", "garbage", half=True)}
    added = {}
    for times, (kind, wrong) in enumerate(kinds.items(), 1):
        world.wire.faults(wrong)
        eventually(20, lambda: same("the error is said", world.log().count("pods could not be read;") >= times, True))
        world.looks(2)
        lines = world.lines()
        world.make_pod(f"pod-{times}")  # The list becomes longer.
        world.looks(4)
        added[kind] = world.lines() - lines
    same("lines that four more looks have added", added, dict.fromkeys(kinds, 0))
