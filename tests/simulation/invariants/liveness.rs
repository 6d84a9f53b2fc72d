//! What must have come about once faults have stopped and the operators have had their time.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use eip_operator::plan::snapshot::{AllocationId, Eip, Key, Pod, Uid};

use super::super::ec2::Elastic;
use super::super::scenario::User;
use super::super::world::World;
use super::calls::is_ours;
use super::{Check, need, target};

/// What should have come about, now that all has been quiet for long enough.
pub fn liveness(world: &World) -> Vec<String> {
    let (account, cluster) = (&world.account, &world.cluster);
    let mut found = Vec::new();
    for (key, eip) in &cluster.eips {
        if is_broken(world, key, eip) {
            continue;
        }
        if eip.deleting && cluster.definition.deleting && !cluster.definition.release_all {
            continue; // held until a person says that the addresses may go
        }
        let protected = eip.protected || world.scenario.settings.protect;
        if eip.deleting && protected && account.of(&eip.uid).next().is_some() {
            continue; // held until a person no longer protects it
        }
        let recorded = eip.status.allocation.as_ref();
        if eip.deleting && recorded.is_some_and(|id| world.ledger.untagged.contains(id)) {
            continue; // a person took our tags off its address, and has the say
        }
        if eip.deleting {
            found.push(format!("L2: eip {key} is still being deleted"));
            continue;
        }
        found.extend(settled(world, key, eip).err());
    }
    found.extend(orphans_left(world));
    for (key, live) in &cluster.pods {
        let pod = &live.seen;
        if let Some(id) = pod.allocation.as_ref().filter(|_| pod.managed) {
            let on = account.elastics.get(id).filter(|one| one.exists()).and_then(on);
            if pod.ip != on.map(IpAddr::V4) && pod.terminating.is_none() {
                found.push(format!("L1: pod {key} announces {id}, which is not on it"));
            }
        }
        if !pod.managed && pod.allocation.is_some() && !strange_annotations(world) {
            found.push(format!("L1: pod {key} bears our annotations and no label"));
        }
        let asks = pod.autocreate && target(pod).is_some();
        let named = cluster.eips.iter().any(|(eip_key, eip)| {
            eip_key == key || eip_key.namespace == key.namespace && eip.pod == key.name
        });
        let refused = world.scenario.broken.as_ref().is_some_and(|broken| {
            broken.verb == "create" && broken.namespace.is_none_or(|it| it == key.namespace)
        });
        if asks && !named && !refused && !cluster.definition.deleting {
            found.push(format!("L1: pod {key} asks for an Eip and has none"));
        }
    }
    found
}

/// Whether somebody wrote annotations like ours, or took away the Eip by which ours are found again.
fn strange_annotations(world: &World) -> bool {
    let hides = |user: &User| {
        matches!(
            user,
            User::ForgeAnnotations { .. }
                | User::ForgeStatus { .. }
                | User::StripFinalizer { .. }
                | User::Restore { .. }
        )
    };
    world.scenario.second || world.scenario.deeds.iter().any(|(_, user)| hides(user))
}

/// L5 and L9: whether this Eip needs what EC2 never does.
fn is_broken(world: &World, key: &Key, eip: &Eip) -> bool {
    let Some(broken) = &world.scenario.broken else { return false };
    if broken.namespace.is_some_and(|namespace| namespace != key.namespace) {
        return false;
    }
    let own: Vec<_> = world.account.of(&eip.uid).collect();
    match broken.verb {
        "allocate" => own.is_empty() && !eip.deleting,
        "create" => false,
        "associate" => own.iter().any(|(_, one)| one.association().is_none()) && !eip.deleting,
        _ => eip.deleting || own.len() > 1,
    }
}

/// L3: with RELEASE_ORPHANS what has no Eip is gone, unless that would be too many.
fn orphans_left(world: &World) -> Option<String> {
    let (account, cluster, settings) = (&world.account, &world.cluster, &world.scenario.settings);
    let held = settings.protect
        || cluster.definition.deleting && !cluster.definition.release_all
        || world.scenario.broken.is_some();
    if !settings.release_orphans
        || cluster.eips.is_empty()
        || held
        || settings.max_releases != Some(50)
    {
        return None;
    }
    let left = account.living().find(|(_, one)| {
        let tags = one.tags();
        tags.cluster_uid.is_some()
            && tags.allocated_at.is_some()
            && is_ours(tags, cluster)
            && cluster.eip(&tags.eip).is_none()
            && !cluster.eips.contains_key(&Key::new(tags.namespace.clone(), tags.name.clone()))
    });
    left.map(|(id, one)| format!("L3: {id} of {:?} has no Eip and is still there", one.tags()))
}

fn on(elastic: &Elastic) -> Option<Ipv4Addr> {
    elastic.association().map(|one| one.private_ip)
}

fn settled(world: &World, key: &Key, eip: &Eip) -> Check {
    let (account, cluster) = (&world.account, &world.cluster);
    let pod_key = key.sibling(&eip.pod);
    let live = cluster.pods.get(&pod_key).map(|live| &live.seen);
    let mine = |pod: &&Pod| eip.autocreated_for.as_ref().is_none_or(|owner| *owner == pod.uid);
    let live = live.filter(mine);
    let rivals = cluster.eips.iter().filter(|(other, one)| {
        *other != key && other.namespace == key.namespace && one.pod == eip.pod
    });
    let contested = rivals.count() > 0;
    let own: Vec<_> = account.of(&eip.uid).collect();
    let protected = eip.protected || world.scenario.settings.protect;
    need(own.len() <= 1 || protected, || format!("L4: eip {key} has {} addresses", own.len()))?;
    // Of two that are protected either may serve (seeds 56832 and 52223).
    let recorded = |id: &AllocationId| eip.status.allocation.as_ref() == Some(id);
    let serving = own.iter().find(|(_, one)| on(one).is_some());
    let serving = serving.or(own.iter().find(|(id, _)| recorded(id)));
    let Some((id, one)) = serving.or(own.first()) else {
        let full = account.living().count() as u64 >= account.limit;
        let lost = world.ledger.robbed.contains(&eip.uid) && eip.autocreated_for.is_none();
        let never =
            live.is_some_and(|pod| pod.host_network || pod.ip.is_some_and(|ip| ip.is_ipv6()));
        let idle = eip.autocreated_for.is_some() && live.is_none_or(|pod| target(pod).is_none());
        let forged = matches!(&*eip.status.reason, "AddressLost" | "Untagged");
        let namespace_full = world.scenario.settings.namespace_limit.is_some_and(|limit| {
            let of_namespace = account.living().filter(|(_, one)| {
                one.tags().namespace == key.namespace && is_ours(one.tags(), cluster)
            });
            let uids: BTreeSet<&Uid> = of_namespace.map(|(_, one)| &one.tags().eip).collect();
            uids.len() as u64 >= limit
        });
        let untagged = world.ledger.robbed.contains(&eip.uid) && eip.status.reason == "Untagged";
        let full = full || namespace_full || untagged;
        let excused = full || lost || never || idle || contested || forged;
        return need(excused, || format!("L1: eip {key} has no address: {}", eip.status.reason));
    };
    if live.is_some_and(|pod| pod.terminating.is_some()) {
        return Ok(()); // on a lost node it stays so
    }
    let wanted = live.and_then(target);
    // A node that is lost has no interface any more. The address of an Eip that is gone is reported,
    // and left where it is unless an Eip of that name has the pod (seed 3718).
    let orphaned = |ip: &Ipv4Addr| {
        account.on(*ip).is_some_and(|(id, one)| {
            cluster
                .eip(&one.tags().eip)
                .is_none_or(|(_, eip)| account.of(&eip.uid).all(|(own, _)| own != id))
        })
    };
    let reachable = wanted
        .filter(|ip| account.interfaces.values().any(|(_, ips)| ips.contains(ip)))
        .filter(|ip| !orphaned(ip));
    let there = on(one);
    if contested {
        return need(there.is_none() || there == wanted, || {
            format!("L1: {id} of eip {key} is on {there:?}, which is not its pod's")
        });
    }
    need(there == reachable, || {
        format!("L1: {id} of eip {key} is on {there:?} and belongs on {reachable:?}")
    })?;
    let announced = live.is_none_or(|pod| {
        there.is_none()
            || pod.allocation.as_ref() == Some(*id) && pod.target.as_ref() == Some(&one.ip)
    });
    need(announced, || format!("L1: pod {pod_key} does not announce {id}"))?;
    need(eip.status.ready == there.is_some() && eip.status.ip.as_ref() == Some(&one.ip), || {
        format!("L1: the status of eip {key} says {:?}", eip.status)
    })
}
