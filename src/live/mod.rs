//! The half that does: everything that touches the world.

pub mod announce;
pub mod apply;
pub mod command;
pub mod config;
pub mod crd;
pub mod doctor;
pub mod ec2;
pub mod http;
pub mod kubernetes;
pub mod lease;
pub mod limiter;
pub mod metrics;
pub mod observe;
pub mod oneshot;
pub mod operator;
pub mod pages;
pub mod perform;
pub mod quotas;
pub mod recorder;
pub mod serve;
pub mod telemetry;
pub mod wake;
pub mod watch;
