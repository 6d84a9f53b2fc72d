//! Who acts: of several operators the one that holds the Lease.
//!
//! The algorithm is that of client-go's leaderelection: whoever sees a Lease unchanged for as long
//! as it lasts takes it, counted on the own monotonic clock from when the last change was seen, so
//! that no two clocks are ever compared; every write carries the resourceVersion, so that of two
//! who try one succeeds. A holder that could not renew in time stops acting before anybody else may
//! begin, and ends: a new process begins without a memory of what others have changed since.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::kubernetes::bounded;
use crate::plan::meaning::Failure;
use crate::plan::text::escaped;

/// A Lease lasts so long after its last renewal; client-go's usual numbers.
const DURATION: Duration = Duration::from_secs(15);
/// So long after the beginning of its last renewal a holder may act.
pub const ACT_WITHIN: Duration = Duration::from_secs(10);
/// Between two renewals, or two looks at the Lease of another.
const RETRY: Duration = Duration::from_secs(2);
/// One call to the API server.
const CALL: Duration = Duration::from_secs(4);

/// Whether this process may act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// Another holds the Lease, or nobody knows yet.
    StandingBy,
    /// Until then, if it is not renewed before.
    Leading { until: Instant },
    /// It was ours, and is another's now, or could not be renewed in time.
    Lost { why: String },
}

/// What one try has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    Leads,
    /// By whom it is held.
    Held(String),
}

/// A Lease, and what was last seen of it.
pub struct Election {
    api: Api<Lease>,
    name: String,
    namespace: String,
    identity: String,
    observed: Option<(LeaseSpec, Instant)>,
}

impl fmt::Display for Election {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease {}/{}", self.namespace, self.name)
    }
}

impl Election {
    /// `identity`: unlike that of any other process.
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        let api = Api::namespaced(client, namespace);
        let (name, namespace) = (name.to_owned(), namespace.to_owned());
        Self { api, name, namespace, identity, observed: None }
    }

    /// Takes the Lease, or renews it, unless another holds it.
    pub async fn attempt(&mut self) -> Result<Attempt, Failure> {
        let params = PostParams::default();
        let Some(mut lease) = bounded(CALL, self.api.get_opt(&self.name)).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.taken(None)),
            };
            return match bounded(CALL, self.api.create(&params, &lease)).await {
                Ok(made) => Ok(self.holds(made)),
                Err(failure) if failure.code == "AlreadyExists" => {
                    Ok(Attempt::Held("another that was faster".to_owned()))
                }
                Err(failure) => Err(failure),
            };
        };
        let spec = lease.spec.clone().unwrap_or_default();
        if self.observed.as_ref().map(|(seen, _)| seen) != Some(&spec) {
            self.observed = Some((spec.clone(), Instant::now()));
        }
        if let Some(holder) = self.holder(&spec) {
            return Ok(Attempt::Held(holder));
        }
        lease.spec = Some(self.taken(Some(&spec)));
        match bounded(CALL, self.api.replace(&lease.name_any(), &params, &lease)).await {
            Ok(written) => Ok(self.holds(written)),
            Err(failure) if failure.code == "Conflict" => {
                Ok(Attempt::Held("another that was faster".to_owned()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Gives the Lease back, so that another takes it at once.
    pub async fn release(&mut self) -> Result<(), Failure> {
        let Some(mut lease) = bounded(CALL, self.api.get_opt(&self.name)).await? else {
            return Ok(());
        };
        let ours = |spec: &LeaseSpec| spec.holder_identity.as_ref() == Some(&self.identity);
        let Some(spec) = lease.spec.as_mut().filter(|spec| ours(spec)) else { return Ok(()) };
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        bounded(CALL, self.api.replace(&self.name, &PostParams::default(), &lease)).await?;
        Ok(())
    }

    /// Who else holds it, as far as this process has seen it change.
    fn holder(&self, spec: &LeaseSpec) -> Option<String> {
        let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
        let lasts = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or(0);
        let since = self.observed.as_ref().map(|(_, at)| at.elapsed()).unwrap_or_default();
        let over = since >= Duration::from_secs(lasts);
        (holder != self.identity && !over).then(|| holder.to_owned())
    }

    /// The Lease as ours. A holder that goes on keeps the time at which it began.
    fn taken(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours =
            before.filter(|spec| spec.holder_identity.as_ref() == Some(&self.identity)).cloned();
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(now.clone()),
            acquire_time: ours.as_ref().and_then(|spec| spec.acquire_time.clone()).or(Some(now)),
            lease_transitions: match (&ours, before) {
                (None, Some(_)) => Some(transitions.saturating_add(1)),
                _ => Some(transitions),
            },
            ..LeaseSpec::default()
        }
    }

    fn holds(&mut self, written: Lease) -> Attempt {
        self.observed = written.spec.map(|spec| (spec, Instant::now()));
        Attempt::Leads
    }
}

/// Keeps trying, and tells how it stands, until it is cancelled or has lost the Lease. Then, if it
/// is ours, it is given back.
pub async fn campaign(
    mut election: Election,
    leadership: watch::Sender<Leadership>,
    cancel: CancellationToken,
) {
    keep_trying(&mut election, &leadership, cancel).await;
    if matches!(*leadership.borrow(), Leadership::Leading { .. })
        && let Err(failure) = election.release().await
    {
        let error = escaped(&failure.to_string());
        warn!(lease = election.name, error, "the lease is not given back, and runs out");
    }
}

/// Takes the Lease and renews it, and tells how it stands, until it is cancelled or has lost it.
pub async fn keep_trying(
    election: &mut Election,
    leadership: &watch::Sender<Leadership>,
    cancel: CancellationToken,
) {
    let mut said = None;
    loop {
        let began = Instant::now();
        let attempt = election.attempt().await;
        let standing = leadership.borrow().clone();
        match (attempt, standing) {
            (Ok(Attempt::Leads), standing) => {
                if standing == Leadership::StandingBy {
                    info!(lease = election.name, "leading");
                }
                leadership.send_replace(Leadership::Leading { until: began + ACT_WITHIN });
            }
            (Ok(Attempt::Held(by)), Leadership::Leading { .. }) => {
                let why = escaped(&format!("{election} is held by {by}"));
                leadership.send_replace(Leadership::Lost { why });
                return;
            }
            (Ok(Attempt::Held(by)), _) => {
                if said.as_ref() != Some(&by) {
                    info!(lease = election.name, holder = escaped(&by), "standing by");
                    said = Some(by);
                }
            }
            (Err(failure), Leadership::Leading { until }) if Instant::now() >= until => {
                let why = escaped(&format!("{election} could not be renewed in time: {failure}"));
                leadership.send_replace(Leadership::Lost { why });
                return;
            }
            (Err(failure), _) => {
                if said.as_ref() != Some(&failure.code) {
                    warn!(
                        lease = election.name,
                        error = escaped(&failure.to_string()),
                        "the lease cannot be had"
                    );
                    said = Some(failure.code);
                }
            }
        }
        tokio::select! {
            () = sleep(RETRY) => {}
            () = cancel.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests;
