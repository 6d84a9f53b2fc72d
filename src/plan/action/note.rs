//! What is held back, and what it waits for.

use std::fmt;
use std::net::Ipv4Addr;

use super::Absence;
use crate::plan::snapshot::{AllocationId, Key, Protection, Uid};

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

/// The longest code that is repeated as a word, in characters; those of EC2 are far shorter.
const WORD_MAX: usize = 100;

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
    /// The address that its status records exists without our tags.
    Untagged {
        address: AllocationId,
    },
    QuotaReached {
        limit: u64,
    },
    /// Its namespace holds as many addresses as one may.
    NamespaceLimit {
        namespace: String,
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
    /// The Eip of the pod before it does not go, for its address is protected.
    PredecessorProtected {
        eip: Key,
    },
    /// An address of ours whose Eip does not exist; when it is released, if it is.
    Orphan {
        ip: String,
        eip: Key,
        uid: Uid,
        in_seconds: Option<u64>,
    },
    /// More orphans are due for release than may go in an hour, so none does.
    TooManyOrphans {
        due: u64,
        most: u64,
    },
    /// The definition is being deleted, and nobody has said that the addresses may go with it.
    DefinitionDeleted,
    /// A person has said that it is not released.
    Protected {
        by: Protection,
    },
    /// The address was moved a moment ago.
    MovedRecently {
        seconds: u64,
    },
    /// The annotations of the pod were written a moment ago, and somebody has changed them since.
    AnnotatedRecently {
        seconds: u64,
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
            Self::Untagged { .. } => "Untagged",
            Self::QuotaReached { .. } => "QuotaExceeded",
            Self::NamespaceLimit { .. } => "NamespaceLimit",
            Self::NodeUnknown { .. } => "NodeUnknown",
            Self::InterfaceNotFound { .. } => "WaitingForENI",
            Self::TargetOccupied { .. } => "TargetOccupied",
            Self::TargetLeaving { .. } => "TargetLeaving",
            Self::PausedAfterError { reason, .. } => reason.as_str(),
            Self::NameTaken { .. } => "NameTaken",
            Self::PredecessorLeaves { .. } => "PredecessorLeaves",
            Self::PredecessorProtected { .. } => "PredecessorProtected",
            Self::Orphan { .. } => "Orphan",
            Self::TooManyOrphans { .. } => "TooManyOrphans",
            Self::DefinitionDeleted => "DefinitionDeleted",
            Self::Protected { .. } => "Protected",
            Self::MovedRecently { .. } => "MovedRecently",
            Self::AnnotatedRecently { .. } => "AnnotatedRecently",
            Self::InvalidPodName { .. } => "InvalidPodName",
        };
        // EC2's codes have dots, which the reason of a condition may not have; a proxy's may be
        // anything, and it must begin with a letter.
        let word = word.chars().filter(char::is_ascii_alphanumeric).take(WORD_MAX);
        let word: String = word.collect();
        let begins = word.starts_with(|first: char| first.is_ascii_alphabetic());
        if begins { word } else { format!("Error{word}") }
    }

    /// Whether it keeps an address that would otherwise be given back.
    pub fn is_hold(&self) -> bool {
        matches!(self, Self::Protected { .. } | Self::DefinitionDeleted)
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
            // AWS puts another text into each refusal.
            Self::Unread { part, .. } => format!("{part} could not be read"),
            Self::PausedAfterError { message, .. } => message.clone(),
            Self::MovedRecently { .. } => {
                "its address was moved a moment ago and is not moved again at once".to_owned()
            }
            Self::AnnotatedRecently { .. } => {
                "somebody else changes its annotations; they are not written again at once"
                    .to_owned()
            }
            Self::Orphan { ip, eip, uid, in_seconds: Some(_) } => {
                let (ip, eip, uid) = (ip.clone(), eip.clone(), uid.clone());
                format!(
                    "{}; it is due for release",
                    Self::Orphan { ip, eip, uid, in_seconds: None }
                )
            }
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
            Self::Untagged { address } => write!(
                f,
                "its address {address} exists and no longer bears this Eip's tags; put them back, \
                 or delete the Eip and make it again for a new address"
            ),
            Self::QuotaReached { limit } => write!(
                f,
                "all {limit} Elastic IPs that this account may have in this Region are taken, or \
                 go to others first"
            ),
            Self::NamespaceLimit { namespace, limit } => {
                write!(f, "namespace {namespace} has all {limit} addresses that it may have")
            }
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
            Self::PausedAfterError { seconds: 0, message, .. } => {
                write!(f, "{message}; tried again once another's is done")
            }
            Self::PausedAfterError { seconds, message, .. } => {
                write!(f, "{message}; tried again in {seconds} s")
            }
            Self::NameTaken { eip } => {
                write!(f, "eip {eip} has its name and names another pod; none is made")
            }
            Self::PredecessorLeaves { eip } => {
                write!(f, "eip {eip}, of the pod before it, is still being deleted")
            }
            Self::PredecessorProtected { eip } => write!(
                f,
                "eip {eip}, of the pod before it, is held: protected; no other of its name is \
                 made until a person lets it go"
            ),
            Self::Orphan { ip, eip, uid, in_seconds } => {
                write!(
                    f,
                    "{ip} belongs to eip {eip} with uid {uid}, which does not exist; it is "
                )?;
                match in_seconds {
                    Some(seconds) => write!(f, "released in {seconds} s"),
                    None => f.write_str("not released"),
                }
            }
            Self::TooManyOrphans { due, most } => write!(
                f,
                "{due} addresses without an Eip are due for release and {most} may go in an hour, \
                 so none does; raise MAX_RELEASES if they are to go"
            ),
            Self::DefinitionDeleted => f.write_str(
                "the definition eips.materialize.cloud is being deleted; its address is kept until \
                 a person annotates the definition eip.materialize.cloud/release-all=true",
            ),
            Self::Protected { by: Protection::Annotation } => f.write_str(
                "held: protected by the annotation eip.materialize.cloud/protect=true; the address \
                 is kept until a person removes that",
            ),
            Self::Protected { by: Protection::Setting } => f.write_str(
                "held: protected by PROTECT=true of the operator; the address is kept until that \
                 is changed",
            ),
            Self::MovedRecently { seconds } => {
                write!(f, "its address was moved a moment ago; it is moved again in {seconds} s")
            }
            Self::AnnotatedRecently { seconds } => {
                write!(f, "somebody else changes its annotations; written again in {seconds} s")
            }
            Self::InvalidPodName { pod } => {
                write!(f, "spec.podName {pod:?} is not the name of a pod")
            }
        }
    }
}
