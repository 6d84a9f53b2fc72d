use super::*;

fn world(parts: &str) -> Snapshot {
    Snapshot::from_yaml(&format!("cluster: {{name: demo, uid: c1}}\n{parts}")).unwrap()
}

fn eip<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Eip> {
    snapshot.eips.known().unwrap().get(&Key::new("shop", name))
}

#[test]
fn a_forecast_ends_with_the_first_round_that_has_nothing_to_do() {
    let converged = world("");
    let settled = forecast(&converged);
    assert_eq!(settled.rounds, [Plan::default()]);
    let mut rounds = forecast(&world("eips: {shop/web: {uid: e1, pod: web-0}}")).rounds;
    assert!(rounds.pop().is_some_and(|last| last.steps.is_empty()));
    assert!(!rounds.is_empty() && rounds.iter().all(|round| !round.steps.is_empty()));
}

#[test]
fn pods_that_ask_at_once_are_forecast_an_eip_and_an_address_each() {
    let asking = world(
        "
pods:
  shop/a: {uid: p1, node: n1, ip: 10.0.1.15, autocreate: true}
  shop/b: {uid: p2, node: n1, ip: 10.0.1.16, autocreate: true}
nodes: {n1: {instance: i-1}}
interfaces: {eni-a: {instance: i-1, ips: [10.0.1.15, 10.0.1.16]}}
",
    );
    let end = forecast(&asking).end;
    assert_eq!(end.addresses.known().unwrap().len(), 2);
    for (name, ip) in [("a", [10, 0, 1, 15]), ("b", [10, 0, 1, 16])] {
        let status = &eip(&end, name).unwrap().status;
        let address = &end.addresses.known().unwrap()[status.allocation.as_ref().unwrap()];
        assert_eq!(address.private_ip, Some(ip.into()));
        let key = Key::new("shop", name);
        assert_eq!(end.pods.known().unwrap()[&key].allocation, status.allocation);
        // Kubernetes counts the generations of a spec from one.
        assert_eq!(status.generation, 1);
    }
}

#[test]
fn an_eip_that_was_made_has_the_uid_that_kubernetes_gave_it_and_our_finalizer() {
    let mut snapshot = world("");
    let create = Action::Create { eip: Key::new("shop", "web"), pod_uid: "p1".into() };
    apply(&mut snapshot, &create, &Outcome::Created { uid: "e1".into() });
    let made = eip(&snapshot, "web").unwrap();
    assert_eq!((made.uid.as_str(), made.held), ("e1", true));
    // We made it, so nothing can have been bought for it.
    assert_eq!(snapshot.recent.settling["e1"], 0);
}

#[test]
fn a_deleted_eip_stays_while_it_bears_our_finalizer() {
    let mut snapshot = world(
        "
eips:
  shop/held: {uid: e1, pod: a, held: true}
  shop/bare: {uid: e2, pod: b}
",
    );
    for (name, uid) in [("held", "e1"), ("bare", "e2")] {
        let (eip, pod_uid) = (Key::new("shop", name), "p1".into());
        let delete = Action::Delete { eip, uid: uid.into(), pod_uid };
        apply(&mut snapshot, &delete, &Outcome::Done);
    }
    assert!(eip(&snapshot, "held").is_some_and(|eip| eip.deleting));
    assert_eq!(eip(&snapshot, "bare"), None);
}

#[test]
fn a_bought_address_says_whose_it_is_and_that_it_is_new() {
    let mut snapshot = world("eips: {shop/web: {uid: e1, pod: web-0, held: true}}");
    let eip = Key::new("shop", "web");
    let allocate = Action::Allocate { eip, uid: "e1".into(), pod: "web-0".into() };
    let bought = Outcome::Allocated { address: "eipalloc-1".into(), ip: "203.0.113.7".into() };
    apply(&mut snapshot, &allocate, &bought);
    let seen = world(
        "addresses:
  eipalloc-1: {ip: 203.0.113.7, cluster: c1, eip: e1, namespace: shop, name: web, age: 0}",
    );
    assert_eq!(snapshot.addresses, seen.addresses);
}
