//! What the person who runs the operator has decided, as far as plans depend on it.

use serde::{Deserialize, Serialize};

use super::is_default;

/// What the person who runs the operator has decided.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The one namespace in scope; all of them when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub allow_host_network: bool,
    /// `NAMESPACE_LIMIT`: Eips that a namespace may hold addresses for; any number when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_limit: Option<u64>,
    /// `PROTECT`: no address is released.
    #[serde(skip_serializing_if = "is_default")]
    pub protect: bool,
    /// `RELEASE_ORPHANS`: whether an address whose Eip does not exist is released.
    #[serde(skip_serializing_if = "is_default")]
    pub release_orphans: bool,
    /// `ORPHAN_GRACE` in seconds: how long it must have been so.
    #[serde(skip_serializing_if = "is_usual_grace")]
    pub orphan_grace: u64,
    /// `MAX_RELEASES`: the most of them in an hour; a tenth of our addresses when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_releases: Option<u64>,
    /// `EC2_SETTLE` in seconds: after this long a listing shows every change, by assumption.
    pub settle: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: None,
            allow_host_network: false,
            namespace_limit: None,
            protect: false,
            release_orphans: false,
            orphan_grace: ORPHAN_GRACE,
            max_releases: None,
            settle: 300,
        }
    }
}

impl Settings {
    /// Whether objects of this namespace are ours to handle.
    pub fn in_scope(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|only| only == namespace)
    }
}

/// The usual `ORPHAN_GRACE`, in seconds.
const ORPHAN_GRACE: u64 = 600;

fn is_usual_grace(seconds: &u64) -> bool {
    *seconds == ORPHAN_GRACE
}
