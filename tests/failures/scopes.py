"""Two operators in one cluster and one account, each of a namespace of its own."""
from promises import promise
from world import OURS, READING, SETTLE, World, call, eventually, same, throughout


class Both:
    """The check's own operator, and one of another namespace beside it, under the same CLUSTER_NAME."""

    def __init__(self, world):
        self.own, self.other = world, World(f"{world.name}-other", world.binary, world.data)
        self.ids = {world.name: set(), self.other.name: set()}

    def __enter__(self):
        self.other.open(beside=self.own)
        for one in self.each():
            one.start(CLUSTER_NAME=self.own.name, RELEASE_ORPHANS="true", ORPHAN_GRACE="10s", MAX_RELEASES="10")
        return self

    def __exit__(self, *_):
        self.other.close()

    def each(self):
        return self.own, self.other

    def remember(self):
        """Keeps the ids of the addresses, and of the associations, that are each one's now."""
        for one in self.each():
            for address in one.addresses("web") + one.addresses("auto"):
                self.ids[one.name] |= {address["allocationId"], address["associationId"]} - {None}

    def touched(self, one):
        """The ids of the other's addresses among the parameters of its calls."""
        theirs = set().union(*(ids for name, ids in self.ids.items() if name != one.name))
        return [call["action"] for call in one.calls() if theirs & set(call["params"].values())]


@promise("operators of two namespaces serve one cluster and one account side by side, and neither touches what is the other's",
         model=("--limit", 20))
def two_namespaces(world):
    with Both(world) as both:
        for one in both.each():
            one.make("web", "web-0")
            one.make_pod("auto", autocreate_eip=True)
            # Nothing is released where there is no Eip at all.
            one.make_eip("stays", "stays-0")
        for one in both.each():
            eventually(30, one.served, "web", "web-0")
            eventually(30, one.served, "auto", "auto")
        both.remember()
        kept = both.other.addresses("web") + both.other.addresses("auto")
        # Whatever befalls the one: a pod goes, an Eip is deleted, an Eip is gone without its finalizer's work.
        world.delete("pods", "auto")
        world.strip("web")
        world.delete("eips", "web")
        for eip in ("auto", "web"):
            eventually(60, world.released, eip)
        throughout(3, lambda: same("the other's addresses", both.other.addresses("web") + both.other.addresses("auto"), kept))
        for one in both.each():
            same(f"calls of {one.name} about what is the other's", both.touched(one), [])
            same(f"{one.name} has changed something", any(not call["action"].startswith(READING) for call in one.calls()), True)


@promise("an operator of one namespace keeps an Eip whose further address has come to name another namespace")
def named_elsewhere(world):
    world.start()
    world.make("web", "web-0")
    eventually(30, world.served, "web", "web-0")
    allocation = world.address("web")["allocationId"]
    tags = world.take_tags(allocation)
    world.put_tags(allocation, tags)
    further = call(world.ec2, "AllocateAddress", Domain="vpc").findtext("allocationId")
    world.put_tags(further, {**tags, OURS + "namespace": "elsewhere"})
    world.delete("eips", "web")
    eventually(SETTLE + 20, world.ready, "web", "False", "Untagged")
    world.looks(5)
    world.ready("web", "False", "Untagged")
    world.put_tags(further, tags)
    eventually(SETTLE + 20, world.released, "web")
