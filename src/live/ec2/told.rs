//! What an error of EC2 says, and what it leaves open.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use hyper_util::client::legacy::Error as ClientError;

use crate::live::kubernetes::with_causes;
use crate::plan::meaning::{Failure, Meaning};

/// What an error says.
pub struct Told {
    pub code: String,
    pub message: String,
    /// The status of the answer is 500 or more.
    pub is_5xx: bool,
}

impl Told {
    pub fn new(code: &str, message: String) -> Self {
        Self { code: code.to_owned(), message, is_5xx: false }
    }
}

/// No answer is `Timeout`: nobody knows what has happened.
pub fn told<E>(error: &SdkError<E>) -> Told
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let text = || with_causes(error);
    match error {
        SdkError::ConstructionFailure(_) => Told::new("NotSent", text()),
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let is_5xx = status >= 500;
            let told = match (error.code(), error.message()) {
                (Some(code), message) => Told::new(code, message.unwrap_or(code).to_owned()),
                (None, _) if is_5xx => Told::new("InternalError", text()),
                (None, _) => Told::new(&format!("HTTP{status}"), text()),
            };
            Told { is_5xx, ..told }
        }
        _ => Told::new("Timeout", text()),
    }
}

/// The same of a call that the SDK does not repeat: an error of its one attempt may show that it
/// was not sent. Of several attempts it would say nothing of those before.
pub fn told_of_one_attempt<E>(error: &SdkError<E>) -> Told
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let told = told(error);
    match unsent(error) {
        Some(code) if told.code == "Timeout" => Told { code: code.to_owned(), ..told },
        _ => told,
    }
}

/// Why a call without an answer was surely not sent: no credentials to sign it with, or no
/// connection to send it on.
fn unsent(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|cause| {
        match cause.downcast_ref::<ClientError>() {
            _ if cause.is::<CredentialsError>() => Some("NoCredentials"),
            Some(error) if error.is_connect() => Some("NotConnected"),
            _ => None,
        }
    })
}

pub fn read_failure<E>(error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Told { code, message, .. } = told(error);
    Failure { code, message, meaning: Meaning::Retry }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::{
        self, ProvideCredentials, SharedCredentialsProvider, future,
    };
    use aws_sdk_ec2::Client;
    use aws_sdk_ec2::config::retry::RetryConfig;
    use tokio::net::TcpListener;

    use super::*;
    use crate::live::config::{Config, Raw};
    use crate::live::ec2::Ec2;
    use crate::live::metrics::Metrics;
    use crate::plan::meaning::tests::actions;
    use crate::plan::snapshot::Cluster;

    #[derive(Debug)]
    struct Nobody;

    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let none: provider::Result = Err(CredentialsError::provider_error("no answer"));
            future::ProvideCredentials::ready(none)
        }
    }

    async fn bought_at(
        address: std::net::SocketAddr,
        who: impl ProvideCredentials + 'static,
    ) -> Told {
        let config = aws_sdk_ec2::config::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(format!("http://{address}"))
            .credentials_provider(who)
            .build();
        let answer = Client::from_conf(config).allocate_address().send().await;
        told_of_one_attempt(&answer.unwrap_err())
    }

    #[tokio::test]
    async fn no_change_that_was_not_sent_counts_as_lost() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .endpoint_url(format!("http://{address}"))
            .credentials_provider(SharedCredentialsProvider::new(somebody()))
            .build();
        let raw = Raw { cluster_name: Some("demo".to_owned()), ..Raw::default() };
        let settings = Config::check(&raw).unwrap();
        let cluster = Cluster { name: "demo".to_owned(), uid: "c1".to_owned() };
        let ec2 = Ec2::new(&sdk, cluster, &settings, &Metrics::default());
        for action in actions() {
            let Failure { code, message, meaning } = ec2.perform(&action).await.unwrap_err();
            let what = action.verb();
            assert_eq!((&*code, meaning), ("NotConnected", Meaning::Retry), "{what}: {message}");
        }
    }

    fn somebody() -> Credentials {
        Credentials::new("key", "secret", None, None, "test")
    }

    #[tokio::test]
    async fn a_call_that_could_not_be_sent_is_told_from_one_that_was_not_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(bought_at(address, Nobody).await.code, "NoCredentials");
        // It is connected, and then cut off.
        let cut = async { drop(listener.accept().await.unwrap()) };
        let (told, ()) = tokio::join!(bought_at(address, somebody()), cut);
        assert_eq!(told.code, "Timeout", "{}", told.message);
        drop(listener);
        let told = bought_at(address, somebody()).await;
        assert_eq!(told.code, "NotConnected", "{}", told.message);
    }
}
