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
  eipalloc-1:
    ip: 203.0.113.7
    cluster: c1
    eip: e1
    namespace: shop
    name: web
    association: eipassoc-1
    interface: eni-a
    private_ip: 10.0.1.15
eips:
  shop/web:
    uid: e1
    pod: web-0
    held: true
    status:
      allocation: eipalloc-1
      ip: 203.0.113.7
      association: eipassoc-1
      interface: eni-a
      private_ip: 10.0.1.15
      pod: web-0
      ready: true
      reason: Associated
      message: 203.0.113.7 is on pod shop/web-0 at 10.0.1.15
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
fn a_pod_does_not_announce_an_address_of_its_eip_that_is_elsewhere() {
    let second = "  eipalloc-2:
    {ip: 203.0.113.8, cluster: c1, eip: e1, namespace: shop, name: web, age: 10}
eips:";
    let world = SERVED.replacen("eips:", second, 1);
    let said = "    target: 203.0.113.8\n    allocation: eipalloc-2\n";
    assert!(verbs(&format!("{world}{said}")).contains(&"clear"));
}

#[test]
fn a_pod_is_not_cleared_and_annotated_in_one_round() {
    let forged =
        "    target: 203.0.113.9\n    alpha_target: 203.0.113.9\n    allocation: eipalloc-9\n";
    assert_eq!(verbs(&format!("{SERVED}{forged}")), ["clear"]);
}

#[test]
fn pods_that_share_an_interface_are_served_at_once_and_of_those_that_share_an_ip_one() {
    let world = |ip: &str| {
        format!(
            "
cluster: {{name: demo, uid: c1}}
settings: {{settle: 300, allow_host_network: true}}
eips:
  shop/a: {{uid: e1, pod: a-0, held: true}}
  shop/b: {{uid: e2, pod: b-0, held: true}}
pods:
  shop/a-0: {{uid: p1, node: n1, ip: 10.0.1.1, host_network: true}}
  shop/b-0: {{uid: p2, node: n1, ip: {ip}, host_network: true}}
nodes: {{n1: {{instance: i-1}}}}
interfaces: {{eni-1: {{instance: i-1, ips: [10.0.1.1, 10.0.1.2]}}}}
addresses:
  a1: {{ip: 203.0.113.1, cluster: c1, eip: e1, namespace: shop}}
  a2: {{ip: 203.0.113.2, cluster: c1, eip: e2, namespace: shop}}
"
        )
    };
    let associations = |world: &str| verbs(world).iter().filter(|v| **v == "associate").count();
    assert_eq!(associations(&world("10.0.1.2")), 2);
    assert_eq!(associations(&world("10.0.1.1")), 1);
    assert!(said(&world("10.0.1.1")).iter().any(|line| line.contains("10.0.1.1 carries")));
}

#[test]
fn an_eip_that_was_made_for_a_pod_goes_when_the_pod_asks_no_longer() {
    let world = |pod: &str| {
        SERVED.replace("    held: true", "    held: true\n    autocreated_for: p1") + pod
    };
    assert!(!verbs(&world("    autocreate: true\n")).contains(&"delete"));
    for (change, why) in [
        (
            "    autocreate: true\n    managed: false\n",
            "is not labelled eip.materialize.cloud/manage",
        ),
        ("    autocreate: false\n", "is not labelled eip.materialize.cloud/autocreate_eip"),
        ("    autocreate: true\n    phase: Succeeded\n", "has finished"),
    ] {
        let told = said(&world(change));
        let goes =
            |line: &&String| line.starts_with("~ delete eip shop/web ") && line.contains(why);
        assert_eq!(told.iter().filter(goes).count(), 1, "{change}: {told:#?}");
    }
}

#[test]
fn a_second_address_stays_as_long_as_it_may_be_in_use_unseen() {
    let world = |age: u64| {
        let second = format!(
            "  eipalloc-2:
    {{ip: 203.0.113.8, cluster: c1, eip: e1, namespace: shop, name: web, age: {age}}}
eips:"
        );
        SERVED.replacen("eips:", &second, 1)
    };
    assert!(!verbs(&world(300)).contains(&"release"));
    assert!(verbs(&world(301)).contains(&"release"));
}

#[test]
fn a_status_says_of_which_generation_it_speaks() {
    let world =
        SERVED.replace("    pod: web-0\n    held", "    pod: web-0\n    generation: 2\n    held");
    let steps = plan(&Snapshot::from_yaml(&world).unwrap()).steps;
    let generation = steps.iter().find_map(|step| match &step.action {
        Action::Record { status, .. } => Some(status.generation),
        _ => None,
    });
    assert_eq!(generation, Some(2));
}

#[test]
fn too_many_orphans_are_an_alarm_only_when_some_are_due() {
    let world = |unclaimed: u64| {
        let orphan = "  eipalloc-9:
    {ip: 203.0.113.9, cluster: c1, eip: gone, namespace: shop, name: old, age: 9000}
eips:";
        SERVED.replacen("eips:", orphan, 1).replacen(
            "recent:",
            &format!("recent:\n  unclaimed: {{eipalloc-9: {unclaimed}}}"),
            1,
        ) + "settings: {settle: 300, release_orphans: true, max_releases: 0}\n"
    };
    let seen = |unclaimed: u64| said(&world(unclaimed));
    let alarm = |lines: &[String]| lines.iter().any(|line| line.starts_with("! cluster: "));
    assert!(alarm(&seen(600)), "{:#?}", seen(600));
    assert!(!alarm(&seen(599)), "{:#?}", seen(599));
}

#[test]
fn an_operator_of_one_namespace_leaves_the_others_alone() {
    let scoped = |only: &str| format!("{TWO}settings: {{settle: 300, namespace: {only}}}\n");
    assert!(verbs(&scoped("shop")).contains(&"allocate"));
    assert!(verbs(&scoped("bank")).is_empty(), "{:?}", said(&scoped("bank")));
}

#[test]
fn an_alarm_is_about_what_is_due_and_not_about_what_went() {
    let orphan = "  eipalloc-9:
    {ip: 203.0.113.9, cluster: c1, eip: gone, namespace: shop, name: old, age: 9000}
eips:";
    let recent = "recent:\n  orphans_released: 1\n  unclaimed: {eipalloc-9: 1}";
    let world = SERVED.replacen("eips:", orphan, 1).replacen("recent:", recent, 1)
        + "settings: {settle: 300, release_orphans: true, max_releases: 0}\n";
    assert!(
        said(&world).iter().all(|line| !line.starts_with("! cluster: ")),
        "{:#?}",
        said(&world)
    );
}

#[test]
fn what_has_no_eip_stays_on_a_pod_as_long_as_that_drains() {
    let world = |seen: u64| {
        format!(
            "cluster: {{name: demo, uid: c1}}
addresses:
  eipalloc-9: {{ip: 203.0.113.9, cluster: c1, eip: gone, namespace: shop, name: old,
    association: eipassoc-9, interface: eni-a, private_ip: 10.0.1.15}}
eips:
  shop/other: {{uid: e1, pod: other-0, held: true}}
pods:
  shop/web-0: {{uid: p1, node: n1, ip: 10.0.1.15, terminating: 30}}
nodes:
  n1: {{instance: i-1}}
recent:
  carriers: {{eipalloc-9: p1}}
  terminating: {{p1: {seen}}}
  settling: {{e1: 300}}
"
        )
    };
    assert!(!verbs(&world(34)).contains(&"disassociate"), "{:#?}", said(&world(34)));
    assert!(verbs(&world(35)).contains(&"disassociate"), "{:#?}", said(&world(35)));
}

#[test]
fn an_eip_is_let_go_only_when_what_it_recorded_is_surely_gone() {
    let world = |untagged: &str| {
        format!(
            "cluster: {{name: demo, uid: c1}}
eips:
  shop/web: {{uid: e1, pod: web-0, held: true, deleting: true, status: {{allocation: eipalloc-9}}}}
untagged: {untagged}
recent:
  settling: {{e1: 0}}
"
        )
    };
    assert_eq!(verbs(&world("{}")), ["let go"]);
    assert_eq!(verbs(&world("{eipalloc-8: 203.0.113.8}")), ["let go"]);
    let there = world("{eipalloc-9: 203.0.113.9}");
    assert!(!verbs(&there).contains(&"let go"), "{:?}", said(&there));
    assert!(said(&there).iter().any(|line| line.contains("no longer bears")), "{:?}", said(&there));
    let unknown = world("'unknown: denied'");
    assert!(verbs(&unknown).is_empty(), "{:?}", said(&unknown));
    assert!(
        said(&unknown).iter().any(|line| line.contains("recorded addresses could not be read"))
    );
}

#[test]
fn a_status_is_left_alone_while_the_pod_that_it_names_could_not_be_read() {
    let world = |unread: &str| {
        format!(
            "cluster: {{name: demo, uid: c1}}
addresses:
  eipalloc-1: {{ip: 203.0.113.7, cluster: c1, eip: e1, namespace: shop, name: web}}
eips:
  shop/web: {{uid: e1, pod: web-0, held: true, status: {{allocation: eipalloc-1, pod: web-0}}}}
unread_pods: {unread}
"
        )
    };
    assert_eq!(verbs(&world("{}")), ["record"]);
    assert!(verbs(&world("{shop/web-0: no answer}")).is_empty());
    assert_eq!(verbs(&world("{shop/other: no answer}")), ["record"]);
}

#[test]
fn a_copied_annotation_in_another_namespace_is_taken_off_and_holds_up_nobody() {
    let world = "
cluster: {name: demo, uid: c1}
addresses:
  eipalloc-1:
    ip: 203.0.113.7
    cluster: c1
    eip: e1
    namespace: shop
    name: web
    association: eipassoc-1
    interface: eni-a
    private_ip: 10.0.1.15
eips:
  shop/web: {uid: e1, pod: web-0, held: true}
pods:
  shop/web-0: {uid: p1, node: n1, ip: 10.0.1.15}
  bank/thief: {uid: p2, node: n1, ip: 10.0.1.16, allocation: eipalloc-1}
";
    let steps = plan(&Snapshot::from_yaml(world).unwrap()).steps;
    let told = |step: &Step| (step.action.verb(), step.claim.to_string(), step.uid.clone());
    let told: Vec<_> = steps.iter().map(told).collect();
    let (clear, record) = (&told[0], &told[1]);
    assert_eq!(*clear, ("clear", "bank/thief".to_owned(), String::new()));
    assert_eq!(*record, ("record", "shop/web".to_owned(), "e1".to_owned()));
}
