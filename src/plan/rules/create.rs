//! Law: a scheduled pod that asks for an Eip gets one of its name, unless an Eip names it already.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::plan::action::{Absence, Action, Reason, Subject, Wait};
use crate::plan::claims::{Claim, eligible};
use crate::plan::planner::Draft;
use crate::plan::snapshot::{Key, Pod};

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    if draft.snapshot.eips.known().is_none() {
        return;
    }
    let mut naming: Naming<'_> = BTreeMap::new();
    for claim in claims {
        naming.entry((&claim.key.namespace, &claim.eip.pod)).or_default().push(claim);
    }
    for (key, pod) in draft.snapshot.pods_in_scope().filter(|(_, pod)| pod.autocreate) {
        if let Some(absence) = refusal(draft, pod) {
            if let Absence::HostNetwork | Absence::Ipv6Only = absence {
                let wait = Wait::Pod { pod: key.clone(), absence };
                draft.wait(Subject::Pod(key.clone()), wait);
            }
            continue;
        }
        create(draft, claims, &naming, key, pod);
    }
}

/// Why this pod gets none. Its IP need not be there yet: the Eip is made meanwhile.
fn refusal(draft: &Draft<'_>, pod: &Pod) -> Option<Absence> {
    match eligible(pod, &draft.snapshot.settings) {
        Ok(_) | Err(Absence::WithoutIp) => None,
        Err(absence) => Some(absence),
    }
}

/// By pod: the claims that name it.
type Naming<'a> = BTreeMap<(&'a str, &'a str), Vec<&'a Claim<'a>>>;

fn create(draft: &mut Draft<'_>, claims: &[Claim<'_>], naming: &Naming<'_>, key: &Key, pod: &Pod) {
    let serves = |claim: &&Claim<'_>| {
        let for_this_pod = claim.eip.autocreated_for.as_ref().is_none_or(|uid| *uid == pod.uid);
        for_this_pod && claim.lasts
    };
    if naming.get(&(key.namespace.as_str(), key.name.as_str())).into_iter().flatten().any(serves) {
        return;
    }
    if let Ok(nth) = claims.binary_search_by_key(&key, |claim| claim.key) {
        let other = &claims[nth];
        let eip = key.clone();
        let leaves = other.eip.deleting || other.eip.autocreated_for.is_some();
        let wait = match (leaves, draft.snapshot.protection(other.eip)) {
            (true, Some(_)) => Wait::PredecessorProtected { eip },
            (true, None) => Wait::PredecessorLeaves { eip },
            (false, _) => Wait::NameTaken { eip },
        };
        draft.wait(Subject::Pod(key.clone()), wait);
        return;
    }
    debug_assert!(!matches!(pod.ip, Some(IpAddr::V6(_))), "refused above");
    let action = Action::Create { eip: key.clone(), pod_uid: pod.uid.clone() };
    // There is no Eip yet: a failure is remembered for the pod.
    draft.step_for(key, &pod.uid, action, Reason::PodAsksForEip { pod: key.clone() });
}
