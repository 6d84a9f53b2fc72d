use super::*;
use crate::plan::action::{Absence, Reason, Step};
use crate::plan::forecast::Outcome;
use crate::plan::planner::plan;

const WORLD: &str = "\
cluster: {name: demo, uid: c1}
eips:
  shop/web: {uid: e1, pod: web-0, held: true, status: {ip: 203.0.113.7, reason: PodNotFound}}
  shop/taken: {uid: e2, pod: other-0, held: true}
pods:
  shop/web-0: {uid: p1, node: n1, ip: 10.0.1.15}
  shop/taken: {uid: p2, node: n1, ip: 10.0.1.16, autocreate: true}
  shop/host: {uid: p3, node: n1, ip: 10.0.1.17, autocreate: true, host_network: true}
  shop/later: {uid: p4, autocreate: true}
";

fn world() -> Snapshot {
    Snapshot::from_yaml(WORLD).unwrap()
}

fn web() -> Key {
    Key::new("shop", "web")
}

fn performed(action: Action, reason: Reason, end: End) -> Performed {
    let step = Step { claim: web(), uid: "e1".into(), action: action.clone(), reason };
    let effects = vec![(action.clone(), Outcome::Done)];
    Performed { step, tried: action, effects, end, sent_at: Some(1) }
}

fn record(status: Status) -> Performed {
    let action = Action::Record { eip: web(), uid: "e1".into(), status: Box::new(status) };
    performed(action, Reason::StatusBehind, End::Done)
}

fn told(performed: &[Performed]) -> Vec<Event> {
    events(&world(), performed, &Plan::default(), &mut Said::default())
}

#[test]
fn an_address_that_comes_is_told_on_its_eip_and_on_the_pod() {
    let status = Status {
        ip: Some("203.0.113.7".into()),
        association: Some("a".into()),
        pod: Some("web-0".into()),
        ready: true,
        reason: "Associated".into(),
        message: "203.0.113.7 is on pod shop/web-0 at 10.0.1.15".into(),
        ..Status::default()
    };
    let event = |on| Event {
        on,
        warning: false,
        reason: "Associated".into(),
        action: "Associate",
        note: status.message.clone(),
    };
    let on_both = [
        event(Object::Eip(web(), "e1".into())),
        event(Object::Pod(Key::new("shop", "web-0"), "p1".into())),
    ];
    assert_eq!(told(&[record(status.clone())]), on_both);
    // It is told once, and again where another pod, or another address, is.
    let mut before = world();
    let eips = before.eips.known_mut().unwrap();
    eips.get_mut(&web()).unwrap().status =
        Status { interface: Some("eni-a".into()), ..status.clone() };
    let after = |status| events(&before, &[record(status)], &Plan::default(), &mut Said::default());
    assert_eq!(after(status.clone()), []);
    assert_eq!(after(Status { pod: Some("web-1".into()), ..status.clone() }).len(), 1);
    assert_eq!(after(Status { ip: Some("203.0.113.8".into()), ..status.clone() }).len(), 2);
    // Another pod of that name, which came within one look.
    assert_eq!(after(Status { association: Some("b".into()), ..status.clone() }).len(), 2);
    let refused = End::Changed("no".into());
    let not_done = Performed { end: refused, ..record(status) };
    assert_eq!(told(&[not_done]), []);
}

#[test]
fn what_a_person_has_to_mend_is_a_warning_and_what_passes_by_itself_is_nothing() {
    let status = |reason: &str| Status {
        pod: Some("web-0".into()),
        reason: reason.into(),
        message: "why".into(),
        ..Status::default()
    };
    for passing in ["Pending", "PodWithoutIP", "MaybeAllocated", "Unread", "PodNotFound"] {
        assert_eq!(told(&[record(status(passing))]), [], "{passing}");
    }
    let expected = Event {
        on: Object::Eip(web(), "e1".into()),
        warning: true,
        reason: "AddressLost".into(),
        action: "Plan",
        note: "why".into(),
    };
    assert_eq!(told(&[record(status("AddressLost"))]), [expected]);
}

#[test]
fn an_address_that_leaves_or_is_given_back_is_told_on_its_eip() {
    let leaves = Action::Disassociate {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        association: "eipassoc-1".into(),
        private_ip: "10.0.1.15".into(),
    };
    let release = |orphan| Action::Release {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        eip: web(),
        eip_uid: "e1".into(),
        orphan,
    };
    let said = told(&[
        performed(leaves.clone(), Reason::EipDeleted, End::Done),
        performed(release(false), Reason::EipDeleted, End::Done),
        performed(release(true), Reason::EipGone, End::Done),
        performed(Action::Hold { eip: web(), uid: "e1".into() }, Reason::EipDeleted, End::Done),
    ]);
    let texts: Vec<_> =
        said.iter().map(|e| (e.reason.as_str(), e.action, e.note.as_str())).collect();
    let left = "203.0.113.7 has left 10.0.1.15, because the Eip is being deleted";
    let gone = "203.0.113.7 (eipalloc-1) was given back to AWS, because the Eip is being deleted";
    assert_eq!(texts, [("Disassociated", "Disassociate", left), ("Released", "Release", gone)]);
    assert!(said.iter().all(|event| !event.warning && event.on == Object::Eip(web(), "e1".into())));
    let mut nobody = performed(leaves, Reason::EipGone, End::Done);
    nobody.step.uid.clear();
    assert_eq!(told(&[nobody]), [], "there is no Eip to tell it on");
}

#[test]
fn what_keeps_a_pod_from_an_eip_is_told_on_the_pod_each_time_that_changes() {
    let (mut said, before) = (Said::default(), world());
    let mut look = |world: &Snapshot| events(world, &[], &plan(world), &mut said);
    let first = look(&before);
    let words: Vec<_> = first.iter().map(|e| (&e.on, e.reason.as_str())).collect();
    let pod = |name: &str, uid: &str| Object::Pod(Key::new("shop", name), uid.into());
    let (host, taken) = (pod("host", "p3"), pod("taken", "p2"));
    assert_eq!(words, [(&host, "HostNetwork"), (&taken, "NameTaken")]);
    assert!(first.iter().all(|event| event.warning && event.action == "Plan"));
    assert!(first[1].note.contains("names another pod"), "{first:?}");
    assert_eq!(look(&before), [], "it is said once");
    let text =
        WORLD.replace("shop/taken: {uid: e2, pod: other-0", "shop/free: {uid: e2, pod: other-0");
    assert_eq!(look(&Snapshot::from_yaml(&text).unwrap()), []);
    assert_eq!(look(&before).len(), 1, "and again when it comes back");
}

#[test]
fn of_a_pod_only_what_needs_a_person_is_told() {
    let eip = web();
    for (wait, expected) in [
        (Wait::NameTaken { eip: eip.clone() }, true),
        (Wait::PredecessorProtected { eip: eip.clone() }, true),
        (Wait::PredecessorLeaves { eip: eip.clone() }, false),
        (Wait::Pod { pod: eip.clone(), absence: Absence::HostNetwork }, true),
        (Wait::Pod { pod: eip.clone(), absence: Absence::Ipv6Only }, true),
        (Wait::Pod { pod: eip, absence: Absence::WithoutIp }, false),
        (
            Wait::PausedAfterError { seconds: 1, reason: "Forbidden".into(), message: "no".into() },
            true,
        ),
        (Wait::AnnotatedRecently { seconds: 1 }, false),
    ] {
        assert_eq!(needs_a_person(&wait), expected, "{wait:?}");
    }
}
