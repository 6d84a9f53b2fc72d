use super::*;
use crate::plan::snapshot::{Address, Eip, Key, Part};

mod pauses;
mod settling;
mod writes;

fn world(addresses: &[(&str, Option<&str>)]) -> Snapshot {
    let eip = Eip { uid: "e1".into(), pod: "web-0".into(), held: true, ..Eip::default() };
    let addresses = addresses.iter().map(|(id, association)| {
        let address = Address {
            ip: "203.0.113.7".into(),
            eip: "e1".into(),
            namespace: "shop".into(),
            association: association.map(Into::into),
            ..Address::default()
        };
        ((*id).to_owned(), address)
    });
    Snapshot {
        eips: Part::Known([(Key::new("shop", "web"), eip)].into()),
        addresses: Part::Known(addresses.collect()),
        ..Snapshot::default()
    }
}

fn ids(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.addresses.known().unwrap().keys().map(String::as_str).collect()
}

fn allocate() -> Action {
    Action::Allocate { eip: Key::new("shop", "web"), uid: "e1".into(), pod: "web-0".into() }
}

fn bought() -> Outcome {
    Outcome::Allocated { address: "eipalloc-1".into(), ip: "203.0.113.7".into() }
}

#[test]
fn a_purchase_is_known_until_the_listing_shows_it() {
    let mut memory = Memory::default();
    memory.done(&"e1".into(), &allocate(), &bought(), 0, 300);
    let mut stale = world(&[]);
    memory.overlay(&mut stale, 299_000);
    assert_eq!(ids(&stale), ["eipalloc-1"]);
    let mut fresh = world(&[("eipalloc-1", None)]);
    memory.overlay(&mut fresh, 299_500);
    // Once it was shown, its absence means that it is gone, though not yet for sure.
    let mut gone = world(&[]);
    memory.overlay(&mut gone, 299_600);
    assert!(ids(&gone).is_empty());
    assert_eq!(gone.recent.settling["e1"], 300);
}

#[test]
fn a_lost_answer_freezes_the_claim_for_the_settle_time_and_the_timeout() {
    let mut memory = Memory::default();
    let failure =
        Failure { code: "Timeout".into(), message: "no answer".into(), meaning: Meaning::Lost };
    memory.failed(&"e1".into(), &allocate(), &failure, 1_000, 300);
    let mut snapshot = world(&[]);
    memory.overlay(&mut snapshot, 2_000);
    assert_eq!(snapshot.recent.settling["e1"], 324);
    assert_eq!(snapshot.recent.backoff["e1"].reason, "Timeout");
}

#[test]
fn an_ended_association_stays_ended_and_a_persons_change_is_seen() {
    let mut memory = Memory::default();
    let end = Action::Disassociate {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        association: "eipassoc-1".into(),
        private_ip: "10.0.1.1".into(),
    };
    memory.done(&"e1".into(), &end, &Outcome::Done, 0, 300);
    let mut stale = world(&[("eipalloc-1", Some("eipassoc-1"))]);
    memory.overlay(&mut stale, 1_000);
    let address = &stale.addresses.known().unwrap()["eipalloc-1"];
    assert_eq!(address.association, None);
    let mut other = world(&[("eipalloc-1", Some("eipassoc-9"))]);
    memory.overlay(&mut other, 2_000);
    let address = &other.addresses.known().unwrap()["eipalloc-1"];
    assert_eq!(address.association.as_deref(), Some("eipassoc-9"));
}

#[test]
fn pauses_grow_and_end_and_a_success_forgets_them() {
    let mut memory = Memory::default();
    let failure = Failure {
        code: "RequestLimitExceeded".into(),
        message: "slow down".into(),
        meaning: Meaning::Retry,
    };
    let mut pauses = Vec::new();
    for _ in 0..10 {
        memory.failed(&"e1".into(), &allocate(), &failure, 0, 300);
        let mut snapshot = world(&[]);
        memory.clone().overlay(&mut snapshot, 0);
        pauses.push(snapshot.recent.backoff["e1"].seconds);
    }
    assert!(pauses[0] >= 2 && pauses[0] <= 3, "{pauses:?}");
    assert!(pauses[..8].is_sorted(), "{pauses:?}");
    assert!(pauses[9] >= 300 && pauses[9] <= 360, "{pauses:?}");
    memory.done(&"e1".into(), &allocate(), &bought(), 0, 300);
    let mut snapshot = world(&[]);
    memory.overlay(&mut snapshot, 0);
    assert!(snapshot.recent.backoff.is_empty());
}

fn associate() -> Action {
    Action::Associate {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        interface: "eni-1".into(),
        private_ip: [10, 0, 1, 1].into(),
        pod: Key::new("shop", "web-0"),
        pod_uid: "p1".into(),
    }
}

#[test]
fn the_first_move_is_free_and_the_next_waits_a_minute() {
    let mut memory = Memory::default();
    let uid = "e1".to_owned();
    let bound = Outcome::Associated { association: "eipassoc-1".into() };
    let dwelling = |memory: &mut Memory, now| {
        let mut snapshot = world(&[("eipalloc-1", Some("eipassoc-1"))]);
        memory.overlay(&mut snapshot, now);
        snapshot.recent.dwelling.get("e1").copied()
    };
    memory.done(&uid, &associate(), &bound, 0, 300);
    assert_eq!(dwelling(&mut memory, 1_000), None);
    memory.done(&uid, &associate(), &bound, 5_000, 300);
    assert_eq!(dwelling(&mut memory, 6_000), Some(59));
    assert_eq!(memory.next_due(6_000), Some(59_000));
    assert_eq!(dwelling(&mut memory, 65_000), None);
}

#[test]
fn an_orphans_time_counts_only_while_it_is_watched() {
    let mut memory = Memory::default();
    let look = |memory: &mut Memory, now: u64, change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = world(&[("eipalloc-1", None)]);
        if let (Some(addresses), Some(eips)) =
            (snapshot.addresses.known_mut(), snapshot.eips.known_mut())
        {
            addresses.values_mut().for_each(|one| one.cluster = Some("c1".into()));
            eips.values_mut().for_each(|eip| eip.uid = "e2".into());
        }
        snapshot.cluster.uid = "c1".into();
        change(&mut snapshot);
        memory.overlay(&mut snapshot, now);
        snapshot.recent.unclaimed.get("eipalloc-1").copied()
    };
    let as_it_is = |_: &mut Snapshot| {};
    assert_eq!(look(&mut memory, 0, &as_it_is), Some(0));
    assert_eq!(look(&mut memory, 30_000, &as_it_is), Some(30));
    // An hour without a look is not an hour of observation.
    assert_eq!(look(&mut memory, 3_630_000, &as_it_is), Some(150));
    let unread = |snapshot: &mut Snapshot| snapshot.eips = Part::Unknown("no answer".into());
    assert_eq!(look(&mut memory, 3_660_000, &unread), None);
    assert_eq!(look(&mut memory, 3_690_000, &as_it_is), Some(0));
    let claimed = |snapshot: &mut Snapshot| {
        if let Some(eips) = snapshot.eips.known_mut() {
            eips.values_mut().for_each(|eip| eip.uid = "e1".into());
        }
    };
    assert_eq!(look(&mut memory, 3_720_000, &claimed), None);
}

#[test]
fn released_orphans_count_for_an_hour() {
    let mut memory = Memory::default();
    let release = Action::Release {
        address: "eipalloc-9".into(),
        ip: "203.0.113.9".into(),
        eip: Key::new("shop", "old"),
        eip_uid: "e9".into(),
        orphan: true,
    };
    memory.done(&"e9".into(), &release, &Outcome::Done, 0, 300);
    for (now, expected) in [(1_000, 1), (3_599_000, 1), (3_600_000, 0)] {
        let mut snapshot = world(&[]);
        memory.overlay(&mut snapshot, now);
        assert_eq!(snapshot.recent.orphans_released, expected, "{now}");
    }
}

fn failure(code: &str, meaning: Meaning) -> Failure {
    Failure { code: code.into(), message: "no".into(), meaning }
}

#[test]
fn neither_a_lesser_failure_nor_another_success_ends_a_long_pause() {
    let mut memory = Memory::default();
    let uid = "e1".to_owned();
    let pause = |memory: &mut Memory, now: u64| {
        let mut snapshot = world(&[]);
        memory.overlay(&mut snapshot, now);
        snapshot.recent.backoff.get("e1").map(|pause| pause.seconds)
    };
    memory.failed(&uid, &allocate(), &failure("TagPolicyViolation", Meaning::Slow), 0, 300);
    let long = pause(&mut memory, 0);
    assert!(long >= Some(300), "{long:?}");
    let hold = Action::Hold { eip: Key::new("shop", "web"), uid: uid.clone() };
    memory.failed(&uid, &hold, &failure("Conflict", Meaning::Look), 0, 300);
    assert_eq!(pause(&mut memory, 0), long);
    memory.done(&uid, &hold, &Outcome::Done, 0, 300);
    assert_eq!(pause(&mut memory, 0), long);
    memory.done(&uid, &allocate(), &bought(), 0, 300);
    assert_eq!(pause(&mut memory, 0), None);
}

#[test]
fn an_address_that_was_just_taken_up_begins_its_time_as_an_orphan_anew() {
    let mut memory = Memory::default();
    let orphaned = |memory: &mut Memory, now: u64| {
        let mut snapshot = world(&[("eipalloc-1", None)]);
        snapshot.cluster.uid = "c1".into();
        if let (Some(addresses), Some(eips)) =
            (snapshot.addresses.known_mut(), snapshot.eips.known_mut())
        {
            addresses.values_mut().for_each(|one| one.cluster = Some("c1".into()));
            eips.values_mut().for_each(|eip| eip.uid = "e3".into());
        }
        memory.overlay(&mut snapshot, now);
        snapshot.recent.unclaimed.get("eipalloc-1").copied()
    };
    assert_eq!(orphaned(&mut memory, 0), Some(0));
    assert_eq!(orphaned(&mut memory, 60_000), Some(60));
    // An Eip takes it up, and is gone again before the next look.
    let tag = Action::Tag {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        eip: Key::new("shop", "web"),
        uid: "e2".into(),
        from: "e1".into(),
        undated: false,
    };
    memory.done(&"e2".into(), &tag, &Outcome::Done, 61_000, 300);
    assert_eq!(orphaned(&mut memory, 90_000), Some(0));
}

#[test]
fn an_eip_that_records_an_address_is_not_new_although_its_finalizer_is_gone() {
    let mut memory = Memory::default();
    let mut stripped = world(&[]);
    let eip = stripped.eips.known_mut().unwrap().values_mut().next().unwrap();
    (eip.held, eip.status.allocation) = (false, Some("eipalloc-1".into()));
    memory.overlay(&mut stripped, 0);
    let hold = Action::Hold { eip: Key::new("shop", "web"), uid: "e1".into() };
    memory.done(&"e1".into(), &hold, &Outcome::Done, 10, 300);
    let mut held = world(&[]);
    memory.overlay(&mut held, 20);
    assert_eq!(held.recent.settling["e1"], 300, "it may have bought before");
}

fn carriers(memory: &mut Memory, text: &str, now: u64) -> Vec<(String, String)> {
    let mut snapshot = Snapshot::from_yaml(text).unwrap();
    memory.overlay(&mut snapshot, now);
    snapshot.recent.carriers.into_iter().collect()
}

#[test]
fn the_pod_that_an_address_is_on_is_remembered_when_its_eip_is_gone() {
    let served = "cluster: {name: demo, uid: c1}\n\
        addresses:\n  \
        a-1: {ip: 203.0.113.1, cluster: c1, eip: e1, namespace: shop, association: x, \
        private_ip: 10.0.1.15}\n  \
        a-2: {ip: 203.0.113.2, cluster: c1, eip: e1, namespace: shop}\n\
        eips:\n  shop/web: {uid: e1, pod: web-0, held: true}\n\
        pods:\n  shop/web-0: {uid: p1, node: n1, ip: 10.0.1.15}\n";
    let gone = served.replace("eips:\n  shop/web: {uid: e1, pod: web-0, held: true}\n", "");
    let mut memory = Memory::default();
    carriers(&mut memory, served, 0);
    let on = [("a-1".to_owned(), "p1".to_owned())];
    assert_eq!(carriers(&mut memory, &gone, 1_000), on);
    let other = gone.replace("uid: p1", "uid: p9");
    assert_eq!(carriers(&mut memory, &other, 2_000), on, "another pod has the IP now");
}

#[test]
fn of_an_orphan_that_is_new_to_it_a_process_remembers_the_pod_that_has_its_ip() {
    let world = |pods: &str| {
        format!(
            "cluster: {{name: demo, uid: c1}}\naddresses:\n  \
             a-1: {{ip: 203.0.113.1, cluster: c1, eip: e9, namespace: shop, association: x, \
             private_ip: 10.0.1.15}}\n  \
             a-2: {{ip: 203.0.113.2, cluster: c1, eip: e8, namespace: shop}}\n\
             eips:\n  shop/other: {{uid: e1, pod: other-0, held: true}}\npods:\n{pods}"
        )
    };
    let strangers = "  bank/x: {uid: p1, ip: 10.0.1.15}\n  shop/y: {uid: p2, ip: 10.0.1.16}\n  \
                     shop/z: {uid: p3}\n";
    assert_eq!(carriers(&mut Memory::default(), &world(strangers), 0), []);
    let one = format!("{strangers}  shop/w: {{uid: p4, ip: 10.0.1.15}}\n");
    let on = [("a-1".to_owned(), "p4".to_owned())];
    assert_eq!(carriers(&mut Memory::default(), &world(&one), 0), on);
}

#[test]
fn annotations_that_were_written_twice_within_a_minute_wait() {
    let write = Action::Annotate {
        pod: Key::new("shop", "web-0"),
        uid: "p1".into(),
        address: "eipalloc-1".into(),
        ip: "203.0.113.1".into(),
    };
    let mut memory = Memory::default();
    let dwelling = |memory: &mut Memory, now| {
        let mut snapshot = world(&[]);
        memory.overlay(&mut snapshot, now);
        snapshot.recent.dwelling.contains_key("p1")
    };
    memory.done(&"e1".into(), &write, &Outcome::Done, 0, 300);
    memory.done(&"e1".into(), &write, &Outcome::Done, 5_000, 300);
    assert!(dwelling(&mut memory, 6_000));
    assert!(!dwelling(&mut memory, 120_000));
}
