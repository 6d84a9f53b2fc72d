//! What the running process remembers, as the planner is told of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AllocationId, Uid, is_default};

/// What the running process remembers. All times are seconds, as of the observation.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recent {
    /// By Eip uid: for how long an address of it may still be on its way, unseen. Zero: surely
    /// none. An Eip that is held and not listed here was held by an earlier process, which may
    /// have bought just before it ended.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settling: BTreeMap<Uid, u64>,
    /// By pod uid: since when it has been seen terminating.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub terminating: BTreeMap<Uid, u64>,
    /// By address: for how long it has been seen without an Eip, in every look.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unclaimed: BTreeMap<AllocationId, u64>,
    /// Of those: the uid of the pod it was on when an Eip last had it, or when it was first seen.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub carriers: BTreeMap<AllocationId, Uid>,
    /// How many of those were released within the last hour.
    #[serde(skip_serializing_if = "is_default")]
    pub orphans_released: u64,
    /// By Eip uid: its address was moved a moment ago, and is not moved again for so long. By pod
    /// uid: the same of its annotations, which somebody else changes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dwelling: BTreeMap<Uid, u64>,
    /// By Eip uid, or pod uid where there is no Eip: a step failed, and is not tried again for so
    /// long.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub backoff: BTreeMap<Uid, Pause>,
    /// By verb of an action (`allocate`): a call failed for a reason that concerns all of them.
    /// After zero seconds one is tried, and the others once it is done.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stopped: BTreeMap<String, Pause>,
    /// By verb of an action (`associate`): the namespace that was served last. The next turn is
    /// that of the namespace after it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub served: BTreeMap<String, String>,
}

/// Something is not tried for a while.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// Seconds from now.
    pub seconds: u64,
    /// The error code, or one word.
    pub reason: String,
    /// The whole error.
    pub message: String,
}
