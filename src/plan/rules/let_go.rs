//! Law: our finalizer goes when no address carries the Eip's uid, nor may one be on its way, or be
//! there without our tags.

use crate::plan::action::{Action, Reason, Subject, Wait};
use crate::plan::claims::Claim;
use crate::plan::planner::Draft;
use crate::plan::rules::record::carrier_unread;
use crate::plan::snapshot::{AllocationId, Snapshot};

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    if draft.snapshot.addresses.known().is_none() {
        return;
    }
    for claim in claims.iter().filter(|claim| claim.eip.deleting && claim.eip.held) {
        if !claim.addresses.is_empty() {
            continue;
        }
        let uid = &claim.eip.uid;
        if let Some(id) = draft.index.of_uid(uid) {
            let wait = Wait::Untagged { address: id.clone() };
            draft.wait(Subject::Eip(claim.key.clone()), wait);
            continue;
        }
        // An address that exists without our tags may be ours yet: a person took them off.
        if let Some(id) = &claim.eip.status.allocation
            && let Some(wait) = untagged(draft.snapshot, id)
        {
            draft.wait(Subject::Eip(claim.key.clone()), wait);
            continue;
        }
        if carrier_unread(draft.snapshot, claim) {
            continue; // said by the rule on unread parts
        }
        let settle = draft.snapshot.settings.settle;
        match draft.snapshot.recent.settling.get(uid).copied().unwrap_or(settle) {
            0 => {
                let action = Action::LetGo { eip: claim.key.clone(), uid: uid.clone() };
                draft.step(claim, action, Reason::NothingLeft);
            }
            seconds => {
                let wait = Wait::MaybeAllocated { seconds };
                draft.wait(Subject::Eip(claim.key.clone()), wait);
            }
        }
    }
}

/// Whether the address on record is there without our tags, or nobody knows.
fn untagged(snapshot: &Snapshot, id: &AllocationId) -> Option<Wait> {
    match snapshot.untagged.known() {
        Some(untagged) if untagged.contains_key(id) => Some(Wait::Untagged { address: id.clone() }),
        Some(_) => None,
        None => {
            let why = snapshot.untagged.why_unknown().unwrap_or_default().to_owned();
            Some(Wait::Unread { part: "recorded addresses", why })
        }
    }
}
