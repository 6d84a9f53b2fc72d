use super::*;
use crate::plan::action::Reason;
use crate::plan::snapshot::Part;

/// A world in which each of the steps below is sound.
const WORLD: &str = "\
cluster: {name: demo, uid: c1}
settings: {settle: 300, release_orphans: true}
eips:
  shop/web: {uid: e-web, pod: web-0, held: true}
  shop/new: {uid: e-new, pod: new-0, held: true}
  shop/back: {uid: e-back, pod: back-0, held: true}
  shop/leaving: {uid: e-leaving, pod: gone-0, held: true, deleting: true}
  shop/left: {uid: e-left, pod: gone-1, held: true, deleting: true}
  shop/made: {uid: e-made, pod: made, held: true, autocreated_for: p-made}
pods:
  shop/web-0: {uid: p-web, node: n1, ip: 10.0.1.2}
  shop/on-0: {uid: p-on, node: n1, ip: 10.0.1.3}
  shop/bare-0: {uid: p-bare, node: n1}
interfaces:
  eni-a: {instance: i-1, ips: [10.0.1.2, 10.0.1.3]}
addresses:
  a-web: {ip: 203.0.113.1, cluster: c1, eip: e-web, namespace: shop}
  a-before: {ip: 203.0.113.2, cluster: c1, eip: e-before, namespace: shop, name: back}
  a-leaving: {ip: 203.0.113.3, cluster: c1, eip: e-leaving, namespace: shop}
  a-lost: {ip: 203.0.113.4, cluster: c1, eip: e-lost, namespace: shop, name: lost}
  a-on:
    {ip: 203.0.113.5, cluster: c1, eip: e-on, namespace: shop,
     association: eipassoc-1, interface: eni-a, private_ip: 10.0.1.3}
definition: {deleting: false}
recent: {unclaimed: {a-lost: 600}}
";

fn shop(name: &str) -> Key {
    Key::new("shop", name)
}

fn associate() -> Action {
    Action::Associate {
        address: "a-web".into(),
        ip: String::new(),
        interface: "eni-a".into(),
        private_ip: [10, 0, 1, 2].into(),
        pod: shop("web-0"),
        pod_uid: "p-web".into(),
    }
}

fn tag(address: &str, eip: &str, from: &str) -> Action {
    let (address, ip, uid) = (address.into(), String::new(), format!("e-{eip}"));
    Action::Tag { address, ip, eip: shop(eip), uid, from: from.into(), undated: false }
}

fn take_up() -> Action {
    tag("a-before", "back", "e-before")
}

fn disassociate() -> Action {
    Action::Disassociate {
        address: "a-on".into(),
        ip: String::new(),
        association: "eipassoc-1".into(),
        private_ip: String::new(),
    }
}

fn release() -> Action {
    let (address, eip_uid) = ("a-leaving".into(), "e-leaving".into());
    Action::Release { address, ip: String::new(), eip: shop("leaving"), eip_uid, orphan: false }
}

fn release_orphan() -> Action {
    let (address, eip_uid) = ("a-lost".into(), "e-lost".into());
    Action::Release { address, ip: String::new(), eip: shop("lost"), eip_uid, orphan: true }
}

fn allocate() -> Action {
    Action::Allocate { eip: shop("new"), uid: "e-new".into(), pod: "new-0".into() }
}

fn let_go() -> Action {
    Action::LetGo { eip: shop("left"), uid: "e-left".into() }
}

fn delete() -> Action {
    Action::Delete { eip: shop("made"), uid: "e-made".into(), pod_uid: "p-made".into() }
}

fn annotate(pod: &str, address: &str) -> Action {
    let (pod, uid) = (shop(pod), "p-on".into());
    Action::Annotate { pod, uid, address: address.into(), ip: String::new() }
}

fn world() -> Snapshot {
    Snapshot::from_yaml(WORLD).unwrap()
}

/// The world with one difference, which must be one.
fn world_but(from: &str, to: &str) -> Snapshot {
    assert_eq!(WORLD.matches(from).count(), 1, "{from}");
    Snapshot::from_yaml(&WORLD.replace(from, to)).unwrap()
}

fn check(snapshot: &Snapshot, actions: Vec<Action>) -> Vec<String> {
    let steps = actions.into_iter().map(|action| Step {
        claim: shop("web"),
        uid: "e-web".into(),
        action,
        reason: Reason::StatusBehind,
    });
    faults(snapshot, &Plan { steps: steps.collect(), notes: Vec::new() })
}

#[test]
fn a_sound_step_has_no_fault() {
    for action in [
        associate(),
        take_up(),
        tag("a-web", "web", "e-web"),
        disassociate(),
        release(),
        release_orphan(),
        allocate(),
        let_go(),
        delete(),
        annotate("on-0", "a-on"),
    ] {
        assert_eq!(check(&world(), vec![action.clone()]), Vec::<String>::new(), "{action:?}");
    }
}

#[test]
fn a_step_that_the_world_does_not_bear_out_is_named() {
    let leaving = "pod: gone-0, held: true, deleting: true";
    for (action, from, to, expected) in [
        (associate(), "a-web", "a-other", "was not seen"),
        (associate(), "cluster: c1, eip: e-web", "cluster: c2, eip: e-web", "another cluster"),
        (associate(), "settle: 300", "settle: 300, namespace: bank", "out of scope"),
        (associate(), "eip: e-web,", "eip: e-web, association: a,", "associated already"),
        (associate(), "e-web, namespace: shop", "e-web, namespace: bank", "of namespace bank"),
        (associate(), "uid: p-web", "uid: p-other", "not to be given"),
        (associate(), "ip: 10.0.1.2", "ip: 10.0.1.9", "not to be given"),
        (associate(), "uid: p-web", "uid: p-web, managed: false", "not to be given"),
        (associate(), "uid: p-web", "uid: p-web, phase: Succeeded", "not to be given"),
        (associate(), "ips: [10.0.1.2, ", "ips: [", "does not hold 10.0.1.2"),
        (take_up(), "eip: e-before", "eip: e-other", "not of Eip uid e-before"),
        (take_up(), "uid: e-back", "uid: e-other", "not of eip shop/back"),
        (take_up(), "shop/back", "shop/other", "not of eip shop/back"),
        (take_up(), "back-0, held: true", "back-0", "not of eip shop/back"),
        (take_up(), "before, namespace: shop", "before, namespace: bank", "not of eip shop/back"),
        (take_up(), "uid: e-web", "uid: e-before", "one that exists"),
        (take_up(), "name: back", "name: other", "of another Eip"),
        (disassociate(), "eipassoc-1", "eipassoc-2", "not the association"),
        (release(), leaving, "pod: gone-0, held: true", "only address of a living Eip"),
        (release(), "uid: e-leaving", "uid: e-other", "its Eip does not exist"),
        (release(), "eip: e-leaving", "eip: e-web", "not of Eip uid e-leaving"),
        (release(), "eip: e-leaving", "association: a, eip: e-leaving", "is associated"),
        (release(), "{deleting: false}", "{deleting: true}", "while the definition"),
        (release(), "gone-0, held: true", "gone-0, protected: true, held: true", "is protected"),
        (release(), "{settle: 300", "{settle: 300, protect: true", "is protected"),
        (release_orphan(), "release_orphans: true", "release_orphans: false", "nobody asked"),
        (release_orphan(), "cluster: c1, eip: e-lost", "eip: e-lost", "nobody asked"),
        (release_orphan(), "uid: e-web", "uid: e-lost", "may belong to an Eip"),
        (release_orphan(), "shop/made", "shop/lost", "may belong to an Eip"),
        (release_orphan(), "a-lost: 600", "a-lost: 599", "too shortly"),
        (release_orphan(), "unclaimed: {a-lost: 600}", "unclaimed: {}", "too shortly"),
        (allocate(), "uid: e-new", "uid: e-other", "does not hold the intent"),
        (allocate(), "new-0, held: true", "new-0", "does not hold the intent"),
        (allocate(), "pod: new-0", "pod: new-0, deleting: true", "does not hold the intent"),
        (allocate(), "eip: e-lost", "eip: e-new", "has an address"),
        (let_go(), "eip: e-lost", "eip: e-left", "still has an address"),
        (delete(), ", autocreated_for: p-made", "", "not made by the operator"),
        (annotate("on-0", "a-on"), "private_ip: 10.0.1.3", "private_ip: 10.0.1.4", "not on pod"),
        (annotate("on-0", "a-on"), "cluster: c1, eip: e-on", "cluster: c2, eip: e-on", "another"),
    ] {
        let found = check(&world_but(from, to), vec![action]);
        assert!(found.len() == 1 && found[0].contains(expected), "{from} → {to}: {found:?}");
    }
}

#[test]
fn a_difference_that_takes_no_address_from_anybody_is_no_fault() {
    let second = "a-lost: {ip: 203.0.113.4, cluster: c1, eip: e-leaving";
    let living = WORLD
        .replace("pod: gone-0, held: true, deleting: true", "pod: gone-0, held: true")
        .replace("a-lost: {ip: 203.0.113.4, cluster: c1, eip: e-lost", second);
    let living = Snapshot::from_yaml(&living).unwrap();
    let release_all = "{deleting: true, release_all: true}";
    for (case, snapshot, action) in [
        ("a surplus address of a living Eip", living, release()),
        ("the addresses may go", world_but("{deleting: false}", release_all), release()),
        ("a namesake elsewhere", world_but("shop/made", "bank/lost"), release_orphan()),
        ("another cluster's address", world_but("c1, eip: e-lost", "c2, eip: e-new"), allocate()),
    ] {
        assert_eq!(check(&snapshot, vec![action]), Vec::<String>::new(), "{case}");
    }
}

#[test]
fn nothing_that_was_not_read_lets_an_address_be_bought_bound_or_lost() {
    fn unread<T>() -> Part<T> {
        Part::Unknown("no answer".to_owned())
    }
    type Change = fn(&mut Snapshot);
    let addresses: Change = |snapshot| snapshot.addresses = unread();
    let eips: Change = |snapshot| snapshot.eips = unread();
    let no_eips: Change = |snapshot| snapshot.eips = Part::default();
    let pods: Change = |snapshot| snapshot.pods = unread();
    let interfaces: Change = |snapshot| snapshot.interfaces = unread();
    let definition: Change = |snapshot| snapshot.definition = unread();
    for (change, action, expected) in [
        (addresses, allocate(), "or nobody knows"),
        (addresses, let_go(), "or nobody knows"),
        (addresses, disassociate(), "was not seen"),
        (eips, allocate(), "does not hold the intent"),
        (eips, take_up(), "not of eip shop/back"),
        (eips, release(), "its Eip does not exist"),
        (eips, release_orphan(), "may belong to an Eip"),
        (no_eips, release_orphan(), "may belong to an Eip"),
        (eips, delete(), "not made by the operator"),
        (pods, associate(), "not to be given"),
        (pods, annotate("on-0", "a-on"), "not on pod"),
        (interfaces, associate(), "does not hold 10.0.1.2"),
        (definition, release(), "while the definition"),
        (definition, release_orphan(), "while the definition"),
    ] {
        let mut snapshot = world();
        change(&mut snapshot);
        let found = check(&snapshot, vec![action.clone()]);
        assert!(found.len() == 1 && found[0].contains(expected), "{action:?}: {found:?}");
    }
}

#[test]
fn an_address_that_is_nowhere_is_not_on_a_pod_without_an_ip() {
    let found = check(&world(), vec![annotate("bare-0", "a-web")]);
    assert_eq!(found, ["a-web is not on pod shop/bare-0"]);
}

#[test]
fn a_plan_ends_exposure_before_it_buys_and_buys_once_for_an_eip() {
    for (actions, expected) in [
        (vec![disassociate(), allocate()], None),
        (vec![allocate(), disassociate()], Some("a purchase comes before a disassociation")),
        (vec![disassociate(), allocate(), disassociate()], Some("a purchase comes before")),
        (vec![allocate(), allocate()], Some("two addresses would be bought for eip shop/new")),
    ] {
        let found = check(&world(), actions.clone());
        let fits = match expected {
            None => found.is_empty(),
            Some(expected) => found.len() == 1 && found[0].starts_with(expected),
        };
        assert!(fits, "{actions:?}: {found:?}");
    }
}
