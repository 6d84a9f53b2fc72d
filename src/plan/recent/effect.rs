//! One change of ours that a listing of EC2 may not show yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::action::Action;
use crate::plan::forecast::Outcome;
use crate::plan::snapshot::{Address, AllocationId};

/// Something of ours that a listing may not show yet.
#[derive(Clone, Debug, Hash)]
pub struct Effect {
    pub at: u64,
    pub action: Action,
    pub outcome: Outcome,
    /// Until when a listing that shows it does not count, for the next may show it no more.
    firm_until: u64,
    /// Whether a listing has shown it.
    shown: bool,
    /// A change that undoes it may have been made.
    doubted: bool,
}

impl Effect {
    /// What to remember of a change. Of one to Kubernetes nothing: its lists are consistent.
    pub fn of(action: &Action, outcome: &Outcome, at: u64, firm_until: u64) -> Option<Self> {
        match action {
            Action::Allocate { .. }
            | Action::Release { .. }
            | Action::Tag { .. }
            | Action::Associate { .. }
            | Action::Disassociate { .. } => {
                let (action, outcome) = (action.clone(), outcome.clone());
                Some(Self { at, action, outcome, firm_until, shown: false, doubted: false })
            }
            Action::Create { .. }
            | Action::Delete { .. }
            | Action::Hold { .. }
            | Action::LetGo { .. }
            | Action::Record { .. }
            | Action::Annotate { .. }
            | Action::Clear { .. }
            | Action::Unblock { .. } => None,
        }
    }

    /// Takes in a listing. Whether it is to be remembered.
    pub fn see(
        &mut self,
        observed: &BTreeMap<AllocationId, Address>,
        ended: &BTreeSet<String>,
        now: u64,
    ) -> bool {
        let shown = self.is_shown(observed, ended);
        self.shown |= shown;
        let is_firm = shown && now >= self.firm_until;
        !(is_firm || self.doubted && self.shown)
    }

    /// Nobody knows whether this change was made, which may undo it: so once it was shown, a
    /// listing that shows it no more is believed.
    pub fn doubt(&mut self, change: &Action) {
        let undone = match (change, &self.outcome) {
            (
                Action::Disassociate { association, .. },
                Outcome::Associated { association: own },
            ) => association == own,
            (Action::Release { address, .. }, Outcome::Allocated { address: own, .. }) => {
                address == own
            }
            _ => false,
        };
        self.doubted |= undone;
    }

    /// Whether the listing shows it, or shows that somebody has changed things since. `ended`: the
    /// associations that we have ended.
    pub fn is_shown(
        &self,
        observed: &BTreeMap<AllocationId, Address>,
        ended: &BTreeSet<String>,
    ) -> bool {
        match (&self.action, &self.outcome) {
            (_, Outcome::Allocated { address, .. }) => observed.contains_key(address),
            (Action::Associate { address, .. }, Outcome::Associated { association }) => {
                if ended.contains(association) {
                    return true;
                }
                let seen = observed.get(address).and_then(|address| address.association.as_ref());
                seen.is_some_and(|seen| seen == association || !ended.contains(seen))
            }
            (Action::Tag { address, uid, .. }, _) => {
                observed.get(address).is_some_and(|seen| seen.eip == *uid && seen.cluster.is_some())
            }
            (Action::Disassociate { .. } | Action::Release { .. }, _) => false,
            _ => true,
        }
    }
}
