//! What no plan may contain, checked on the plan and its snapshot alone.
//!
//! Written without the rules' own helpers, so that a wrong rule is caught by another pair of
//! eyes: every story asks it, and the operator asks it before it carries a plan out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::action::{Action, Plan, Step};
use super::snapshot::{Address, AllocationId, Eip, Key, Snapshot, Uid};

/// One sentence a fault; empty for a plan that may be carried out.
pub fn faults(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let uids = Uids::of(snapshot);
    let mut found: Vec<String> =
        plan.steps.iter().filter_map(|step| fault(snapshot, &uids, step).err()).collect();
    let mut bought_for = BTreeSet::new();
    for step in &plan.steps {
        if let Action::Allocate { uid, eip, .. } = &step.action
            && !bought_for.insert(uid)
        {
            found.push(format!("two addresses would be bought for eip {eip}"));
        }
    }
    let last_end = plan.steps.iter().rposition(|s| matches!(s.action, Action::Disassociate { .. }));
    let first_buy = plan.steps.iter().position(|s| matches!(s.action, Action::Allocate { .. }));
    if let (Some(end), Some(buy)) = (last_end, first_buy)
        && end > buy
    {
        found.push("a purchase comes before a disassociation".to_owned());
    }
    found
}

/// The snapshot by uid of the Eip, so that a plan of n steps does not cost n².
struct Uids<'a> {
    eips: BTreeMap<&'a Uid, &'a Eip>,
    /// The addresses of this cluster that carry it.
    addresses: BTreeMap<&'a Uid, Vec<&'a AllocationId>>,
}

impl<'a> Uids<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let eips = snapshot.eips.known().into_iter().flatten();
        let mut addresses: BTreeMap<&Uid, Vec<&AllocationId>> = BTreeMap::new();
        for (id, address) in snapshot.addresses.known().into_iter().flatten() {
            if address.cluster.as_ref().is_none_or(|uid| *uid == snapshot.cluster.uid) {
                addresses.entry(&address.eip).or_default().push(id);
            }
        }
        Self { eips: eips.map(|(_, eip)| (&eip.uid, eip)).collect(), addresses }
    }

    fn addresses_of(&self, uid: &Uid) -> &[&'a AllocationId] {
        self.addresses.get(uid).map_or(&[], Vec::as_slice)
    }
}

fn fault(snapshot: &Snapshot, uids: &Uids<'_>, step: &Step) -> Result<(), String> {
    match &step.action {
        Action::Associate { address, interface, private_ip, pod, pod_uid, .. } => {
            let found = owned(snapshot, address)?;
            need(found.association.is_none(), || format!("{address} is associated already"))?;
            need(found.namespace == pod.namespace, || {
                format!("{address} is of namespace {}, pod {pod} is not", found.namespace)
            })?;
            let there = snapshot.pods.known().and_then(|pods| pods.get(pod));
            let fits = there.is_some_and(|there| {
                there.uid == *pod_uid
                    && there.ip == Some(IpAddr::V4(*private_ip))
                    && there.managed
                    && !there.phase.is_terminal()
            });
            need(fits, || format!("pod {pod} is not to be given an address at {private_ip}"))?;
            let holds = snapshot.interfaces.known().and_then(|all| all.get(interface));
            need(holds.is_some_and(|interface| interface.holds(*private_ip)), || {
                format!("{interface} does not hold {private_ip}")
            })
        }
        Action::Tag { address, eip, uid, from, .. } => {
            let found = owned(snapshot, address)?;
            need(found.eip == *from, || format!("{address} is not of Eip uid {from}"))?;
            let named = snapshot.eips.known().and_then(|eips| eips.get(eip));
            let named = named.is_some_and(|one| one.uid == *uid && one.held);
            let near = found.namespace == eip.namespace;
            need(named && near, || format!("{address} is not of eip {eip}"))?;
            let lives = uids.eips.contains_key(from);
            need(uid == from || !lives && found.name == eip.name, || {
                format!("{address} is of another Eip, or one that exists")
            })
        }
        Action::Disassociate { address, association, .. } => {
            let found = owned(snapshot, address)?;
            need(found.association.as_ref() == Some(association), || {
                format!("{association} is not the association of {address}")
            })
        }
        Action::Release { address, eip_uid, orphan, .. } => {
            let found = owned(snapshot, address)?;
            let definition = snapshot.definition.known();
            let kept = definition.is_none_or(|one| one.deleting && !one.release_all);
            need(!kept, || format!("{address} goes while the definition of Eips does"))?;
            let eip = uids.eips.get(eip_uid);
            let protected = snapshot.settings.protect || eip.is_some_and(|eip| eip.protected);
            need(!protected, || format!("{address} goes, and is protected"))?;
            need(found.association.is_none(), || format!("{address} is associated"))?;
            need(found.eip == *eip_uid, || format!("{address} is not of Eip uid {eip_uid}"))?;
            if *orphan {
                return orphan_fault(snapshot, uids, address, found);
            }
            need(eip.is_some(), || format!("{address} goes, and its Eip does not exist"))?;
            let lives = eip.is_some_and(|eip| !eip.deleting);
            let others = uids.addresses_of(eip_uid).iter().any(|id| *id != address);
            need(!lives || others, || format!("the only address of a living Eip, {address}"))
        }
        Action::Allocate { eip, uid, .. } => {
            let found = snapshot.eips.known().and_then(|eips| eips.get(eip));
            let intends = found.is_some_and(|eip| eip.uid == *uid && eip.held && !eip.deleting);
            need(intends, || format!("eip {eip} does not hold the intent to own an address"))?;
            let none = snapshot.addresses.known().is_some() && uids.addresses_of(uid).is_empty();
            need(none, || format!("eip {eip} has an address, or nobody knows"))
        }
        Action::LetGo { eip, uid } => {
            let none = snapshot.addresses.known().is_some() && uids.addresses_of(uid).is_empty();
            need(none, || format!("eip {eip} still has an address, or nobody knows"))
        }
        Action::Delete { eip, .. } => {
            let made = snapshot.eips.known().and_then(|eips| eips.get(eip));
            need(made.is_some_and(|eip| eip.autocreated_for.is_some()), || {
                format!("eip {eip} was not made by the operator")
            })
        }
        Action::Annotate { pod, address, .. } => annotate_fault(snapshot, pod, address),
        _ => Ok(()),
    }
}

fn orphan_fault(
    snapshot: &Snapshot,
    uids: &Uids<'_>,
    id: &AllocationId,
    address: &Address,
) -> Result<(), String> {
    let (settings, recent) = (&snapshot.settings, &snapshot.recent);
    let asked = settings.release_orphans && address.cluster.is_some();
    need(asked, || format!("{id} has no Eip, and nobody asked for its release"))?;
    let name = Key::new(address.namespace.clone(), address.name.clone());
    let named = snapshot.eips.known().is_some_and(|eips| eips.contains_key(&name));
    let claimed = uids.eips.contains_key(&address.eip) || named;
    need(!claimed && !uids.eips.is_empty(), || format!("{id} may belong to an Eip"))?;
    let unclaimed = recent.unclaimed.get(id).copied().unwrap_or(0);
    need(unclaimed >= settings.orphan_grace, || format!("{id} was without an Eip too shortly"))
}

fn annotate_fault(snapshot: &Snapshot, pod: &Key, address: &AllocationId) -> Result<(), String> {
    let found = owned(snapshot, address)?;
    let there = snapshot.pods.known().and_then(|pods| pods.get(pod)).and_then(|pod| pod.ip);
    need(there.is_some() && found.private_ip.map(IpAddr::V4) == there, || {
        format!("{address} is not on pod {pod}")
    })
}

fn owned<'a>(snapshot: &'a Snapshot, id: &AllocationId) -> Result<&'a Address, String> {
    let found = snapshot.addresses.known().and_then(|all| all.get(id));
    let found = found.ok_or_else(|| format!("{id} was not seen"))?;
    let of_cluster = found.cluster.as_ref().is_none_or(|uid| *uid == snapshot.cluster.uid);
    need(of_cluster, || format!("{id} belongs to another cluster"))?;
    need(snapshot.settings.in_scope(&found.namespace), || format!("{id} is out of scope"))?;
    Ok(found)
}

fn need(holds: bool, or: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(or()) }
}

#[cfg(test)]
mod tests;
