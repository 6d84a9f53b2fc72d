//! The endpoints: `/healthz`, whether the loop lives, `/readyz`, whether it has looked,
//! `/metrics`; and on a listener of its own, for it shows all namespaces, `/plan`: the last plan
//! and what it was made from.

use std::future::IntoFuture;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use k8s_openapi::jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::plan::report::Report;
use crate::plan::snapshot::Snapshot;

/// What Prometheus asks for.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What everybody else reads.
const PLAIN_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// How long open connections may hold up the end.
const DRAIN: Duration = Duration::from_secs(2);

/// The last look of a running operator, what it remembers included.
#[derive(Debug)]
pub struct Look {
    pub at: Timestamp,
    /// The number of the cycle, as in the log.
    pub cycle: u64,
    pub snapshot: Snapshot,
}

/// Where the worker leaves its last look.
pub type LastLook = Arc<watch::Sender<Option<Arc<Look>>>>;

impl Look {
    /// The plan as comments, and below it the snapshot: a document that `plan --snapshot` reads.
    fn document(&self) -> Result<String, String> {
        let report = Report::of(&self.snapshot, None)?;
        let head = format!("{} Cycle {}, seen at {:.0}.", report.headline(), self.cycle, self.at);
        let lines = std::iter::once(head).chain(report.lines());
        let comments = lines.map(|line| format!("# {line}").trim_end().to_owned() + "\n");
        Ok(comments.collect::<String>() + &self.snapshot.to_yaml())
    }
}

/// The loop's pulse, on the monotonic clock; cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    pulse: Arc<Mutex<Pulse>>,
    patience: Duration,
}

#[derive(Debug, Default)]
struct Pulse {
    last: Option<Instant>,
    looked: bool,
    stands_by: bool,
}

impl Health {
    /// A pulse that is lost after three times the expected gap between cycles.
    pub fn new(expected_gap: Duration) -> Health {
        Health { pulse: Arc::default(), patience: 3 * expected_gap }
    }

    /// The first cycle begins, now the time counts. Before this nothing is wrong, only not ready.
    /// Later ones count from the end of the one before: that a process which was frozen goes on is
    /// shown by a cycle that has ended, not by one that begins.
    pub fn started(&self) {
        self.pulse().last.get_or_insert_with(Instant::now);
    }

    /// A cycle ended, well or not: the loop lives.
    pub fn cycle_ended(&self) {
        self.pulse().last = Some(Instant::now());
    }

    /// A look saw everything there is to see.
    pub fn look_completed(&self) {
        self.pulse().looked = true;
    }

    /// Nothing while the loop lives, else what is wrong.
    pub fn fault(&self) -> Option<String> {
        let silent = self.pulse().last?.elapsed();
        (silent > self.patience).then(|| {
            format!(
                "no cycle ended for {}s, at most {}s is accepted",
                silent.as_secs(),
                self.patience.as_secs()
            )
        })
    }

    /// Another operator acts, and this one waits for its turn, or no longer does.
    pub fn stands_by(&self, stands_by: bool) {
        self.pulse().stands_by = stands_by;
    }

    /// Whether there was a complete look, or none is wanted yet.
    pub fn ready(&self) -> bool {
        let pulse = self.pulse();
        pulse.looked || pulse.stands_by
    }

    /// A panic elsewhere leaves the pulse whole, for it is only ever replaced.
    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken or not there.
    #[error("{0} is \"{1}\": cannot listen there: {2}")]
    Bind(&'static str, SocketAddr, #[source] std::io::Error),
    /// It broke down later.
    #[error("the http server ended: {0}")]
    Serve(#[from] std::io::Error),
}

/// Takes the address that a setting names, so that a wrong one is known at start.
pub async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address).await.map_err(|error| HttpError::Bind(setting, address, error))
}

/// The route that shows everything.
pub fn plan_router(last: LastLook) -> Router {
    Router::new().route("/plan", get(plan)).with_state(last)
}

async fn plan(State(last): State<LastLook>) -> (StatusCode, String) {
    let Some(look) = last.borrow().clone() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no look yet\n".to_owned());
    };
    // A plan of thousands of Eips takes its time, which others need.
    match tokio::task::spawn_blocking(move || look.document()).await {
        Ok(Ok(document)) => (StatusCode::OK, document),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// The routes of the health of this process, and of its metrics.
pub fn health_router(health: Health, metrics: Metrics) -> Router {
    let health = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(health);
    health.merge(Router::new().route("/metrics", get(exposed)).with_state(metrics))
}

async fn exposed(
    State(metrics): State<Metrics>,
    headers: HeaderMap,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accepted.any(|value| value.contains("application/openmetrics-text"));
    let (media_type, text) = match open {
        true => (OPEN_METRICS, metrics.text()),
        false => (PLAIN_METRICS, metrics.plain_text()),
    };
    ([(CONTENT_TYPE, media_type)], text)
}

async fn healthz(State(health): State<Health>) -> (StatusCode, String) {
    match health.fault() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(fault) => (StatusCode::SERVICE_UNAVAILABLE, format!("{fault}\n")),
    }
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    match health.ready() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "no complete look yet\n"),
    }
}

/// Serves until it is cancelled, then lets open requests end, for 2 s at most.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    cancel: CancellationToken,
) -> Result<(), HttpError> {
    let stop = cancel.clone().cancelled_owned();
    let server = axum::serve(listener, router).with_graceful_shutdown(stop).into_future();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = cancel.cancelled() => {}
    }
    match timeout(DRAIN, server).await {
        Ok(ended) => Ok(ended?),
        // An idle connection that a prober keeps open is no reason to wait longer.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const GAP: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn the_pulse_is_lost_after_three_gaps_without_a_cycle() {
        let health = Health::new(GAP);
        tokio::time::advance(10 * GAP).await;
        assert_eq!(health.fault(), None, "nothing has started yet");
        health.started();
        tokio::time::advance(3 * GAP).await;
        assert_eq!(health.fault(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        let fault = "no cycle ended for 91s, at most 90s is accepted";
        assert_eq!(health.fault().as_deref(), Some(fault));
        health.started();
        assert_eq!(health.fault().as_deref(), Some(fault), "a cycle that begins proves nothing");
        health.cycle_ended();
        assert_eq!(health.fault(), None);
    }

    /// The status line and the body's last line.
    async fn ask(address: SocketAddr, path: &'static str) -> (String, String) {
        let asking = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let first = answer.lines().next().unwrap_or_default().to_owned();
            (first, answer.lines().last().unwrap_or_default().to_owned())
        });
        asking.await.unwrap()
    }

    #[tokio::test]
    async fn metrics_are_served_in_the_format_that_is_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4";
        for (accept, media_type, is_open) in
            [("*/*", PLAIN_METRICS, false), (prometheus, OPEN_METRICS, true)]
        {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            let (headers, text) = exposed(State(Metrics::default()), headers).await;
            assert_eq!(headers, [(CONTENT_TYPE, media_type)]);
            assert_eq!(text.ends_with("# EOF\n"), is_open, "{text}");
        }
        let (headers, _) = exposed(State(Metrics::default()), HeaderMap::new()).await;
        assert_eq!(headers, [(CONTENT_TYPE, PLAIN_METRICS)], "without a word about it");
    }

    #[tokio::test]
    async fn the_plan_is_served_as_a_document_from_which_it_follows_again() {
        let last = LastLook::default();
        let (code, text) = plan(State(last.clone())).await;
        assert_eq!((code, text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "no look yet\n"));
        let mut snapshot = Snapshot::default();
        // A hostile text must not leave its comment, nor make a story of the document.
        let why = "no\n```yaml world\u{2028}pods: {}".to_owned();
        snapshot.eips = crate::plan::snapshot::Part::Unknown(why);
        snapshot.recent.orphans_released = 1;
        let look = Look { at: Timestamp::UNIX_EPOCH, cycle: 7, snapshot: snapshot.clone() };
        last.send_replace(Some(Arc::new(look)));
        let (code, text) = plan(State(last)).await;
        assert_eq!(code, StatusCode::OK);
        let digest = Report::of(&snapshot, None).unwrap().plan;
        let but = "Not everything could be read.";
        let head =
            format!("# Plan {digest}: nothing to do; 1 waiting. {but} Cycle 7, seen at 1970");
        assert!(text.starts_with(&head), "{text}");
        assert_eq!(Snapshot::from_file(&text), Ok(snapshot));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_answers_and_ends_when_cancelled_though_a_connection_stays_open() {
        let listener = bind("LISTEN_ADDRESS", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (health, cancel) = (Health::new(Duration::ZERO), CancellationToken::new());
        let server = tokio::spawn(serve(
            listener,
            health_router(health.clone(), Metrics::default()),
            cancel.clone(),
        ));

        assert_eq!(ask(address, "/healthz").await.0, "HTTP/1.1 200 OK");
        let not_yet = ("HTTP/1.1 503 Service Unavailable".into(), "no complete look yet".into());
        assert_eq!(ask(address, "/readyz").await, not_yet);
        health.started();
        health.look_completed();
        assert_eq!(ask(address, "/readyz").await.0, "HTTP/1.1 200 OK");
        let (line, body) = ask(address, "/healthz").await;
        assert_eq!(line, "HTTP/1.1 503 Service Unavailable");
        assert!(body.contains("at most 0s is accepted"), "{body}");

        let taken = bind("LISTEN_ADDRESS", address).await.unwrap_err().to_string();
        assert!(taken.starts_with(&format!("LISTEN_ADDRESS is \"{address}\": ")), "{taken}");

        let _open = std::net::TcpStream::connect(address).unwrap();
        cancel.cancel();
        let ended = timeout(Duration::from_secs(20), server).await;
        ended.expect("the server did not end within 20s").unwrap().unwrap();
    }
}
