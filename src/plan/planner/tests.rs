//! What the stories leave to say: corners of the rules, each as a small world and its plan.

use super::*;
use crate::plan::text::plan_lines;

/// Two Eips of a namespace, held and without addresses, of which nothing can be on its way.
const TWO: &str = "
cluster: {name: demo, uid: c1}
eips:
  shop/api: {uid: e1, pod: api-0, created: '2026-01-01T00:00:00Z', held: true}
  shop/web: {uid: e2, pod: web-0, created: '2026-01-02T00:00:00Z', held: true}
recent:
  settling: {e1: 0, e2: 0}
";

/// A served Eip. What follows is added to its pod.
const SERVED: &str = "
cluster: {name: demo, uid: c1}
addresses:
  eipalloc-1: {ip: 203.0.113.7, cluster: c1, eip: e1, namespace: shop, name: web, association: eipassoc-1, interface: eni-a, private_ip: 10.0.1.15}
eips:
  shop/web:
    uid: e1
    pod: web-0
    held: true
    status: {allocation: eipalloc-1, ip: 203.0.113.7, association: eipassoc-1, interface: eni-a, private_ip: 10.0.1.15, pod: web-0, ready: true, reason: Associated, message: 203.0.113.7 is on pod shop/web-0 at 10.0.1.15}
recent:
  settling: {e1: 300}
pods:
  shop/web-0:
    uid: p1
    node: n1
    ip: 10.0.1.15
";

fn said(world: &str) -> Vec<String> {
    plan_lines(&plan(&Snapshot::from_yaml(world).unwrap()))
}

fn verbs(world: &str) -> Vec<&'static str> {
    let steps = plan(&Snapshot::from_yaml(world).unwrap()).steps;
    steps.iter().map(|step| step.action.verb()).collect()
}

#[test]
fn a_stopped_call_is_not_made_before_its_time_is_over() {
    let pause = "{reason: AddressLimitExceeded, message: no more, seconds: ";
    let stopped = |seconds: u64| format!("{TWO}  stopped: {{allocate: {pause}{seconds}}}}}\n");
    let bought = |world: &str| verbs(world).iter().filter(|verb| **verb == "allocate").count();
    assert_eq!(bought(TWO), 2);
    assert_eq!(bought(&stopped(30)), 0);
    assert_eq!(bought(&stopped(0)), 1, "one finds out for the others");
}

#[test]
fn what_one_plan_buys_counts_towards_the_limit_of_its_namespace() {
    let limited =
        |limit: u64| format!("{TWO}settings: {{settle: 300, namespace_limit: {limit}}}\n");
    let bought = |world: &str| verbs(world).iter().filter(|verb| **verb == "allocate").count();
    assert_eq!(bought(&limited(2)), 2);
    assert_eq!(bought(&limited(1)), 1);
    assert_eq!(bought(&limited(0)), 0);
}

#[test]
fn nothing_is_bought_for_a_name_that_no_pod_can_have() {
    let named = |pod: &str| TWO.replace("pod: web-0", &format!("pod: '{pod}'"));
    let buys = |pod: &str| said(&named(pod)).iter().any(|line| line.contains("for eip shop/web"));
    let longest = [[&*"a".repeat(61); 4].join("."), "a".repeat(5)].join(".");
    assert_eq!(longest.len(), 253);
    for pod in ["web-0", "a", "0", "a.b", "a-b.c-d", &longest] {
        assert!(buys(pod), "{pod}");
    }
    let too_long = format!("{longest}a");
    for pod in
        ["", "-a", "a-", "A", "a_b", "a..b", ".a", "a.", "a/b", "a.-b", "a-.b", "é", &too_long]
    {
        assert!(!buys(pod), "{pod}");
        let refused = format!("eip shop/web: spec.podName {pod:?}");
        assert!(
            said(&named(pod)).iter().any(|line| line.contains(&refused)),
            "{:?}",
            said(&named(pod))
        );
    }
}

#[test]
fn each_of_the_three_annotations_is_put_right() {
    let annotated = |target: &str, alpha: &str, allocation: &str| {
        let lines = format!(
            "    target: {target}\n    alpha_target: {alpha}\n    allocation: {allocation}\n"
        );
        verbs(&format!("{SERVED}{lines}"))
    };
    let (ip, id) = ("203.0.113.7", "eipalloc-1");
    assert!(annotated(ip, ip, id).is_empty(), "{:?}", annotated(ip, ip, id));
    assert_eq!(annotated("203.0.113.9", ip, id), ["annotate"]);
    assert_eq!(annotated(ip, "203.0.113.9", id), ["annotate"]);
    assert_eq!(verbs(&format!("{SERVED}    target: {ip}\n    alpha_target: {ip}\n")), ["annotate"]);
}

#[test]
fn an_address_of_another_eip_is_cleared_off_a_pod_and_the_right_one_announced() {
    let other = "  eipalloc-2: {ip: 203.0.113.8, cluster: c1, eip: e1, namespace: shop, name: web, age: 10}\neips:";
    let world = SERVED.replacen("eips:", other, 1);
    let lines =
        "    target: 203.0.113.8\n    alpha_target: 203.0.113.8\n    allocation: eipalloc-2\n";
    // The second address of the Eip is nowhere, so the pod must not announce it.
    assert!(verbs(&format!("{world}{lines}")).contains(&"clear"));
}
