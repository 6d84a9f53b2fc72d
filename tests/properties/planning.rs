//! Plans and forecasts: they exist, they repeat, they come to an end, and none is faulty.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use eip_operator::plan::action::Action;
use eip_operator::plan::faults::faults;
use eip_operator::plan::forecast::{MAX_ROUNDS, Outcome, apply, forecast};
use eip_operator::plan::planner::plan;
use eip_operator::plan::text::plan_lines;
use proptest::prelude::*;

use crate::check;
use crate::snapshots::{World, possible, worlds};

#[test]
fn equal_worlds_give_equal_plans() {
    check(400, worlds(), |world| {
        let (one, two) = (plan(&world.0), plan(&world.0.clone()));
        prop_assert_eq!(plan_lines(&one), plan_lines(&two));
        prop_assert_eq!(one, two);
        Ok(())
    });
}

/// Of two Eips with one uid, one may buy what the other gives back, for ever: such a world has no
/// end, but its forecast has.
#[test]
fn every_forecast_has_its_last_round() {
    check(400, worlds(), |world| {
        let seen = forecast(&world.0);
        prop_assert!(seen.rounds.len() <= MAX_ROUNDS, "{} rounds", seen.rounds.len());
        let again = forecast(&world.0);
        prop_assert_eq!(again.rounds, seen.rounds);
        prop_assert_eq!(&again.end, &seen.end);
        Ok(())
    });
}

#[test]
fn every_forecast_comes_to_an_end_and_stays_there() {
    check(400, possible(), |world| {
        let seen = forecast(&world.0);
        let last = seen.rounds.last().cloned().unwrap_or_default();
        let lines = plan_lines(&last).join("\n");
        prop_assert!(last.steps.is_empty(), "not settled after {MAX_ROUNDS} rounds:\n{lines}");
        prop_assert_eq!(&plan(&seen.end), &last);
        let again = forecast(&seen.end);
        prop_assert_eq!(again.rounds, [last]);
        prop_assert_eq!(&again.end, &seen.end);
        Ok(())
    });
}

#[test]
fn no_plan_on_the_way_is_faulty() {
    check(400, possible(), |world| {
        let mut at = world.0.clone();
        for round in forecast(&world.0).rounds {
            prop_assert_eq!(&round, &plan(&at), "the forecast differs from the plan");
            let found = faults(&at, &round);
            prop_assert!(found.is_empty(), "{found:?}\n{}", plan_lines(&round).join("\n"));
            for step in &round.steps {
                apply(&mut at, &step.action, &Outcome::expected(&step.action));
            }
        }
        Ok(())
    });
}

/// A world whose pods are all on the network of their nodes, and so have one IP.
fn crowded(World(mut world): World) -> World {
    world.settings.allow_host_network = true;
    for pod in world.pods.known_mut().into_iter().flat_map(BTreeMap::values_mut) {
        (pod.host_network, pod.ip) = (true, Some(Ipv4Addr::new(10, 0, 1, 9).into()));
    }
    World(world)
}

#[test]
fn no_round_puts_two_addresses_on_one_ip() {
    check(600, possible().prop_map(crowded), |world| {
        for round in forecast(&world.0).rounds {
            let mut taken = BTreeSet::new();
            for step in &round.steps {
                if let Action::Associate { interface, private_ip, .. } = &step.action {
                    let first = taken.insert((interface.clone(), *private_ip));
                    prop_assert!(first, "twice: {private_ip} on {interface}");
                }
            }
        }
        Ok(())
    });
}
