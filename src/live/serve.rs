//! `eip-operator run`: puts the parts together, and takes them apart again.

use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch as channel;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::announce::Announcer;
use super::config::Config;
use super::ec2::Ec2;
use super::http::{self, Health, LastLook};
use super::kubernetes::Kubernetes;
use super::kubernetes::client::{Clients, clients};
use super::lease::{Election, Leadership};
use super::limiter::Limiter;
use super::metrics::Metrics;
use super::operator::Operator;
use super::perform::{Clock, Hands};
use super::recorder::Events;
use super::wake::{Bell, CronBell, Mailbox, Wake};
use super::{crd, lease, quotas, watch};
use crate::plan::names::FIELD_MANAGER;
use crate::plan::snapshot::{Cluster, Quota, Uid};
use crate::plan::text::escaped;

/// After SIGTERM the calls under way may end; none lasts longer than its own timeout, but a
/// process that takes longer than this is not believed to end at all.
const END_WITHIN: Duration = Duration::from_secs(8);
/// Between two tries to reach the API server at start.
const REACH_AGAIN: Duration = Duration::from_secs(2);
/// How long giving the Lease back may take.
const RESIGN_WITHIN: Duration = Duration::from_secs(3);
/// Where a Pod finds the name of its namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// The namespace that the manifests install it into.
const USUAL_NAMESPACE: &str = "eip-operator";

/// Runs until SIGTERM or SIGINT.
pub async fn run(config: &Config, metrics: Metrics) -> anyhow::Result<()> {
    let cancel = CancellationToken::new();
    let clients = clients().await?;
    let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(cancel_on_signal(cancel.clone())?);
    let health = Health::new(config.rhythm.expected_gap());
    let last_look = LastLook::default();
    metrics.dry_run(config.dry_run);
    for (setting, address, router) in [
        (
            "LISTEN_ADDRESS",
            config.listen_address,
            http::health_router(health.clone(), metrics.clone()),
        ),
        ("PLAN_ADDRESS", config.plan_address, http::plan_router(last_look.clone())),
    ] {
        let listener = http::bind(setting, address).await?;
        let serving = http::serve(listener, router, cancel.clone());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                warn!(error = %error, "what is served at {setting} ended");
            }
        });
    }
    let resign = CancellationToken::new();
    let (standing, leadership) = channel::channel(Leadership::StandingBy);
    let campaign = elects(config).then(|| {
        let election = election(config, clients.calls.clone());
        tokio::spawn(lease::campaign(election, standing, resign.clone()))
    });
    let leadership = campaign.as_ref().map(|_| leadership);
    let result = {
        let parts = Parts { clients, sdk, health, last_look, leadership, metrics };
        let worker = work(config, parts, cancel.clone(), &mut tasks);
        let mut worker = std::pin::pin!(worker);
        tokio::select! {
            result = &mut worker => result,
            () = cancel.cancelled() => timeout(END_WITHIN, worker).await.unwrap_or_else(|_| {
                warn!("a call is still unanswered and counts as lost");
                Ok(())
            }),
        }
    };
    cancel.cancel();
    // Not before the last call has ended, for then another begins.
    resign.cancel();
    if let Some(campaign) = campaign {
        let _ = timeout(RESIGN_WITHIN, campaign).await;
    }
    let _ =
        timeout(Duration::from_secs(1), async { while tasks.join_next().await.is_some() {} }).await;
    info!("stopped");
    result
}

/// What the work is done with.
struct Parts {
    clients: Clients,
    sdk: SdkConfig,
    health: Health,
    last_look: LastLook,
    leadership: Option<channel::Receiver<Leadership>>,
    metrics: Metrics,
}

/// Everything between the first look and the last.
async fn work(
    config: &Config,
    parts: Parts,
    cancel: CancellationToken,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let Parts { clients, sdk, health, last_look, mut leadership, metrics } = parts;
    let namespace = config.namespace.as_deref();
    let kubernetes = Kubernetes::new(clients.calls.clone(), config.namespace.clone());
    let Some(uid) = cluster_uid(&kubernetes, &cancel).await else { return Ok(()) };
    info!(
        cluster = config.cluster_name,
        cluster_uid = uid,
        namespace = namespace.unwrap_or("all"),
        dry_run = config.dry_run,
        version = env!("CARGO_PKG_VERSION"),
        "starting"
    );
    match config.installs_crd() {
        true => crd::install(clients.calls.clone(), FIELD_MANAGER).await?,
        false => crd::stored_as_v1(clients.calls.clone()).await?,
    }
    if !config.dry_run {
        // A dry run on a cluster without the definition says that it cannot list Eips.
        tokio::select! {
            served = crd::wait_served(clients.calls.clone(), namespace) => served?,
            () = cancel.cancelled() => return Ok(()),
        }
    }
    let cluster = Cluster { name: config.cluster_name.clone(), uid };
    let ec2 = Arc::new(Ec2::new(&sdk, cluster.clone(), config, &metrics));
    let quota = Arc::new(channel::Sender::new(None));
    let following =
        quotas::follow(sdk, ec2.clone(), quota.clone(), metrics.clone(), cancel.clone());
    tasks.spawn(following);

    let mut mailbox = Mailbox::new(config.min_event_interval, config.rhythm.expected_gap());
    let ringer = mailbox.ringer();
    let (watches, scope) = (clients.watches, config.namespace.clone());
    let (eips, pods) = (scope.clone(), scope);
    let (on_eip, on_pod) = (ringer.clone(), ringer.clone());
    let (until, also) = (cancel.clone(), cancel.clone());
    let client = watches.clone();
    tasks.spawn(async move { watch::watch_eips(client, eips.as_deref(), on_eip, until).await });
    tasks.spawn(async move { watch::watch_pods(watches, pods.as_deref(), on_pod, also).await });
    let mut bell = CronBell::start(config.rhythm.clone(), ringer.clone()).await?;
    let mut operator = operator(config, cluster, ec2, kubernetes, quota, cancel.clone());
    operator.last_look = last_look;
    operator.metrics = metrics.clone();
    if !config.dry_run {
        let (events, sending) = Events::new(clients.calls.clone(), cancel.clone());
        tasks.spawn(sending);
        operator.events = Some(events);
    }
    operator.leadership.clone_from(&leadership);
    if let Some(leadership) = &mut leadership {
        health.stands_by(true);
        metrics.leads(&config.lease_name, false);
        tokio::select! {
            () = cancel.cancelled() => return Ok(bell.shut().await?),
            () = leads(leadership) => {
                health.stands_by(false);
                metrics.leads(&config.lease_name, true);
            }
        }
    }
    ringer.ring(Wake::Start);
    // When the last cycle wants the next one, if it does. What was wanted before it has forgotten,
    // or each look would ask for another one for ever.
    let mut again: Option<Instant> = None;
    loop {
        let wakes = tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            why = lost(&mut leadership) => anyhow::bail!("no longer leading: {why}"),
            wakes = mailbox.next() => wakes,
            () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() => {
                again = None;
                ringer.ring(Wake::Progress);
                continue;
            }
        };
        let started = Instant::now();
        health.started();
        let cycle = operator.cycle(&wakes, &mailbox).await;
        health.cycle_ended();
        if cycle.complete {
            health.look_completed();
        }
        let elapsed = started.elapsed();
        match bell.rearm(elapsed).await {
            Ok(0) => {}
            Ok(skipped) => {
                let took = elapsed.as_secs_f64();
                let so = "longer than from one look to the next, so that looks are skipped";
                warn!(skipped, took, "the cycle took {took:.1} s, {so}: {skipped}");
            }
            // Without the bell the watchdog still wakes the worker.
            Err(error) => warn!(error = %error, "the bell fails"),
        }
        again = cycle.again_in.map(|after| Instant::now() + after);
    }
    bell.shut().await?;
    Ok(())
}

/// Whether only one operator at a time is to act: as it was asked for, else in a cluster.
pub(super) fn elects(config: &Config) -> bool {
    let in_cluster = || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    !config.dry_run && config.leader_elect.unwrap_or_else(in_cluster)
}

/// Where the Lease is: where it was said to be, else beside the own Pod.
pub(super) fn lease_namespace(config: &Config) -> String {
    let own = || std::fs::read_to_string(OWN_NAMESPACE).ok().filter(|own| !own.is_empty());
    let namespace = config.pod_namespace.clone().or_else(own);
    namespace.unwrap_or_else(|| USUAL_NAMESPACE.to_owned()).trim().to_owned()
}

/// The election among operators like this one.
pub(super) fn election(config: &Config, client: Client) -> Election {
    let namespace = lease_namespace(config);
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "eip-operator".to_owned());
    let unlike = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
    let identity = format!("{host}_{unlike:016x}");
    Election::new(client, &namespace, &config.lease_name, identity)
}

/// Ends once the Lease is held.
async fn leads(leadership: &mut channel::Receiver<Leadership>) {
    let leading = |now: &Leadership| matches!(now, Leadership::Leading { .. });
    // Its sender lives as long as the election, which ends no sooner than it has led.
    let _ = leadership.wait_for(leading).await;
}

/// Ends once the Lease is lost; never, where there is no election.
async fn lost(leadership: &mut Option<channel::Receiver<Leadership>>) -> String {
    if let Some(leadership) = leadership {
        let lost = |now: &Leadership| matches!(now, Leadership::Lost { .. });
        if let Ok(now) = leadership.wait_for(lost).await
            && let Leadership::Lost { why } = &*now
        {
            return why.clone();
        }
    }
    std::future::pending().await
}

/// The worker, without what rings for it.
pub(super) fn operator(
    config: &Config,
    cluster: Cluster,
    ec2: Arc<Ec2>,
    kubernetes: Kubernetes,
    quota: Arc<channel::Sender<Option<Quota>>>,
    cancel: CancellationToken,
) -> Operator {
    let limiter = Limiter::new(config.ec2_rate, config.ec2_burst);
    let hands = Hands { ec2, kubernetes, limiter, clock: Clock::start(), plan: String::new() };
    let announcer = Announcer::new(config.log_format(), config.dry_run, config.plan_address);
    let settings = config.for_plans();
    Operator::new(cluster, settings, config.dry_run, hands, quota, announcer, cancel)
}

/// The identity of the cluster, asked until there is an answer: nothing can be done without it.
async fn cluster_uid(kubernetes: &Kubernetes, cancel: &CancellationToken) -> Option<Uid> {
    let mut said = None;
    loop {
        match kubernetes.cluster_uid().await {
            Ok(uid) => return Some(uid),
            Err(failure) if said.as_ref() != Some(&failure) => {
                let error = escaped(&failure.message);
                warn!(error, "cannot read namespace kube-system, trying on");
                said = Some(failure);
            }
            Err(_) => {}
        }
        tokio::select! {
            () = sleep(REACH_AGAIN) => {}
            () = cancel.cancelled() => return None,
        }
    }
}

/// Cancels on SIGTERM, as the kubelet sends it, and on SIGINT, as a terminal does.
pub(super) fn cancel_on_signal(
    cancel: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => info!("SIGTERM: ending"),
            _ = interrupt.recv() => info!("SIGINT: ending"),
            () = cancel.cancelled() => {}
        }
        cancel.cancel();
    })
}
