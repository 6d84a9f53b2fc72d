//! Which world a seed stands for.

use super::*;

const VERBS: [&str; 5] = ["allocate", "associate", "disassociate", "release", "tag"];
const NAMESPACES: [&str; 2] = ["shop", "bank"];
const PODS: [&str; 3] = ["web-0", "web-1", "job"];
const EIPS: [&str; 3] = ["web", "spare", "job"];

/// The codes of the table that an action may answer without having done anything.
fn codes(verb: &str) -> &'static [&'static str] {
    match verb {
        "allocate" => &[
            "RequestLimitExceeded",
            "InternalError",
            "AddressLimitExceeded",
            "InsufficientAddressCapacity",
            "UnauthorizedOperation",
            "TagPolicyViolation",
            "RequestExpired",
        ],
        "associate" => &[
            "RequestLimitExceeded",
            "InternalError",
            "InvalidAllocationID.NotFound",
            "InvalidNetworkInterfaceID.NotFound",
            "InvalidParameterValue",
            "Resource.AlreadyAssociated",
            "Gateway.NotAttached",
            "UnauthorizedOperation",
            "IncorrectInstanceState",
        ],
        "tag" => &["RequestLimitExceeded", "InvalidElasticIpID.NotFound", "UnauthorizedOperation"],
        "disassociate" => &["RequestLimitExceeded", "InternalError", "AuthFailure"],
        _ => &[
            "RequestLimitExceeded",
            "InternalError",
            "InvalidIPAddress.InUse",
            "InvalidAddress.Locked",
            "AuthFailure",
        ],
    }
}

impl Scenario {
    /// When the last of it has happened.
    pub fn ends(&self) -> u64 {
        self.deeds.iter().map(|(at, _)| *at).max().unwrap_or(0).max(TROUBLED)
    }

    /// Everything from one number.
    pub fn of(seed: u64) -> Self {
        let chance = &mut Chance::new(seed);
        let lag = match chance.between(0, 5) {
            0 | 1 => Lag::None,
            2 => Lag::UpTo(5 * SECOND),
            3 => Lag::UpTo(299 * SECOND),
            4 => Lag::Flickers(20 * SECOND),
            _ => Lag::Flickers(299 * SECOND),
        };
        let cool_down = if chance.happens(85) { 30 * SECOND } else { 0 };
        let limit = if chance.happens(80) { 50 } else { chance.between(1, 3) };
        let slots = if chance.happens(50) { 8 } else { 3 };
        let second = chance.happens(10);
        let processes = if second { 2 } else { 1 };
        let mut deeds: Vec<(u64, User)> = (0..chance.between(3, 14))
            .map(|_| (chance.between(0, TROUBLED), user(chance, processes)))
            .collect();
        // Something to look after is there from the start.
        let key = pod_key(chance);
        let eip = Key::new(key.namespace.clone(), "web");
        let (stateful, autocreate) = (chance.happens(60), chance.happens(40));
        let first = User::MakePod {
            key: key.clone(),
            stateful,
            autocreate,
            host_network: false,
            ipv6: false,
        };
        deeds.push((chance.between(0, 5 * SECOND), first));
        if !autocreate || chance.happens(20) {
            let at = chance.between(0, 5 * SECOND);
            deeds.push((at, User::MakeEip { key: eip, pod: key.name }));
        }
        let strange = &mut Chance::new(seed ^ 0xfa4e);
        if strange.happens(10) {
            deeds.push((strange.between(0, TROUBLED), User::Counterfeit));
        }
        if strange.happens(5) {
            let (at, key) = (strange.between(0, TROUBLED / 2), pod_key(strange));
            for nth in 0..strange.between(2, 60) {
                deeds.push((at + nth * SECOND, User::Retarget { key: key.clone() }));
            }
        }
        let careful = &mut Chance::new(seed ^ 0xca2ef1);
        if careful.happens(10) {
            protect(&mut deeds, careful);
        }
        deeds.sort_by_key(|(at, _)| *at);
        let apart = &mut Chance::new(seed ^ 0xdec1de);
        let mut settings = settings(&mut deeds, apart);
        settings.protect = careful.happens(3);
        let prefixes = apart.happens(25);
        if matches!(seed % 7, 0 | 4) {
            bursts(&mut deeds, apart);
            // Tags that go while the address is about to be released.
            let (at, key) = (apart.between(TROUBLED / 2, TROUBLED), eip_key(apart));
            deeds.push((at, User::DeleteEip { key }));
            let soon = at + apart.between(50, 1_500);
            deeds.push((soon, User::Untag { nth: apart.between(0, 9) }));
        }
        let count = if chance.happens(30) { 0 } else { chance.between(1, 5) };
        let faults = (0..count).map(|_| fault(chance)).collect();
        Self {
            seed,
            lag,
            cool_down,
            limit,
            slots,
            second,
            settings,
            prefixes,
            throttled: seed % 10 == 3,
            slow: seed % 20 == 12,
            shy: if seed % 6 == 5 { 3 * SECOND } else { 0 },
            // A delegated prefix is there before the IPs in it.
            hidden: match seed % 11 {
                6 if !prefixes => apart.between(SECOND, 299 * SECOND),
                _ => 0,
            },
            broken: None,
            leaves_no_trace: false,
            deeds,
            faults,
        }
    }
}

impl Scenario {
    /// The same people and pods, one thing after the other, where nothing fails and EC2 shows
    /// everything at once. What the moment of a crash decides (a forged annotation, a person at the
    /// console) is left out.
    pub fn undisturbed(seed: u64) -> Self {
        let mut scenario = Self::of(seed);
        let stray = |user: &User| match user {
            User::Crash { .. } | User::Pause { .. } => true,
            User::Restore { .. } => false,
            user => user.is_unwatched(),
        };
        scenario.deeds.retain(|(_, user)| !stray(user));
        scenario.deeds.truncate(6);
        // Each after the last has come to rest, whenever the operator was killed meanwhile.
        for (index, deed) in scenario.deeds.iter_mut().enumerate() {
            deed.0 = SECOND + index as u64 * 420 * SECOND;
        }
        scenario.faults.clear();
        (scenario.lag, scenario.second) = (Lag::None, false);
        (scenario.throttled, scenario.slow) = (false, false);
        (scenario.shy, scenario.hidden) = (0, 0);
        scenario.settings = Settings::default();
        (scenario.limit, scenario.slots, scenario.cool_down) = (50, 8, 30 * SECOND);
        scenario
    }
}

/// Many deeds happen within a moment of another one, where they meet what is under way.
fn bursts(deeds: &mut [(u64, User)], chance: &mut Chance) {
    deeds.sort_by_key(|(at, _)| *at);
    for index in 1..deeds.len() {
        if chance.happens(60) {
            deeds[index].0 = deeds[index - 1].0 + chance.between(0, 400);
        }
    }
}

/// Eips are protected, deleted all the same, and some are let go later.
fn protect(deeds: &mut Vec<(u64, User)>, chance: &mut Chance) {
    for _ in 0..chance.between(1, 4) {
        let (at, key) = (chance.between(0, TROUBLED / 2), eip_key(chance));
        deeds.push((at, User::Protect { key: key.clone(), protected: true }));
        if chance.happens(70) {
            let at = at + chance.between(0, TROUBLED / 4);
            deeds.push((at, User::DeleteEip { key: key.clone() }));
        }
        if chance.happens(50) {
            let at = at + chance.between(0, TROUBLED / 2);
            deeds.push((at, User::Protect { key: key.clone(), protected: false }));
        }
        // Somebody sees what has been deleted, and what is about to happen.
        if chance.happens(50) {
            let at = chance.between(TROUBLED / 2, TROUBLED);
            deeds.push((at, User::DeleteEip { key: key.clone() }));
            deeds.push((at + chance.between(100, 1_000), User::Protect { key, protected: true }));
        }
    }
}

/// What the person who runs the operator decides, and what people do about it. From a chance of its
/// own, so that the deeds of a seed stay what they were.
fn settings(deeds: &mut Vec<(u64, User)>, chance: &mut Chance) -> Settings {
    let mut settings = Settings::default();
    if chance.happens(50) {
        return settings;
    }
    if chance.happens(50) {
        settings.release_orphans = true;
        settings.orphan_grace = chance.pick(&[60, 120]);
        settings.max_releases = chance.pick(&[None, Some(1), Some(50), Some(50)]);
        for _ in 0..chance.between(1, 4) {
            let (at, key) = (chance.between(0, TROUBLED), eip_key(chance));
            deeds.push((at, User::StripFinalizer { key: key.clone() }));
            deeds.push((at + chance.between(0, 50), User::DeleteEip { key }));
        }
    }
    if chance.happens(30) {
        settings.namespace_limit = Some(chance.between(1, 2));
    }
    if chance.happens(30) {
        deeds.push((chance.between(0, TROUBLED), User::Move { nth: chance.between(0, 9) }));
    }
    if chance.happens(30) {
        deeds.push((chance.between(0, TROUBLED), User::Untag { nth: chance.between(0, 9) }));
    }
    if chance.happens(10) {
        // A tenant, or a controller that fights another, changes its mind every other second.
        let (at, key) = (chance.between(0, TROUBLED / 2), eip_key(chance));
        for nth in 0..chance.between(2, 40) {
            let pod = chance.pick(&PODS).to_owned();
            deeds.push((at + nth * 2 * SECOND, User::Rename { key: key.clone(), pod }));
        }
    }
    if chance.happens(10) {
        let at = chance.between(0, TROUBLED);
        deeds.push((at, User::DeleteDefinition));
        if chance.happens(50) {
            deeds.push((chance.between(at, TROUBLED), User::ReleaseAll));
        }
    }
    settings
}

impl Scenario {
    /// Every mode has its share of the seeds: most are for safety and then liveness.
    pub fn by(seed: u64) -> Self {
        match seed % 20 {
            7 => Self::broken(seed),
            17 => Self::disturbed(seed),
            _ => Self::of(seed),
        }
    }

    /// The same without trouble, where the two are to end alike.
    pub fn quiet(&self) -> Option<Self> {
        let (faults, leaves_no_trace) = (Vec::new(), false);
        self.leaves_no_trace.then(|| Self { faults, leaves_no_trace, ..self.clone() })
    }

    /// One action never succeeds, for all or for one namespace, whatever else goes on.
    pub fn broken(seed: u64) -> Self {
        let mut scenario = Self::of(seed);
        let chance = &mut Chance::new(seed ^ 0xb20ce);
        let verb = chance.pick(&["allocate", "associate", "release", "create"]);
        let code = match verb {
            "allocate" => ["AddressLimitExceeded", "UnauthorizedOperation", "InternalError"],
            "associate" => ["Gateway.NotAttached", "InvalidParameterValue", "InternalError"],
            "create" => ["Forbidden"; 3],
            _ => ["InvalidAddress.Locked", "UnauthorizedOperation", "InternalError"],
        };
        let (namespace, code) = match chance.happens(50) {
            true if verb == "create" => (Some(chance.pick(&NAMESPACES)), "Forbidden"),
            true => {
                let codes = ["TagPolicyViolation", "UnauthorizedOperation", "AuthFailure"];
                (Some(chance.pick(&NAMESPACES)), chance.pick(&codes))
            }
            false => (None, chance.pick(&code)),
        };
        scenario.broken = Some(Broken { verb, code, namespace });
        let is_second = |user: &User| {
            matches!(user, User::Crash { process: 1 } | User::Pause { process: 1, .. })
        };
        scenario.deeds.retain(|(_, user)| !is_second(user));
        (scenario.second, scenario.limit) = (false, 50);
        scenario
    }

    /// The undisturbed scenario with trouble around each of its deeds: nothing in it stays.
    pub fn disturbed(seed: u64) -> Self {
        let mut scenario = Self { leaves_no_trace: true, ..Self::undisturbed(seed) };
        let chance = &mut Chance::new(seed ^ 0xfa17);
        for (at, _) in &scenario.deeds {
            let from = at.saturating_sub(chance.between(0, 5 * SECOND));
            let until = from + chance.between(SECOND, 40 * SECOND);
            let fault = Fault { from, until, ..fault(chance) };
            // From a stale list an Eip is made for a pod that is gone, and its address given back: no
            // trace, but a purchase more (seed 16). Lists are consistent where the API server is.
            if !matches!(fault.kind, Kind::StaleLists { .. }) {
                scenario.faults.push(fault);
            }
        }
        scenario
    }
}

fn pod_key(chance: &mut Chance) -> Key {
    Key::new(chance.pick(&NAMESPACES), chance.pick(&PODS))
}

fn eip_key(chance: &mut Chance) -> Key {
    Key::new(chance.pick(&NAMESPACES), chance.pick(&EIPS))
}

fn user(chance: &mut Chance, processes: u64) -> User {
    let (key, eip) = (pod_key(chance), eip_key(chance));
    match chance.between(0, 27) {
        0..=4 => User::MakePod {
            key,
            stateful: chance.happens(50),
            autocreate: chance.happens(40),
            host_network: chance.happens(5),
            ipv6: chance.happens(5),
        },
        5..=7 => User::MakeEip { key: eip, pod: chance.pick(&PODS).to_owned() },
        8 | 9 => User::DeletePod { key, grace: chance.pick(&[0, 5, 30, 120]) },
        10 => User::ForceDelete { key },
        11 => User::Finish { key },
        12 => User::RestartSandbox { key },
        13 => User::SetManaged { key, managed: chance.happens(50) },
        14 => User::SetAutocreate { key, autocreate: chance.happens(50) },
        15 => User::LoseNode { node: format!("n{}", chance.between(1, 2)) },
        16 | 17 => User::DeleteEip { key: eip },
        18 => User::Rename { key: eip, pod: chance.pick(&PODS).to_owned() },
        19 => User::StripFinalizer { key: eip },
        20 => User::ForgeStatus { key: eip, from: eip_key(chance) },
        21 => User::ForgeAnnotations { key, from: pod_key(chance) },
        22 => User::Disassociate { nth: chance.between(0, 9) },
        23 => User::Release { nth: chance.between(0, 9) },
        24 => User::Pause {
            process: place(chance, processes),
            millis: chance.between(SECOND, 90 * SECOND),
        },
        25 => User::Restore { key: eip, held: chance.happens(50) },
        26 => User::Age { nth: chance.between(0, 9) },
        _ => User::Crash { process: place(chance, processes) },
    }
}

fn place(chance: &mut Chance, processes: u64) -> usize {
    usize::from(chance.between(1, processes) == 2)
}

fn fault(chance: &mut Chance) -> Fault {
    let from = chance.between(0, TROUBLED);
    let until = (from + chance.between(SECOND, 240 * SECOND)).min(TROUBLED);
    let verb = chance.pick(&VERBS);
    let kind = match chance.between(0, 12) {
        0..=2 => Kind::Refuses { verb, code: chance.pick(codes(verb)) },
        3 | 4 => Kind::AnswerLost { verb },
        5 => Kind::Late { verb },
        6 | 7 => Kind::Unread { part: chance.pick(&PARTS) },
        8 => Kind::StaleLists { millis: chance.between(SECOND, 60 * SECOND) },
        9 => Kind::WritesLost,
        10 => chance.pick(&[&Kind::ReadsLost, &Kind::SlowReads]).clone(),
        11 => Kind::Silence,
        _ => Kind::Alarms,
    };
    Fault { from, until, percent: chance.pick(&[20, 50, 100]), kind }
}
