use serde::de::DeserializeOwned;

use super::*;
use crate::plan::meaning::Meaning;

const DEADLINE: u64 = 10_000;

/// A pod, an Eip or an address, as a snapshot writes it.
fn read<T: DeserializeOwned>(yaml: &str) -> T {
    serde_saphyr::from_str(yaml).unwrap()
}

fn pod(yaml: &str) -> Answer {
    Answer::Pod(Some(read(yaml)))
}

fn eip(yaml: &str) -> Answer {
    Answer::Eip(Some(read(yaml)))
}

fn address(yaml: &str) -> Answer {
    Answer::Address(Some(read(yaml)))
}

const TARGET: &str = "{uid: p1, node: n1, ip: 10.0.1.15}";
const HELD: &str = "{uid: e1, pod: web-0, held: true}";
const IDLE: &str = "{ip: 203.0.113.7, cluster: c1, eip: e1}";

fn key(name: &str) -> Key {
    Key::new("shop", name)
}

fn associate() -> Action {
    Action::Associate {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        interface: "eni-a".into(),
        private_ip: [10, 0, 1, 15].into(),
        pod: key("web-0"),
        pod_uid: "p1".into(),
    }
}

fn disassociate() -> Action {
    Action::Disassociate {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        association: "eipassoc-1".into(),
        private_ip: "10.0.1.15".into(),
    }
}

fn delete() -> Action {
    Action::Delete { eip: key("web-0"), uid: "e1".into(), pod_uid: "p1".into() }
}

fn allocate() -> Action {
    Action::Allocate { eip: key("web"), uid: "e1".into(), pod: "web-0".into() }
}

fn tag() -> Action {
    Action::Tag {
        address: "eipalloc-1".into(),
        ip: "203.0.113.7".into(),
        eip: key("web"),
        uid: "e1".into(),
        from: "e0".into(),
        undated: false,
    }
}

fn release(orphan: bool) -> Action {
    let (address, ip) = ("eipalloc-1".into(), "203.0.113.7".into());
    Action::Release { address, ip, eip: key("web"), eip_uid: "e1".into(), orphan }
}

fn hold() -> Action {
    Action::Hold { eip: key("web"), uid: "e1".into() }
}

fn execution(action: &Action, written_at: Option<u64>) -> Execution {
    let settings = Settings::default();
    Execution::new(action.clone(), settings, "c1".into(), written_at, DEADLINE)
}

fn sends(action: &Action) -> Next {
    Next::Call(Call::Perform(action.clone()))
}

fn changed(why: &str) -> Next {
    Next::End(End::Changed(why.to_owned()))
}

fn describe() -> Call {
    Call::DescribeAddress("eipalloc-1".into())
}

fn failure() -> Failure {
    Failure { code: "Timeout".into(), message: "no answer".into(), meaning: Meaning::Lost }
}

fn bound() -> Outcome {
    Outcome::Associated { association: "eipassoc-1".into() }
}

/// An association that EC2 has just answered, with the check of the pod under way.
fn associated() -> Execution {
    let mut step = execution(&associate(), None);
    step.start(100);
    step.answer(pod(TARGET), 200);
    let next = step.answer(Answer::Done(bound()), 300);
    assert_eq!(next, Next::Call(Call::GetPod(key("web-0"))));
    step
}

#[test]
fn what_binds_buys_or_gives_back_is_sent_after_a_fresh_read_of_what_it_rests_on() {
    let unlabelled = "{uid: p1, node: n1, ip: 10.0.1.15}";
    for (action, call, answer) in [
        (associate(), Call::GetPod(key("web-0")), pod(TARGET)),
        (delete(), Call::GetPod(key("web-0")), Answer::Pod(None)),
        (delete(), Call::GetPod(key("web-0")), pod(unlabelled)),
        (allocate(), Call::GetEip(key("web")), eip(HELD)),
        (tag(), Call::GetEip(key("web")), eip(HELD)),
    ] {
        let mut step = execution(&action, None);
        assert_eq!(step.start(100), Next::Call(call));
        assert_eq!(step.sent_at(), None, "a read is no change: {action:?}");
        assert_eq!(step.answer(answer, 200), sends(&action));
        assert_eq!(step.sent_at(), Some(200), "{action:?}");
    }
}

#[test]
fn what_ends_exposure_or_has_a_precondition_of_its_own_waits_for_no_read() {
    let clear = Action::Clear { pod: key("web-0"), uid: "p1".into() };
    for action in [disassociate(), clear, hold()] {
        let mut step = execution(&action, None);
        assert_eq!(step.start(100), sends(&action));
        assert_eq!(step.sent_at(), Some(100));
        assert_eq!(step.answer(Answer::Done(Outcome::Done), 200), Next::End(End::Done));
        assert_eq!(step.effects(), [(action, Outcome::Done)]);
    }
}

#[test]
fn an_address_is_released_once_its_eip_is_not_protected_and_it_is_idle() {
    let older = "{ip: 203.0.113.7, eip: e1}";
    for idle in [IDLE, older] {
        let action = release(false);
        let mut step = execution(&action, None);
        assert_eq!(step.start(100), Next::Call(Call::GetEip(key("web"))));
        assert_eq!(step.answer(eip(HELD), 200), Next::Call(describe()));
        assert_eq!(step.answer(address(idle), 300), sends(&action));
    }
}

#[test]
fn an_orphan_is_released_once_both_its_eip_is_absent_and_its_address_is_idle() {
    let action = release(true);
    let mut step = execution(&action, None);
    assert_eq!(step.start(100), Next::Call(Call::GetEip(key("web"))));
    assert_eq!(step.answer(Answer::Eip(None), 200), Next::Call(describe()));
    assert_eq!(step.answer(address(IDLE), 300), sends(&action));
    let mut step = execution(&action, None);
    step.start(100);
    step.answer(Answer::Eip(None), 200);
    assert_eq!(
        step.answer(Answer::Address(None), 300),
        changed("address eipalloc-1 is gone already")
    );
}

#[test]
fn a_step_whose_world_has_changed_is_not_done_and_says_what_has_changed() {
    let asks = "{uid: p1, node: n1, ip: 10.0.1.15, autocreate: true}";
    let elsewhere = "{uid: p1, node: n1, ip: 10.0.1.16}";
    let ending = "{uid: p1, node: n1, ip: 10.0.1.15, terminating: 30}";
    let bare = "{uid: e1, pod: web-0}";
    let deleting = "{uid: e1, pod: web-0, held: true, deleting: true}";
    let namesake = "{uid: e2, pod: web-0, held: true}";
    let protected = "{uid: e1, pod: web-0, held: true, deleting: true, protected: true}";
    let in_use = "{ip: 203.0.113.7, cluster: c1, eip: e1, association: eipassoc-9}";
    let taken_up = "{ip: 203.0.113.7, cluster: c1, eip: e2}";
    let anothers = "{ip: 203.0.113.7, cluster: c2, eip: e1}";
    for (action, answer, why) in [
        (associate(), Answer::Pod(None), "pod shop/web-0 is gone"),
        (associate(), pod("{uid: p2, node: n1, ip: 10.0.1.15}"), "pod shop/web-0 was replaced"),
        (associate(), pod(elsewhere), "pod shop/web-0 has moved to 10.0.1.16"),
        (associate(), pod(ending), "pod shop/web-0 is terminating"),
        (delete(), pod(asks), "pod shop/web-0 is there again"),
        (allocate(), Answer::Eip(None), "eip shop/web is gone"),
        (allocate(), eip(namesake), "eip shop/web has changed"),
        (allocate(), eip(bare), "eip shop/web has changed"),
        (allocate(), eip(deleting), "eip shop/web has changed"),
        (tag(), Answer::Eip(None), "eip shop/web is gone"),
        (tag(), eip(deleting), "eip shop/web has changed"),
        (release(false), Answer::Address(None), "address eipalloc-1 is gone already"),
        (release(false), address(in_use), "address eipalloc-1 is associated"),
        (release(false), address(taken_up), "the tags of address eipalloc-1 have changed"),
        (release(false), address(anothers), "the tags of address eipalloc-1 have changed"),
        (release(true), eip(namesake), "eip shop/web is there again"),
        (release(false), Answer::Eip(None), "eip shop/web is gone"),
        (release(false), eip(namesake), "eip shop/web was replaced"),
        (release(false), eip(protected), "eip shop/web is protected"),
        (associate(), eip(HELD), "the confirming read answered something else"),
    ] {
        let mut step = execution(&action, None);
        step.start(100);
        if let (Action::Release { .. }, Answer::Address(_)) = (&action, &answer) {
            assert_eq!(step.answer(eip(HELD), 150), Next::Call(describe()), "{action:?}");
        }
        assert_eq!(step.answer(answer, 200), changed(why), "{action:?}");
        assert_eq!((step.sent_at(), step.effects().len()), (None, 0), "{action:?}");
    }
}

#[test]
fn a_confirmation_counts_for_two_seconds_from_when_its_read_was_sent() {
    let late = changed("the confirming read took too long");
    let orphan = release(true);
    for (now, in_time) in [(2_100, true), (2_101, false)] {
        let mut step = execution(&associate(), None);
        step.start(100);
        let next = step.answer(pod(TARGET), now);
        assert_eq!(next, if in_time { sends(&associate()) } else { late.clone() }, "{now}");
        // Of two reads the older one counts: its Eip may be back since.
        let mut step = execution(&orphan, None);
        step.start(100);
        step.answer(Answer::Eip(None), 1_000);
        let next = step.answer(address(IDLE), now);
        assert_eq!(next, if in_time { sends(&orphan) } else { late.clone() }, "{now}");
    }
}

#[test]
fn a_purchase_needs_no_read_within_two_seconds_of_the_write_of_the_finalizer() {
    let looks = Next::Call(Call::GetEip(key("web")));
    for (written_at, now, expected) in [
        (Some(1_000), 3_000, sends(&allocate())),
        (Some(1_000), 3_001, looks.clone()),
        (None, 1_000, looks.clone()),
    ] {
        assert_eq!(execution(&allocate(), written_at).start(now), expected, "{now}");
    }
    // That write says nothing of a pod.
    let next = execution(&associate(), Some(1_000)).start(1_000);
    assert_eq!(next, Next::Call(Call::GetPod(key("web-0"))));
}

#[test]
fn no_change_is_sent_past_the_deadline() {
    let before_its_call = |action: &Action, now: u64| match action {
        Action::Associate { .. } => {
            let mut step = execution(action, None);
            step.start(DEADLINE - 1_000);
            (step.answer(pod(TARGET), now), step)
        }
        _ => {
            let mut step = execution(action, Some(DEADLINE - 1_000));
            (step.start(now), step)
        }
    };
    for action in [associate(), allocate(), hold(), disassociate()] {
        let (next, step) = before_its_call(&action, DEADLINE);
        assert_eq!((next, step.sent_at()), (sends(&action), Some(DEADLINE)));
        let (next, step) = before_its_call(&action, DEADLINE + 1);
        assert_eq!((next, step.sent_at()), (Next::End(End::Late), None), "{action:?}");
        assert!(step.effects().is_empty(), "{action:?}");
    }
}

#[test]
fn an_association_stands_while_its_pod_does_or_drains_or_cannot_be_read() {
    let draining = "{uid: p1, node: n1, ip: 10.0.1.15, terminating: 30}";
    for answer in [pod(TARGET), pod(draining), Answer::Failed(failure())] {
        let mut step = associated();
        assert_eq!(step.answer(answer.clone(), 400), Next::End(End::Done), "{answer:?}");
        assert_eq!(step.effects(), [(associate(), bound())]);
    }
}

#[test]
fn an_association_that_came_too_late_for_its_pod_is_undone_even_past_the_deadline() {
    for (answer, why) in [
        (Answer::Pod(None), "pod shop/web-0 is gone"),
        (pod("{uid: p2, node: n1, ip: 10.0.1.15}"), "pod shop/web-0 was replaced"),
        (pod("{uid: p1, node: n1, ip: 10.0.1.16}"), "pod shop/web-0 has moved to 10.0.1.16"),
        (pod("{uid: p1, node: n1, phase: Failed}"), "pod shop/web-0 has finished"),
    ] {
        let mut step = associated();
        assert_eq!(step.answer(answer, DEADLINE + 5_000), sends(&disassociate()), "{why}");
        let next = step.answer(Answer::Done(Outcome::Done), DEADLINE + 6_000);
        assert_eq!(next, changed(why));
        let effects = [(associate(), bound()), (disassociate(), Outcome::Done)];
        assert_eq!(step.effects(), effects, "{why}");
    }
}

#[test]
fn an_association_that_could_not_be_undone_is_not_forgotten() {
    let mut step = associated();
    step.answer(Answer::Pod(None), 400);
    assert_eq!(step.answer(Answer::Failed(failure()), 500), Next::End(End::Failed(failure())));
    assert_eq!(step.effects(), [(associate(), bound())]);
}

#[test]
fn a_failed_call_ends_the_step_and_it_is_known_whether_the_change_was_sent() {
    let mut unread = execution(&allocate(), None);
    unread.start(100);
    assert_eq!(unread.answer(Answer::Failed(failure()), 200), Next::End(End::Failed(failure())));
    assert_eq!(unread.sent_at(), None);
    let mut lost = execution(&allocate(), None);
    lost.start(100);
    lost.answer(eip(HELD), 200);
    assert_eq!(lost.answer(Answer::Failed(failure()), 300), Next::End(End::Failed(failure())));
    assert_eq!((lost.sent_at(), lost.effects().len()), (Some(200), 0));
}

#[test]
fn an_answer_that_nobody_asked_for_leads_to_no_change() {
    let mut step = execution(&hold(), None);
    step.start(100);
    let next = step.answer(pod(TARGET), 200);
    assert!(matches!(next, Next::End(End::Changed(_))), "{next:?}");
    assert!(step.effects().is_empty());
}

/// Dashboards and alerts ask for these words.
#[test]
fn each_end_has_its_word_for_metrics_and_traces() {
    let ends = [End::Done, End::Changed("gone".to_owned()), End::Late, End::Failed(failure())];
    assert_eq!(ends.map(|end| end.word()), ["done", "changed", "late", "failed"]);
}
