//! What the operator can change, why it would, and what it waits for.

use std::fmt;
use std::net::Ipv4Addr;

use super::snapshot::{AllocationId, InterfaceId, Key, Status, Uid};

/// One change to the cluster or to AWS. There is no other way to change either.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make the Eip that a pod asked for, finalizer included.
    Create { eip: Key, pod_uid: Uid },
    /// Delete an Eip that the operator made.
    Delete { eip: Key, uid: Uid, pod_uid: Uid },
    /// Put our finalizer on an Eip: from now on it may own an address.
    Hold { eip: Key, uid: Uid },
    /// Take our finalizer off.
    LetGo { eip: Key, uid: Uid },
    /// Buy an address.
    Allocate { eip: Key, uid: Uid, pod: String },
    /// Give an address back to AWS, for good.
    Release { address: AllocationId, ip: String, eip_uid: Uid },
    /// Complete the tags of an address: whose it is (`uid`, in place of `from`), which cluster's it
    /// is, and if it is undated, that it was there now.
    Tag { address: AllocationId, ip: String, eip: Key, uid: Uid, from: Uid, undated: bool },
    /// Bind an address to a pod's IP.
    Associate {
        address: AllocationId,
        ip: String,
        interface: InterfaceId,
        private_ip: Ipv4Addr,
        pod: Key,
        pod_uid: Uid,
    },
    /// End one association, named by its id, so that no later one can be hit.
    Disassociate { address: AllocationId, ip: String, association: String, private_ip: String },
    /// Write the three annotations of a pod.
    Annotate { pod: Key, uid: Uid, address: AllocationId, ip: String },
    /// Take the three annotations off.
    Clear { pod: Key, uid: Uid },
    /// Take finalizers of the older operator off a pod.
    Unblock { pod: Key, uid: Uid },
    /// Write the status of an Eip.
    Record { eip: Key, uid: Uid, status: Box<Status> },
}

impl Action {
    /// The verb, which also is the name of the action in logs.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Delete { .. } => "delete",
            Self::Hold { .. } => "hold",
            Self::LetGo { .. } => "let go",
            Self::Allocate { .. } => "allocate",
            Self::Release { .. } => "release",
            Self::Tag { .. } => "tag",
            Self::Associate { .. } => "associate",
            Self::Disassociate { .. } => "disassociate",
            Self::Annotate { .. } => "annotate",
            Self::Clear { .. } => "clear",
            Self::Unblock { .. } => "unblock",
            Self::Record { .. } => "record",
        }
    }

    /// One sign a kind: `+` allocate, `>` associate, `<` disassociate, `-` release, `~` a write
    /// to Kubernetes or to an address's tags.
    pub fn sign(&self) -> char {
        match self {
            Self::Allocate { .. } => '+',
            Self::Associate { .. } => '>',
            Self::Disassociate { .. } => '<',
            Self::Release { .. } => '-',
            _ => '~',
        }
    }

    /// The place of an action among those of one round: exposure ends first, purchases wait for
    /// it, and what is final comes last.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Disassociate { .. } => 0,
            Self::Clear { .. } => 1,
            Self::Unblock { .. } => 2,
            Self::Hold { .. } => 3,
            Self::Create { .. } => 4,
            Self::Tag { .. } => 5,
            Self::Associate { .. } => 6,
            Self::Allocate { .. } => 7,
            Self::Record { .. } => 8,
            Self::Annotate { .. } => 9,
            Self::Delete { .. } => 10,
            Self::Release { .. } => 11,
            Self::LetGo { .. } => 12,
        }
    }
}

/// An action with the claim it serves and the reason a person would accept.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The Eip; for an Eip that is yet to be made, its future name.
    pub claim: Key,
    /// Uid of that Eip, empty when it is yet to be made.
    pub uid: Uid,
    pub action: Action,
    pub reason: Reason,
}

/// Why a step is in the plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    PodAsksForEip { pod: Key },
    PodNoLongerAsks { pod: Key, absence: Absence },
    IntentBeforePurchase,
    NoAddressForEip,
    TagsIncomplete,
    SameNameBefore,
    PodIsRunning { pod: Key },
    PodIsElsewhere { pod: Key, ip: Ipv4Addr },
    PodCannotCarry { pod: Key, absence: Absence },
    AssociationInPlace,
    AddressLeaves,
    EipDeleted,
    EipGone,
    NothingLeft,
    Surplus { kept: AllocationId },
    StatusBehind,
    LeftByOlderOperator,
}

impl Reason {
    /// A stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PodAsksForEip { .. } => "PodAsksForEip",
            Self::PodNoLongerAsks { .. } => "PodNoLongerAsks",
            Self::IntentBeforePurchase => "IntentBeforePurchase",
            Self::NoAddressForEip => "NoAddressForEip",
            Self::TagsIncomplete => "TagsIncomplete",
            Self::SameNameBefore => "SameNameBefore",
            Self::PodIsRunning { .. } => "PodIsRunning",
            Self::PodIsElsewhere { .. } => "PodIsElsewhere",
            Self::PodCannotCarry { absence, .. } => absence.code(),
            Self::AssociationInPlace => "AssociationInPlace",
            Self::AddressLeaves => "AddressLeaves",
            Self::EipDeleted => "EipDeleted",
            Self::EipGone => "EipGone",
            Self::NothingLeft => "NothingLeft",
            Self::Surplus { .. } => "Surplus",
            Self::StatusBehind => "StatusBehind",
            Self::LeftByOlderOperator => "LeftByOlderOperator",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodAsksForEip { pod } => write!(f, "pod {pod} asks for one by its label"),
            Self::PodNoLongerAsks { pod, absence } => write!(f, "pod {pod} {absence}"),
            Self::IntentBeforePurchase => {
                f.write_str("nothing is bought for an Eip that may vanish")
            }
            Self::NoAddressForEip => f.write_str("no address carries this Eip's uid"),
            Self::TagsIncomplete => f.write_str("its tags do not say all of whose it is"),
            Self::SameNameBefore => {
                f.write_str("it is of an Eip of that name which was gone and came back")
            }
            Self::PodIsRunning { pod } => write!(f, "pod {pod} is there"),
            Self::PodIsElsewhere { pod, ip } => write!(f, "pod {pod} is at {ip}"),
            Self::PodCannotCarry { pod, absence } => write!(f, "pod {pod} {absence}"),
            Self::AssociationInPlace => f.write_str("the association is in place"),
            Self::AddressLeaves => f.write_str("its address leaves it, or was never there"),
            Self::EipDeleted => f.write_str("the Eip is being deleted"),
            Self::EipGone => f.write_str("its Eip is gone, and another has its name and pod"),
            Self::NothingLeft => f.write_str("no address carries this Eip's uid any more"),
            Self::Surplus { kept } => write!(f, "the Eip has {kept} already"),
            Self::StatusBehind => f.write_str("its status lags behind"),
            Self::LeftByOlderOperator => f.write_str("the older operator left its finalizer"),
        }
    }
}

/// Why a pod cannot carry an address now. Completes "pod shop/web …".
#[derive(Clone, Debug, PartialEq)]
pub enum Absence {
    Gone,
    NotManaged,
    NotAutocreate,
    Finished,
    Unscheduled,
    WithoutIp,
    SandboxDown,
    Terminating,
    HostNetwork,
    Ipv6Only,
    OtherUid,
    ClaimedBy { eip: Key },
}

impl Absence {
    /// A stable word; also the reason of the condition `Ready`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Gone => "PodNotFound",
            Self::NotManaged => "PodNotManaged",
            Self::NotAutocreate => "PodNotAutocreate",
            Self::Finished => "PodFinished",
            Self::Unscheduled => "PodNotScheduled",
            Self::WithoutIp => "PodWithoutIP",
            Self::SandboxDown => "PodSandboxDown",
            Self::Terminating => "PodTerminating",
            Self::HostNetwork => "HostNetwork",
            Self::Ipv6Only => "UnsupportedIPFamily",
            Self::OtherUid => "PodReplaced",
            Self::ClaimedBy { .. } => "Conflict",
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => {
                f.write_str("does not exist, or is not labelled eip.materialize.cloud/manage=true")
            }
            Self::NotManaged => f.write_str("is not labelled eip.materialize.cloud/manage=true"),
            Self::NotAutocreate => {
                f.write_str("is not labelled eip.materialize.cloud/autocreate_eip=true")
            }
            Self::Finished => f.write_str("has finished"),
            Self::Unscheduled => f.write_str("is not scheduled yet"),
            Self::WithoutIp => f.write_str("has no IP yet"),
            Self::SandboxDown => f.write_str("has lost its sandbox, and its IP with it"),
            Self::Terminating => f.write_str("is terminating"),
            Self::HostNetwork => f.write_str("is on the host network, its IP is the node's"),
            Self::Ipv6Only => f.write_str("has only an IPv6 address, Elastic IPs are IPv4"),
            Self::OtherUid => f.write_str("was replaced by another of its name"),
            Self::ClaimedBy { eip } => write!(f, "is served by eip {eip}"),
        }
    }
}

/// What a note is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Cluster,
    Eip(Key),
    Pod(Key),
    Address(AllocationId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Eip(key) => write!(f, "eip {key}"),
            Self::Pod(key) => write!(f, "pod {key}"),
            Self::Address(id) => write!(f, "address {id}"),
        }
    }
}

/// Something held back, and for what it waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub subject: Subject,
    pub wait: Wait,
}

/// What something held back waits for. Completes "eip shop/web: …".
#[derive(Clone, Debug, PartialEq)]
pub enum Wait {
    /// A part of the snapshot could not be read.
    Unread {
        part: &'static str,
        why: String,
    },
    /// The pod cannot carry an address now.
    Pod {
        pod: Key,
        absence: Absence,
    },
    /// An address may be on its way, bought by a call whose answer was not seen.
    MaybeAllocated {
        seconds: u64,
    },
    AddressLost {
        address: AllocationId,
    },
    QuotaReached {
        limit: u64,
    },
    NodeUnknown {
        node: String,
    },
    InterfaceNotFound {
        pod: Key,
        ip: Ipv4Addr,
        node: String,
    },
    /// An address that is not ours, or not ours to move, is on the pod's IP.
    TargetOccupied {
        ip: Ipv4Addr,
        by: String,
    },
    /// Another address of ours is on the pod's IP, and leaves it first.
    TargetLeaving {
        ip: Ipv4Addr,
        by: String,
    },
    PausedAfterError {
        seconds: u64,
        reason: String,
        message: String,
    },
    NameTaken {
        eip: Key,
    },
    PredecessorLeaves {
        eip: Key,
    },
    /// An address of ours whose Eip does not exist.
    Orphan {
        ip: String,
        eip: Key,
        uid: Uid,
    },
    InvalidPodName {
        pod: String,
    },
}

impl Wait {
    /// A stable word; also the reason of the condition `Ready`.
    pub fn code(&self) -> String {
        let word = match self {
            Self::Unread { .. } => "Unread",
            Self::Pod { absence, .. } => absence.code(),
            Self::MaybeAllocated { .. } => "MaybeAllocated",
            Self::AddressLost { .. } => "AddressLost",
            Self::QuotaReached { .. } => "QuotaExceeded",
            Self::NodeUnknown { .. } => "NodeUnknown",
            Self::InterfaceNotFound { .. } => "WaitingForENI",
            Self::TargetOccupied { .. } => "TargetOccupied",
            Self::TargetLeaving { .. } => "TargetLeaving",
            Self::PausedAfterError { reason, .. } => reason.as_str(),
            Self::NameTaken { .. } => "NameTaken",
            Self::PredecessorLeaves { .. } => "PredecessorLeaves",
            Self::Orphan { .. } => "Orphan",
            Self::InvalidPodName { .. } => "InvalidPodName",
        };
        // EC2's codes have dots, which the reason of a condition may not have.
        word.chars().filter(char::is_ascii_alphanumeric).collect()
    }

    /// The text without what changes from look to look, so that a status that repeats it and a
    /// log that suppresses repetitions stay still.
    pub fn lasting_text(&self) -> String {
        match self {
            Self::MaybeAllocated { .. } => {
                "an address may be on its way, bought by an earlier process or a call whose \
                 answer was lost; nothing is bought until it would have shown"
                    .to_owned()
            }
            Self::PausedAfterError { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread { part, why } => write!(f, "{part} could not be read: {why}"),
            Self::Pod { pod, absence } => write!(f, "pod {pod} {absence}"),
            Self::MaybeAllocated { seconds } => write!(
                f,
                "an address may be on its way; nothing is bought until it would have shown, \
                 in {seconds} s"
            ),
            Self::AddressLost { address } => write!(
                f,
                "its address {address} is gone from AWS and is not replaced by another; delete \
                 the Eip and make it again for a new address"
            ),
            Self::QuotaReached { limit } => write!(
                f,
                "all {limit} Elastic IPs that this account may have in this Region are taken"
            ),
            Self::NodeUnknown { node } => {
                write!(f, "node {node} has no provider id that names an EC2 instance")
            }
            Self::InterfaceNotFound { pod, ip, node } => {
                write!(f, "no interface of node {node} holds {ip}, the IP of pod {pod}")
            }
            Self::TargetOccupied { ip, by } => {
                write!(f, "{ip} carries {by}, which is not taken off")
            }
            Self::TargetLeaving { ip, by } => write!(f, "{by} leaves {ip} first"),
            Self::PausedAfterError { seconds, message, .. } => {
                write!(f, "{message}; tried again in {seconds} s")
            }
            Self::NameTaken { eip } => {
                write!(f, "eip {eip} has its name and names another pod; none is made")
            }
            Self::PredecessorLeaves { eip } => {
                write!(f, "eip {eip}, of the pod before it, is still being deleted")
            }
            Self::Orphan { ip, eip, uid } => write!(
                f,
                "{ip} belongs to eip {eip} with uid {uid}, which does not exist; it is not released"
            ),
            Self::InvalidPodName { pod } => {
                write!(f, "spec.podName {pod:?} is not the name of a pod")
            }
        }
    }
}

/// The next safe steps, and what is held back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In order of urgency; those of one round do not depend on each other.
    pub steps: Vec<Step>,
    pub notes: Vec<Note>,
}
