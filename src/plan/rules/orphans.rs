//! Law: an address of ours whose Eip does not exist is reported, and left as it is.
//!
//! Its Eip may have lost its finalizer by hand, or the cluster was restored from a backup in
//! which the Eip has another uid. Only a person can tell.

use crate::plan::action::{Subject, Wait};
use crate::plan::claims::is_owned;
use crate::plan::planner::Draft;
use crate::plan::snapshot::Key;

pub fn notes(draft: &mut Draft<'_>) {
    let snapshot = draft.snapshot;
    let (Some(addresses), Some(eips)) = (snapshot.addresses.known(), snapshot.eips.known()) else {
        return;
    };
    let living: std::collections::BTreeSet<_> = eips.values().map(|eip| &eip.uid).collect();
    for (id, address) in addresses {
        let taken_up = draft.tags(id);
        if is_owned(snapshot, address) && !living.contains(&address.eip) && !taken_up {
            let eip = Key::new(address.namespace.clone(), address.name.clone());
            let (ip, uid) = (address.ip.clone(), address.eip.clone());
            let wait = Wait::Orphan { ip, eip, uid };
            draft.wait(Subject::Address(id.clone()), wait);
        }
    }
}
