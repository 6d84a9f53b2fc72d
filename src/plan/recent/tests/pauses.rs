//! For how long what failed is not tried again.

use super::*;
use crate::plan::claims::TERMINATION_MARGIN;

fn failed(memory: &mut Memory, uid: &str, meaning: Meaning, now: u64) {
    memory.failed(&uid.to_owned(), &allocate(), &failure("First", meaning), now, 300);
}

fn end() -> Action {
    Action::Disassociate {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        association: "eipassoc-1".into(),
        private_ip: "10.0.1.1".into(),
    }
}

/// How long the next pause lasts, where nothing else is remembered.
fn due(memory: &Memory, now: u64) -> u64 {
    memory.next_due(now).unwrap()
}

fn recent(memory: &mut Memory, now: u64) -> Recent {
    let mut snapshot = Snapshot::default();
    memory.overlay(&mut snapshot, now);
    snapshot.recent
}

#[test]
fn a_pause_is_told_until_it_is_over_and_then_wakes_nobody() {
    let mut memory = Memory::default();
    failed(&mut memory, "e1", Meaning::Retry, 0);
    let until = due(&memory, 0);
    for (now, seconds, wakes_in) in [(until - 1, Some(1), Some(1)), (until, None, None)] {
        assert_eq!(memory.next_due(now), Some(until - now), "{now}");
        let told = recent(&mut memory, now).backoff.get("e1").map(|pause| pause.seconds);
        assert_eq!(told, seconds, "{now}");
        assert_eq!(memory.next_due(now), wakes_in, "{now}, seen by a look");
    }
}

#[test]
fn failures_add_up_until_five_minutes_have_passed_without_one() {
    for (after, expected) in [
        (0, 4_000..=4_800),
        (299_999, 4_000..=4_800),
        // The count begins anew.
        (300_000, 2_000..=2_400),
    ] {
        let mut memory = Memory::default();
        failed(&mut memory, "e1", Meaning::Retry, 0);
        let now = due(&memory, 0) + after;
        recent(&mut memory, now);
        failed(&mut memory, "e1", Meaning::Retry, now);
        let pause = due(&memory, now);
        assert!(expected.contains(&pause), "{after}: {pause}");
    }
}

#[test]
fn calls_that_were_stopped_wait_five_minutes_and_then_one_at_a_time_for_as_long() {
    let mut memory = Memory::default();
    failed(&mut memory, "e1", Meaning::Stop, 1_000);
    for (now, seconds) in [
        (1_000, Some(300)),
        (300_999, Some(1)),
        (301_000, Some(0)),
        (600_999, Some(0)),
        (601_000, None),
    ] {
        let recent = recent(&mut memory, now);
        assert_eq!(recent.stopped.get("allocate").map(|stop| stop.seconds), seconds, "{now}");
        assert!(recent.backoff.is_empty(), "no single Eip is to blame");
    }
}

#[test]
fn claims_that_failed_together_are_tried_again_within_a_fifth_more_not_together() {
    for (meaning, pause) in [(Meaning::Retry, 2_000), (Meaning::Slow, 300_000)] {
        let pauses: BTreeSet<u64> = (0..100)
            .map(|number| {
                let mut memory = Memory::default();
                failed(&mut memory, &format!("e{number}"), meaning, 0);
                due(&memory, 0)
            })
            .collect();
        let (first, last) = (pauses.first().unwrap(), pauses.last().unwrap());
        let part = |tenths: u64| pause + pause / 5 * tenths / 10;
        assert!((part(0)..part(1)).contains(first), "{pauses:?}");
        assert!((part(9)..=part(10)).contains(last), "{pauses:?}");
        assert!(pauses.len() > 50, "{pauses:?}");
    }
}

#[test]
fn the_failure_whose_pause_is_longest_is_told_the_earlier_one_of_two_that_end_together() {
    let mut first = Memory::default();
    failed(&mut first, "e1", Meaning::Slow, 0);
    // The pause after a second failure in a row.
    let mut again = Memory::default();
    failed(&mut again, "e1", Meaning::Retry, 0);
    failed(&mut again, "e1", Meaning::Retry, 0);
    let together = due(&first, 0) - due(&again, 0);
    for (now, told) in [(together - 1, "First"), (together, "First"), (together + 1, "Second")] {
        let mut memory = first.clone();
        memory.failed(&"e1".into(), &allocate(), &failure("Second", Meaning::Retry), now, 300);
        assert_eq!(recent(&mut memory, now).backoff["e1"].reason, told, "{now} of {together}");
    }
}

#[test]
fn what_ends_an_exposure_is_tried_again_soon_whatever_else_of_the_eip_waits_for_longer() {
    let mut memory = Memory::default();
    failed(&mut memory, "e1", Meaning::Slow, 0);
    assert!(due(&memory, 0) >= 300_000);
    memory.failed(
        &"e1".into(),
        &end(),
        &failure("RequestLimitExceeded", Meaning::Retry),
        1_000,
        300,
    );
    let due_in = due(&memory, 1_000);
    assert!(due_in <= 6_000, "{due_in}");
    // A look in between changes nothing.
    recent(&mut memory, 1_500);
    assert_eq!(due(&memory, 1_500), due_in - 500);
    // The other pause goes on.
    assert!(recent(&mut memory, 1_000 + due_in).backoff["e1"].seconds > 290);
    assert!(due(&memory, 1_000 + due_in) > 290_000, "a look has come to it");
}

#[test]
fn what_ends_an_exposure_and_was_stopped_is_tried_again_soon_although_another_ended_well() {
    let mut memory = Memory::default();
    memory.failed(&"e1".into(), &end(), &failure("ExpiredToken", Meaning::Stop), 1_000, 300);
    memory.done(&"e2".into(), &end(), &Outcome::Done, 1_200, 300);
    let due_in = due(&memory, 1_200);
    assert!(due_in <= 6_000, "{due_in}");
}

#[test]
fn a_look_is_due_when_a_pod_that_is_being_deleted_keeps_its_address_no_longer() {
    let mut memory = Memory::default();
    let seen = |memory: &mut Memory, grace: u64, now| {
        let pod = format!("shop/web-0: {{uid: p1, terminating: {grace}}}");
        let pods = format!("cluster: {{name: demo, uid: c1}}\npods: {{{pod}}}\n");
        memory.overlay(&mut Snapshot::from_yaml(&pods).unwrap(), now);
    };
    let over = |grace| (grace + TERMINATION_MARGIN) * 1000;
    seen(&mut memory, 30, 0);
    assert_eq!(memory.next_due(1_000), Some(over(30) - 1_000));
    // A second deletion may leave it less time.
    seen(&mut memory, 10, 2_000);
    assert_eq!(memory.next_due(2_000), Some(over(10)));
    seen(&mut memory, 10, 2_000 + over(10));
    assert_eq!(memory.next_due(2_000 + over(10)), None);
}

#[test]
fn an_interface_is_looked_for_again_after_as_long_as_it_has_been_missing() {
    const WORLD: &str = "cluster: {name: demo, uid: c1}\neips: {shop/web: {uid: e1, pod: web-0}}\n\
        nodes: {n1: {instance: i-1}}\n";
    let look = |memory: &mut Memory, ip: &str, interface: &str, at: u64| {
        let pods = format!("pods: {{shop/web-0: {{uid: p1, node: n1, ip: {ip}}}}}\n");
        let interfaces = format!("interfaces: {{eni-1: {interface}}}\n");
        let mut snapshot = Snapshot::from_yaml(&[WORLD, &pods, &interfaces].concat()).unwrap();
        memory.overlay(&mut snapshot, at);
        memory.see_missing(&snapshot);
        memory.next_due(at)
    };
    let mut memory = Memory::default();
    let without = "{instance: i-1, ips: [10.0.1.1]}";
    let anothers = "{instance: i-2, ips: [10.0.1.9]}";
    let branch = "{instance: i-1}, eni-2: {trunk: eni-1, ips: [10.0.1.9]}";
    for (at, interface, due) in [
        (5_000, without, Some(2_000)),
        (7_000, without, Some(2_000)),
        (9_000, anothers, Some(4_000)),
        (10_000, without, Some(5_000)),
        (105_000, without, Some(100_000)),
    ] {
        assert_eq!(look(&mut memory, "10.0.1.9", interface, at), due, "{at}");
    }
    // What was not seen has not been there.
    for unknown in ["eips", "pods", "nodes", "interfaces"] {
        let mut unread = Snapshot::default();
        let why = || "no answer".to_owned();
        match unknown {
            "eips" => unread.eips = Part::Unknown(why()),
            "pods" => unread.pods = Part::Unknown(why()),
            "nodes" => unread.nodes = Part::Unknown(why()),
            _ => unread.interfaces = Part::Unknown(why()),
        }
        memory.overlay(&mut unread, 205_000);
        memory.see_missing(&unread);
        assert_eq!(memory.next_due(205_000), Some(200_000), "{unknown}");
    }
    assert_eq!(look(&mut memory, "10.0.1.8", without, 206_000), Some(2_000), "another IP");
    assert_eq!(look(&mut memory, "10.0.1.1", without, 207_000), None, "it is there");
    assert_eq!(look(&mut memory, "10.0.1.9", without, 208_000), Some(2_000), "it is missing anew");
    assert_eq!(look(&mut memory, "10.0.1.9", branch, 209_000), None, "on a branch of the node's");
}
