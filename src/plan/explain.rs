//! Why an Eip or a pod has an address, or has none: the chain of facts, one a line, what comes next
//! and what it waits for. Short enough to be read at night.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::action::{Absence, Action, Note, Plan, Step, Subject, Wait};
use super::claims::{Claim, Seat, claims, eligible};
use super::forecast::forecast;
use super::rules::allocate::held;
use super::snapshot::{Address, AllocationId, Eip, Interface, Key, Pod, Snapshot, Uid};
use super::text::{escaped, forecast_plan, step_line};

/// So many steps, things that wait, and addresses are told; of more their number.
const SHOWN: usize = 2;

/// What is to be known of the Eip or the pod of this name; an error says that there is neither.
pub fn explain(snapshot: &Snapshot, key: &Key) -> Result<Vec<String>, String> {
    let claims = claims(snapshot);
    let plan = forecast_plan(&forecast(snapshot).rounds);
    let pod = snapshot.pods.known().and_then(|pods| pods.get(key));
    let of_name = claims.iter().find(|claim| claim.key == key);
    let of_pod = of_pod(&claims, key);
    let told = match (of_name.or(of_pod), pod) {
        (Some(claim), pod) => {
            let mut told = of_claim(snapshot, &plan, claim);
            if let (Some(pod), None) = (pod, of_pod) {
                // One that only has the name of this Eip.
                let other = of_lone_pod(snapshot, &plan, key, pod);
                told.facts.push(("also", other.verdict));
            }
            told
        }
        (None, Some(pod)) => of_lone_pod(snapshot, &plan, key, pod),
        (None, None) => return Err(nothing(snapshot, key)),
    };
    let lines = told.facts.iter().map(|(name, fact)| format!("  {name:<12}{fact}"));
    let lines = std::iter::once(told.verdict.clone()).chain(lines);
    Ok(lines.map(|line| escaped(&line)).collect())
}

/// The claim that serves this pod, else one that names it.
fn of_pod<'a, 'b>(claims: &'a [Claim<'b>], key: &Key) -> Option<&'a Claim<'b>> {
    let names = |claim: &&Claim<'_>| claim.pod_key() == *key;
    let waits = |claim: &&Claim<'_>| {
        matches!(claim.seat, Seat::Nowhere(Absence::ClaimedBy { .. } | Absence::OtherUid))
    };
    let serving = claims.iter().find(|claim| names(claim) && !waits(claim));
    serving.or_else(|| claims.iter().find(names))
}

fn nothing(snapshot: &Snapshot, key: &Key) -> String {
    let unread: Vec<String> =
        snapshot.unread().iter().map(|(part, why)| format!("{part}: {why}")).collect();
    escaped(&match unread.is_empty() {
        true => format!("there is neither an eip nor a pod {key}{}", scope(snapshot, key)),
        false => format!("nothing is known of {key}; could not be read: {}", unread.join("; ")),
    })
}

/// What of the scope a person may have forgotten.
fn scope(snapshot: &Snapshot, key: &Key) -> String {
    match &snapshot.settings.namespace {
        Some(only) if *only != key.namespace => format!("; only namespace {only} is served"),
        _ => String::new(),
    }
}

/// The first line, and the facts with their names.
struct Told {
    verdict: String,
    facts: Vec<(&'static str, String)>,
}

fn of_claim(snapshot: &Snapshot, plan: &Plan, claim: &Claim<'_>) -> Told {
    let ahead = Ahead::of_claim(plan, claim);
    let mut facts = vec![("eip", eip_fact(claim.key, claim.eip))];
    let status = &claim.eip.status;
    if !status.ready && !status.reason.is_empty() {
        facts.push(("status", format!("{}: {}", status.reason, status.message)));
    }
    let pod = claim.pod_key();
    let seat = match &claim.seat {
        Seat::Pod(_) => "it may carry the address".to_owned(),
        Seat::Draining(_) => "it keeps the address until it has ended".to_owned(),
        Seat::Nowhere(absence) => format!("it {absence}"),
        Seat::Unknown => "whether it may carry the address is not known".to_owned(),
    };
    facts.extend(pod_facts(snapshot, &pod, &seat));
    if claim.needs_interface().is_some() {
        facts.extend(interface_fact(snapshot, claim));
    }
    facts.extend(address_facts(snapshot, claim));
    facts.extend(failures(snapshot, &claim.eip.uid));
    facts.extend(ahead.facts());
    Told { verdict: verdict(snapshot, claim, &ahead), facts }
}

fn verdict(snapshot: &Snapshot, claim: &Claim<'_>, ahead: &Ahead<'_>) -> String {
    let (key, pod) = (claim.key, claim.pod_key());
    if let Some(why) = snapshot.addresses.why_unknown() {
        return format!("eip {key}: its address is not known, for AWS could not be asked: {why}");
    }
    let ending = match (claim.eip.deleting, ahead.hold()) {
        (false, _) => String::new(),
        (true, Some(hold)) => format!("; it is being deleted, and {hold}"),
        (true, None) => format!("; it is being deleted: {}", ahead.why(|_| true)),
    };
    let Some((id, address)) = claim.addresses.first() else {
        let gets = |action: &Action| matches!(action, Action::Allocate { .. } | Action::Tag { .. });
        let last = &claim.eip.status;
        let why = match ahead.waits.first() {
            // One look remembers nothing: what a running operator has written knows more.
            Some(Wait::MaybeAllocated { .. })
                if !snapshot.recent.settling.contains_key(&claim.eip.uid)
                    && !last.reason.is_empty() =>
            {
                format!("the operator said {}: {}", last.reason, last.message)
            }
            _ => ahead.why(gets),
        };
        return format!("eip {key} has no address: {why}");
    };
    let has = format!("eip {key} has {} ({id})", address.ip);
    let there = claim.seat.keeps().is_some_and(|at| address.private_ip == Some(at.ip));
    let goes = |action: &Action| matches!(action, Action::Associate { .. });
    let leaves = |action: &Action| matches!(action, Action::Disassociate { .. });
    let place = address.shown_private_ip();
    match (there, &address.association) {
        (true, _) => format!("{has}, and it is on pod {pod}{ending}"),
        (false, None) if claim.eip.deleting => format!("{has}, which is on no pod{ending}"),
        (false, None) => format!("{has}, which is on no pod: {}", ahead.why(goes)),
        (false, Some(_)) => match ahead.steps.iter().any(|step| leaves(&step.action)) {
            true => format!("{has}, which is on {place} and leaves it: {}", ahead.why(leaves)),
            false => format!("{has}, which is on {place}: {}", ahead.why(leaves)),
        },
    }
}

/// A pod that no Eip names.
fn of_lone_pod(snapshot: &Snapshot, plan: &Plan, key: &Key, pod: &Pod) -> Told {
    let ahead = Ahead::of_pod(plan, key, pod);
    let carries = match eligible(pod, &snapshot.settings) {
        Ok(_) => "it may carry an address".to_owned(),
        Err(absence) => format!("it {absence}"),
    };
    let mut facts = pod_facts(snapshot, key, &carries);
    facts.extend(quota_facts(snapshot, &key.namespace));
    facts.extend(failures(snapshot, &pod.uid));
    if pod.managed {
        facts.extend(ahead.facts()); // an operator does not list it otherwise
    }
    let on_it = snapshot.addresses.known().into_iter().flatten().find(|(_, address)| {
        address.association.is_some() && address.private_ip.map(IpAddr::V4) == pod.ip
    });
    if let (Some((id, address)), Some(_)) = (on_it, pod.ip) {
        let of = format!("{}/{}", address.namespace, address.name);
        facts.push(("address", address_fact(id, address)));
        let verdict = format!(
            "pod {key} carries {} ({id}), the address of eip {of}, which does not name it: {}",
            address.ip,
            ahead.why(|action| matches!(action, Action::Disassociate { .. }))
        );
        return Told { verdict, facts };
    }
    let asks = || match eligible(pod, &snapshot.settings) {
        Ok(_) | Err(Absence::WithoutIp) => {
            ahead.why(|action| matches!(action, Action::Create { .. }))
        }
        Err(absence) => format!("it {absence}"),
    };
    let why = match snapshot.eips.why_unknown() {
        Some(why) => format!("eips could not be read: {why}"),
        None if !snapshot.settings.in_scope(&key.namespace) => {
            scope(snapshot, key).trim_start_matches("; ").to_owned()
        }
        None if !pod.managed => "it is not labelled eip.materialize.cloud/manage=true".to_owned(),
        None if pod.autocreate => asks(),
        None => "no Eip names it, and it is not labelled \
                 eip.materialize.cloud/autocreate_eip=true"
            .to_owned(),
    };
    Told { verdict: format!("pod {key} has no address: {why}"), facts }
}

/// What of a plan concerns one Eip, or one pod.
struct Ahead<'a> {
    steps: Vec<&'a Step>,
    /// Its own come first, then what the whole cluster waits for.
    waits: Vec<&'a Wait>,
}

impl<'a> Ahead<'a> {
    fn of_claim(plan: &'a Plan, claim: &Claim<'_>) -> Self {
        let eip = Subject::Eip(claim.key.clone());
        let own = |step: &Step| step.uid == claim.eip.uid || step.claim == *claim.key;
        let addresses = claim.addresses.iter().map(|(id, _)| Subject::Address((*id).clone()));
        let mut subjects = vec![eip, Subject::Pod(claim.pod_key())];
        subjects.extend(addresses);
        Self::new(plan, own, &subjects)
    }

    fn of_pod(plan: &'a Plan, key: &Key, pod: &Pod) -> Self {
        let ip = match pod.ip {
            Some(IpAddr::V4(ip)) => ip.to_string(),
            _ => String::new(),
        };
        let own = |step: &Step| match &step.action {
            Action::Disassociate { private_ip, .. } => *private_ip == ip,
            Action::Annotate { pod, .. }
            | Action::Clear { pod, .. }
            | Action::Unblock { pod, .. } => pod == key,
            Action::Create { eip, .. } => eip == key,
            _ => false,
        };
        Self::new(plan, own, &[Subject::Pod(key.clone())])
    }

    fn new(plan: &'a Plan, own: impl Fn(&Step) -> bool, subjects: &[Subject]) -> Self {
        let told = |subject: &Subject| {
            let of_it = plan.notes.iter().filter(|note| note.subject == *subject);
            of_it.map(|note: &Note| &note.wait).collect::<Vec<_>>()
        };
        let mut waits: Vec<&Wait> = subjects.iter().flat_map(told).collect();
        for wait in told(&Subject::Cluster) {
            if !waits.contains(&wait) {
                waits.push(wait);
            }
        }
        Self { steps: plan.steps.iter().filter(|step| own(step)).collect(), waits }
    }

    /// The next step, if one of those ahead leads there; else what is waited for.
    fn why(&self, leads_there: impl Fn(&Action) -> bool) -> String {
        let leads = self.steps.iter().any(|step| leads_there(&step.action));
        match (self.steps.first(), self.waits.first()) {
            (Some(step), _) if leads => format!("next comes {}", step_line(step)),
            (_, Some(wait)) => wait.to_string(),
            (Some(step), None) => format!("next comes {}", step_line(step)),
            (None, None) => "nothing is planned".to_owned(),
        }
    }

    /// What keeps its address though it is to go.
    fn hold(&self) -> Option<&Wait> {
        self.waits.iter().find(|wait| wait.is_hold()).copied()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        several(&mut facts, "next", self.steps.iter().map(|step| step_line(step)).collect());
        several(&mut facts, "waits", self.waits.iter().map(ToString::to_string).collect());
        if facts.is_empty() {
            facts.push(("next", "nothing to do".to_owned()));
        }
        facts
    }
}

fn several(facts: &mut Vec<(&'static str, String)>, name: &'static str, mut lines: Vec<String>) {
    let more = lines.len().saturating_sub(SHOWN);
    lines.truncate(SHOWN);
    if let (Some(last), true) = (lines.last_mut(), more > 0) {
        last.push_str(&format!(" (and {more} more)"));
    }
    facts.extend(lines.into_iter().map(|line| (name, line)));
}

fn eip_fact(key: &Key, eip: &Eip) -> String {
    let mut text = format!("{key} names pod {}", eip.pod);
    if eip.autocreated_for.is_some() {
        text.push_str(", made by the operator for that pod");
    }
    text.push_str(if eip.held { ", held by our finalizer" } else { ", not held yet" });
    if eip.protected {
        text.push_str(", protected");
    }
    if eip.deleting {
        text.push_str(", being deleted");
    }
    text
}

/// The pod, its node, and what it announces.
fn pod_facts(snapshot: &Snapshot, key: &Key, so: &str) -> Vec<(&'static str, String)> {
    let unread = snapshot.unread_pods.get(key).map(|why| format!("{key} could not be read: {why}"));
    let why = snapshot.pods.why_unknown().map(|why| format!("pods could not be read: {why}"));
    if let Some(why) = why.or(unread) {
        return vec![("pod", why)];
    }
    let Some(pod) = snapshot.pods.known().and_then(|pods| pods.get(key)) else {
        return vec![("pod", format!("{key} {}", Absence::Gone))];
    };
    let ip = pod.ip.map_or_else(|| "without an IP".to_owned(), |ip| format!("at {ip}"));
    let on = pod.node.as_deref().map_or_else(String::new, |node| format!(" on node {node}"));
    let mut facts = vec![("pod", format!("{key}: {:?}{on} {ip}; {so}", pod.phase))];
    let node = pod.node.as_ref().and_then(|name| {
        let node = snapshot.nodes.known()?.get(name)?;
        let ready = if node.not_ready { "not Ready" } else { "Ready" };
        let instance = node.instance.as_deref().unwrap_or("no EC2 instance in its provider id");
        Some(format!("{name}: {ready}, {instance}"))
    });
    facts.extend(node.map(|node| ("node", node)));
    let says = match (&pod.target, &pod.allocation) {
        (Some(ip), Some(id)) => Some(format!("the pod announces {ip} ({id})")),
        (Some(ip), None) => Some(format!("the pod announces {ip}, which somebody else wrote")),
        (None, _) => None,
    };
    facts.extend(says.map(|says| ("dns", says)));
    facts
}

/// Where the address is to come.
fn interface_fact(snapshot: &Snapshot, claim: &Claim<'_>) -> Option<(&'static str, String)> {
    let target = claim.needs_interface()?;
    let ip = target.ip;
    let text = match snapshot.interfaces.known() {
        None => format!(
            "interfaces could not be read: {}",
            snapshot.interfaces.why_unknown().unwrap_or_default()
        ),
        Some(all) => match all.iter().find(|(_, one)| one.holds(ip)) {
            Some((id, one)) => {
                let by = one.occupied.get(&ip);
                let by = by.map_or_else(String::new, |by| format!(", and {by} is on it"));
                format!("{id}{} holds {ip}{by}", owner(one))
            }
            None => format!("none that was seen holds {ip}"),
        },
    };
    Some(("interface", text))
}

/// ` of i-…`, ` of trunk eni-…`
fn owner(interface: &Interface) -> String {
    match (&interface.instance, &interface.trunk) {
        (_, Some(trunk)) => format!(" of trunk {trunk}"),
        (Some(instance), None) => format!(" of {instance}"),
        (None, None) => String::new(),
    }
}

fn address_facts(snapshot: &Snapshot, claim: &Claim<'_>) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let all = claim.addresses.iter().map(|(id, address)| address_fact(id, address)).collect();
    several(&mut facts, "address", all);
    if facts.is_empty() {
        let recorded = claim.eip.status.allocation.as_ref();
        let recorded = recorded.map(|id| format!("none; its status records {id}"));
        facts.push(("address", recorded.unwrap_or_else(|| "none".to_owned())));
        facts.extend(quota_facts(snapshot, &claim.key.namespace));
    }
    facts
}

fn address_fact(id: &AllocationId, address: &Address) -> String {
    let age = address.age.map_or_else(String::new, |age| format!(", {age} s old"));
    let place = match (&address.association, &address.interface) {
        (Some(association), Some(interface)) => {
            format!("on {} of {interface} by {association}", address.shown_private_ip())
        }
        (Some(association), None) => format!("on {} by {association}", address.shown_private_ip()),
        (None, _) => "idle".to_owned(),
    };
    format!("{} ({id}): {place}{age}", address.ip)
}

fn quota_facts(snapshot: &Snapshot, namespace: &str) -> Vec<(&'static str, String)> {
    let quota = snapshot.quota.as_ref();
    let quota = quota.map(|quota| format!("{} of {} are taken now", quota.used, quota.limit));
    let mut facts = vec![("quota", quota.unwrap_or_else(|| "not known".to_owned()))];
    if let Some(limit) = snapshot.settings.namespace_limit {
        let has = held(snapshot).get(namespace).copied().unwrap_or(0);
        facts.push(("limit", format!("namespace {namespace} has {has} of {limit}")));
    }
    facts
}

/// What failed last, for this Eip or pod, and for all.
fn failures(snapshot: &Snapshot, uid: &Uid) -> Vec<(&'static str, String)> {
    let own = snapshot.recent.backoff.get(uid).map(|pause| (String::new(), pause));
    let stopped = snapshot.recent.stopped.iter();
    let all =
        own.into_iter().chain(stopped.map(|(verb, pause)| (format!("{verb}, for all: "), pause)));
    let told: BTreeSet<String> =
        all.map(|(of, pause)| format!("{of}{}; for {} s", pause.message, pause.seconds)).collect();
    let mut facts = Vec::new();
    several(&mut facts, "failed", told.into_iter().collect());
    facts
}

#[cfg(test)]
mod tests;
