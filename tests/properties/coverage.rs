//! The arbitrary worlds are not idle ones: whatever the planner can say, it says in some of them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use eip_operator::plan::forecast::forecast;

use crate::check;
use crate::snapshots::possible;

/// Every verb, every reason and everything that is waited for, but for what is said in one world
/// of a thousand: an address that leaves the very IP which another is to come to.
const SAID: &str = "create delete hold let_go allocate release tag associate disassociate annotate \
    clear unblock record \
    PodAsksForEip PodNoLongerAsks IntentBeforePurchase NoAddressForEip TagsIncomplete \
    SameNameBefore PodIsRunning PodIsElsewhere AssociationInPlace AddressLeaves EipDeleted EipGone \
    EipAndPodGone \
    NothingLeft Surplus Unclaimed StatusBehind LeftByOlderOperator \
    PodNotFound PodNotManaged PodFinished PodNotScheduled PodWithoutIP PodSandboxDown \
    PodTerminating HostNetwork UnsupportedIPFamily PodReplaced Conflict \
    Unread MaybeAllocated AddressLost Untagged QuotaExceeded NamespaceLimit NodeUnknown \
    WaitingForENI TargetOccupied AddressLimitExceeded NameTaken PredecessorLeaves PredecessorProtected \
    Orphan TooManyOrphans DefinitionDeleted Protected MovedRecently AnnotatedRecently \
    InvalidPodName";

#[test]
fn the_worlds_reach_everything_that_a_plan_can_say() {
    let said = RefCell::new(BTreeSet::new());
    check(1_000, possible(), |world| {
        let mut said = said.borrow_mut();
        for round in forecast(&world.0).rounds {
            for step in &round.steps {
                said.insert(step.action.verb().replace(' ', "_"));
                said.insert(step.reason.code().to_owned());
            }
            said.extend(round.notes.iter().map(|note| note.wait.code()));
        }
        Ok(())
    });
    let said = said.into_inner();
    let unsaid: Vec<&str> = SAID.split(' ').filter(|word| !said.contains(*word)).collect();
    assert!(unsaid.is_empty(), "in no world: {unsaid:?}");
}
