//! The half that decides. Pure: no I/O, no clock, no environment, no randomness, no hash maps,
//! no logging; it never fails, it returns notes.

pub mod action;
pub mod claims;
pub mod conditions;
pub mod events;
pub mod execution;
pub mod explain;
pub mod faults;
pub mod forecast;
mod index;
pub mod look;
pub mod meaning;
pub mod names;
pub mod planner;
pub mod recent;
pub mod redact;
pub mod report;
pub mod rounds;
pub mod rules;
pub mod snapshot;
pub mod text;
