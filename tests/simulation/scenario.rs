//! What happens to the world in one run: who does what and when, and what fails meanwhile.

mod drawn;

use std::fmt;

use eip_operator::plan::snapshot::{Key, Settings};

use super::chance::Chance;
use super::ec2::Lag;
use super::world::INTERVAL;

pub const SECOND: u64 = 1_000;
/// How long people, pods and faults go on; then everything is left alone.
const TROUBLED: u64 = 600 * SECOND;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub lag: Lag,
    /// How long the CNI keeps a freed IP unused.
    pub cool_down: u64,
    /// Elastic IPs that the account may have.
    pub limit: u64,
    /// IPs on each of the two nodes.
    pub slots: u8,
    /// Two operators that both believe they lead.
    pub second: bool,
    /// What the person who runs the operator has decided.
    pub settings: Settings,
    /// The nodes have delegated prefixes instead of single IPs.
    pub prefixes: bool,
    /// EC2 takes one changing call a second, and four at once.
    pub throttled: bool,
    /// Each read takes up to three seconds, always.
    pub slow: bool,
    /// For so long EC2 may not know a new association.
    pub shy: u64,
    /// For so long EC2 does not show an IP on its interface after a pod was given it.
    pub hidden: u64,
    /// What EC2 never does.
    pub broken: Option<Broken>,
    /// It is to end like the same scenario without its faults.
    pub leaves_no_trace: bool,
    pub deeds: Vec<(u64, User)>,
    pub faults: Vec<Fault>,
}

impl Scenario {
    /// The longest time between two looks: `RECONCILE_INTERVAL`, and in some worlds the hour that a
    /// `RECONCILE_SCHEDULE` may leave between them. What no watch tells is found out by such a look
    /// alone, so that these worlds have nothing of it.
    pub fn interval(&self) -> u64 {
        let is_blind =
            |fault: &Fault| matches!(fault.kind, Kind::Silence | Kind::StaleLists { .. });
        let is_watched = !self.deeds.iter().any(|(_, user)| user.is_unwatched())
            && !self.faults.iter().any(is_blind);
        if self.seed % 3 == 1 && !self.second && is_watched { 3_600 * SECOND } else { INTERVAL }
    }
}

impl User {
    /// Whether it changes what no watch tells.
    fn is_unwatched(&self) -> bool {
        matches!(
            self,
            Self::Disassociate { .. }
                | Self::Release { .. }
                | Self::Move { .. }
                | Self::Untag { .. }
                | Self::Counterfeit
                | Self::Retarget { .. }
                | Self::ForgeStatus { .. }
                | Self::ForgeAnnotations { .. }
                | Self::StripFinalizer { .. }
                | Self::Age { .. }
                | Self::DeleteDefinition
                | Self::ReleaseAll
                | Self::LoseNode { .. }
                | Self::Restore { .. }
        )
    }
}

/// What a person, a tenant or chance does.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum User {
    MakePod {
        key: Key,
        stateful: bool,
        autocreate: bool,
        host_network: bool,
        ipv6: bool,
    },
    DeletePod {
        key: Key,
        grace: u64,
    },
    ForceDelete {
        key: Key,
    },
    Finish {
        key: Key,
    },
    RestartSandbox {
        key: Key,
    },
    SetManaged {
        key: Key,
        managed: bool,
    },
    SetAutocreate {
        key: Key,
        autocreate: bool,
    },
    LoseNode {
        node: String,
    },
    MakeEip {
        key: Key,
        pod: String,
    },
    DeleteEip {
        key: Key,
    },
    Rename {
        key: Key,
        pod: String,
    },
    /// Annotates an Eip so that its address is not released, or takes that back.
    Protect {
        key: Key,
        protected: bool,
    },
    StripFinalizer {
        key: Key,
    },
    /// The Eip is gone and comes back from a backup, under another uid.
    Restore {
        key: Key,
        held: bool,
    },
    /// An address turns out to be the older operator's, which wrote fewer tags.
    Age {
        nth: u64,
    },
    /// Writes another Eip's status into this one's.
    ForgeStatus {
        key: Key,
        from: Key,
    },
    /// Copies another pod's annotations.
    ForgeAnnotations {
        key: Key,
        from: Key,
    },
    /// Another manager writes a target of its own.
    Retarget {
        key: Key,
    },
    /// In the AWS console, an address by its place among those there are.
    Disassociate {
        nth: u64,
    },
    Release {
        nth: u64,
    },
    /// Puts an address on another pod's IP, in two calls.
    Move {
        nth: u64,
    },
    /// Takes our tags off.
    Untag {
        nth: u64,
    },
    /// Writes our tags on an address of somebody else, but for the date.
    Counterfeit,
    DeleteDefinition,
    /// Annotates the definition: the addresses may go with it.
    ReleaseAll,
    Crash {
        process: usize,
    },
    Pause {
        process: usize,
        millis: u64,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub from: u64,
    pub until: u64,
    /// How many calls of a hundred it hits.
    pub percent: u64,
    pub kind: Kind,
}

/// EC2, or the API server, answers this code to this action for ever, for one namespace or for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    pub verb: &'static str,
    pub code: &'static str,
    pub namespace: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// EC2 answers this code to this action, and does nothing.
    Refuses { verb: &'static str, code: &'static str },
    /// EC2 does it, and the answer is lost.
    AnswerLost { verb: &'static str },
    /// EC2 does it seconds later.
    Late { verb: &'static str },
    /// A part cannot be read.
    Unread { part: &'static str },
    /// Lists show the cluster as it was up to so many milliseconds ago.
    StaleLists { millis: u64 },
    /// The API server does not answer writes; it may have carried them out.
    WritesLost,
    /// The API server does not answer fresh reads.
    ReadsLost,
    /// Fresh reads take up to three seconds.
    SlowReads,
    /// Watches are silent.
    Silence,
    /// While an operator looks, a pod goes that may carry an address.
    Alarms,
}

pub const PARTS: [&str; 8] = [
    "addresses",
    "eips",
    "pods",
    "recorded pods",
    "nodes",
    "interfaces",
    "definition",
    "recorded addresses",
];

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.settings)?;
        writeln!(
            f,
            "seed {}: lag {:?}, cool-down {} ms, limit {}, {} IPs a node, hidden for {} ms, {}",
            self.seed,
            self.lag,
            self.cool_down,
            self.limit,
            self.slots,
            self.hidden,
            if self.second { "two operators" } else { "one operator" }
        )?;
        for fault in &self.faults {
            let (from, until) = (fault.from, fault.until);
            writeln!(f, "  {from:>7} to {until:>7} ms, {} %: {:?}", fault.percent, fault.kind)?;
        }
        for (at, user) in &self.deeds {
            writeln!(f, "  {at:>7} ms: {user:?}")?;
        }
        Ok(())
    }
}
