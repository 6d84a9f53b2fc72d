//! For how long what failed is not tried again.

use super::*;

fn failed(memory: &mut Memory, uid: &str, meaning: Meaning, now: u64) {
    memory.failed(&uid.to_owned(), &allocate(), &failure("First", meaning), now, 300);
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
