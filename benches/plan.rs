//! What a cycle costs between reading the world and changing it, and how that grows with the world.
//!
//! `cargo bench --no-default-features` measures all of it within about five minutes, and
//! `cargo bench --no-default-features -- '^plan/'` what begins like this.
//!
//! The bar: 5,000 Eips and 50,000 pods are planned within 100 ms in each state, and the time for
//! one Eip, the inverse of the throughput that is printed, grows from 1,000 Eips to 100,000 three-
//! or fourfold, for the smaller world fits into a cache. What is quadratic in anything takes a
//! hundred times as long for each.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use eip_operator::plan::action::Plan;
use eip_operator::plan::events::{Said, events};
use eip_operator::plan::execution::End;
use eip_operator::plan::faults::faults;
use eip_operator::plan::forecast::{Forecast, Outcome, apply, forecast};
use eip_operator::plan::look::{Read, lookups};
use eip_operator::plan::planner::plan;
use eip_operator::plan::recent::Memory;
use eip_operator::plan::rounds::{Performed, Rounds, Turn};
use eip_operator::plan::snapshot::{
    Address, Eip, Interface, Key, Node, Part, Phase, Pod, Snapshot, Status,
};
use eip_operator::plan::text::{forecast_plan, plan_digest, world_diff};

const EIPS: [usize; 5] = [100, 1_000, 5_000, 10_000, ALL];
const ALL: usize = 100_000;
/// The most for what follows a whole act phase, in which a cycle never does so much.
const MANY: usize = 10_000;
/// Labelled pods for each Eip; one of them is named by it, or asks for it.
const PODS: usize = 10;
const NAMESPACES: usize = 20;
const PODS_A_NODE: usize = 30;
const PODS_AN_INTERFACE: usize = 10;
/// One Eip in so many has a pod that was replaced, in a drain; of both kinds alike.
const DRAINED: usize = 10;
/// What takes longer is run twice.
const SLOW: Duration = Duration::from_millis(700);
/// When the cycle that is measured looks at the world, on the clock of the memory.
const NOW: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Each address is on its pod, on record and announced.
    Converged,
    /// Every tenth pod asks for an Eip, and there are none.
    New,
    /// A tenth of those pods was replaced by others of their names at other IPs.
    Drain,
}

/// One world, and what a cycle makes of it. Made when it is first needed.
struct Case {
    state: State,
    eips: usize,
    world: OnceCell<Snapshot>,
    forecast: OnceCell<Forecast<'static>>,
    plan: OnceCell<Plan>,
    busy: OnceCell<(Snapshot, Plan)>,
    acted: OnceCell<(Snapshot, Memory, Vec<Performed>)>,
}

impl Case {
    fn new(state: State, eips: usize) -> Self {
        let (world, forecast, plan, busy, acted) = Default::default();
        Self { state, eips, world, forecast, plan, busy, acted }
    }

    fn world(&self) -> &Snapshot {
        // A copy lies in memory in the order of its keys, as what was read from a list does.
        self.world.get_or_init(|| world(self.state, self.eips).clone())
    }

    fn forecast(&self) -> &Forecast<'static> {
        self.forecast.get_or_init(|| {
            let Forecast { rounds, end } = forecast(self.world());
            Forecast { rounds, end: Cow::Owned(end.into_owned()) }
        })
    }

    fn plan(&self) -> &Plan {
        self.plan.get_or_init(|| forecast_plan(&self.forecast().rounds))
    }

    /// A round with much to compare, and its world: new pods have their Eips by then.
    fn busy(&self) -> &(Snapshot, Plan) {
        self.busy.get_or_init(|| {
            let mut world = self.world().clone();
            let before = usize::from(self.state == State::New);
            for step in self.forecast().rounds.iter().take(before).flat_map(|round| &round.steps) {
                apply(&mut world, &step.action, &Outcome::expected(&step.action));
            }
            let round = plan(&world);
            (world, round)
        })
    }

    /// The world when all that was planned is done.
    fn acted(&self) -> &(Snapshot, Memory, Vec<Performed>) {
        self.acted.get_or_init(|| {
            let (mut world, mut memory) = (self.world().clone(), Memory::default());
            let performed = act(&mut world, &mut memory);
            (world, memory, performed)
        })
    }
}

fn world(state: State, eips: usize) -> Snapshot {
    let mut world = Snapshot::default();
    world.cluster.name = "bench".to_owned();
    world.cluster.uid = "c1".to_owned();
    let mut pods = BTreeMap::new();
    let mut found = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for nth in 0..eips * PODS {
        let of_an_eip = nth % PODS == 0;
        let eip = nth / PODS;
        let autocreate = of_an_eip && (state == State::New || eip.is_multiple_of(2));
        let (key, mut pod) = pod(nth, autocreate);
        if of_an_eip && state != State::New {
            let (id, address, made) = served(eip, &key, &pod);
            world.recent.settling.insert(made.uid.clone(), 0);
            pod.target = Some(address.ip.clone());
            pod.alpha_target = Some(address.ip.clone());
            pod.allocation = Some(id.clone());
            found.insert(key.clone(), made);
            addresses.insert(id, address);
            if state == State::Drain && (eip / 2).is_multiple_of(DRAINED) {
                pod = replaced(nth, eips, pod);
            }
        }
        pods.insert(key, pod);
    }
    world.pods = Part::Known(pods);
    world.eips = Part::Known(found);
    world.addresses = Part::Known(addresses);
    add_nodes(&mut world, eips * PODS * 2);
    world
}

fn pod(nth: usize, autocreate: bool) -> (Key, Pod) {
    let pod = Pod {
        uid: format!("6f1c2d3e-0000-4000-8000-{nth:012}"),
        node: Some(node(nth)),
        ip: Some(IpAddr::V4(ip(nth))),
        phase: Phase::Running,
        managed: true,
        autocreate,
        host_network: false,
        terminating: None,
        sandbox_down: false,
        target: None,
        alpha_target: None,
        allocation: None,
        legacy_finalizers: Default::default(),
    };
    (Key::new(format!("team-{}", nth % (NAMESPACES * PODS) / PODS), format!("web-{nth}")), pod)
}

/// The Eip of a pod, half of them made by the operator, and its address on the pod.
fn served(nth: usize, key: &Key, pod: &Pod) -> (String, Address, Eip) {
    let (uid, id) = (format!("e{nth:011}"), format!("eipalloc-{nth:017}"));
    let Some(IpAddr::V4(private_ip)) = pod.ip else { unreachable!("each pod has one") };
    let public = format!("203.{}.{}.{}", nth >> 16, (nth >> 8) & 255, nth & 255);
    let interface = interface(nth * PODS);
    let association = format!("eipassoc-{nth:017}");
    let status = Status {
        allocation: Some(id.clone()),
        ip: Some(public.clone()),
        association: Some(association.clone()),
        interface: Some(interface.clone()),
        private_ip: Some(private_ip.to_string()),
        pod: Some(key.name.clone()),
        ready: true,
        reason: "Associated".to_owned(),
        message: format!("{public} is on pod {key} at {private_ip}"),
        generation: 1,
        ..Status::default()
    };
    let eip = Eip {
        uid: uid.clone(),
        pod: key.name.clone(),
        autocreated_for: pod.autocreate.then(|| pod.uid.clone()),
        held: true,
        generation: 1,
        status,
        ..Eip::default()
    };
    let address = Address {
        ip: public,
        cluster: Some("c1".to_owned()),
        eip: uid,
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        age: Some(86_400),
        association: Some(association),
        interface: Some(interface),
        private_ip: Some(private_ip),
    };
    (id, address, eip)
}

/// The pod that follows one, on another node.
fn replaced(nth: usize, eips: usize, pod: Pod) -> Pod {
    let (_, next) = self::pod(nth + eips * PODS, pod.autocreate);
    next
}

fn node(nth: usize) -> String {
    format!("ip-10-{}.internal", nth / PODS_A_NODE)
}

fn interface(nth: usize) -> String {
    format!("eni-{:017}", nth / PODS_AN_INTERFACE)
}

fn ip(nth: usize) -> Ipv4Addr {
    Ipv4Addr::from((10 << 24) | u32::try_from(nth).unwrap_or_default())
}

/// Nodes with room for so many pods, and their interfaces.
fn add_nodes(world: &mut Snapshot, pods: usize) {
    let (mut nodes, mut interfaces) = (BTreeMap::new(), BTreeMap::<_, Interface>::new());
    for nth in 0..pods {
        let instance = Some(format!("i-{:017}", nth / PODS_A_NODE));
        let one = interfaces.entry(interface(nth)).or_default();
        one.ips.insert(ip(nth));
        one.instance.clone_from(&instance);
        nodes.entry(node(nth)).or_insert(Node { instance, not_ready: false });
    }
    for address in world.addresses.known().into_iter().flat_map(BTreeMap::values) {
        if let (Some(id), Some(private_ip)) = (&address.interface, address.private_ip)
            && let Some(on) = interfaces.get_mut(id)
        {
            on.occupied.insert(private_ip, address.ip.clone());
        }
    }
    world.nodes = Part::Known(nodes);
    world.interfaces = Part::Known(interfaces);
}

/// A whole act phase in which each call is answered as expected.
fn act(world: &mut Snapshot, memory: &mut Memory) -> Vec<Performed> {
    let (mut rounds, mut all) = (Rounds::default(), Vec::new());
    while let Turn::Steps(steps) = rounds.turn(world) {
        for step in steps {
            let outcome = Outcome::expected(&step.action);
            let performed = Performed {
                tried: step.action.clone(),
                effects: vec![(step.action.clone(), outcome)],
                step,
                end: End::Done,
                sent_at: Some(NOW),
            };
            all.push(performed.clone());
            rounds.absorb(world, memory, performed, NOW);
        }
    }
    all
}

/// Measures one function in worlds of each size, up to a largest one. What takes seconds is run
/// twice and no more: ten samples, which are the fewest, are made of these.
fn each(
    criterion: &mut Criterion,
    name: &str,
    cases: &[Case],
    largest: usize,
    measure: &dyn Fn(&Case) -> Duration,
) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(10).nresamples(1_000);
    group.warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(200));
    for case in cases.iter().filter(|case| case.eips <= largest) {
        group.throughput(Throughput::Elements(case.eips as u64));
        let mut slow = VecDeque::new();
        let mut once = || match slow.len() {
            2 => {
                slow.rotate_left(1);
                slow[0]
            }
            _ => {
                let took = measure(case);
                slow.extend((took > SLOW).then_some(took));
                took
            }
        };
        let id = BenchmarkId::from_parameter(case.eips);
        group.bench_function(id, |b| b.iter_custom(|runs| (0..runs).map(|_| once()).sum()));
    }
    group.finish();
}

/// How long it takes, and to drop what it makes.
fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    drop(black_box(run()));
    start.elapsed()
}

/// The same of what needs the world alone, which is there before.
fn of_world<'a, T>(case: &'a Case, run: impl FnOnce(&'a Snapshot) -> T) -> Duration {
    let world = case.world();
    timed(|| run(world))
}

fn cycle(criterion: &mut Criterion) {
    let states = [("converged", State::Converged), ("new", State::New), ("drain", State::Drain)];
    for (word, state) in states {
        let cases = EIPS.map(|eips| Case::new(state, eips));
        let mut one = |name: &str, largest: usize, measure: &dyn Fn(&Case) -> Duration| {
            each(criterion, &format!("{name}/{word}"), &cases, largest, measure);
        };
        one("plan", ALL, &|case| of_world(case, plan));
        one("forecast", ALL, &|case| of_world(case, forecast));
        one("reads", ALL, &|case| of_world(case, reads));
        one("lookups", ALL, &|case| of_world(case, lookups));
        one("overlay", MANY, &overlay);
        one("act", MANY, &|case| {
            let (mut world, mut memory) = (case.world().clone(), Memory::default());
            timed(|| act(&mut world, &mut memory))
        });
        one("events", MANY, &|case| {
            let (_, _, performed) = case.acted();
            let (before, plan) = (case.world(), case.plan());
            timed(|| events(before, performed, plan, &mut Said::default()))
        });
        one("faults", ALL, &|case| {
            let (world, round) = case.busy();
            timed(|| faults(world, round))
        });
        one("forecast_plan", ALL, &|case| {
            let rounds = &case.forecast().rounds;
            timed(|| forecast_plan(rounds))
        });
        one("plan_digest", ALL, &|case| {
            let plan = case.plan();
            timed(|| plan_digest(plan))
        });
        one("world_diff", ALL, &|case| {
            let (before, end) = (case.world(), &case.forecast().end);
            timed(|| world_diff(before, end))
        });
    }
}

/// All questions about what is to be read next, with their answers at hand.
fn reads(world: &Snapshot) {
    let mut last = None;
    while let Some(read) = Read::next(last, world) {
        last = black_box(Some(read));
    }
}

/// The listing shows nothing yet of what the last cycle has done.
fn overlay(case: &Case) -> Duration {
    let (acted, memory, _) = case.acted();
    let (mut observed, mut memory) = (acted.clone(), memory.clone());
    observed.addresses.clone_from(&case.world().addresses);
    timed(|| memory.overlay(&mut observed, NOW + 1_000))
}

criterion_group!(benches, cycle);
criterion_main!(benches);
