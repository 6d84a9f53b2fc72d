//! What the operator can change, why it would, and what it waits for.

mod note;

use std::fmt;
use std::net::Ipv4Addr;

pub use self::note::{Note, Subject, Wait};
use super::snapshot::{Address, AllocationId, InterfaceId, Key, Status, Uid};

/// One change to the cluster or to AWS. There is no other way to change either.
#[derive(Clone, Debug, PartialEq, Hash)]
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
    /// Give an address back to AWS, for good. `orphan`: the Eip it was bought for does not exist,
    /// and none of its name may.
    Release { address: AllocationId, ip: String, eip: Key, eip_uid: Uid, orphan: bool },
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
    /// What takes an address off the IP that it is on, if it is on one.
    pub fn disassociation(id: &AllocationId, address: &Address) -> Option<Self> {
        Some(Self::Disassociate {
            address: id.clone(),
            ip: address.ip.clone(),
            association: address.association.clone()?,
            private_ip: address.shown_private_ip(),
        })
    }

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

    /// Whether it ends an exposure: an address, or what is said of one, leaves a pod.
    pub(super) fn is_urgent(&self) -> bool {
        matches!(self, Self::Disassociate { .. } | Self::Clear { .. })
    }

    /// The EC2 API action that carries it out; none for what is Kubernetes's.
    pub fn ec2_action(&self) -> Option<&'static str> {
        match self {
            Self::Allocate { .. } => Some("AllocateAddress"),
            Self::Associate { .. } => Some("AssociateAddress"),
            Self::Disassociate { .. } => Some("DisassociateAddress"),
            Self::Release { .. } => Some("ReleaseAddress"),
            Self::Tag { .. } => Some("CreateTags"),
            _ => None,
        }
    }

    /// The place of an action among those of one round, in which steps are begun where there is
    /// room for their kind: exposure ends first, and what is final comes last.
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
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Step {
    /// The Eip; for an Eip that is yet to be made, its future name.
    pub claim: Key,
    /// Uid of that Eip, empty when it is yet to be made.
    pub uid: Uid,
    pub action: Action,
    pub reason: Reason,
}

/// Why a step is in the plan.
#[derive(Clone, Debug, PartialEq, Hash)]
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
    EipAndPodGone,
    NothingLeft,
    Surplus { kept: AllocationId },
    Unclaimed { seconds: u64 },
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
            Self::EipAndPodGone => "EipAndPodGone",
            Self::NothingLeft => "NothingLeft",
            Self::Surplus { .. } => "Surplus",
            Self::Unclaimed { .. } => "Unclaimed",
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
            Self::EipAndPodGone => f.write_str("its Eip is gone, and so is the pod it was on"),
            Self::NothingLeft => f.write_str("no address carries this Eip's uid any more"),
            Self::Surplus { kept } => write!(f, "the Eip has {kept} already"),
            Self::Unclaimed { seconds } => {
                write!(f, "it has had no Eip for {seconds} s, and orphans are to be released")
            }
            Self::StatusBehind => f.write_str("its status lags behind"),
            Self::LeftByOlderOperator => f.write_str("the older operator left its finalizer"),
        }
    }
}

/// Why a pod cannot carry an address now. Completes "pod shop/web …".
#[derive(Clone, Debug, PartialEq, Hash)]
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

/// The next safe steps, and what is held back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In order of urgency; those of one round do not depend on each other.
    pub steps: Vec<Step>,
    pub notes: Vec<Note>,
}
