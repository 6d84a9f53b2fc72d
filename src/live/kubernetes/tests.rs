use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::*;

/// An API server that gives each request the next answer.
pub mod server {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::http::{Method, StatusCode, Uri};
    use kube::{Client, Config};
    use serde_json::Value;

    pub type Asked = Arc<Mutex<Vec<String>>>;

    pub async fn answering(answers: Vec<(u16, Value)>) -> (Client, Asked) {
        let asked = Asked::default();
        let (seen, answers) = (asked.clone(), Arc::new(Mutex::new(answers.into_iter())));
        let app = Router::new().fallback(move |method: Method, uri: Uri| {
            seen.lock().unwrap().push(format!("{method} {uri}"));
            let (code, body) = answers.lock().unwrap().next().expect("one question too many");
            async move { (StatusCode::from_u16(code).unwrap(), body.to_string()) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        let mut config = Config::new(format!("http://{address}").parse().unwrap());
        config.default_retry = false;
        (Client::try_from(config).unwrap(), asked)
    }

    pub fn failure(code: u16, message: &str) -> (u16, Value) {
        let reason = match code {
            403 => "Forbidden",
            404 => "NotFound",
            _ => "Unknown",
        };
        let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
            "message": message, "reason": reason, "code": code});
        (code, status)
    }
}

/// What becomes of putting our finalizer on an Eip while there is time until then, and what the
/// API server was asked.
async fn held(until: Instant) -> (Result<Outcome, Failure>, Vec<String>) {
    let eip = json!({"apiVersion": "materialize.cloud/v1", "kind": "Eip", "spec": {"podName": "a"},
        "metadata": {"namespace": "shop", "name": "web", "uid": "e1", "resourceVersion": "1"}});
    let answers = vec![(200, eip.clone()), (200, eip)];
    let (client, asked) = server::answering(answers).await;
    let action = Action::Hold { eip: Key::new("shop", "web"), uid: "e1".to_owned() };
    let done = Kubernetes::new(client, None).perform(&action, until).await;
    let asked = asked
        .lock()
        .unwrap()
        .iter()
        .map(|one| one.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    (done, asked)
}

#[tokio::test]
async fn a_finalizer_is_not_written_once_the_time_is_over() {
    let (done, asked) = held(Instant::now() + Duration::from_secs(60)).await;
    assert_eq!((done, asked), (Ok(Outcome::Done), vec!["GET".to_owned(), "PATCH".to_owned()]));
    let over = Instant::now();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (done, asked) = held(over).await;
    assert_eq!(done.unwrap_err().message, "the time to change shop/web is over");
    assert_eq!(asked, ["GET"], "it was not written");
}
