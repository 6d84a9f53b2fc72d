//! What we did, while a listing does not show it yet.

use super::*;
use crate::plan::snapshot::Interface;

const SETTLE: u64 = 300;
/// After this many milliseconds what was shown once is shown for good.
const STEADY: u64 = 30_000;

fn end(association: &str) -> Action {
    Action::Disassociate {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        association: association.into(),
        private_ip: "10.0.1.1".into(),
    }
}

fn bind(memory: &mut Memory, association: &str, now: u64) {
    let bound = Outcome::Associated { association: association.into() };
    memory.done(&"e1".into(), &associate(), &bound, now, SETTLE);
}

fn unbind(memory: &mut Memory, association: &str, now: u64) {
    memory.done(&"e1".into(), &end(association), &Outcome::Done, now, SETTLE);
}

/// The association that is believed when the listing shows this one.
fn believed(memory: &mut Memory, shown: Option<&str>, now: u64) -> Option<String> {
    let mut snapshot = world(&[("eipalloc-1", shown)]);
    memory.overlay(&mut snapshot, now);
    snapshot.addresses.known().unwrap()["eipalloc-1"].association.clone()
}

#[test]
fn what_was_released_is_gone_for_the_settle_time_whatever_a_listing_shows() {
    let release = Action::Release {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        eip: Key::new("shop", "web"),
        eip_uid: "e1".into(),
        orphan: false,
    };
    let mut memory = Memory::default();
    memory.done(&"e1".into(), &release, &Outcome::Done, 0, SETTLE);
    for (now, expected) in [(0, 0), (299_999, 0), (300_000, 1)] {
        let mut stale = world(&[("eipalloc-1", None)]);
        memory.overlay(&mut stale, now);
        assert_eq!(ids(&stale).len(), expected, "{now}");
    }
}

#[test]
fn a_listing_that_wavers_is_not_believed_at_first() {
    for (shown_at, stays) in [(0, true), (STEADY - 1, true), (STEADY, false)] {
        let mut memory = Memory::default();
        memory.done(&"e1".into(), &allocate(), &bought(), 0, SETTLE);
        memory.overlay(&mut world(&[("eipalloc-1", None)]), shown_at);
        let mut wavering = world(&[]);
        memory.overlay(&mut wavering, STEADY + 1);
        assert_eq!(!ids(&wavering).is_empty(), stays, "shown at {shown_at}");
    }
}

#[test]
fn a_move_is_known_until_the_listing_shows_it_or_a_person_has_changed_things() {
    for (shown, expected) in [
        (None, "eipassoc-2"),
        (Some("eipassoc-1"), "eipassoc-2"), // the one that we have ended
        (Some("eipassoc-2"), "eipassoc-2"),
        (Some("eipassoc-9"), "eipassoc-9"), // a person's
    ] {
        let mut memory = Memory::default();
        unbind(&mut memory, "eipassoc-1", 0);
        bind(&mut memory, "eipassoc-2", 0);
        let found = believed(&mut memory, shown, STEADY);
        assert_eq!(found.as_deref(), Some(expected), "{shown:?}");
    }
    // Once the new one was shown, that it is there no more is a person's doing.
    let mut memory = Memory::default();
    unbind(&mut memory, "eipassoc-1", 0);
    bind(&mut memory, "eipassoc-2", 0);
    believed(&mut memory, Some("eipassoc-2"), STEADY);
    assert_eq!(believed(&mut memory, None, STEADY + 1), None);
}

#[test]
fn an_association_that_we_made_and_ended_does_not_come_back() {
    let mut memory = Memory::default();
    bind(&mut memory, "eipassoc-1", 0);
    unbind(&mut memory, "eipassoc-1", 1_000);
    for shown in [None, Some("eipassoc-1")] {
        assert_eq!(believed(&mut memory, shown, STEADY + 1_000), None, "{shown:?}");
    }
}

#[test]
fn tags_are_known_until_the_listing_shows_them_all_and_then_a_person_may_change_them() {
    let tag = Action::Tag {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        eip: Key::new("shop", "web"),
        uid: "e1".into(),
        from: "e0".into(),
        undated: false,
    };
    let look = |memory: &mut Memory, (eip, cluster): (&str, Option<&str>), now| {
        let mut snapshot = world(&[("eipalloc-1", None)]);
        snapshot.cluster.uid = "c1".into();
        let address = snapshot.addresses.known_mut().unwrap().get_mut("eipalloc-1").unwrap();
        (address.eip, address.cluster) = (eip.into(), cluster.map(Into::into));
        memory.overlay(&mut snapshot, now);
        let address = &snapshot.addresses.known().unwrap()["eipalloc-1"];
        (address.eip.clone(), address.cluster.clone())
    };
    let (all, before) = (("e1".to_owned(), Some("c1".to_owned())), ("e0", Some("c1")));
    for (shown, believed_later) in
        [(before, true), (("e1", None), true), (("e0", None), true), (("e1", Some("c1")), false)]
    {
        let mut memory = Memory::default();
        memory.done(&"e1".into(), &tag, &Outcome::Done, 0, SETTLE);
        assert_eq!(look(&mut memory, shown, STEADY), all, "{shown:?}");
        let later = look(&mut memory, before, STEADY + 1);
        assert_eq!(later == all, believed_later, "{shown:?}: {later:?}");
    }
}

#[test]
fn an_ended_association_leaves_its_interface_and_a_strangers_stays() {
    let shown = |memory: &Memory| {
        let interface = Interface {
            occupied: [
                ([10, 0, 1, 1].into(), "203.0.113.7".into()),
                ([10, 0, 1, 2].into(), "198.51.100.4".into()),
            ]
            .into(),
            ..Interface::default()
        };
        let interfaces = Part::Known([("eni-1".to_owned(), interface)].into());
        let mut snapshot = Snapshot { interfaces, ..world(&[]) };
        memory.overlay_interfaces(&mut snapshot);
        let interfaces = snapshot.interfaces.known().unwrap();
        interfaces["eni-1"].occupied.values().cloned().collect::<Vec<_>>()
    };
    let mut memory = Memory::default();
    assert_eq!(shown(&memory), ["203.0.113.7", "198.51.100.4"]);
    unbind(&mut memory, "eipassoc-1", 0);
    assert_eq!(shown(&memory), ["198.51.100.4"]);
    // Another address is put somewhere, which says nothing of this one.
    let Action::Associate { ip, interface, private_ip, pod, pod_uid, .. } = associate() else {
        unreachable!()
    };
    let address = "eipalloc-2".to_owned();
    let other = Action::Associate { address, ip, interface, private_ip, pod, pod_uid };
    let bound = Outcome::Associated { association: "eipassoc-3".into() };
    memory.done(&"e2".into(), &other, &bound, 1_000, SETTLE);
    assert_eq!(shown(&memory), ["198.51.100.4"]);
    bind(&mut memory, "eipassoc-2", 2_000);
    assert_eq!(shown(&memory), ["203.0.113.7", "198.51.100.4"], "it is there again");
}

#[test]
fn that_ec2_does_not_know_an_association_does_not_hide_it() {
    let mut memory = Memory::default();
    memory.done(&"e1".into(), &end("eipassoc-1"), &Outcome::AlreadySo, 0, SETTLE);
    let found = believed(&mut memory, Some("eipassoc-1"), STEADY);
    assert_eq!(found.as_deref(), Some("eipassoc-1"));
}

#[test]
fn tags_that_are_written_make_nothing_else_forgotten() {
    let tag = Action::Tag {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        eip: Key::new("shop", "web"),
        uid: "e1".into(),
        from: "e1".into(),
        undated: false,
    };
    let mut memory = Memory::default();
    unbind(&mut memory, "eipassoc-1", 0);
    memory.done(&"e1".into(), &tag, &Outcome::Done, 1_000, SETTLE);
    assert_eq!(believed(&mut memory, Some("eipassoc-1"), STEADY), None);
}

#[test]
fn what_a_lost_call_of_ours_may_have_undone_is_gone_when_a_listing_says_so() {
    let lost = |action: &Action, meaning, shown: bool| {
        let mut memory = Memory::default();
        memory.done(&"e1".into(), &allocate(), &bought(), 0, SETTLE);
        bind(&mut memory, "eipassoc-1", 0);
        if shown {
            believed(&mut memory, Some("eipassoc-1"), 1_000);
        }
        let failure = Failure { code: "Timeout".into(), message: String::new(), meaning };
        memory.failed(&"e1".into(), action, &failure, 2_000, SETTLE);
        memory
    };
    let end = end("eipassoc-1");
    for (meaning, shown, stays) in [
        (Meaning::Lost, true, false),
        (Meaning::Lost, false, true), // EC2 may not show it yet
        (Meaning::Retry, true, true), // it was not made
    ] {
        let found = believed(&mut lost(&end, meaning, shown), None, 12_000);
        assert_eq!(found.is_some(), stays, "{meaning:?}, shown before: {shown}");
    }
    let (address, ip) = ("eipalloc-1".to_owned(), "203.0.113.7".to_owned());
    let eip = Key::new("shop", "web");
    let release = Action::Release { address, ip, eip, eip_uid: "e1".into(), orphan: false };
    let mut memory = lost(&release, Meaning::Lost, true);
    let mut gone = world(&[]);
    memory.overlay(&mut gone, 12_000);
    assert!(ids(&gone).is_empty());
}
