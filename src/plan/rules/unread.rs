//! Law: a part of the world that could not be read is said, and nothing is planned on it.
//!
//! The second half is kept by every other rule: it asks for [`Part::known`] and has nothing to
//! work on otherwise.

use crate::plan::action::{Subject, Wait};
use crate::plan::planner::Draft;

pub fn notes(draft: &mut Draft<'_>) {
    for (part, why) in draft.snapshot.unread() {
        draft.wait(Subject::Cluster, Wait::Unread { part, why: why.to_owned() });
    }
}
