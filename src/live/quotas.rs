//! The account's limit of Elastic IPs and how many are taken, off the path of decisions.
//!
//! Both change seldom and cost a call each, so they are asked every five minutes; what we buy and
//! release in between is added by the snapshot itself.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_servicequotas::Client;
use aws_sdk_servicequotas::config::Builder;
use aws_sdk_servicequotas::config::timeout::TimeoutConfig;
use aws_sdk_servicequotas::error::ProvideErrorMetadata;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ec2::{Counted, Ec2};
use super::metrics::Metrics;
use crate::plan::snapshot::Quota;

/// Service and quota code of "EC2-VPC Elastic IPs" (Service Quotas console).
const SERVICE: &str = "ec2";
const QUOTA: &str = "L-0263D0A3";
/// GetServiceQuota allows five calls a second for the whole account; one in five minutes is polite.
const EVERY: Duration = Duration::from_secs(300);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks again and again, and leaves the answer in `quota`; `None` while it is unknown. The
/// operator adds its own purchases and releases there meanwhile.
pub async fn follow(
    sdk: SdkConfig,
    ec2: Arc<Ec2>,
    quota: Arc<watch::Sender<Option<Quota>>>,
    metrics: Metrics,
    cancel: CancellationToken,
) {
    let client = client(&sdk, &metrics);
    let mut last = None;
    loop {
        let answer = ask(&client, &ec2).await;
        if last.as_ref() != Some(&answer) {
            match &answer {
                Ok(quota) => info!(limit = quota.limit, used = quota.used, "quota of Elastic IPs"),
                Err(why) => warn!(error = %why, "quota of Elastic IPs is unknown, and not checked"),
            }
        }
        metrics.quota(answer.as_ref().ok());
        quota.send_replace(answer.clone().ok());
        last = Some(answer);
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Asks once; why the answer is unknown, where it is.
pub async fn asked(sdk: &SdkConfig, ec2: &Ec2) -> Result<Quota, String> {
    ask(&client(sdk, &Metrics::default()), ec2).await
}

fn client(sdk: &SdkConfig, metrics: &Metrics) -> Client {
    let timeouts = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
    let counted = Counted { service: "Service Quotas", metrics: metrics.clone() };
    let config = Builder::from(sdk).timeout_config(timeouts).interceptor(counted);
    Client::from_conf(config.build())
}

async fn ask(client: &Client, ec2: &Ec2) -> Result<Quota, String> {
    let call = client.get_service_quota().service_code(SERVICE).quota_code(QUOTA);
    let answer = call.send().await.map_err(|error| {
        let code = error.code().unwrap_or("no answer").to_owned();
        format!("service quota {SERVICE}/{QUOTA}: {code}")
    })?;
    let limit = answer.quota().and_then(|quota| quota.value());
    let limit = limit.ok_or_else(|| format!("service quota {SERVICE}/{QUOTA} has no value"))?;
    let used = ec2.count().await.map_err(|failure| format!("addresses: {}", failure.code))?;
    // A whole number, carried as a float; a limit below zero would be AWS's mistake.
    Ok(Quota { limit: limit.max(0.0) as u64, used })
}
