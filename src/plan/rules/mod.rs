//! The laws, one a file. Each opens with its law in one sentence; [`super::planner::plan`] calls
//! them in order.

pub(super) mod allocate; // Buys an address.
pub(super) mod annotate; // Writes the annotations of a pod.
pub(super) mod associate; // Puts an address on a pod.
pub(super) mod clear; // Takes the annotations off.
pub(super) mod complete; // Adds tags that the older operator did not write.
pub(super) mod create; // Makes an Eip for a pod that asks for it.
pub(super) mod disassociate; // Takes an address off an IP.
pub(super) mod hold; // Puts our finalizer on an Eip.
pub(super) mod let_go; // Takes our finalizer off.
pub(super) mod orphans; // Reports, and on request releases, addresses without an Eip.
pub(super) mod record; // Writes the status.
pub(super) mod release; // Gives back the address of an Eip that is deleted.
pub(super) mod retire; // Deletes an Eip that was made for a pod.
pub(super) mod surplus; // Gives back a second address of one Eip.
pub(super) mod take_up; // Gives an Eip that came back the address it had.
pub(super) mod unblock; // Takes off the older operator's finalizers.
pub(super) mod unread; // Says what could not be read.
