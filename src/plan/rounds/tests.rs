use super::*;
use crate::plan::action::Reason;
use crate::plan::snapshot::{Address, Key, Part, Status};

/// An Eip with an idle address of this age, one that is yet to be held, and their pods.
fn world(age: &str) -> Snapshot {
    Snapshot::from_yaml(&format!(
        "cluster: {{name: demo, uid: c1}}\n\
         settings: {{settle: 300}}\n\
         eips:\n  shop/web: {{uid: e1, pod: web-0, held: true}}\n  \
         shop/new: {{uid: e2, pod: new-0}}\n\
         pods:\n  shop/web-0: {{uid: p1, node: n1, ip: 10.0.1.1}}\n  \
         shop/new-0: {{uid: p2, node: n1, ip: 10.0.1.2}}\n\
         nodes:\n  n1: {{instance: i-1}}\n\
         interfaces:\n  eni-1: {{instance: i-1, ips: [10.0.1.1, 10.0.1.2]}}\n\
         addresses:\n  eipalloc-1: {{ip: 203.0.113.1, cluster: c1, eip: e1, namespace: shop, \
         name: web{age}}}\n"
    ))
    .unwrap()
}

/// The steps of the next round.
fn steps(rounds: &mut Rounds, snapshot: &Snapshot) -> Vec<Step> {
    match rounds.turn(snapshot) {
        Turn::Steps(steps) => steps,
        Turn::Settled => Vec::new(),
        other => panic!("{other:?}"),
    }
}

fn step(steps: &[Step], verb: &str, uid: &str) -> Option<Step> {
    steps.iter().find(|step| step.action.verb() == verb && step.uid == uid).cloned()
}

/// A step of shop/web, whyever.
fn to_do(action: Action) -> Step {
    let claim = Key::new("shop", "web");
    Step { claim, uid: "e1".to_owned(), action, reason: Reason::AddressLeaves }
}

fn ended(step: Step, end: End) -> Performed {
    let tried = step.action.clone();
    Performed { step, tried, effects: Vec::new(), end, sent_at: None }
}

fn done(step: Step, outcome: Outcome, sent_at: u64) -> Performed {
    let effects = vec![(step.action.clone(), outcome)];
    let tried = step.action.clone();
    Performed { step, tried, effects, end: End::Done, sent_at: Some(sent_at) }
}

fn failure(code: &str, meaning: Meaning) -> Failure {
    Failure { code: code.to_owned(), message: "no".to_owned(), meaning }
}

fn pause(mut snapshot: Snapshot, memory: &mut Memory, now: u64) -> Option<u64> {
    memory.overlay(&mut snapshot, now);
    snapshot.recent.backoff.get("e1").map(|pause| pause.seconds)
}

#[test]
fn a_right_that_a_new_address_lacks_is_soon_asked_for_again_that_of_an_older_seldom() {
    for (age, soon) in [
        (", age: 0", true),
        (", age: 299", true),
        (", age: 300", false),
        (", age: 86400", false),
        ("", false), // undated, so perhaps old
    ] {
        let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
        let mut snapshot = world(age);
        let step = step(&steps(&mut rounds, &snapshot), "associate", "e1").unwrap();
        let denied = End::Failed(failure("UnauthorizedOperation", Meaning::Denied));
        rounds.absorb(&mut snapshot, &mut memory, ended(step, denied), 1_000);
        let seconds = pause(snapshot, &mut memory, 1_000).unwrap();
        let expected = if soon { 2..=3 } else { 300..=360 };
        assert!(expected.contains(&seconds), "address{age}: {seconds}");
    }
}

#[test]
fn what_ends_otherwise_is_paused_by_what_it_means() {
    for (end, expected) in [
        (End::Done, None),
        (End::Late, None),
        (End::Changed("pod shop/web-0 is gone".to_owned()), Some(2..=3)),
        (End::Failed(failure("Timeout", Meaning::Lost)), Some(2..=3)),
        (End::Failed(failure("InvalidInstanceID", Meaning::Retry)), Some(2..=3)),
        (End::Failed(failure("TagPolicyViolation", Meaning::Slow)), Some(300..=360)),
    ] {
        let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
        let mut snapshot = world(", age: 10");
        let step = step(&steps(&mut rounds, &snapshot), "associate", "e1").unwrap();
        rounds.absorb(&mut snapshot, &mut memory, ended(step, end.clone()), 0);
        let seconds = pause(snapshot, &mut memory, 0);
        let fits = match &expected {
            None => seconds.is_none(),
            Some(expected) => seconds.is_some_and(|seconds| expected.contains(&seconds)),
        };
        assert!(fits, "{end:?}: {seconds:?}");
    }
}

#[test]
fn a_step_that_failed_is_not_tried_again_in_its_cycle_and_holds_up_no_other_eip() {
    let tried_again = |end: End| {
        let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
        let mut snapshot = world(", age: 10");
        let step_of = |steps: &[Step]| step(steps, "associate", "e1");
        let performed = ended(step_of(&steps(&mut rounds, &snapshot)).unwrap(), end);
        rounds.absorb(&mut snapshot, &mut memory, performed, 0);
        let next = steps(&mut rounds, &snapshot);
        assert!(step(&next, "hold", "e2").is_some(), "{next:?}");
        step_of(&next).is_some()
    };
    assert!(!tried_again(End::Failed(failure("InvalidInstanceID", Meaning::Retry))));
    assert!(!tried_again(End::Changed("pod shop/web-0 is gone".to_owned())));
    // One that was not sent in time has not failed.
    assert!(tried_again(End::Late));
}

#[test]
fn the_turn_of_a_namespace_is_remembered_within_a_cycle_and_beyond_it_however_its_step_ended() {
    for end in [End::Done, End::Failed(failure("RequestLimitExceeded", Meaning::Retry))] {
        let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
        let mut snapshot = world(", age: 10");
        let step = step(&steps(&mut rounds, &snapshot), "associate", "e1").unwrap();
        rounds.absorb(&mut snapshot, &mut memory, ended(step, end), 0);
        let turn = |seen: &Snapshot| seen.recent.served.get("associate").cloned();
        assert_eq!(turn(&snapshot).as_deref(), Some("shop"));
        let mut next = world(", age: 10");
        memory.overlay(&mut next, 1_000);
        assert_eq!(turn(&next).as_deref(), Some("shop"));
    }
}

#[test]
fn a_cycle_whose_steps_have_all_failed_is_settled() {
    let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
    let mut snapshot = world(", age: 10");
    let first = steps(&mut rounds, &snapshot);
    assert!(!first.is_empty());
    for step in first {
        let refused = End::Failed(failure("Forbidden", Meaning::Slow));
        rounds.absorb(&mut snapshot, &mut memory, ended(step, refused), 0);
    }
    assert_eq!(rounds.turn(&snapshot), Turn::Settled);
}

#[test]
fn a_world_that_resists_is_left_for_the_next_cycle() {
    let (mut rounds, snapshot) = (Rounds::default(), world(", age: 10"));
    for round in 0..MAX_ROUNDS {
        assert!(matches!(rounds.turn(&snapshot), Turn::Steps(_)), "round {round}");
    }
    assert_eq!(rounds.turn(&snapshot), Turn::Left);
}

#[test]
fn a_purchase_learns_when_the_eip_it_is_for_was_written_in_its_cycle() {
    let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
    let mut snapshot = world(", age: 10");
    let first = steps(&mut rounds, &snapshot);
    let hold = step(&first, "hold", "e2").unwrap();
    assert_eq!(rounds.written_at(&hold), None);
    let written = Outcome::Created { uid: "e2".to_owned() };
    rounds.absorb(&mut snapshot, &mut memory, done(hold, written, 7_000), 7_100);
    let next = steps(&mut rounds, &snapshot);
    let purchase = step(&next, "allocate", "e2").unwrap();
    assert_eq!(rounds.written_at(&purchase), Some(7_000));
    let other = step(&next, "associate", "e1").unwrap();
    assert_eq!(rounds.written_at(&other), None);
}

#[test]
fn an_eip_is_not_let_go_while_a_purchase_whose_answer_was_lost_may_show() {
    let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
    let allocate =
        Action::Allocate { eip: Key::new("shop", "web"), uid: "e1".into(), pod: "web-0".into() };
    memory.failed(&"e1".to_owned(), &allocate, &failure("Timeout", Meaning::Lost), 0, 300);
    // Another of its addresses is given back meanwhile.
    let mut snapshot = world(", age: 10");
    let eips = snapshot.eips.known_mut().unwrap();
    eips.get_mut(&Key::new("shop", "web")).unwrap().deleting = true;
    let release = step(&steps(&mut rounds, &snapshot), "release", "e1").unwrap();
    rounds.absorb(&mut snapshot, &mut memory, done(release, Outcome::Done, 1_000), 1_000);
    let next = steps(&mut rounds, &snapshot);
    assert_eq!(snapshot.recent.settling["e1"], 325);
    assert_eq!(step(&next, "let go", "e1"), None);
}

#[test]
fn one_association_that_could_not_be_ended_holds_up_no_other_of_its_eip() {
    let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
    let mut snapshot = world("");
    let first = Address {
        association: Some("eipassoc-1".to_owned()),
        interface: Some("eni-9".to_owned()),
        private_ip: Some("10.0.9.9".parse().unwrap()),
        ..snapshot.addresses.known().unwrap()["eipalloc-1"].clone()
    };
    let second = Address { association: Some("eipassoc-2".to_owned()), ..first.clone() };
    let addresses = snapshot.addresses.known_mut().unwrap();
    addresses.extend([("eipalloc-1".to_owned(), first), ("eipalloc-2".to_owned(), second)]);
    let ending = |steps: Vec<Step>| -> Vec<Step> {
        steps.into_iter().filter(|step| step.action.verb() == "disassociate").collect()
    };
    let both = ending(steps(&mut rounds, &snapshot));
    assert_eq!(both.len(), 2);
    let refused = ended(both[0].clone(), End::Failed(failure("InternalError", Meaning::Retry)));
    rounds.absorb(&mut snapshot, &mut memory, refused, 1_000);
    assert_eq!(ending(steps(&mut rounds, &snapshot)), both[1..]);
}

#[test]
fn what_may_have_come_since_the_look_is_not_bought_again_in_its_cycle() {
    let (mut rounds, mut memory) = (Rounds::default(), Memory::default());
    let allocate =
        Action::Allocate { eip: Key::new("shop", "web"), uid: "e1".into(), pod: "web-0".into() };
    memory.overlay(&mut world(""), 0);
    memory.failed(&"e1".to_owned(), &allocate, &failure("Timeout", Meaning::Lost), 0, 300);
    // What was bought would show 325 seconds after; the look was just before that.
    let looked = |now: u64, memory: &mut Memory| {
        let mut snapshot = world("");
        snapshot.addresses = Part::Known(BTreeMap::new());
        memory.overlay(&mut snapshot, now);
        snapshot
    };
    let mut snapshot = looked(324_500, &mut memory);
    let record = step(&steps(&mut rounds, &snapshot), "record", "e1").unwrap();
    rounds.absorb(&mut snapshot, &mut memory, done(record, Outcome::Done, 325_400), 325_500);
    assert_eq!(step(&steps(&mut rounds, &snapshot), "allocate", "e1"), None);
    assert_eq!(snapshot.recent.settling["e1"], 1);
    assert_eq!(memory.next_due(325_500), Some(0), "it is over, and no look has seen so");
    let next = looked(326_000, &mut memory);
    assert!(step(&steps(&mut Rounds::default(), &next), "allocate", "e1").is_some());
}

#[test]
fn the_next_look_comes_soonest_where_something_is_left_unread_or_paused() {
    let unread = |mut snapshot: Snapshot| {
        snapshot.nodes = Part::Unknown("no answer".to_owned());
        snapshot
    };
    let calm = || world(", age: 10");
    let mut stopped = Memory::default();
    let release = Action::Release {
        address: "eipalloc-1".into(),
        ip: String::new(),
        eip: Key::new("shop", "web"),
        eip_uid: "e1".into(),
        orphan: false,
    };
    let stop = failure("ExpiredToken", Meaning::Stop);
    stopped.failed(&"e1".to_owned(), &release, &stop, 1_000, 300);
    let none = Memory::default();
    for (snapshot, memory, left, expected) in [
        (calm(), &none, false, None),
        (calm(), &none, true, Some(2_000)),
        (unread(calm()), &none, false, Some(5_000)),
        (unread(calm()), &none, true, Some(2_000)),
        (calm(), &stopped, false, Some(300_000)),
        (calm(), &stopped, true, Some(2_000)),
        (unread(calm()), &stopped, false, Some(5_000)),
    ] {
        let found = look_again(&snapshot, memory, left, 1_000);
        let unread = snapshot.unread();
        assert_eq!(found, expected, "left {left}, unread {unread:?}, memory {memory:?}");
    }
}

#[test]
fn steps_that_wait_for_a_token_hold_up_no_others_and_each_kind_has_room_of_its_own() {
    let uid = "e1".to_owned();
    let eip = || Key::new("shop", "web");
    let release = || Action::Release {
        address: "eipalloc-1".to_owned(),
        ip: "203.0.113.1".to_owned(),
        eip: eip(),
        eip_uid: uid.clone(),
        orphan: false,
    };
    let let_go = || Action::LetGo { eip: eip(), uid: uid.clone() };
    let steps: Vec<Step> = (0..STEPS_AT_ONCE + 2).map(|_| to_do(release())).collect();
    let mut queue = Queue::new(steps.into_iter().chain([to_do(let_go())]).collect());
    let verb = |step: Option<Step>| step.map(|step| step.action.verb());
    assert_eq!(verb(queue.begin(|_| false)), Some("let go"), "it needs no token");
    assert_eq!(queue.wanted().collect::<Vec<_>>(), ["ReleaseAddress"]);
    for _ in 0..STEPS_AT_ONCE {
        assert_eq!(verb(queue.begin(|_| true)), Some("release"));
    }
    assert_eq!(queue.wanted().count(), 0, "no room");
    assert_eq!(queue.begin(|_| true), None);
    queue.ended(&release());
    assert_eq!(verb(queue.begin(|_| true)), Some("release"));
    queue.ended(&release());
    assert_eq!(queue.wanted().collect::<Vec<_>>(), ["ReleaseAddress"]);
}

#[test]
fn a_kind_of_write_that_fills_its_places_leaves_others_theirs() {
    let (eip, uid) = (|| Key::new("shop", "web"), || "e1".to_owned());
    let record = || Action::Record { eip: eip(), uid: uid(), status: Box::new(Status::default()) };
    let many = std::iter::repeat_with(record).take(STEPS_AT_ONCE + 1);
    let let_go = Action::LetGo { eip: eip(), uid: uid() };
    let mut queue = Queue::new(many.chain([let_go]).map(to_do).collect());
    let verbs: Vec<_> = std::iter::from_fn(|| queue.begin(|_| true)).collect();
    assert_eq!(verbs.len(), STEPS_AT_ONCE + 1);
    assert_eq!(verbs.last().map(|step| step.action.verb()), Some("let go"));
}

#[test]
fn what_ends_an_exposure_is_begun_although_another_may_have_come() {
    let pod = || Key::new("shop", "web-0");
    let urgent = || Action::Clear { pod: pod(), uid: "p1".to_owned() };
    let other = || Action::Unblock { pod: pod(), uid: "p1".to_owned() };
    let mut queue = Queue::new([urgent(), other(), urgent()].map(to_do).into());
    queue.urgent();
    let verbs = std::iter::from_fn(|| queue.begin(|_| true)).map(|step| step.action.verb());
    assert_eq!(verbs.collect::<Vec<_>>(), ["clear", "clear"]);
}

#[test]
fn where_ec2_has_no_room_only_what_is_for_kubernetes_goes_on() {
    let (address, ip) = (|| "eipalloc-1".to_owned(), || "203.0.113.1".to_owned());
    let (eip, pod, uid) =
        (|| Key::new("shop", "web"), || Key::new("shop", "web-0"), || "e1".to_owned());
    let (association, private_ip) = ("eipassoc-1".to_owned(), "10.0.1.1".to_owned());
    let of_ec2 = [
        Action::Disassociate { address: address(), ip: ip(), association, private_ip },
        Action::Tag {
            address: address(),
            ip: ip(),
            eip: eip(),
            uid: uid(),
            from: uid(),
            undated: true,
        },
        Action::Associate {
            address: address(),
            ip: ip(),
            interface: "eni-1".to_owned(),
            private_ip: "10.0.1.1".parse().unwrap(),
            pod: pod(),
            pod_uid: "p1".to_owned(),
        },
        Action::Allocate { eip: eip(), uid: uid(), pod: "web-0".to_owned() },
        Action::Release { address: address(), ip: ip(), eip: eip(), eip_uid: uid(), orphan: false },
    ];
    let of_kubernetes = [
        Action::Clear { pod: pod(), uid: "p1".to_owned() },
        Action::LetGo { eip: eip(), uid: uid() },
    ];
    let mut queue = Queue::new(of_ec2.into_iter().chain(of_kubernetes).map(to_do).collect());
    for verb in ["clear", "let go"] {
        assert_eq!(queue.begin(|_| false).unwrap().action.verb(), verb);
    }
    assert_eq!(queue.begin(|_| false), None);
    let mut actions: Vec<_> = queue.wanted().collect();
    actions.sort_unstable();
    assert_eq!(
        actions,
        [
            "AllocateAddress",
            "AssociateAddress",
            "CreateTags",
            "DisassociateAddress",
            "ReleaseAddress"
        ]
    );
}
