//! Law: the idle address of an Eip that is being deleted goes back to AWS.
//!
//! Not while a person protects it: the Eip stays, being deleted, until that ends. Nor while the
//! definition of Eips is being deleted: that deletes every Eip, which nobody may have meant to cost
//! all addresses.

use crate::plan::action::{Action, Reason, Subject, Wait};
use crate::plan::claims::Claim;
use crate::plan::planner::Draft;
use crate::plan::rules::record::carrier_unread;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims.iter().filter(|claim| claim.eip.deleting && claim.eip.held) {
        if draft.snapshot.holds_releases() {
            if draft.snapshot.definition.known().is_some() && !claim.addresses.is_empty() {
                draft.wait(Subject::Eip(claim.key.clone()), Wait::DefinitionDeleted);
            }
            continue;
        }
        if let Some(by) = draft.snapshot.protection(claim.eip) {
            if !claim.addresses.is_empty() {
                draft.wait(Subject::Eip(claim.key.clone()), Wait::Protected { by });
            }
            continue;
        }
        if carrier_unread(draft.snapshot, claim) {
            continue; // it may announce the address
        }
        for (id, address) in &claim.addresses {
            if address.association.is_none() {
                let action = Action::Release {
                    address: (*id).clone(),
                    ip: address.ip.clone(),
                    eip: claim.key.clone(),
                    eip_uid: claim.eip.uid.clone(),
                    orphan: false,
                };
                draft.step(claim, action, Reason::EipDeleted);
            }
        }
    }
}
