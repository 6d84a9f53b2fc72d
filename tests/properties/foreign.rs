//! Text of others: names, prefixes, error codes and messages, annotations and tags. It is read
//! without a panic, it fits where it is written, and in a log it stays on its line.

use std::net::Ipv4Addr;

use eip_operator::plan::action::{Action, Step, Wait};
use eip_operator::plan::explain::explain;
use eip_operator::plan::forecast::forecast;
use eip_operator::plan::look::{Read, lookups, recorded_addresses, recorded_pods, see_recorded};
use eip_operator::plan::meaning::{Failure, Meaning, ec2_meaning, kubernetes_meaning};
use eip_operator::plan::names::{TAG_VALUE_MAX, name_tag};
use eip_operator::plan::recent::Memory;
use eip_operator::plan::redact::redacted;
use eip_operator::plan::snapshot::{Interface, Key, Snapshot};
use eip_operator::plan::text::{
    escaped, note_line, plan_digest, plan_lines, step_line, summary, world_diff,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::check;
use crate::snapshots::{World, keys, pauses, worlds};
use crate::texts::odd;

#[test]
fn escaped_text_is_on_one_line_and_otherwise_as_it_was() {
    check(500, odd(), |text| {
        let shown = escaped(&text);
        prop_assert!(!shown.contains(char::is_control), "{shown:?}");
        prop_assert_eq!(&escaped(&shown), &shown);
        let plain = |c: char| c.is_alphanumeric() || c.is_ascii_punctuation() || c == ' ';
        let kept = |text: &str| text.chars().all(plain);
        prop_assert!(!kept(&text) || shown == text, "{text:?} became {shown:?}");
        Ok(())
    });
}

#[test]
fn every_name_is_explained_in_few_lines_and_no_foreign_text_forges_one() {
    check(300, worlds(), |World(world)| {
        let eips = world.eips.known().into_iter().flat_map(|all| all.keys());
        let pods = world.pods.known().into_iter().flat_map(|all| all.keys());
        for key in eips.chain(pods) {
            let lines = explain(&world, key);
            let of_scope = world.settings.in_scope(&key.namespace);
            prop_assert!(lines.is_ok() || !of_scope, "{key}: {lines:?}");
            let lines = lines.unwrap_or_else(|error| vec![error]);
            prop_assert!(lines.len() <= 17, "{lines:#?}");
            prop_assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:#?}");
            let leaves = lines[0].contains(" and leaves it: ");
            let ends = |step: &Step| matches!(step.action, Action::Disassociate { .. });
            let ends = forecast(&world).rounds.iter().flat_map(|r| &r.steps).any(ends);
            prop_assert!(!leaves || ends, "{lines:#?}");
        }
        Ok(())
    });
}

#[test]
fn no_foreign_text_forges_a_line_of_a_plan_or_of_a_diff() {
    check(300, worlds(), |World(world)| {
        let seen = forecast(&world);
        for round in &seen.rounds {
            let lines = plan_lines(round);
            prop_assert_eq!(lines.len(), (round.steps.len() + round.notes.len()).max(1));
            let more = round.steps.iter().map(step_line).chain(round.notes.iter().map(note_line));
            for line in lines.into_iter().chain(more).chain([summary(round, world.quota.as_ref())])
            {
                prop_assert!(!line.contains(char::is_control), "{line:?}");
            }
            let digest = plan_digest(round);
            prop_assert!(digest.len() == 7 && digest.chars().all(|c| c.is_ascii_hexdigit()));
        }
        for line in world_diff(&world, &seen.end).split_terminator('\n') {
            let kind = [" addresses:", " eips:", " pods:"].contains(&line);
            let below = [" ", "+", "-"]
                .iter()
                .any(|sign| line.strip_prefix(sign).is_some_and(|rest| rest.starts_with("  ")));
            prop_assert!((kind || below) && !line.contains(char::is_control), "{line:?}");
        }
        Ok(())
    });
}

#[test]
fn the_reason_of_a_condition_is_a_word() {
    check(500, pauses(), |pause| {
        let (seconds, reason, message) = (pause.seconds, pause.reason, pause.message);
        let code = Wait::PausedAfterError { seconds, reason, message }.code();
        // What the Kubernetes API asks of the reason of a condition.
        let begins = code.starts_with(|c: char| c.is_ascii_alphabetic());
        let word = begins && code.chars().all(|c| c.is_ascii_alphanumeric());
        prop_assert!(word && code.len() <= 1024, "{code:?}");
        Ok(())
    });
}

#[test]
fn a_key_is_read_as_it_is_shown_or_refused_by_name() {
    let texts = prop_oneof![odd(), keys().prop_map(|key| key.to_string()), "[a/]{0,4}"];
    check(1_000, texts, |text| {
        match text.parse::<Key>() {
            Ok(key) => {
                let parts = [&key.namespace, &key.name];
                prop_assert!(parts.iter().all(|part| !part.is_empty() && !part.contains('/')));
                prop_assert_eq!(key.to_string(), text);
            }
            Err(error) => prop_assert!(error.contains(&format!("{text:?}")), "{error}"),
        }
        Ok(())
    });
}

#[test]
fn a_prefix_holds_the_addresses_of_its_block_and_no_other() {
    let prefixes = (any::<u32>(), 0..=32_u32, any::<u32>(), 0..40_u32);
    check(1_000, prefixes, |(base, length, flip, kept)| {
        let text = format!("{}/{length}", Ipv4Addr::from(base));
        // Two addresses that agree in at least so many leading bits.
        let other = base ^ flip.checked_shr(kept).unwrap_or(0);
        let block = |ip: u32| u64::from(ip) >> (32 - length);
        let interface = Interface { prefixes: [text].into(), ..Interface::default() };
        prop_assert_eq!(interface.holds(other.into()), block(base) == block(other));
        Ok(())
    });
}

#[test]
fn a_prefix_that_is_none_holds_nothing() {
    let texts = prop_oneof![odd(), "[0-9./]{0,20}", "10\\.0\\.1\\.[0-9]{1,3}/[0-9-]{1,12}"];
    check(1_000, (texts, any::<u32>()), |(text, ip)| {
        let is_block = text.split_once('/').is_some_and(|(base, length)| {
            base.parse::<Ipv4Addr>().is_ok() && length.parse::<u8>().is_ok_and(|bits| bits <= 32)
        });
        let interface = Interface { prefixes: [text].into(), ..Interface::default() };
        prop_assert!(!interface.holds(ip.into()) || is_block);
        Ok(())
    });
}

#[test]
fn a_name_tag_fits_and_tells_two_names_apart() {
    let names = || prop_oneof![odd(), "[a-z]{1,3}".prop_map(|one| one.repeat(150)), "[a-z]{0,9}"];
    check(500, (names(), names(), names(), names()), |(cluster, namespace, one, two)| {
        let tag = name_tag(&cluster, &namespace, &one);
        prop_assert!(tag.chars().count() <= TAG_VALUE_MAX, "{} characters", tag.chars().count());
        prop_assert!(tag.starts_with("eip-operator:"));
        let full = format!("eip-operator:{cluster}:{namespace}:{one}");
        prop_assert!(full.chars().count() > TAG_VALUE_MAX || tag == full);
        let other = name_tag(&cluster, &namespace, &two);
        prop_assert_eq!(one == two, tag == other);
        Ok(())
    });
}

fn actions() -> impl Strategy<Value = Action> {
    let key = || Key::new("shop", "web");
    let (address, ip, uid) = ("eipalloc-1".to_owned(), "203.0.113.1".to_owned(), "e1".to_owned());
    let release = Action::Release {
        address: address.clone(),
        ip: ip.clone(),
        eip: key(),
        eip_uid: uid.clone(),
        orphan: false,
    };
    let (association, private_ip) = ("eipassoc-1".to_owned(), "10.0.1.1".to_owned());
    prop::sample::select(vec![
        Action::Allocate { eip: key(), uid: uid.clone(), pod: "web".to_owned() },
        Action::Hold { eip: key(), uid: uid.clone() },
        Action::Clear { pod: key(), uid: uid.clone() },
        Action::Tag {
            address: address.clone(),
            ip: ip.clone(),
            eip: key(),
            uid: uid.clone(),
            from: uid,
            undated: false,
        },
        Action::Disassociate { address, ip, association, private_ip },
        release,
    ])
}

/// Codes that EC2 knows, and what a stranger may make of them.
fn codes() -> impl Strategy<Value = String> {
    let known = vec![
        "InvalidAssociationID.NotFound",
        "InvalidAllocationID.NotFound",
        "AddressLimitExceeded",
        "AuthFailure",
        "InternalError",
        "RequestLimitExceeded",
    ];
    let known = prop::sample::select(known).prop_map(str::to_owned);
    prop_oneof![known, odd()]
}

#[test]
fn only_an_end_that_has_come_already_is_taken_for_a_success() {
    check(500, (actions(), codes(), odd()), |(action, code, more)| {
        let success = ec2_meaning(&action, &code) == Meaning::Success;
        let ends = matches!(action, Action::Disassociate { .. });
        prop_assert!(!success || ends && code == "InvalidAssociationID.NotFound");
        // A code is known as a whole, not by a part of it.
        let longer = format!("{code}:{more}");
        prop_assert_eq!(ec2_meaning(&action, &longer), Meaning::Slow);
        Ok(())
    });
}

#[test]
fn no_answer_of_kubernetes_is_taken_for_a_success_or_for_a_stop() {
    for status in (0..=u16::MAX).map(Some).chain([None]) {
        let meaning = kubernetes_meaning(status);
        let usual = matches!(meaning, Meaning::Look | Meaning::Retry | Meaning::Slow);
        assert!(usual, "{status:?}: {meaning:?}");
    }
}

#[test]
fn every_failure_is_waited_out_within_minutes_and_told_on_one_line() {
    let meanings = prop::sample::select(vec![
        Meaning::Lost,
        Meaning::Retry,
        Meaning::Look,
        Meaning::Slow,
        Meaning::Stop,
    ]);
    let failures = vec((actions(), codes(), odd(), meanings, 0..10_000_u64), 1..40);
    check(200, failures, |failures| {
        let (mut memory, mut now) = (Memory::default(), 0);
        for (action, code, message, meaning, later) in failures {
            let failure = Failure { code, message, meaning };
            prop_assert!(!escaped(&failure.to_string()).contains(char::is_control));
            memory.failed(&"e1".to_owned(), &action, &failure, now, 60);
            let mut world = Snapshot::default();
            memory.overlay(&mut world, now);
            let pauses = world.recent.backoff.values().chain(world.recent.stopped.values());
            let longest = pauses.map(|pause| pause.seconds).max();
            prop_assert!(longest.is_some_and(|seconds| seconds <= 360), "{longest:?}");
            prop_assert!(memory.next_due(now).is_some());
            now += later;
        }
        Ok(())
    });
}

#[test]
fn what_to_read_next_comes_to_an_end_in_any_world() {
    check(200, worlds(), |World(mut world)| {
        let (mut last, mut reads) = (None, 0);
        while let Some(read) = Read::next(last, &world) {
            prop_assert!(Some(read) > last, "{read:?} again");
            (last, reads) = (Some(read), reads + 1);
        }
        prop_assert!((4..=8).contains(&reads));
        let pods = world.pods.known().into_iter().flatten();
        let ips: Vec<_> = pods.filter_map(|(_, pod)| pod.ip).collect();
        prop_assert!(lookups(&world).iter().all(|lookup| ips.contains(&lookup.ip.into())));
        let listed = |key: &Key| world.pods.known().is_some_and(|pods| pods.contains_key(key));
        prop_assert!(!recorded_pods(&world).iter().any(listed));
        let found = recorded_addresses(&world).into_iter();
        let found = found.map(|id| (id, "203.0.113.9".to_owned(), None)).collect();
        see_recorded(&mut world, found);
        let known =
            |id: &String| world.untagged.known().is_none_or(|untagged| untagged.contains_key(id));
        prop_assert!(recorded_addresses(&world).iter().all(known));
        Ok(())
    });
}

#[test]
fn a_redacted_world_leads_to_the_same_steps_and_waits() {
    check(300, worlds(), |World(world)| {
        let told = redacted(&world);
        let shape = |snapshot: &Snapshot| {
            let seen = forecast(snapshot);
            let steps = seen.rounds.iter().map(|round| {
                let steps = round.steps.iter().map(|one| (one.action.verb(), one.reason.code()));
                steps.collect::<Vec<_>>()
            });
            let notes = seen.rounds.last().into_iter().flat_map(|last| &last.notes);
            (steps.collect::<Vec<_>>(), notes.count())
        };
        prop_assert_eq!(shape(&told), shape(&world), "\n{}\n{}", world.to_yaml(), told.to_yaml());
        prop_assert_eq!(Snapshot::from_yaml(&told.to_yaml()), Ok(told));
        Ok(())
    });
}
