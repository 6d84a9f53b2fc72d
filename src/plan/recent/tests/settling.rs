//! How long an address of an Eip may be on its way, or there unseen.

use super::*;

fn uid() -> Uid {
    "e1".to_owned()
}

fn settling(memory: &mut Memory, mut snapshot: Snapshot, now: u64) -> Option<u64> {
    memory.overlay(&mut snapshot, now);
    snapshot.recent.settling.get("e1").copied()
}

/// The same within the cycle of that look.
fn settling_now(memory: &Memory) -> Option<u64> {
    let mut snapshot = world(&[]);
    memory.show_settling(&uid(), &mut snapshot);
    snapshot.recent.settling.get("e1").copied()
}

fn no_eips() -> Snapshot {
    Snapshot { eips: Part::default(), ..world(&[]) }
}

fn held() -> (Action, Outcome) {
    let written = Outcome::Created { uid: uid() };
    (Action::Hold { eip: Key::new("shop", "web"), uid: uid() }, written)
}

fn release() -> Action {
    let (address, ip) = ("eipalloc-1".into(), "203.0.113.7".into());
    Action::Release { address, ip, eip: Key::new("shop", "web"), eip_uid: uid(), orphan: false }
}

#[test]
fn nothing_is_on_its_way_to_an_eip_that_we_have_made_or_held_ourselves() {
    let create = Action::Create { eip: Key::new("shop", "web"), pod_uid: "p1".into() };
    let (hold, written) = held();
    for action in [create, hold] {
        let mut memory = Memory::default();
        memory.done(&uid(), &action, &written, 1_000, 300);
        assert_eq!(settling(&mut memory, world(&[]), 2_000), Some(0), "{action:?}");
        // It stays so for as long as the Eip is there.
        assert_eq!(settling(&mut memory, world(&[]), 400_000), Some(0), "{action:?}");
        assert_eq!(settling(&mut memory, world(&[]), 400_001), Some(0), "{action:?}");
    }
    let mut earlier = Memory::default();
    assert_eq!(settling(&mut earlier, world(&[]), 2_000), Some(300), "it may have bought");
}

#[test]
fn an_eip_that_one_list_lacks_is_not_taken_for_new() {
    for (missing_at, expected) in [(2_000, 0), (300_999, 0), (301_000, 300)] {
        let (mut memory, (hold, written)) = (Memory::default(), held());
        settling(&mut memory, no_eips(), 1_000);
        memory.done(&uid(), &hold, &written, 1_500, 300);
        settling(&mut memory, no_eips(), missing_at);
        let back = settling(&mut memory, world(&[]), missing_at);
        assert_eq!(back, Some(expected), "missing at {missing_at}");
    }
}

#[test]
fn what_was_bought_may_be_unseen_for_the_settle_time_and_not_once_it_was_given_back() {
    let mut memory = Memory::default();
    settling(&mut memory, world(&[]), 1_000);
    memory.done(&uid(), &allocate(), &bought(), 2_000, 300);
    assert_eq!(settling_now(&memory), Some(301), "counted from the look");
    assert_eq!(settling(&mut memory, world(&[]), 2_500), Some(300));
    memory.done(&uid(), &release(), &Outcome::Done, 3_000, 300);
    assert_eq!(settling_now(&memory), Some(0));
}

#[test]
fn that_one_address_was_given_back_says_nothing_of_another() {
    let mut memory = Memory::default();
    let second = Outcome::Allocated { address: "eipalloc-2".into(), ip: "203.0.113.8".into() };
    memory.done(&uid(), &allocate(), &second, 1_000, 300);
    memory.done(&uid(), &release(), &Outcome::Done, 2_000, 300);
    assert_eq!(settling_now(&memory), Some(301));
}

#[test]
fn what_would_have_shown_by_now_is_forgotten() {
    let mut lost = Memory::default();
    lost.failed(&uid(), &allocate(), &failure("Timeout", Meaning::Lost), 1_000, 300);
    assert_eq!(settling(&mut lost.clone(), no_eips(), 325_999), Some(1));
    assert_eq!(settling(&mut lost, no_eips(), 326_000), None);
    let mut seen = Memory::default();
    seen.done(&uid(), &allocate(), &bought(), 1_000, 300);
    assert_eq!(settling(&mut seen, no_eips(), 301_000), None);
}

#[test]
fn that_an_address_was_moved_is_remembered_with_its_eip_and_for_an_hour_without() {
    for (snapshot, looked_at, is_remembered) in [
        (world(&[]), 3_601_000, true),
        (no_eips(), 2_000, true),
        (no_eips(), 3_600_999, true),
        (no_eips(), 3_601_000, false),
    ] {
        let (mut memory, mut look) = (Memory::default(), snapshot.clone());
        let bound = Outcome::Associated { association: "eipassoc-1".into() };
        memory.done(&uid(), &associate(), &bound, 1_000, 300);
        memory.overlay(&mut look, looked_at);
        // Only a further move makes it stay for a while.
        memory.done(&uid(), &associate(), &bound, looked_at, 300);
        let mut later = world(&[]);
        memory.overlay(&mut later, looked_at);
        let expected = is_remembered.then_some(60);
        assert_eq!(later.recent.dwelling.get("e1").copied(), expected, "{looked_at} {snapshot:?}");
    }
}

#[test]
fn how_long_a_pod_has_been_terminating_is_counted_from_when_it_was_first_seen_so() {
    let mut memory = Memory::default();
    let mut look = |terminating: &str, now: u64| {
        let mut snapshot = Snapshot::from_yaml(&format!(
            "cluster: {{name: demo, uid: c1}}\npods:\n  shop/web-0: {{uid: p1{terminating}}}\n"
        ))
        .unwrap();
        memory.overlay(&mut snapshot, now);
        snapshot.recent.terminating.get("p1").copied()
    };
    assert_eq!(look("", 5_000), None);
    assert_eq!(look(", terminating: 30", 10_000), Some(0));
    assert_eq!(look(", terminating: 30", 100_999), Some(90));
    // The kubelet begins anew with what a second deletion leaves it.
    assert_eq!(look(", terminating: 10", 100_999), Some(0));
    assert_eq!(look(", terminating: 10", 101_999), Some(1));
    assert_eq!(look("", 102_000), None);
    assert_eq!(look(", terminating: 30", 103_000), Some(0));
}

#[test]
fn while_a_lost_call_may_have_put_an_address_somewhere_it_is_looked_for_every_ten_seconds() {
    let mut memory = Memory::default();
    memory.overlay(&mut world(&[]), 0);
    let lost = Failure { code: "Timeout".into(), message: String::new(), meaning: Meaning::Lost };
    memory.failed(&uid(), &associate(), &lost, 1_000, 300);
    for now in [20_000, 320_000] {
        memory.overlay(&mut world(&[]), now);
        assert_eq!(memory.next_due(now), Some(UNSURE_LOOK.min(326_000 - now)), "{now}");
    }
    memory.overlay(&mut world(&[]), 326_000);
    assert!(memory.next_due(326_000).is_none_or(|due| due > UNSURE_LOOK));
}

#[test]
fn what_goes_well_within_a_cycle_ends_the_pause_of_its_eip_in_it() {
    let mut memory = Memory::default();
    let failure =
        Failure { code: "Conflict".into(), message: String::new(), meaning: Meaning::Retry };
    memory.failed(&uid(), &allocate(), &failure, 0, 300);
    let mut snapshot = world(&[]);
    memory.overlay(&mut snapshot, 1_000);
    assert!(snapshot.recent.backoff.contains_key("e1"));
    memory.done(&uid(), &allocate(), &bought(), 1_500, 300);
    memory.show_settling(&uid(), &mut snapshot);
    assert!(!snapshot.recent.backoff.contains_key("e1"));
}
