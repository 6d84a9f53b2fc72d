//! What a forecast comes to, for a person or a program that asks for it: the steps of each Eip with
//! their reasons, what waits, the diff, one summary. Written down it is a plan that can be reviewed
//! and then carried out, if it is still the plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::action::{Note, Plan, Step, Subject};
use super::forecast::{Forecast, forecast};
use super::snapshot::{AllocationId, Cluster, Key, Quota, Snapshot};
use super::text::{
    WITH_UID, escaped, forecast_plan, plan_digest, plan_lines, step_identity, step_line, summary,
    world_diff,
};

/// A forecast, told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Whose plan it is.
    pub cluster: Cluster,
    /// The one Eip that it shows; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eip: Option<Key>,
    /// Seven digits that stand for the plan; the same as in the log of a running operator.
    pub plan: String,
    /// How many steps of each kind: `1 to allocate (2 of 5 left), 2 to write; 1 waiting`.
    pub summary: String,
    /// The account's quota as this look found it; absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// The steps of all rounds, in the order in which they would be carried out.
    pub steps: Vec<StepReport>,
    /// What is held back in the end, and for what it waits.
    pub waiting: Vec<NoteReport>,
    /// From the observed to the forecast world, one block for each object that differs.
    pub diff: String,
    #[serde(skip)]
    told: Plan,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepReport {
    /// The round in which it would be carried out, from 1: each rests on what the last has done.
    pub round: usize,
    pub op: String,
    /// Namespace and name of the Eip, or of the pod where there is none.
    pub eip: String,
    pub eip_uid: String,
    pub reason: String,
    /// What is changed, by names that stay: `apply` does nothing that is not called so here.
    pub identity: String,
    /// The step and its reason as one sentence.
    pub text: String,
}

/// How the name of a step begins that writes a status.
const RECORD: &str = "record for eip ";

/// The names of steps that a person has agreed to, see [`step_identity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed(BTreeSet<String>);

impl Agreed {
    /// Whether this one is among them. An Eip that was yet to be made has a uid now; and what a
    /// status says is nothing that anybody would have to agree to.
    pub fn has(&self, identity: &str) -> bool {
        let yet_to_be_made = || {
            let (eip, rest) = identity.split_once(WITH_UID)?;
            let (_, what) = rest.split_once(": ")?;
            Some(format!("{eip}{WITH_UID}(known after create): {what}"))
        };
        identity.starts_with(RECORD)
            || self.0.contains(identity)
            || yet_to_be_made().is_some_and(|name| self.0.contains(&name))
    }
}

/// One thing that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteReport {
    /// `eip shop/web`, `pod shop/web-0`, `address eipalloc-…`, or `cluster`.
    pub subject: String,
    pub reason: String,
    pub text: String,
}

impl Report {
    /// Where this world leads, or what of it concerns one Eip; one that there is not is an error.
    pub fn of(snapshot: &Snapshot, only: Option<&Key>) -> Result<Self, String> {
        let Forecast { mut rounds, end } = forecast(snapshot);
        let plan = plan_digest(&forecast_plan(&rounds));
        let diff = match only {
            None => world_diff(snapshot, &end),
            Some(eip) => {
                let view = View::of(eip, snapshot, &end)?;
                for round in &mut rounds {
                    round.steps.retain(|step| view.concerns(step));
                    round.notes.retain(|note| view.shows(&note.subject));
                }
                world_diff(&view.narrowed(snapshot), &view.narrowed(&end))
            }
        };
        let told = forecast_plan(&rounds);
        let step = |round: usize, step: &Step| StepReport {
            round: round + 1,
            op: step.action.verb().to_owned(),
            eip: step.claim.to_string(),
            eip_uid: step.uid.clone(),
            reason: step.reason.code().to_owned(),
            identity: step_identity(step),
            text: step_line(step),
        };
        let note = |note: &Note| NoteReport {
            subject: note.subject.to_string(),
            reason: note.wait.code(),
            text: escaped(&note.wait.to_string()),
        };
        let steps = rounds.iter().enumerate();
        let steps =
            steps.flat_map(|(nth, round)| round.steps.iter().map(move |one| step(nth, one)));
        Ok(Self {
            cluster: snapshot.cluster.clone(),
            eip: only.cloned(),
            plan,
            summary: summary(&told, snapshot.quota.as_ref()),
            quota: snapshot.quota.clone(),
            steps: steps.collect(),
            waiting: told.notes.iter().map(note).collect(),
            diff,
            told,
        })
    }

    /// Reads what was written as YAML or JSON. Errors name the line and what was expected there.
    pub fn from_text(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    /// What is planned now and was not in this plan: a line each. Where steps stand, and what
    /// waits, makes no difference.
    pub fn news(&self, now: &Self) -> Vec<String> {
        let agreed = self.agreed();
        let new = now.steps.iter().filter(|step| !agreed.has(&step.identity));
        new.map(|step| escaped(&step.text)).collect()
    }

    /// Whoever agrees to this plan agrees to these steps.
    pub fn agreed(&self) -> Agreed {
        Agreed(self.steps.iter().map(|step| step.identity.clone()).collect())
    }

    /// Whether anything would be changed.
    pub fn changes(&self) -> bool {
        !self.steps.is_empty()
    }

    /// For people: what is said of each Eip, then of all else, then the diff.
    pub fn lines(&self) -> Vec<String> {
        let mut parts: BTreeMap<Subject, Plan> = BTreeMap::new();
        for step in &self.told.steps {
            let part = parts.entry(Subject::Eip(step.claim.clone())).or_default();
            part.steps.push(step.clone());
        }
        for note in &self.told.notes {
            parts.entry(note.subject.clone()).or_default().notes.push(note.clone());
        }
        let mut lines = Vec::new();
        for (subject, part) in parts {
            lines.push(escaped(&subject.to_string()));
            lines.extend(plan_lines(&part).into_iter().map(|line| format!("  {line}")));
        }
        if !self.diff.is_empty() {
            lines.extend(["--- observed".to_owned(), "+++ forecast".to_owned()]);
            lines.extend(self.diff.split_terminator('\n').map(str::to_owned));
        }
        lines
    }

    /// `Plan 9c41e07: 1 to allocate, 2 to write; 1 waiting.`
    pub fn headline(&self) -> String {
        let unread = self.waiting.iter().any(|wait| wait.reason == "Unread");
        let but = if unread { " Not everything could be read." } else { "" };
        format!("Plan {}: {}.{but}", self.plan, self.summary)
    }
}

/// What of a world concerns one Eip.
struct View<'a> {
    eip: &'a Key,
    /// The pods that it named, names now, and will name.
    pods: BTreeSet<Key>,
    /// The addresses that it has, or will have.
    addresses: BTreeSet<AllocationId>,
}

impl<'a> View<'a> {
    fn of(eip: &'a Key, before: &Snapshot, after: &Snapshot) -> Result<Self, String> {
        let mut view = Self { eip, pods: BTreeSet::new(), addresses: BTreeSet::new() };
        let mut known = before.eips.known().is_none();
        for world in [before, after] {
            let Some(found) = world.eips.known().and_then(|eips| eips.get(eip)) else { continue };
            known = true;
            view.pods.insert(eip.sibling(&found.pod));
            view.pods.extend(found.status.pod.as_ref().map(|pod| eip.sibling(pod)));
            view.addresses.extend(found.status.allocation.clone());
            let all = world.addresses.known().into_iter().flatten();
            let own = all.filter(|(_, address)| address.eip == found.uid);
            view.addresses.extend(own.map(|(id, _)| id.clone()));
        }
        if known { Ok(view) } else { Err(format!("there is no eip {eip} in this world")) }
    }

    fn concerns(&self, step: &Step) -> bool {
        step.claim == *self.eip || self.pods.contains(&step.claim) && step.uid.is_empty()
    }

    /// What is said of the cluster is said to everybody.
    fn shows(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Cluster => true,
            Subject::Eip(eip) => eip == self.eip,
            Subject::Pod(pod) => self.pods.contains(pod),
            Subject::Address(id) => self.addresses.contains(id),
        }
    }

    fn narrowed(&self, world: &Snapshot) -> Snapshot {
        let mut world = world.clone();
        if let Some(addresses) = world.addresses.known_mut() {
            addresses.retain(|id, _| self.addresses.contains(id));
        }
        if let Some(eips) = world.eips.known_mut() {
            eips.retain(|key, _| key == self.eip);
        }
        if let Some(pods) = world.pods.known_mut() {
            pods.retain(|key, _| self.pods.contains(key));
        }
        world
    }
}

#[cfg(test)]
mod tests;
