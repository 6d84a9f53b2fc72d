use super::*;

const WORLD: &str = "\
cluster: {name: demo, uid: c1}
quota: {limit: 5, used: 1}
addresses:
  eipalloc-1: {ip: 203.0.113.7, cluster: c1, eip: e1, namespace: shop, name: web, age: 9000,
    association: eipassoc-1, interface: eni-1, private_ip: 10.0.1.23}
eips:
  shop/web: {uid: e1, pod: web-0, held: true, status: {allocation: eipalloc-1, pod: web-0}}
  shop/db: {uid: e2, pod: db-0, held: true}
  shop/second: {uid: e3, pod: web-0, held: true}
pods:
  shop/web-0: {uid: p1, node: n1, ip: 10.0.1.23, target: 203.0.113.7, alpha_target: 203.0.113.7,
    allocation: eipalloc-1}
  shop/bare: {uid: p2, node: n1, ip: 10.0.1.24}
  shop/other: {uid: p3, node: n1, ip: 10.0.1.25, managed: false}
  shop/asks: {uid: p4, ip: 10.0.1.26, autocreate: true}
nodes:
  n1: {instance: i-1}
recent:
  settling: {e2: 300, e1: 0, e3: 0}
  backoff: {e2: {seconds: 20, reason: AddressLimitExceeded, message: no more}}
";

fn told(world: &str, key: &str) -> Vec<String> {
    let snapshot = Snapshot::from_yaml(world).unwrap();
    let lines = explain(&snapshot, &key.parse().unwrap()).unwrap();
    assert!(lines.len() < 20, "{lines:#?}");
    lines
}

#[test]
fn an_eip_and_its_pod_are_told_alike() {
    let lines = told(WORLD, "shop/web");
    assert_eq!(lines[0], "eip shop/web has 203.0.113.7 (eipalloc-1), and it is on pod shop/web-0");
    assert_eq!(
        lines[1..5],
        [
            "  eip         shop/web names pod web-0, held by our finalizer",
            "  pod         shop/web-0: Running on node n1 at 10.0.1.23; it may carry an address",
            "  node        n1: Ready, i-1",
            "  dns         the pod announces 203.0.113.7 (eipalloc-1)",
        ]
    );
    assert_eq!(told(WORLD, "shop/web-0"), lines, "the one of two Eips that serves the pod");
}

#[test]
fn what_is_waited_for_stands_in_the_first_line() {
    let lines = told(WORLD, "shop/db");
    assert!(lines[0].starts_with("eip shop/db has no address: an address may be on"), "{lines:#?}");
    assert!(lines.contains(&"  quota       1 of 5 are taken".to_owned()), "{lines:#?}");
    assert!(
        lines.contains(&"  failed      AddressLimitExceeded: no more; for 20 s".to_owned()),
        "{lines:#?}"
    );
    let lines = told(WORLD, "shop/second");
    let why = "pod shop/web-0 is served by eip shop/web";
    assert_eq!(lines[0], format!("eip shop/second has no address: {why}"));
}

#[test]
fn a_pod_that_no_eip_names_is_told_what_it_lacks() {
    let first = |key| told(WORLD, key)[0].clone();
    assert!(first("shop/bare").contains("no Eip names it"), "{}", first("shop/bare"));
    let unlabelled = "pod shop/other has no address: it is not labelled";
    assert!(first("shop/other").starts_with(unlabelled), "{}", first("shop/other"));
    let asks = first("shop/asks");
    assert_eq!(asks, "pod shop/asks has no address: it is not scheduled yet");
    let snapshot = Snapshot::from_yaml(WORLD).unwrap();
    let error = explain(&snapshot, &Key::new("shop", "none")).unwrap_err();
    assert_eq!(error, "there is neither an eip nor a pod shop/none");
}

#[test]
fn what_could_not_be_read_is_said() {
    let at = WORLD.find("addresses:").unwrap();
    let rest = &WORLD[WORLD.find("eips:").unwrap()..];
    let unread = format!("{}addresses: 'unknown: denied'\n{rest}", &WORLD[..at]);
    let lines = told(&unread, "shop/web");
    assert!(lines[0].contains("AWS could not be asked: denied"), "{lines:#?}");
    let snapshot = "cluster: {name: demo, uid: c1}\neips: 'unknown: forbidden'\n";
    let snapshot = Snapshot::from_yaml(snapshot).unwrap();
    let error = explain(&snapshot, &Key::new("shop", "web")).unwrap_err();
    assert_eq!(error, "nothing is known of shop/web; could not be read: eips: forbidden");
}
