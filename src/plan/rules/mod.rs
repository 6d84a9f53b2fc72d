//! The laws, one a file. Each opens with its law in one sentence; [`super::planner::plan`] calls
//! them in order.

pub(super) mod allocate;
pub(super) mod annotate;
pub(super) mod associate;
pub(super) mod clear;
pub(super) mod complete;
pub(super) mod create;
pub(super) mod disassociate;
pub(super) mod hold;
pub(super) mod let_go;
pub(super) mod orphans;
pub(super) mod record;
pub(super) mod release;
pub(super) mod retire;
pub(super) mod surplus;
pub(super) mod take_up;
pub(super) mod unblock;
pub(super) mod unread;
