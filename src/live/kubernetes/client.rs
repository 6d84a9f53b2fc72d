//! The two clients of the API server: one for calls, which are bounded, and one for watches, which
//! stay open.

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio::time::timeout;
use tower::BoxError;
use tower::util::MapFutureLayer;

/// No answer takes longer, or the call has failed.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Clients of one cluster.
#[derive(Clone)]
pub struct Clients {
    /// For reads and writes: an answer within 30 s, and one attempt, for kube's own retries would
    /// last minutes and repeat writes unseen.
    pub calls: Client,
    /// For watches: no limit on reading, for kube's watcher ends idle streams itself; but an answer
    /// that does not begin within 30 s has failed, for nothing else would ever end that wait.
    pub watches: Client,
}

/// The cluster cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a kubeconfig nor a service account.
    #[error("no way to the cluster: neither KUBECONFIG nor a service account is usable: {0}")]
    // Its text has that of its causes already.
    Infer(kube::config::InferConfigError),
    /// The configuration is unusable.
    #[error("the cluster's configuration is unusable")]
    Build(#[from] kube::Error),
}

/// The clients for the cluster that the kubeconfig or the service account names.
pub async fn clients() -> Result<Clients, ClientError> {
    let config = Config::infer().await.map_err(ClientError::Infer)?;
    Ok(Clients { calls: Client::try_from(for_calls(config.clone()))?, watches: watching(config)? })
}

fn watching(config: Config) -> kube::Result<Client> {
    Ok(ClientBuilder::try_from(for_watches(config))?
        .with_layer(&MapFutureLayer::new(in_time::<_, _>))
        .build())
}

/// An answer, its body left aside, that begins in time.
async fn in_time<A, T>(answer: A) -> Result<T, BoxError>
where
    A: Future<Output = Result<T, BoxError>>,
{
    let late = |_| format!("no answer within {READ_TIMEOUT:?}").into();
    timeout(READ_TIMEOUT, answer).await.map_err(late).flatten()
}

fn for_calls(mut config: Config) -> Config {
    config.read_timeout = Some(READ_TIMEOUT);
    // Else the time a pooled connection sat idle would count as waiting for the next answer.
    config.reset_reader_on_write = true;
    config.default_retry = false;
    config
}

/// The watcher backs off by itself, and its errors are told; retries below it would hide them.
fn for_watches(mut config: Config) -> Config {
    config.read_timeout = None;
    config.default_retry = false;
    config
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::Api;
    use kube::api::WatchParams;

    use super::*;

    fn inferred() -> Config {
        Config::new("http://127.0.0.1:1".parse().unwrap())
    }

    #[test]
    fn a_call_is_bounded_and_sent_once() {
        let config = for_calls(inferred());
        assert_eq!(config.read_timeout, Some(Duration::from_secs(30)));
        assert!(config.reset_reader_on_write);
        assert!(!config.default_retry);
    }

    #[test]
    fn a_watch_is_not_cut_off() {
        let mut with_timeout = inferred();
        with_timeout.read_timeout = Some(Duration::from_secs(1));
        let config = for_watches(with_timeout);
        assert_eq!(config.read_timeout, None);
        assert!(!config.default_retry);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_nobody_answers_has_failed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut config = Config::new(url.parse().unwrap());
        config.connect_timeout = None;
        let pods: Api<Pod> = Api::all(watching(config).unwrap());
        let Err(error) = pods.watch(&WatchParams::default(), "0").await else {
            panic!("nobody has answered");
        };
        let told = crate::live::kubernetes::with_causes(&error);
        assert!(told.contains("no answer within 30s"), "{told}");
    }
}
