//! The simulation's model of EC2 as a process of its own, for tests over the wire and for counting.
//!
//!     ec2-model PORT NODES_FILE [--lag MILLISECONDS] [--flicker MILLISECONDS] [--limit N]
//!               [--rate N --burst N] [--prefixes] [--seed N] [--policy FILE]
//!               [--ignores-dry-run ACTION] [--latency MILLISECONDS] [--calls FILE]
//!
//! It listens on 127.0.0.1. NODES_FILE is a JSON list of nodes, `{"instance": "i-1", "podCIDR":
//! "10.0.1.0/24"}`: each gets one interface, which holds every IP of that range. It speaks the
//! query protocol of EC2, as much of it as the operator and `bin/ec2` use, and GetServiceQuota.
//! With `--lag` each change is shown after up to so many milliseconds, each attribute on its own;
//! with `--flicker` reads within that time may or may not show it. `--rate` and `--burst` refuse
//! changing calls for which there is no token. A call with `Truth=true` is shown what is true, and
//! needs no token: so a test looks, or does what a person would. Everything left to chance comes
//! from the seed. With `--policy` every call is judged by that IAM policy, in account 123456789012
//! and Region us-east-1; each time the file is read anew. A call with `DryRun=true` changes nothing,
//! unless `--ignores-dry-run` names its action, or says `all`. With `--latency` every answer takes
//! so long, and a change is made in the middle of it. With `--calls` a line is added to that file
//! for each call but those for the truth, as calls.rs describes.

mod calls;
// What only the simulation asks of them is unused here.
#[allow(dead_code)]
#[path = "../simulation/chance.rs"]
mod chance;
#[allow(dead_code)]
#[path = "../simulation/ec2.rs"]
mod ec2;
mod iam;
mod judged;
mod query;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use calls::Calls;
use chance::Chance;
use ec2::{Account, Bucket, Lag};
use iam::{Demand, Policy};
use query::{Query, Refusal};

/// What AWS gives a new account in a Region.
const LIMIT: u64 = 5;

/// A worker node: its instance, and the range of its pods' IPs.
#[derive(Deserialize)]
struct Node {
    instance: String,
    #[serde(rename = "podCIDR")]
    pod_cidr: String,
}

/// The account, and the clock by which it lives.
pub struct Model {
    pub account: Account,
    pub chance: Chance,
    pub ignores_dry_run: Option<String>,
    policy: Option<PathBuf>,
    latency: Duration,
    calls: Option<Calls>,
    began: Instant,
}

impl Model {
    /// Milliseconds since it began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether a call with `DryRun` is carried out all the same.
    pub fn ignores_dry_run(&self, action: &str) -> bool {
        self.ignores_dry_run.as_deref().is_some_and(|one| one == action || one == "all")
    }

    /// Why a call is refused that needs all this. A policy that cannot be read allows nothing.
    pub fn refuses(&self, demands: &[Demand]) -> Option<String> {
        let file = self.policy.as_ref()?;
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        match text.and_then(|text| Policy::read(&text)) {
            Ok(policy) => demands.iter().find_map(|demand| policy.refuses(demand)),
            Err(why) => Some(format!("{}: {why}", file.display())),
        }
    }
}

fn main() {
    if let Err(wrong) = serve() {
        eprintln!("ec2-model: {wrong}");
        std::process::exit(1);
    }
}

#[tokio::main]
async fn serve() -> Result<(), String> {
    let (port, model) = model(std::env::args().skip(1))?;
    let router = Router::new().fallback(answer).with_state(Arc::new(Mutex::new(model)));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    axum::serve(listener, router).await.map_err(|error| error.to_string())
}

fn model(mut arguments: impl Iterator<Item = String>) -> Result<(u16, Model), String> {
    let usage = "usage: ec2-model PORT NODES_FILE [OPTION…]; tests/ec2-model/server.rs names them";
    let (Some(port), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err(usage.to_owned());
    };
    let port = port.parse().map_err(|_| format!("port is {port:?}; accepted: 1 to 65535"))?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let nodes: Vec<Node> =
        serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
    let mut account = Account::new(LIMIT, Lag::None);
    let (mut rate, mut burst, mut seed) = (None, None, 0);
    let (mut ignores_dry_run, mut policy, mut calls) = (None, None, None);
    let mut latency = Duration::ZERO;
    while let Some(option) = arguments.next() {
        if option == "--prefixes" {
            account.prefixes = true;
            continue;
        }
        let value = arguments.next().unwrap_or_default();
        if option == "--policy" {
            policy = Some(PathBuf::from(value));
            continue;
        }
        if option == "--calls" {
            calls = Some(Calls::to(&value).map_err(|error| format!("--calls {value}: {error}"))?);
            continue;
        }
        if option == "--ignores-dry-run" {
            ignores_dry_run = Some(value);
            continue;
        }
        let number: u64 = value
            .parse()
            .map_err(|_| format!("{option} is {value:?}; accepted: a whole number"))?;
        match option.as_str() {
            "--lag" => account.lag = Lag::UpTo(number),
            "--flicker" => account.lag = Lag::Flickers(number),
            "--limit" => account.limit = number,
            "--rate" => rate = Some(number),
            "--burst" => burst = Some(number),
            "--seed" => seed = number,
            "--latency" => latency = Duration::from_millis(number),
            _ => return Err(format!("unknown option {option:?}; {usage}")),
        }
    }
    account.bucket = match (rate, burst) {
        (Some(rate), Some(burst)) => Some(Bucket::new(rate, burst)),
        (None, None) => None,
        _ => return Err("--rate and --burst go together".to_owned()),
    };
    for (number, node) in (1..).zip(nodes) {
        let ips = query::ips_of(&node.pod_cidr).ok_or_else(|| {
            format!(
                "podCIDR of {} is {:?}; accepted: a range from /20 to /30",
                node.instance, node.pod_cidr
            )
        })?;
        account.interfaces.insert(format!("eni-{number}"), (node.instance, ips));
    }
    let (chance, began) = (Chance::new(seed), Instant::now());
    Ok((port, Model { account, chance, ignores_dry_run, policy, latency, calls, began }))
}

async fn answer(
    State(model): State<Arc<Mutex<Model>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let came = SystemTime::now();
    let own = || model.lock().unwrap_or_else(PoisonError::into_inner);
    let half = own().latency / 2;
    let query = Query::read(&body);
    tokio::time::sleep(half).await;
    let (service, action, answer) = match headers.get("x-amz-target") {
        Some(target) => {
            let target = target.to_str().unwrap_or_default();
            let action = target.rsplit('.').next().unwrap_or_default();
            ("servicequotas", action.to_owned(), quota(target, &own()))
        }
        None => {
            let (status, text) = match query::answer(&mut own(), &query) {
                Ok(text) => (StatusCode::OK, text),
                Err(refusal) => (refusal.status(), refusal.told()),
            };
            let answer = (status, [(header::CONTENT_TYPE, "text/xml;charset=UTF-8")], text);
            ("ec2", query.get("Action").unwrap_or_default().to_owned(), answer.into_response())
        }
    };
    tokio::time::sleep(half).await;
    if let Some(calls) = own().calls.as_mut().filter(|_| !query.is_for_the_truth()) {
        calls.add(came, service, &action, answer.status().as_u16());
    }
    answer
}

/// Service Quotas speaks JSON.
fn quota(target: &str, model: &Model) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.1")];
    let limit = model.account.limit;
    let demand = Demand::new("servicequotas:GetServiceQuota", "ec2", "L-0263D0A3");
    if let Some(why) = model.refuses(&[demand]) {
        let error = serde_json::json!({"__type": "AccessDeniedException", "Message": why});
        return (StatusCode::BAD_REQUEST, kind, error.to_string()).into_response();
    }
    if target.ends_with(".GetServiceQuota") {
        let quota = serde_json::json!({"Quota": {"Value": limit}});
        return (kind, quota.to_string()).into_response();
    }
    let error = serde_json::json!({"__type": "UnknownOperationException", "message": target});
    (StatusCode::BAD_REQUEST, kind, error.to_string()).into_response()
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self.code {
            "RequestLimitExceeded" => StatusCode::SERVICE_UNAVAILABLE,
            "UnauthorizedOperation" => StatusCode::FORBIDDEN,
            "DryRunOperation" => StatusCode::PRECONDITION_FAILED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
