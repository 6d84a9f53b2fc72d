"""The simulation's model of EC2 beside moto: the same calls to both, by chance, must have the same answers.

Where moto is known to differ from EC2 the calls are left out, each with its reason.
"""
import os
import random

from promises import promise
from ec2_query import Ec2Error, call, tag_parameters
from world import same

ROUNDS, CALLS = 20, 25
IPS = ("10.0.2.117", "10.0.2.118", "10.0.2.119")  # the last ones that have an interface in moto: no pod gets so far
TAG = "conformance"


class Side:
    """One of the two. Ids differ between them, so addresses go by their number, in the order of purchase."""

    def __init__(self, endpoint):
        self.endpoint, self.ids, self.ips, self.ended = endpoint, [], [], []

    def ask(self, action, **parameters):
        return call(self.endpoint, action, **parameters)

    def attempt(self, action, **parameters):
        """What a call came to, without what is by its nature another's."""
        try:
            return None, self.ask(action, **parameters)
        except Ec2Error as error:
            return str(error).split(": ")[1], None

    def interface(self, ip):
        filters = {"Filter.1.Name": "addresses.private-ip-address", "Filter.1.Value.1": ip}
        return self.ask("DescribeNetworkInterfaces", **filters).findtext(".//networkInterfaceId")

    def allocate(self, tags):
        tags = {f"TagSpecification.1.{key}": value for key, value in tag_parameters(tags).items()}
        error, root = self.attempt("AllocateAddress", Domain="vpc", **{"TagSpecification.1.ResourceType": "elastic-ip"}, **tags)
        self.ids.append(root.findtext(".//allocationId"))
        self.ips.append(root.findtext(".//publicIp"))
        return error

    def associate(self, number, ip):
        return self.attempt("AssociateAddress", AllocationId=self.ids[number], NetworkInterfaceId=self.interface(ip),
                            PrivateIpAddress=ip, AllowReassociation="false")[0]

    def disassociate(self, number):
        """By the association there is, or else by one that has ended, or one that never was."""
        items = self.ask("DescribeAddresses", **{"Filter.1.Name": "allocation-id", "Filter.1.Value.1": self.ids[number]})
        there = items.findtext(".//associationId")
        if there:
            self.ended.append(there)
        return self.attempt("DisassociateAddress", AssociationId=there or (self.ended or ["eipassoc-none"])[-1])[0]

    def release(self, number):
        return self.attempt("ReleaseAddress", AllocationId=self.ids[number])[0]

    def tag(self, number, key, value):
        return self.attempt("CreateTags", **{"ResourceId.1": self.ids[number]}, **tag_parameters({key: value}))[0]

    def untag(self, number, key):
        return self.attempt("DeleteTags", **{"ResourceId.1": self.ids[number], "Tag.1.Key": key})[0]

    def described(self, **parameters):
        """Addresses by number: private IP, whether it has an association and an interface, and tags."""
        error, root = self.attempt("DescribeAddresses", **parameters)
        if error:
            return error
        found = {}
        for item in root.findall("addressesSet/item"):
            if item.findtext("allocationId") not in self.ids:
                continue
            tags = {tag.findtext("key"): tag.findtext("value") or "" for tag in item.findall("tagSet/item")}
            has = [bool(item.findtext(name)) for name in ("associationId", "networkInterfaceId")]
            found[self.ids.index(item.findtext("allocationId"))] = [item.findtext("privateIpAddress") or None, *has, tags]
        return dict(sorted(found.items()))

    def occupied(self, ip):
        """The number of the address on this IP."""
        filters = {"Filter.1.Name": "addresses.private-ip-address", "Filter.1.Value.1": ip}
        for item in self.ask("DescribeNetworkInterfaces", **filters).findall(".//privateIpAddressesSet/item"):
            public = item.findtext("association/publicIp")
            if item.findtext("privateIpAddress") == ip and public:
                return self.ips.index(public)
        return None

    def all(self):
        """Everything that can be seen, in every way in which the operator looks."""
        of_tag = {"Filter.1.Name": "tag-key", "Filter.1.Value.1": TAG, "Filter.2.Name": f"tag:{TAG}", "Filter.2.Value.1": "yes"}
        by_id = {"Filter.1.Name": "allocation-id",
                 **{f"Filter.1.Value.{n}": allocation for n, allocation in enumerate(self.ids or ["eipalloc-0"], 1)}}
        # What is on an interface's IP is left out: moto does not show it there.
        return {"all": self.described(), "by tag": self.described(**of_tag), "by id": self.described(**by_id)}


def steps(chance, side):
    """One call by chance: its name and arguments, the same for both sides."""
    bought = len(side.ids)
    if not bought or chance.random() < 0.2:
        return "allocate", {TAG: chance.choice(["yes", "no"]), "odd": chance.choice(["", "a b&<c>\"'", "ü/+=@"])}
    number = chance.randrange(bought)
    addresses = side.described()
    name = chance.choice(["associate", "disassociate", "release", "tag", "untag"])
    if name == "associate":
        # moto associates an address that is gone, and moves what is on an IP away without being asked to, or not at all;
        # EC2's own answer to the second is not known.
        ip = chance.choice(IPS)
        return (name, number, ip) if number in addresses and side.occupied(ip) is None else ("allocate", {TAG: "yes"})
    if name == "release" and number in addresses and addresses[number][0]:
        return "disassociate", number  # moto releases what is associated; EC2 says InvalidIPAddress.InUse.
    if name in ("tag", "untag") and number not in addresses:
        # Of one that is gone moto says InvalidID, and the reference InvalidElasticIpID.NotFound.
        return "allocate", {TAG: "no"}
    if name == "tag":
        return name, number, chance.choice([TAG, "more"]), chance.choice(["yes", "no"])
    if name == "untag":
        return name, number, chance.choice([TAG, "more"])
    return name, number


@promise("the model of EC2 answers as moto does, call for call, where moto is faithful", model=("--limit", 90))
def conformance(world):
    made = 0
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        model, moto = Side(world.ec2), Side(os.environ["EC2_DIRECT_URL"])
        for _ in range(CALLS):
            name, *arguments = steps(chance, model)
            answers = [getattr(side, name)(*arguments) for side in (model, moto)]
            same(f"seed {seed}: the model's answer to {name} {arguments}", answers[0], answers[1])
            same(f"seed {seed}: what the model shows after {name} {arguments}", model.all(), moto.all())
            made += 1
        for number, (private_ip, *_) in model.described().items():
            for side in (model, moto):
                if private_ip:
                    side.disassociate(number)
                side.release(number)
    same("calls compared", made, ROUNDS * CALLS)
