//! Sends Events to the API server, beside the work: no step waits for one, and one that cannot be
//! sent is dropped, for what it says is in the log and in the status too.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event as Sent, EventType, Recorder, Reporter};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::kubernetes::failure;
use crate::plan::events::{Event, Object};
use crate::plan::text::escaped;

/// So many may wait to be sent; more are dropped.
const WAITING: usize = 1_000;
/// The longest note that the API server takes, in bytes (`note` of events.k8s.io/v1).
const NOTE_MAX: usize = 1_024;
/// What the API server says of a namespace that takes nothing new: nobody would read it there.
const ENDING: &str = "because it is being terminated";
/// The name under which they are sent.
const CONTROLLER: &str = "eip.materialize.cloud";

/// Takes Events; cheap to clone.
#[derive(Debug, Clone)]
pub struct Events(Sender<(String, Event)>);

impl Events {
    /// Where they go, and the task that sends them until it is cancelled.
    pub fn new(client: Client, cancel: CancellationToken) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = channel(WAITING);
        (Self(sender), send(client, receiver, cancel))
    }

    /// Sends them some time, with the digits of the plan that they are of.
    pub fn tell(&self, plan: &str, events: Vec<Event>) {
        for event in events {
            let _ = self.0.try_send((plan.to_owned(), event));
        }
    }
}

async fn send(client: Client, mut events: Receiver<(String, Event)>, cancel: CancellationToken) {
    let instance = std::env::var("HOSTNAME").ok();
    let recorder = Recorder::new(client, Reporter { controller: CONTROLLER.into(), instance });
    let mut said = None;
    loop {
        let (plan, event) = tokio::select! {
            () = cancel.cancelled() => return,
            event = events.recv() => match event {
                Some(event) => event,
                None => return,
            },
        };
        let sent = recorder.publish(&written(&plan, &event), &reference(&event.on)).await;
        let why = sent.err().map(|error| escaped(&failure(&error).to_string()));
        let why = why.filter(|why| !why.contains(ENDING));
        if let Some(why) = why.as_ref().filter(|why| said.as_ref() != Some(*why)) {
            warn!(error = why, "events cannot be sent");
        }
        said = why;
    }
}

fn written(plan: &str, event: &Event) -> Sent {
    let mut note = format!("{} [plan {plan}]", escaped(&event.note));
    while note.len() > NOTE_MAX {
        note.pop();
    }
    Sent {
        type_: if event.warning { EventType::Warning } else { EventType::Normal },
        reason: event.reason.clone(),
        note: Some(note),
        action: event.action.to_owned(),
        secondary: None,
    }
}

fn reference(object: &Object) -> ObjectReference {
    let (api_version, kind, key, uid) = match object {
        Object::Eip(key, uid) => ("materialize.cloud/v1", "Eip", key, uid),
        Object::Pod(key, uid) => ("v1", "Pod", key, uid),
    };
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        uid: Some(uid.clone()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::snapshot::Key;

    #[test]
    fn an_event_is_written_with_its_plan_and_never_too_long() {
        let on = Object::Eip(Key::new("shop", "web"), "e1".to_owned());
        let event = |note: String| Event {
            on: on.clone(),
            warning: true,
            reason: "Conflict".to_owned(),
            action: "Plan",
            note,
        };
        let short = written("9c41e07", &event("a\nb".to_owned()));
        assert_eq!(short.note.as_deref(), Some("a\\nb [plan 9c41e07]"));
        let long = written("9c41e07", &event("ä".repeat(2_000)));
        assert_eq!(long.note.unwrap().len(), NOTE_MAX);
        let of = reference(&on);
        assert_eq!((of.kind.as_deref(), of.uid.as_deref()), (Some("Eip"), Some("e1")));
    }
}
