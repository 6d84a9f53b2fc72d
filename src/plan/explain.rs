//! Why an Eip or a pod has an address, or has none: the chain of facts, one a line, what comes next
//! and what it waits for. Short enough to be read at night.

use super::action::{Note, Subject};
use super::claims::{Claim, Seat, claims, eligible, is_owned};
use super::forecast::forecast;
use super::snapshot::{Address, AllocationId, Eip, Interface, Key, Pod, Snapshot};
use super::text::{escaped, forecast_plan, step_line};

/// So many steps, things that wait, and addresses are told; of more their number.
const SHOWN: usize = 3;

/// What is to be known of the Eip or the pod of this name; an error says that there is neither.
pub fn explain(snapshot: &Snapshot, key: &Key) -> Result<Vec<String>, String> {
    let claims = claims(snapshot);
    let names = |claim: &&Claim<'_>| claim.pod_key() == *key;
    let serves = |claim: &&Claim<'_>| names(claim) && !is_conflict(&claim.seat);
    let pod = snapshot.pods.known().and_then(|pods| pods.get(key));
    let claim = claims
        .iter()
        .find(|claim| claim.key == key)
        .or_else(|| claims.iter().find(serves))
        .or_else(|| claims.iter().find(names));
    let told = match (claim, pod) {
        (Some(claim), _) => Told::of_claim(snapshot, claim),
        (None, Some(pod)) => Told::of_pod(snapshot, key, pod),
        (None, None) => return Err(nothing(snapshot, key)),
    };
    let verdict = told.verdict.clone();
    let lines = told.facts.iter().map(|(name, fact)| format!("  {name:<12}{fact}"));
    Ok(std::iter::once(verdict).chain(lines).map(|line| escaped(&line)).collect())
}

fn nothing(snapshot: &Snapshot, key: &Key) -> String {
    let unread: Vec<String> =
        snapshot.unread().iter().map(|(part, why)| format!("{part}: {why}")).collect();
    let scope = match &snapshot.settings.namespace {
        Some(only) if *only != key.namespace => format!("; only namespace {only} is in scope"),
        _ => String::new(),
    };
    match unread.is_empty() {
        true => format!("there is neither an eip nor a pod {key}{scope}"),
        false => format!("nothing is known of {key}; could not be read: {}", unread.join("; ")),
    }
}

fn is_conflict(seat: &Seat<'_>) -> bool {
    matches!(seat, Seat::Nowhere(super::action::Absence::ClaimedBy { .. }))
}

/// The first line, and the facts with their names.
struct Told {
    verdict: String,
    facts: Vec<(&'static str, String)>,
}

impl Told {
    fn of_claim(snapshot: &Snapshot, claim: &Claim<'_>) -> Self {
        let mut told = Self { verdict: String::new(), facts: Vec::new() };
        told.facts.push(("eip", eip(claim.key, claim.eip)));
        told.pod_and_below(snapshot, &claim.pod_key());
        told.addresses(snapshot, claim);
        told.paused(snapshot, claim);
        told.ahead(snapshot, &told.subjects(claim), Some(&claim.eip.uid));
        told.verdict = told.verdict_of(snapshot, claim);
        told
    }

    fn of_pod(snapshot: &Snapshot, key: &Key, pod: &Pod) -> Self {
        let mut told = Self { verdict: String::new(), facts: Vec::new() };
        told.pod_and_below(snapshot, key);
        told.quota(snapshot);
        told.ahead(snapshot, &[Subject::Pod(key.clone())], Some(&pod.uid));
        let why = match (snapshot.eips.why_unknown(), pod.managed) {
            (Some(why), _) => format!("eips could not be read: {why}"),
            (None, false) => "it is not labelled eip.materialize.cloud/manage=true".to_owned(),
            (None, true) if pod.autocreate => match eligible(pod, &snapshot.settings) {
                Ok(_) => told.first_ahead("an Eip is to be made for it"),
                Err(absence) => format!("it {absence}"),
            },
            (None, true) => "no Eip names it, and it is not labelled \
                             eip.materialize.cloud/autocreate_eip=true"
                .to_owned(),
        };
        told.verdict = format!("pod {key} has no address: {why}");
        told
    }

    fn subjects(&self, claim: &Claim<'_>) -> Vec<Subject> {
        let addresses = claim.addresses.iter().map(|(id, _)| Subject::Address((*id).clone()));
        let own = [Subject::Eip(claim.key.clone()), Subject::Pod(claim.pod_key())];
        own.into_iter().chain(addresses).collect()
    }

    fn verdict_of(&self, snapshot: &Snapshot, claim: &Claim<'_>) -> String {
        let (key, pod) = (claim.key, claim.pod_key());
        if let Some(why) = snapshot.addresses.why_unknown() {
            return format!(
                "eip {key}: its address is not known, for AWS could not be asked: {why}"
            );
        }
        let Some((id, address)) = claim.addresses.first() else {
            let why = self.first_ahead("nothing keeps it from one");
            return format!("eip {key} has no address: {why}");
        };
        let there = claim.seat.keeps().is_some_and(|at| address.private_ip == Some(at.ip));
        match (there, &address.association) {
            (true, _) => format!("eip {key} has {} ({id}), and it is on pod {pod}", address.ip),
            (false, None) => {
                let why = self.first_ahead("nothing keeps it from a pod");
                format!("eip {key} has {} ({id}), which is on no pod: {why}", address.ip)
            }
            (false, Some(_)) => format!(
                "eip {key} has {} ({id}), which is on {} and does not belong there",
                address.ip,
                address.shown_private_ip()
            ),
        }
    }

    /// The first thing that is waited for, else the first step, else `or`.
    fn first_ahead(&self, or: &str) -> String {
        let fact = |name: &str| self.facts.iter().find(|(of, _)| *of == name);
        match (fact("waits"), fact("next")) {
            (Some((_, wait)), _) => wait.clone(),
            (None, Some((_, step))) => format!("next comes {step}"),
            (None, None) => or.to_owned(),
        }
    }

    fn pod_and_below(&mut self, snapshot: &Snapshot, key: &Key) {
        let pods = match (snapshot.pods.known(), snapshot.unread_pods.get(key)) {
            (Some(pods), None) => pods,
            (Some(_), Some(why)) => {
                return self.facts.push(("pod", format!("{key} could not be read: {why}")));
            }
            (None, _) => {
                let why = snapshot.pods.why_unknown().unwrap_or_default();
                return self.facts.push(("pod", format!("pods could not be read: {why}")));
            }
        };
        let Some(pod) = pods.get(key) else {
            let absent = "does not exist, or is not labelled eip.materialize.cloud/manage=true";
            return self.facts.push(("pod", format!("{key} {absent}")));
        };
        self.facts.push(("pod", self::pod(snapshot, key, pod)));
        let node = pod.node.as_ref().and_then(|name| {
            let node = snapshot.nodes.known()?.get(name)?;
            let ready = if node.not_ready { "not Ready" } else { "Ready" };
            let instance = node.instance.as_deref().unwrap_or("no EC2 instance in its provider id");
            Some(format!("{name}: {ready}, {instance}"))
        });
        self.facts.extend(node.map(|node| ("node", node)));
        let interface = eligible(pod, &snapshot.settings).ok().and_then(|ip| {
            let holds = |(_, one): &(&String, &Interface)| one.holds(ip);
            let (id, one) = snapshot.interfaces.known()?.iter().find(holds)?;
            let by = one.occupied.get(&ip);
            let by = by.map_or_else(String::new, |by| format!(", which carries {by}"));
            Some(format!("{id} holds {ip}{by}"))
        });
        self.facts.extend(interface.map(|interface| ("interface", interface)));
        let says = match (&pod.target, &pod.allocation) {
            (Some(ip), Some(id)) => Some(format!("the pod announces {ip} ({id})")),
            (Some(ip), None) => Some(format!("the pod announces {ip}, which somebody else wrote")),
            (None, _) => None,
        };
        self.facts.extend(says.map(|says| ("dns", says)));
    }

    fn addresses(&mut self, snapshot: &Snapshot, claim: &Claim<'_>) {
        for (id, address) in claim.addresses.iter().take(SHOWN) {
            self.facts.push(("address", self::address(id, address)));
        }
        let more = claim.addresses.len().saturating_sub(SHOWN);
        if more > 0 {
            self.facts.push(("address", format!("and {more} more")));
        }
        if claim.addresses.is_empty() {
            let recorded = claim.eip.status.allocation.as_ref();
            let recorded = recorded.map(|id| format!("none; its status records {id}"));
            self.facts.push(("address", recorded.unwrap_or_else(|| "none".to_owned())));
            self.quota(snapshot);
        }
    }

    fn quota(&mut self, snapshot: &Snapshot) {
        let quota = snapshot.quota.as_ref();
        let quota = quota.map(|quota| format!("{} of {} are taken", quota.used, quota.limit));
        self.facts.push(("quota", quota.unwrap_or_else(|| "not known".to_owned())));
        let Some(limit) = snapshot.settings.namespace_limit else { return };
        let owned = snapshot.addresses.known().into_iter().flatten();
        let owned = owned.filter(|(_, address)| is_owned(snapshot, address)).count();
        self.facts.push(("limit", format!("{limit} a namespace; all together have {owned}")));
    }

    fn paused(&mut self, snapshot: &Snapshot, claim: &Claim<'_>) {
        let Some(pause) = snapshot.recent.backoff.get(&claim.eip.uid) else { return };
        let seconds = pause.seconds;
        let text = format!("{}: {}; for {seconds} s", pause.reason, pause.message);
        self.facts.push(("failed", text));
    }

    /// The steps that come next, and what is waited for in the end.
    fn ahead(&mut self, snapshot: &Snapshot, subjects: &[Subject], uid: Option<&String>) {
        let plan = forecast_plan(&forecast(snapshot).rounds);
        let mine =
            |note: &&Note| note.subject == Subject::Cluster || subjects.contains(&note.subject);
        let steps: Vec<String> = plan
            .steps
            .iter()
            .filter(|step| {
                Some(&step.uid) == uid || subjects.contains(&Subject::Eip(step.claim.clone()))
            })
            .map(step_line)
            .collect();
        let waits: Vec<String> =
            plan.notes.iter().filter(mine).map(|note| note.wait.to_string()).collect();
        self.several("next", steps);
        self.several("waits", waits);
        if !self.facts.iter().any(|(name, _)| matches!(*name, "next" | "waits")) {
            self.facts.push(("next", "nothing to do".to_owned()));
        }
    }

    fn several(&mut self, name: &'static str, mut lines: Vec<String>) {
        let more = lines.len().saturating_sub(SHOWN);
        lines.truncate(SHOWN);
        if let (Some(last), true) = (lines.last_mut(), more > 0) {
            last.push_str(&format!(" (and {more} more)"));
        }
        self.facts.extend(lines.into_iter().map(|line| (name, line)));
    }
}

fn eip(key: &Key, eip: &Eip) -> String {
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

fn pod(snapshot: &Snapshot, key: &Key, pod: &Pod) -> String {
    let ip = pod.ip.map_or_else(|| "without an IP".to_owned(), |ip| format!("at {ip}"));
    let node = pod.node.as_deref().map_or_else(String::new, |node| format!(" on node {node}"));
    let carries = match eligible(pod, &snapshot.settings) {
        Ok(_) => "may carry an address".to_owned(),
        Err(absence) => absence.to_string(),
    };
    format!("{key}: {:?}{node} {ip}; it {carries}", pod.phase)
}

fn address(id: &AllocationId, address: &Address) -> String {
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

#[cfg(test)]
mod tests;
