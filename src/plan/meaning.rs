//! What an error of a call means for the operator. EC2 errors are strings; here each is sorted
//! into one of a few treatments.
//!
//! Codes: EC2 API reference, "Error codes"; which of them each action answers was gathered from
//! the field. `Timeout` (no answer), `NotConnected`, `NoCredentials` and a few more of
//! `live::ec2` are words of ours. A code that is not listed is [`Meaning::Slow`].

use std::fmt;

use super::action::Action;

/// A call that did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Failure {
    /// The error code of AWS, the reason of Kubernetes, or one word of ours.
    pub code: String,
    pub message: String,
    pub meaning: Meaning,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// How a failure is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Nobody knows whether it happened. A purchase is not repeated before it would have shown:
    /// [`super::recent::Memory::failed`].
    Lost,
    /// It did not happen and may be tried again soon.
    Retry,
    /// The world is not as it was seen: look again before anything else.
    Look,
    /// It will not work until a person changes something; tried seldom, and said on the object.
    Slow,
    /// There is no right to do it to this address. A right that is given by tags may not hold for a
    /// new one yet, so until the settle time is over it is as [`Meaning::Retry`], then as
    /// [`Meaning::Slow`]: [`super::rounds::Rounds::absorb`].
    Denied,
    /// It concerns every call of this action: none is sent for a while, then one that finds out
    /// for the others. What ends an exposure is sent all the same: `is_never_held_back` in
    /// [`super::planner`].
    Stop,
    /// What was asked for is so already.
    Success,
}

/// Sorts an EC2 error code for this action.
pub fn ec2_meaning(action: &Action, code: &str) -> Meaning {
    by_action(action, code).unwrap_or_else(|| common(code))
}

fn by_action(action: &Action, code: &str) -> Option<Meaning> {
    match action {
        Action::Allocate { .. } => allocate(code),
        Action::Associate { .. } => associate(code),
        Action::Disassociate { .. } => disassociate(code),
        Action::Release { .. } => release(code),
        Action::Tag { .. } => tag(code),
        _ => None,
    }
}

/// Whether EC2 asks for fewer calls.
pub fn is_throttling(code: &str) -> bool {
    matches!(code, "RequestLimitExceeded" | "Throttling" | "ThrottlingException")
}

/// The same for an answer with a status of 500 or more: with a code that is not listed nobody knows
/// whether it happened.
pub fn ec2_meaning_of_5xx(action: &Action, code: &str) -> Meaning {
    match by_action(action, code).unwrap_or_else(|| common(code)) {
        Meaning::Slow if by_action(action, code).is_none() => Meaning::Lost,
        meaning => meaning,
    }
}

fn common(code: &str) -> Meaning {
    match code {
        code if is_throttling(code) => Meaning::Retry,
        "NotConnected" => Meaning::Retry,
        "InternalError" | "InternalFailure" | "ServerInternal" | "Unavailable"
        | "ServiceUnavailable" | "Timeout" => Meaning::Lost,
        "AuthFailure"
        | "UnauthorizedOperation"
        | "RequestExpired"
        | "InvalidSecurity.RequestHasExpired"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "OptInRequired"
        | "PendingVerification"
        | "Blocked"
        | "NoCredentials" => Meaning::Stop,
        _ => Meaning::Slow,
    }
}

fn allocate(code: &str) -> Option<Meaning> {
    match code {
        "AddressLimitExceeded" => Some(Meaning::Stop),
        // A policy may refuse the tags of one Eip, and that one must not keep all others waiting.
        "AuthFailure" | "UnauthorizedOperation" => Some(Meaning::Slow),
        "InsufficientAddressCapacity" => Some(Meaning::Slow),
        _ => None,
    }
}

fn associate(code: &str) -> Option<Meaning> {
    match code {
        "InvalidAllocationID.NotFound"
        | "InvalidAddressID.NotFound"
        | "IncorrectInstanceState"
        | "InvalidInstanceID" => Some(Meaning::Retry),
        "Resource.AlreadyAssociated"
        | "InvalidNetworkInterfaceID.NotFound"
        | "InvalidNetworkInterface.NotFound"
        | "InvalidParameterValue" => Some(Meaning::Look),
        "AuthFailure" | "UnauthorizedOperation" => Some(Meaning::Denied),
        _ => None,
    }
}

fn disassociate(code: &str) -> Option<Meaning> {
    match code {
        "InvalidAssociationID.NotFound"
        | "InvalidNetworkInterfaceID.NotFound"
        | "InvalidNetworkInterface.NotFound" => Some(Meaning::Success),
        _ => None,
    }
}

fn release(code: &str) -> Option<Meaning> {
    match code {
        // A policy may refuse by the tags of one address, which must not keep all others waiting;
        // and of an address that is another's by now the listing tells.
        "AuthFailure" | "UnauthorizedOperation" => Some(Meaning::Slow),
        // A listing that no longer shows it is the proof, not this answer.
        "InvalidAllocationID.NotFound" | "InvalidAddressID.NotFound" | "InvalidIPAddress.InUse" => {
            Some(Meaning::Look)
        }
        _ => None,
    }
}

fn tag(code: &str) -> Option<Meaning> {
    match code {
        "ConcurrentTagAccess"
        | "InvalidElasticIpID.NotFound"
        | "InvalidAllocationID.NotFound"
        | "InvalidID" => Some(Meaning::Retry),
        "AuthFailure" | "UnauthorizedOperation" => Some(Meaning::Slow),
        _ => None,
    }
}

/// Sorts the status of an answer of the Kubernetes API; `None` is no answer at all.
pub fn kubernetes_meaning(status: Option<u16>) -> Meaning {
    match status {
        // Replaced meanwhile: 404 gone, 409 another version, 422 another uid (seen on 1.36).
        Some(404 | 409 | 422) => Meaning::Look,
        Some(429 | 500..=599) | None => Meaning::Retry,
        Some(_) => Meaning::Slow,
    }
}

#[cfg(test)]
pub(crate) mod tests;
