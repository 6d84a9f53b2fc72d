//! Law: no pod keeps a finalizer of the older operator, for nobody else would ever remove it.

use crate::plan::action::{Action, Reason};
use crate::plan::planner::Draft;

pub fn steps(draft: &mut Draft<'_>) {
    for (key, pod) in draft.snapshot.pods_in_scope() {
        if !pod.legacy_finalizers.is_empty() {
            let action = Action::Unblock { pod: key.clone(), uid: pod.uid.clone() };
            draft.step_for(key, &pod.uid, action, Reason::LeftByOlderOperator);
        }
    }
}
