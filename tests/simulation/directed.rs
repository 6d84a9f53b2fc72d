//! Single courses of events that broke a promise once, or that chance meets too seldom.

use eip_operator::plan::snapshot::Key;

use super::scenario::{Broken, Fault, Kind, SECOND, Scenario, User};
use super::search::run;
use super::world::World;

fn shop(name: &str) -> Key {
    Key::new("shop", name)
}

fn bank(name: &str) -> Key {
    Key::new("bank", name)
}

fn pod(key: Key, autocreate: bool) -> User {
    User::MakePod { key, stateful: false, autocreate, host_network: false, ipv6: false }
}

fn eip(key: Key, pod: &str) -> User {
    User::MakeEip { key, pod: pod.to_owned() }
}

fn scenario(seed: u64, deeds: Vec<(u64, User)>) -> Scenario {
    Scenario { deeds, ..Scenario::undisturbed(seed) }
}

/// A pod and its Eip, and what happens to them.
fn served(seed: u64, more: Vec<(u64, User)>) -> Scenario {
    let both = [(0, pod(shop("web-0"), false)), (0, eip(shop("web"), "web-0"))];
    scenario(seed, both.into_iter().chain(more).collect())
}

fn keeps_all_promises(scenario: Scenario) {
    let (_, broken) = run(scenario.clone(), true);
    assert!(broken.is_none(), "{scenario}{}", broken.unwrap());
}

#[test]
fn an_address_whose_eip_and_pod_are_gone_leaves_the_ip_before_a_stranger_has_it() {
    let mut scenario = served(
        2,
        vec![
            (0, eip(shop("other"), "elsewhere")),
            (40 * SECOND, User::StripFinalizer { key: shop("web") }),
            (40 * SECOND, User::DeleteEip { key: shop("web") }),
            (60 * SECOND, User::DeletePod { key: shop("web-0"), grace: 0 }),
            (70 * SECOND, pod(shop("web-1"), false)),
            (70 * SECOND, pod(shop("job"), false)),
        ],
    );
    scenario.slots = 1;
    keeps_all_promises(scenario);
}

#[test]
fn annotations_are_found_again_although_the_pod_could_not_be_read_when_its_label_went() {
    let mut scenario = served(
        2,
        vec![
            (40 * SECOND, User::SetManaged { key: shop("web-0"), managed: false }),
            (41 * SECOND, User::DeleteEip { key: shop("web") }),
        ],
    );
    let kind = Kind::Unread { part: "recorded pods" };
    scenario.faults = vec![Fault { from: 39 * SECOND, until: 52 * SECOND, percent: 100, kind }];
    keeps_all_promises(scenario);
}

#[test]
fn annotations_are_found_again_although_the_status_was_not_written() {
    for seed in 1..300 {
        let off = User::SetManaged { key: shop("web-0"), managed: false };
        let mut scenario = served(seed * 2, vec![(500 + seed * 37 % 9_000, off)]);
        let (from, until) = (0, 9 * SECOND);
        scenario.faults = vec![Fault { from, until, percent: 50, kind: Kind::WritesLost }];
        keeps_all_promises(scenario);
    }
}

#[test]
fn nothing_is_released_between_the_mark_on_the_definition_and_the_deletion_of_its_eips() {
    for seed in 1..40 {
        keeps_all_promises(scenario(
            seed * 2,
            vec![
                (0, eip(shop("other"), "elsewhere")),
                (0, pod(shop("web-0"), true)),
                (40 * SECOND - 300, User::DeleteDefinition),
                (40 * SECOND, User::ForceDelete { key: shop("web-0") }),
            ],
        ));
    }
}

#[test]
fn what_had_no_eip_stays_once_one_of_its_name_is_there_although_a_stale_list_lacks_it() {
    for seed in 1..20 {
        let mut scenario = scenario(
            seed * 2,
            vec![
                (0, eip(shop("other"), "elsewhere")),
                (0, eip(shop("web"), "web-0")),
                (40 * SECOND, User::StripFinalizer { key: shop("web") }),
                (40 * SECOND, User::DeleteEip { key: shop("web") }),
                (165 * SECOND, eip(shop("web"), "web-0")),
            ],
        );
        scenario.settings.release_orphans = true;
        scenario.settings.orphan_grace = 60;
        scenario.settings.max_releases = Some(50);
        // It is due at the look at 180 s, which may see what was before the second Eip was made.
        let kind = Kind::StaleLists { millis: 25 * SECOND };
        scenario.faults =
            vec![Fault { from: 164 * SECOND, until: 200 * SECOND, percent: 100, kind }];
        keeps_all_promises(scenario);
    }
}

#[test]
fn a_release_that_is_denied_to_one_eip_does_not_keep_the_others() {
    let mut scenario = scenario(
        2,
        vec![
            (0, eip(bank("web"), "web-0")),
            (0, eip(shop("web"), "web-0")),
            (40 * SECOND, User::DeleteEip { key: bank("web") }),
            (80 * SECOND, User::DeleteEip { key: shop("web") }),
        ],
    );
    let (verb, code, namespace) = ("release", "UnauthorizedOperation", Some("bank"));
    scenario.broken = Some(Broken { verb, code, namespace });
    keeps_all_promises(scenario);
}

#[test]
fn an_eip_stays_while_its_address_is_there_without_our_tags() {
    let mut world = World::new(
        served(
            2,
            vec![
                (40 * SECOND, User::Untag { nth: 0 }),
                (80 * SECOND, User::DeleteEip { key: shop("web") }),
            ],
        ),
        true,
    );
    world.run_until(1_000 * SECOND).unwrap();
    assert_eq!(world.cluster.eips[&shop("web")].status.reason, "Untagged");
}

#[test]
fn an_association_that_cannot_be_undone_delays_nobody_else() {
    for seed in 1..300 {
        let mut scenario = served(
            seed * 2,
            vec![
                (1_000 + seed * 37 % 4_000, User::ForceDelete { key: shop("web-0") }),
                (20 * SECOND, pod(bank("web-0"), false)),
                (20 * SECOND, eip(bank("web"), "web-0")),
            ],
        );
        let kind = Kind::Refuses { verb: "disassociate", code: "AuthFailure" };
        scenario.faults = vec![Fault { from: 0, until: 8 * SECOND, percent: 100, kind }];
        let mut world = World::new(scenario, true);
        world.run_until(60 * SECOND).unwrap();
        assert!(world.summary()[&bank("web")].1, "{seed}: {}", world.lines().join("\n"));
    }
}

#[test]
fn an_eip_that_comes_back_twice_takes_its_address_up_twice_and_announces_it_all_the_time() {
    let restore = |at| (at * SECOND, User::Restore { key: shop("web"), held: false });
    let mut world = World::new(served(2, vec![restore(40), restore(55)]), true);
    world.run_until(280 * SECOND).unwrap();
    let done = |verb| world.run.effects.get(verb).copied().unwrap_or(0);
    assert_eq!((done("tag"), done("clear"), done("annotate"), done("allocate")), (2, 0, 1, 1));
}

#[test]
fn what_a_person_puts_on_a_strangers_pod_leaves_it_while_its_own_association_is_refused() {
    for seed in 1..20 {
        let mut scenario = scenario(
            seed * 2,
            vec![
                (0, pod(shop("job"), false)),
                (5 * SECOND, pod(shop("web-0"), false)),
                (5 * SECOND, eip(shop("web"), "web-0")),
                // By then the next try is minutes away.
                (320 * SECOND, User::Move { nth: 0 }),
            ],
        );
        let (verb, code, namespace) = ("associate", "AuthFailure", None);
        scenario.broken = Some(Broken { verb, code, namespace });
        // So that the pods hold all IPs: in half of these worlds it comes to the other one's.
        scenario.slots = 1;
        keeps_all_promises(scenario);
    }
}

#[test]
fn whoever_comes_is_served_although_a_pod_goes_at_every_look() {
    for seed in 1..20 {
        let mut scenario = served(seed * 2, vec![(0, pod(bank("web-0"), true))]);
        let kind = Kind::Alarms;
        scenario.faults = vec![Fault { from: 0, until: 60 * SECOND, percent: 100, kind }];
        scenario.throttled = seed > 10;
        let mut world = World::new(scenario, true);
        world.run_until(30 * SECOND).unwrap();
        let all: Vec<_> = world.summary().into_values().map(|eip| eip.1).collect();
        assert_eq!(all, [true, true], "{seed}: {}", world.lines().join("\n"));
    }
}

#[test]
fn a_quiet_world_is_looked_at_once_in_an_interval_however_busy_it_was() {
    let mut deeds = vec![];
    for n in 0..120_u64 {
        let key = shop(&format!("job-{n}"));
        let at = n * 5 * SECOND;
        deeds.push((at + n * 377 % 4_000, pod(key.clone(), false)));
        let gone = User::DeletePod { key, grace: 0 };
        deeds.push((at + 20 * SECOND + n * 733 % 4_000, gone));
    }
    let mut world = World::new(served(2, deeds), true);
    world.run_until(3_600 * SECOND).unwrap();
    let before = world.cycles();
    world.run_until(2 * 3_600 * SECOND).unwrap();
    let looks = world.cycles() - before;
    assert!((118..=122).contains(&looks), "{looks} in an hour of 120 intervals");
}

#[test]
fn who_renames_many_eips_at_every_moment_keeps_nobody_from_being_announced_or_let_go() {
    let mut deeds = vec![(0, pod(bank("web-0"), false)), (12 * SECOND, eip(bank("web"), "web-0"))];
    deeds.push((0, eip(bank("old"), "nobody")));
    deeds.push((14 * SECOND, User::DeleteEip { key: bank("old") }));
    for n in 0..24 {
        let key = shop(&format!("e{n}"));
        deeds.push((0, eip(key.clone(), "nobody-0")));
        for turn in 0..1_100_u64 {
            let pod = format!("nobody-{}", turn % 2);
            deeds.push((10 * SECOND + turn * 100, User::Rename { key: key.clone(), pod }));
        }
    }
    let mut scenario = scenario(2, deeds);
    scenario.limit = 100;
    let kind = Kind::Alarms;
    scenario.faults = vec![Fault { from: 10 * SECOND, until: 120 * SECOND, percent: 100, kind }];
    let mut world = World::new(scenario, true);
    world.run_until(118 * SECOND).unwrap();
    assert!(world.cluster.pods[&bank("web-0")].seen.allocation.is_some(), "it is announced");
    assert!(!world.cluster.eips.contains_key(&bank("old")), "it is let go");
}

#[test]
fn an_exposure_that_could_not_be_ended_at_once_ends_soon_whatever_failed_before() {
    for seed in 1..40 {
        let gone = User::ForceDelete { key: shop("web-0") };
        let mut scenario = served(seed * 2, vec![(40_500, gone)]);
        let kind = Kind::Refuses { verb: "disassociate", code: "InternalError" };
        scenario.faults = vec![Fault { from: 40_000, until: 41_500, percent: 100, kind }];
        let (verb, code, namespace) = ("annotate", "Forbidden", None);
        scenario.broken = Some(Broken { verb, code, namespace });
        let mut world = World::new(scenario, true);
        world.run_until(50 * SECOND).unwrap();
        let ended = world.account.living().all(|(_, one)| one.association().is_none());
        assert!(ended, "{seed}: {}", world.lines().join("\n"));
    }
}

#[test]
fn an_interface_that_shows_late_is_looked_for_again_soon_and_then_less_and_less() {
    // Of seed 7 one look is an hour after the other, if nothing asks for one.
    for (hidden, most) in [(SECOND, 3), (10 * SECOND, 6), (100 * SECOND, 10), (250 * SECOND, 12)] {
        let gone = User::ForceDelete { key: shop("web-0") };
        let again = (1_010 * SECOND, pod(shop("web-0"), false));
        let mut scenario = served(7, vec![(1_000 * SECOND, gone), again]);
        scenario.prefixes = false;
        let mut world = World::new(scenario, true);
        world.run_until(1_009 * SECOND).unwrap();
        world.scenario.hidden = hidden;
        while world.cluster.pods.get(&shop("web-0")).is_none_or(|live| live.seen.ip.is_none()) {
            world.run_until(world.now + 10).unwrap();
        }
        let (given, before) = (world.now, world.cycles());
        world.run_until(given + hidden - 1).unwrap();
        assert_eq!(world.summary()[&shop("web")], (1, false), "{hidden}: {:?}", world.lines());
        world.run_until(given + 2 * hidden + 3 * SECOND).unwrap();
        let looks = world.cycles() - before;
        assert_eq!(world.summary()[&shop("web")], (1, true), "{hidden}: {:?}", world.lines());
        assert!(looks <= most, "{looks} looks for {hidden} ms: {:?}", world.lines());
    }
}

#[test]
fn a_namespace_with_much_to_do_leaves_the_next_its_turn_where_calls_are_short() {
    for seed in 1..20 {
        let keys: Vec<Key> = (0..8).map(|n| bank(&format!("web-{n}"))).collect();
        let mut deeds = vec![];
        for key in keys.into_iter().chain([shop("web-0")]) {
            deeds.push((0, pod(key.clone(), true)));
            deeds.push((60 * SECOND, User::ForceDelete { key }));
        }
        let mut scenario = scenario(seed * 2, deeds);
        (scenario.limit, scenario.throttled) = (100, true);
        let mut world = World::new(scenario, true);
        let carried = |world: &World, namespace: &str| {
            let of = world.account.living().filter(|(_, one)| one.tags().namespace == namespace);
            of.filter(|(_, one)| one.association().is_some()).count()
        };
        world.run_until(60 * SECOND - 1).unwrap();
        assert_eq!((carried(&world, "bank"), carried(&world, "shop")), (8, 1), "{seed}");
        while carried(&world, "shop") > 0 {
            world.run_until(world.now + 10).unwrap();
        }
        let first = 8 - carried(&world, "bank");
        assert!(first <= 2, "{first} of another first: {}", world.lines().join("\n"));
    }
}
