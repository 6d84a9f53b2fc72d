use super::*;
use crate::plan::report::Report;

const WORLD: &str = "
cluster: {name: prod-eu, uid: 7c9e}
addresses:
  eipalloc-0a1: {ip: 52.1.2.3, cluster: 7c9e, eip: e-77, namespace: payments, name: mail}
eips:
  payments/mail:
    uid: e-77
    pod: mail-0
    held: true
    status: {allocation: eipalloc-0a1, ip: 52.1.2.3, reason: PodWithoutIP}
  payments/web: {uid: e-78, pod: web-0, held: true}
pods:
  payments/mail-0: {uid: p-1, node: ip-10-7-1-9.ec2.internal, ip: 10.7.1.20}
nodes:
  ip-10-7-1-9.ec2.internal: {instance: i-0deadbeef}
interfaces:
  eni-0b2: {instance: i-0deadbeef, prefixes: [10.7.1.16/28]}
recent:
  settling: {e-77: 0, e-78: 0}
  backoff:
    e-78:
      seconds: 30
      reason: TagPolicyViolation
      message: >-
        arn:aws:iam::123456789012:role/eip may not tag for payments/web-0 at 10.7.1.20,
        account 123456789012.
";

#[test]
fn nothing_that_tells_whose_it_is_remains_and_the_plan_is_the_same() {
    let seen = Snapshot::from_yaml(WORLD).unwrap();
    let told = redacted(&seen);
    let text = told.to_yaml();
    for secret in [
        "prod",
        "7c9e",
        "52.1",
        "payments",
        "mail",
        "web",
        "e-77",
        "0a1",
        "0deadbeef",
        "0b2",
        "10.7",
        "internal",
        "123456789012",
        "iam",
    ] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
    assert!(text.contains("TagPolicyViolation"), "{text}");
    let kinds = |snapshot: &Snapshot| -> Vec<_> {
        let report = Report::of(snapshot, None).unwrap();
        let steps =
            report.steps.iter().map(|step| (step.round, step.op.clone(), step.reason.clone()));
        steps.collect()
    };
    assert_eq!(kinds(&told), kinds(&seen));
    assert!(kinds(&seen).iter().any(|(_, op, _)| op == "associate"), "{:?}", kinds(&seen));
}

#[test]
fn what_is_redacted_twice_is_the_same_as_once() {
    let once = redacted(&Snapshot::from_yaml(WORLD).unwrap());
    assert_eq!(redacted(&once), once);
}

#[test]
fn a_word_may_be_as_long_as_this_and_no_longer() {
    let told = |word: &str| {
        let world = format!("cluster: {{name: a, uid: b}}\npods: 'unknown: say {word} now'\n");
        let pods = redacted(&Snapshot::from_yaml(&world).unwrap()).pods;
        pods.why_unknown().unwrap_or_default().to_owned()
    };
    let longest = "x".repeat(WORD_MAX);
    assert_eq!(told(&longest), format!("say {longest} now"));
    assert_eq!(told(&format!("{longest}x")), "say (left out) now");
    assert_eq!(told("arn:aws:x"), "say (left out) now");
    assert_eq!(told("short"), "say short now");
}

#[test]
fn the_private_ip_of_a_status_is_replaced_as_that_of_a_pod() {
    let world = "cluster: {name: a, uid: b}\n\
                 eips:\n  shop/web: {uid: e1, pod: web-0, status: {private_ip: 172.16.5.6}}\n\
                 pods:\n  shop/web-0: {uid: p1, ip: 172.16.5.6}\n";
    let told = redacted(&Snapshot::from_yaml(world).unwrap());
    let eip = told.eips.known().unwrap().values().next().unwrap().clone();
    let pod = told.pods.known().unwrap().values().next().unwrap().clone();
    assert_eq!(eip.status.private_ip, pod.ip.map(|ip| ip.to_string()));
    assert!(eip.status.private_ip.unwrap().starts_with("10.0."));
}
