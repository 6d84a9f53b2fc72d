"""Fills the EC2 stand-in for bin/with-cluster: seed_ec2.py ENDPOINT NODES INTERFACES prints the nodes as JSON.

The stand-in associates an address with an interface's primary IP only, so every pod IP gets an interface of its own.
"""
import ipaddress
import json
import sys

from ec2_query import call

# Pods and nodes have subnets of their own, so that an instance's own IP is never a pod's.
VPC, POD_SUBNET, NODE_SUBNET, ZONE = "10.0.0.0/16", "10.0.0.0/17", "10.0.128.0/17", "us-east-1a"


def seed(endpoint, nodes, interfaces):
    vpc = call(endpoint, "CreateVpc", CidrBlock=VPC).findtext(".//vpcId")
    subnets = [call(endpoint, "CreateSubnet", VpcId=vpc, CidrBlock=block, AvailabilityZone=ZONE).findtext(".//subnetId")
               for block in (POD_SUBNET, NODE_SUBNET)]
    return [seed_node(endpoint, *subnets, number, interfaces) for number in range(1, nodes + 1)]


def seed_node(endpoint, pod_subnet, node_subnet, number, interfaces):
    node_ip = str(ipaddress.ip_network(NODE_SUBNET)[10 + number])
    instance = call(endpoint, "RunInstances", ImageId="ami-12c6146b", InstanceType="m5.large", MinCount=1, MaxCount=1,
                    SubnetId=node_subnet, PrivateIpAddress=node_ip).findtext(".//instanceId")
    pod_cidr = ipaddress.ip_network(f"10.0.{number}.0/24")
    for index in range(1, interfaces + 1):
        interface = call(endpoint, "CreateNetworkInterface", SubnetId=pod_subnet, PrivateIpAddress=str(pod_cidr[index]))
        call(endpoint, "AttachNetworkInterface", InstanceId=instance, DeviceIndex=index,
             NetworkInterfaceId=interface.findtext(".//networkInterfaceId"))
    return {"name": f"node-{number}", "ip": node_ip, "podCIDR": str(pod_cidr), "zone": ZONE,
            "providerID": f"aws:///{ZONE}/{instance}"}


if __name__ == "__main__":
    json.dump(seed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), sys.stdout)
