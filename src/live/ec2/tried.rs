//! Calls with `DryRun`: whether they would be allowed, without being made.
//!
//! EC2 answers such a call with an error in any case: `DryRunOperation`, or what stands against it.
//! An endpoint that only plays EC2 may carry it out all the same. What is sent is such that nothing
//! would be changed by that, but for a purchase, which comes first, is given back at once, and is
//! the last call then; and but for an address that a person has named.

use std::collections::BTreeSet;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

use super::told::told;
use super::{Ec2, Told, VALUES_A_CALL, filter, given, once, read_failure};
use crate::plan::meaning::Failure;
use crate::plan::snapshot::{Address, AllocationId, InterfaceId};

/// An address, an association and an interface that nobody has, in the form that EC2 gives them.
const NO_ADDRESS: &str = "eipalloc-00000000000000000";
const NO_ASSOCIATION: &str = "eipassoc-00000000000000000";
const NO_INTERFACE: &str = "eni-00000000000000000";
/// A uid that no Eip has.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";
/// On no interface: addresses for documentation (RFC 5737).
const NO_IP: &str = "192.0.2.1";

/// A call that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Allocate,
    Tag,
    Associate,
    Disassociate,
    Release,
}

/// What a call is tried on; what is left out is made up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subject {
    /// An address of this cluster.
    pub address: Option<(AllocationId, Address)>,
    /// An interface of one of its nodes.
    pub interface: Option<InterfaceId>,
}

/// What a call with `DryRun` has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// As it should be: the code and the message of an error.
    Told { code: String, message: String },
    /// It was carried out, though it was not to be.
    Done,
    /// A purchase was carried out. The address, and whether it was given back.
    Bought { address: AllocationId, given_back: bool },
}

impl Subject {
    /// Whether the call needs an id, and has none but a made-up one.
    pub fn is_made_up(&self, change: Change) -> bool {
        let associated = |(_, address): &(_, Address)| address.association.is_some();
        match change {
            Change::Allocate => false,
            Change::Disassociate => !self.address.as_ref().is_some_and(associated),
            Change::Associate => self.address.is_none() || self.interface.is_none(),
            Change::Tag | Change::Release => self.address.is_none(),
        }
    }

    fn id(&self) -> &str {
        self.address.as_ref().map_or(NO_ADDRESS, |(id, _)| id)
    }
}

impl Ec2 {
    /// Whether addresses may be described.
    pub async fn try_addresses(&self) -> Tried {
        tried(self.client.describe_addresses().dry_run(true).send().await)
    }

    /// Whether interfaces may be described.
    pub async fn try_interfaces(&self) -> Tried {
        tried(self.client.describe_network_interfaces().dry_run(true).send().await)
    }

    /// An interface of any of these instances, and its VPC; where there is a `VPC_ID`, in it.
    pub async fn interface_of(
        &self,
        instances: &BTreeSet<String>,
    ) -> Result<Option<(InterfaceId, String)>, Failure> {
        let some = instances.iter().take(VALUES_A_CALL).cloned();
        let call = self.client.describe_network_interfaces();
        let call = call.filters(filter("attachment.instance-id", some));
        let call = call.include_managed_resources(true);
        let call = match self.vpc.get() {
            Some(vpc) => call.filters(filter("vpc-id", [vpc.clone()])),
            None => call,
        };
        let answer = call.send().await.map_err(|error| read_failure(&error))?;
        let first = answer.network_interfaces().iter().find_map(|interface| {
            Some((given(interface.network_interface_id())?, given(interface.vpc_id())?))
        });
        Ok(first)
    }

    /// Whether a change would be allowed, with what the operator would send, in one attempt.
    pub async fn try_change(&self, change: Change, on: &Subject) -> Tried {
        match change {
            Change::Allocate => self.try_allocate().await,
            Change::Tag => {
                let uid = on.address.as_ref().map_or(NO_UID, |(_, address)| &address.eip);
                // An address of this cluster bears them already.
                let call = self.tagging(on.id(), uid).dry_run(true);
                tried(call.customize().config_override(once()).send().await)
            }
            Change::Associate => {
                let interface = on.interface.as_deref().unwrap_or(NO_INTERFACE);
                let call = self.client.associate_address().dry_run(true).allocation_id(on.id());
                let call = call.network_interface_id(interface).private_ip_address(NO_IP);
                let call = call.allow_reassociation(false);
                tried(call.customize().config_override(once()).send().await)
            }
            Change::Disassociate => {
                let there = on.address.as_ref().and_then(|(_, one)| one.association.as_deref());
                let call = self.client.disassociate_address().dry_run(true);
                let call = call.association_id(there.unwrap_or(NO_ASSOCIATION));
                tried(call.customize().config_override(once()).send().await)
            }
            Change::Release => {
                let call = self.client.release_address().dry_run(true).allocation_id(on.id());
                tried(call.customize().config_override(once()).send().await)
            }
        }
    }

    async fn try_allocate(&self) -> Tried {
        let tags = self.tags("eip-operator-doctor", "doctor", NO_UID, "doctor");
        let call = self.allocation(tags).dry_run(true);
        let answer = call.customize().config_override(once()).send().await;
        let bought = answer.as_ref().ok().and_then(|bought| given(bought.allocation_id()));
        let Some(address) = bought else { return tried(answer) };
        let given_back = self.client.release_address().allocation_id(&address).send().await.is_ok();
        Tried::Bought { address, given_back }
    }
}

fn tried<T, E>(answer: Result<T, SdkError<E>>) -> Tried
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match answer {
        Ok(_) => Tried::Done,
        Err(error) => {
            let Told { code, message, .. } = told(&error);
            Tried::Told { code, message }
        }
    }
}
