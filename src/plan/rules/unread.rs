//! Law: a part of the world that could not be read is said, and nothing is planned on it.
//!
//! The second half is kept by every other rule: it asks for [`Part::known`] and has nothing to
//! work on otherwise.

use crate::plan::action::{Subject, Wait};
use crate::plan::planner::Draft;
use crate::plan::snapshot::Part;

pub fn notes(draft: &mut Draft<'_>) {
    let snapshot = draft.snapshot;
    let parts = [
        ("addresses", why(&snapshot.addresses)),
        ("eips", why(&snapshot.eips)),
        ("pods", why(&snapshot.pods)),
        ("nodes", why(&snapshot.nodes)),
        ("interfaces", why(&snapshot.interfaces)),
    ];
    for (part, why) in parts {
        if let Some(why) = why {
            draft.wait(Subject::Cluster, Wait::Unread { part, why });
        }
    }
}

fn why<T>(part: &Part<T>) -> Option<String> {
    part.why_unknown().map(str::to_owned)
}
