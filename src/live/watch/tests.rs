use futures::stream;
use kube::core::Status;
use serde_json::json;

use super::*;
use crate::live::wake::Mailbox;

fn pod(change: impl Fn(&mut Value)) -> SeenPod {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "web", "namespace": "team", "uid": "u1", "resourceVersion": "1",
            "labels": {"eip.materialize.cloud/manage": "true"},
        },
        "spec": {"nodeName": "n1", "containers": []},
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [{"type": "PodReadyToStartContainers", "status": "True"}],
        },
    });
    change(&mut pod);
    serde_json::from_value(pod).unwrap()
}

fn eip(change: impl Fn(&mut Value)) -> SeenEip {
    let mut eip = json!({
        "apiVersion": "materialize.cloud/v1", "kind": "Eip",
        "metadata": {"name": "web", "namespace": "team", "uid": "u1", "resourceVersion": "1"},
        "spec": {"podName": "web"},
        "status": {"allocationId": "eipalloc-1"},
    });
    change(&mut eip);
    serde_json::from_value(eip).unwrap()
}

fn same(_: &mut Value) {}

/// Whether the second showing of an object rings after the first.
fn rings<K: Seen>(first: K, second: K) -> bool {
    let mut memory = Memory::new();
    assert!(memory.absorb(&Event::Apply(first)).is_some(), "a new object rings");
    memory.absorb(&Event::Apply(second)).is_some()
}

#[test]
fn each_fact_of_a_pod_rings_when_it_changes() {
    let facts: [(&str, Value); 10] = [
        ("/metadata/uid", json!("u2")),
        ("/metadata/labels", json!({"eip.materialize.cloud/autocreate_eip": "true"})),
        ("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ("/metadata/deletionGracePeriodSeconds", json!(5)),
        ("/spec/nodeName", json!("n2")),
        ("/spec/hostNetwork", json!(true)),
        ("/status/phase", json!("Succeeded")),
        ("/status/podIP", json!("10.0.0.2")),
        ("/status/podIPs", json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}])),
        ("/status/conditions", json!([{"type": "PodReadyToStartContainers", "status": "False"}])),
    ];
    for (path, value) in facts {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let changed = pod(|pod| pod.pointer_mut(parent).unwrap()[name] = value.clone());
        assert!(rings(pod(same), changed), "{path}");
    }
}

#[test]
fn an_eip_rings_when_a_person_protects_it_and_when_that_ends() {
    let protected = |value: &str| {
        let annotations = json!({PROTECT_ANNOTATION: value});
        eip(|eip| eip["metadata"]["annotations"] = annotations.clone())
    };
    assert!(rings(eip(same), protected("true")));
    assert!(rings(protected("true"), protected("false")));
    assert!(rings(protected("true"), eip(same)));
}

#[test]
fn what_the_operator_writes_on_a_pod_and_what_does_not_matter_are_silent() {
    let noise: [(&str, Value); 5] = [
        (
            "/metadata/labels",
            json!({"eip.materialize.cloud/manage": "true", "example.org/turn": "2"}),
        ),
        ("/metadata/resourceVersion", json!("2")),
        ("/metadata/annotations", json!({"external-dns.kubernetes.io/target": "1.2.3.4"})),
        ("/metadata/finalizers", json!(["eip.materialize.cloud/disassociate"])),
        (
            "/status/conditions",
            json!([
                {"type": "PodReadyToStartContainers", "status": "True", "lastProbeTime": null},
                {"type": "Ready", "status": "True"},
            ]),
        ),
    ];
    for (path, value) in noise {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let changed = pod(|pod| pod.pointer_mut(parent).unwrap()[name] = value.clone());
        assert!(!rings(pod(same), changed), "{path}");
    }
}

#[test]
fn an_eip_rings_for_its_pod_name_and_its_life_but_not_for_its_status() {
    assert!(rings(eip(same), eip(|eip| eip["spec"]["podName"] = json!("other"))));
    assert!(rings(eip(same), eip(|eip| eip["metadata"]["uid"] = json!("u2"))));
    let deletion = json!("2026-01-01T00:00:00Z");
    assert!(rings(eip(same), eip(|eip| eip["metadata"]["deletionTimestamp"] = deletion.clone())));
    let label = json!({"eip.materialize.cloud/autocreated": "true"});
    assert!(rings(eip(same), eip(|eip| eip["metadata"]["labels"] = label.clone())));

    assert!(!rings(eip(same), eip(|eip| eip["status"] = json!({"allocationId": "eipalloc-2"}))));
    assert!(!rings(eip(same), eip(|eip| eip["metadata"]["resourceVersion"] = json!("2"))));
    let finalizer = json!(["eip.materialize.cloud/destroy"]);
    assert!(!rings(eip(same), eip(|eip| eip["metadata"]["finalizers"] = finalizer.clone())));
}

#[test]
fn an_eip_of_another_shape_is_seen_too() {
    let old = eip(|eip| eip["spec"] = json!({"selector": {"pod": {"podName": "web"}}}));
    assert_eq!(Memory::new().absorb(&Event::Apply(old)), Some(Wake::Eip));
}

#[test]
fn a_deletion_rings_once() {
    let mut memory = Memory::new();
    memory.absorb(&Event::Apply(eip(same)));
    assert_eq!(memory.absorb(&Event::Delete(eip(same))), Some(Wake::Eip));
    assert_eq!(memory.absorb(&Event::Delete(eip(same))), None, "it is gone already");
}

#[test]
fn an_address_may_be_exposed_when_what_it_rests_on_at_a_pod_changes_or_goes() {
    let starting = || pod(|pod| pod["status"] = json!({"phase": "Pending"}));
    let pending = || pod(|pod| pod["status"]["phase"] = json!("Pending"));
    let ended = || pod(|pod| pod["status"]["phase"] = json!("Failed"));
    let down = || json!([{"type": "PodReadyToStartContainers", "status": "False"}]);
    let is_down = || pod(|pod| pod["status"]["conditions"] = down());
    let elsewhere = || pod(|pod| pod["status"]["podIP"] = json!("10.0.0.2"));
    let deleted = json!("2026-01-01T00:00:00Z");
    let deleting = || pod(|pod| pod["metadata"]["deletionTimestamp"] = deleted.clone());
    let label = json!({"eip.materialize.cloud/autocreate_eip": "true"});
    let asking = || pod(|pod| pod["metadata"]["labels"] = label.clone());
    let mut memory = Memory::new();
    for (showing, expected) in [
        (starting(), Wake::Pod),
        (pending(), Wake::Pod), // it got its IP
        (pod(same), Wake::Pod), // it runs
        (asking(), Wake::Pod),
        (elsewhere(), Wake::Exposure),
        (is_down(), Wake::Exposure),
        (pod(same), Wake::Pod),
        (deleting(), Wake::Exposure),
        (ended(), Wake::Exposure),
    ] {
        let shown = format!("{showing:?}");
        assert_eq!(memory.absorb(&Event::Apply(showing)), Some(expected), "{shown}");
    }
    assert_eq!(memory.absorb(&Event::Delete(ended())), Some(Wake::Pod), "said when it ended");
    memory.absorb(&Event::Apply(pod(same)));
    assert_eq!(memory.absorb(&Event::Delete(pod(same))), Some(Wake::Exposure));
    memory.absorb(&Event::Apply(pod(same)));
    memory.absorb(&Event::Init);
    assert_eq!(memory.absorb(&Event::InitDone), Some(Wake::Exposure), "gone while nobody watched");
}

/// Feeds a complete list and says whether its end rang; nothing before its end may.
fn relist(memory: &mut Memory<SeenEip>, eips: Vec<SeenEip>) -> bool {
    assert_eq!(memory.absorb(&Event::Init), None);
    for eip in eips {
        assert_eq!(memory.absorb(&Event::InitApply(eip)), None);
    }
    memory.absorb(&Event::InitDone).is_some()
}

#[test]
fn a_relist_rings_only_for_what_it_changed() {
    let named = |name: &'static str| eip(move |eip| eip["metadata"]["name"] = json!(name));
    let mut memory = Memory::new();
    assert!(!relist(&mut memory, vec![]), "nothing there, nothing new");
    assert!(relist(&mut memory, vec![named("a"), named("b")]));
    assert!(!relist(&mut memory, vec![named("b"), named("a")]));
    assert!(relist(&mut memory, vec![named("a")]), "b was deleted while nobody watched");
    let elsewhere = || eip(|eip| eip["metadata"] = json!({"name": "a", "namespace": "other"}));
    assert!(relist(&mut memory, vec![elsewhere()]), "one gone, one new");
    let repointed = eip(|eip| {
        eip["metadata"] = json!({"name": "a", "namespace": "other"});
        eip["spec"]["podName"] = json!("moved");
    });
    assert!(relist(&mut memory, vec![repointed]));
}

#[test]
fn a_list_that_broke_off_is_not_forgotten() {
    let mut memory = Memory::new();
    memory.absorb(&Event::Init);
    memory.absorb(&Event::InitApply(eip(same)));
    assert!(relist(&mut memory, vec![eip(same)]), "the first list never rang");
}

#[test]
fn trouble_is_news_when_its_text_changes_and_when_it_ends() {
    let mut trouble = Trouble::default();
    assert!(!trouble.ends());
    assert!(trouble.arises("refused"));
    assert!(!trouble.arises("refused"));
    assert!(trouble.arises("forbidden"));
    assert!(trouble.ends());
    assert!(trouble.arises("forbidden"));
}

#[tokio::test(start_paused = true)]
async fn it_rings_goes_on_after_errors_and_ends_when_cancelled() {
    use std::time::Duration;
    let mut mailbox = Mailbox::new(Duration::ZERO, Duration::from_secs(60));
    let cancel = CancellationToken::new();
    let failure = || Err(watcher::Error::WatchError(Box::new(Status::failure("no", "Gone"))));
    let events = vec![failure(), failure(), Ok(Event::Apply(eip(same)))];
    let events = stream::iter(events).chain(stream::pending());
    let watch = tokio::spawn(follow(events, "eips", mailbox.ringer(), cancel.clone()));
    assert_eq!(mailbox.next().await, BTreeSet::from([Wake::Eip]));
    assert!(!watch.is_finished());
    cancel.cancel();
    tokio::time::timeout(Duration::from_secs(1), watch).await.expect("it goes on").unwrap();
}
