//! The wire between the operators and the world: calls leave, take effect, are answered, or not.

use eip_operator::plan::action::Action;
use eip_operator::plan::execution::{Answer, Call};
use eip_operator::plan::forecast::Outcome;
use eip_operator::plan::meaning::{Failure, Meaning, ec2_meaning, kubernetes_meaning};
use eip_operator::plan::snapshot::Uid;

use super::super::ec2::{Elastic, Tags};

use super::super::invariants::{Moment, lag};
use super::super::process::Process;
use super::super::scenario::{Kind, SECOND, User};
use super::{Event, NAME, Sent, UID, World};

/// One attempt of one call.
const ATTEMPT: u64 = 10 * SECOND;

impl World {
    /// A call leaves the operator.
    pub(super) fn send(&mut self, process: usize, flight: u64, call: Call) {
        let epoch = self.seats[process].epoch;
        let (sent, verb) = (self.now, verb(&call));
        let on_ec2 = is_ec2(&call);
        let mut after = self.chance.between(1, 40);
        if let Some(code) = self.refusal(process, flight, verb) {
            let Call::Perform(action) = &call else { return };
            let answer = failed(action, code);
            let life = self.seats[process].process.as_ref().map(|one| (process, one.started));
            if let (Some(life), Some(uid), Answer::Failed(failure)) =
                (life, self.claim_of(process, flight), &answer)
            {
                self.ledger.refused(life, uid, verb, failure.meaning, sent);
            }
            self.say(|| format!("operator {process}: {verb} answers {code}"));
            self.push(sent + after, Event::Answer { process, epoch, flight, answer });
            return;
        }
        let mut heard = true;
        match &call {
            Call::Perform(_) if on_ec2 => {
                heard = !self.hits(|kind| *kind == Kind::AnswerLost { verb });
                if self.hits(|kind| *kind == Kind::Late { verb }) {
                    after = self.chance.between(SECOND, ATTEMPT + 2 * SECOND);
                    heard = heard && after < ATTEMPT;
                }
            }
            Call::Perform(_) => {
                if self.hits(|kind| *kind == Kind::WritesLost) {
                    heard = false;
                    if self.chance.happens(50) {
                        let answer = no_answer(&call);
                        let at = sent + ATTEMPT;
                        self.push(at, Event::Answer { process, epoch, flight, answer });
                        return;
                    }
                }
            }
            Call::DescribeAddress(_) => {}
            Call::GetPod(_) | Call::GetEip(_) => {
                heard = !self.hits(|kind| *kind == Kind::ReadsLost);
                if self.scenario.slow || self.hits(|kind| *kind == Kind::SlowReads) {
                    after = self.chance.between(100, 3 * SECOND);
                }
            }
        }
        if !heard {
            let answer = no_answer(&call);
            let at = sent + if on_ec2 { ATTEMPT } else { 2 * SECOND };
            self.push(at, Event::Answer { process, epoch, flight, answer });
        }
        let running = self.seats[process].process.as_ref();
        let its = running.and_then(|one| one.flight(flight));
        let sent = Sent {
            at: sent,
            asked_at: its.map_or(sent, |its| its.asked_at),
            confirmed_at: its.map_or(sent, |its| its.confirmed_at),
            observed_at: running.map_or(sent, |one| one.observed_at),
            deadline: running.and_then(Process::deadline),
        };
        self.push(sent.at + after, Event::Effect { process, epoch, flight, call, sent, heard });
    }

    fn refusal(&mut self, process: usize, flight: u64, verb: &'static str) -> Option<&'static str> {
        let now = self.now;
        let running = self.seats[process].process.as_ref();
        let step = running.and_then(|one| one.flight(flight)).map(|its| &its.step);
        if let (Some(broken), Some(step)) = (&self.scenario.broken, step)
            && broken.verb == verb
            && broken.namespace.is_none_or(|namespace| namespace == step.claim.namespace)
        {
            return Some(broken.code);
        }
        let mut hit = None;
        for fault in &self.scenario.faults {
            if let Kind::Refuses { verb: one, code } = fault.kind
                && one == verb
                && fault.from <= now
                && now < fault.until
                && self.chance.happens(fault.percent)
            {
                hit = Some(code);
            }
        }
        hit
    }

    /// A call arrives and takes effect.
    pub(super) fn effect(
        &mut self,
        process: usize,
        epoch: u64,
        flight: u64,
        call: Call,
        sent: Sent,
        heard: bool,
    ) -> Result<(), String> {
        let answer = match &call {
            Call::GetPod(key) => {
                Answer::Pod(self.cluster.pods.get(key).map(|live| live.seen.clone()))
            }
            Call::GetEip(key) => Answer::Eip(self.cluster.eips.get(key).cloned()),
            Call::DescribeAddress(id) => {
                Answer::Address(self.account.describe_one(id, NAME, self.now, &mut self.chance))
            }
            Call::Perform(action) => {
                let running = self.seats[process].process.as_ref();
                let lives = self.seats[process].epoch == epoch;
                let running = running.filter(|_| lives);
                let its = running.and_then(|one| one.flight(flight));
                // Of a process that has ended nobody knows what it rested on.
                let rests_on = |at: u64| if lives { at } else { sent.at };
                let moment = Moment {
                    now: self.now,
                    sent: sent.at,
                    asked_at: rests_on(sent.asked_at),
                    confirmed_at: rests_on(sent.confirmed_at),
                    observed_at: rests_on(sent.observed_at),
                    deadline: sent.deadline.filter(|_| lives),
                    life: running.map(|one| (process, one.started)),
                    reason: its.map(|its| its.step.reason.clone()),
                    // One that nobody waits for any more was sent on an earlier snapshot (seeds
                    // 111335 and 130749).
                    snapshot: its.and(running).and_then(Process::snapshot),
                };
                let told = |what| format!("{what}, by operator {process}: {action:?}");
                self.ledger
                    .before(action, &self.account, &self.cluster, &moment, &self.scenario)
                    .map_err(told)?;
                let life = moment.life.filter(|_| heard);
                let answer = self.change(action)?;
                if let (Some(life), Answer::Done(_)) = (life, &answer) {
                    let claim = self.claim_of(process, flight);
                    self.ledger.heard(life, claim, action, self.now).map_err(told)?;
                }
                self.say(|| format!("operator {process}: {action:?} → {answer:?}"));
                let effects: u64 = self.run.effects.values().sum();
                if self.kill_after == Some(effects) && lives {
                    self.kill_after = None;
                    self.killed_after = Some(action.verb());
                    self.user(User::Crash { process });
                }
                answer
            }
        };
        if heard {
            let at = self.now + self.chance.between(1, 40);
            self.push(at, Event::Answer { process, epoch, flight, answer });
        }
        Ok(())
    }

    fn claim_of(&self, process: usize, flight: u64) -> Option<Uid> {
        let running = self.seats[process].process.as_ref()?;
        Some(running.flight(flight)?.step.uid.clone())
    }

    /// The change itself, in AWS or in the cluster.
    fn change(&mut self, action: &Action) -> Result<Answer, String> {
        let (now, chance) = (self.now, &mut self.chance);
        let done = match action {
            Action::Allocate { eip, uid, .. } => {
                let tags = Tags {
                    cluster_name: NAME.to_owned(),
                    cluster_uid: Some(UID.to_owned()),
                    eip: uid.clone(),
                    namespace: eip.namespace.clone(),
                    name: eip.name.clone(),
                    allocated_at: Some(now),
                    ..Tags::default()
                };
                self.account.allocate(tags, now, chance).map(|address| {
                    let ip = self.account.elastics[&address].ip.clone();
                    Outcome::Allocated { address, ip }
                })
            }
            Action::Tag { address, uid, undated, .. } => {
                let change = |tags: &mut Tags| {
                    tags.eip.clone_from(uid);
                    tags.cluster_uid = Some(UID.to_owned());
                    if *undated {
                        tags.allocated_at = Some(now);
                    }
                };
                self.account.tag(address, change, now, chance).map(|()| Outcome::Done)
            }
            Action::Release { address, .. } => {
                self.account.release(address, now, chance).map(|()| Outcome::Done)
            }
            Action::Associate { address, interface, private_ip, .. } => {
                // Two that believe they lead may each bring an address within one cycle, and what
                // one has ended and the other brought back is shown late to the first (seed 6680).
                let lately = |id: &str| {
                    let changed_at = self.account.elastics.get(id).map_or(0, Elastic::changed_at);
                    self.scenario.second && now - changed_at < ATTEMPT + lag(&self.scenario)
                };
                let there = self.account.on(*private_ip).map(|(id, _)| id.clone());
                let excused = there.as_deref().is_some_and(lately);
                match self.account.associate(address, interface, *private_ip, now, chance) {
                    Ok((_, Some(thrown_off))) if !excused => {
                        return Err(format!("S8: {address} threw {thrown_off} off {private_ip}"));
                    }
                    Ok((association, _)) => Ok(Outcome::Associated { association }),
                    Err(code) => Err(code),
                }
            }
            Action::Disassociate { address, association, .. } => {
                let there = self.account.elastics.get(address).and_then(Elastic::association);
                let there = there.map(|there| there.id.clone());
                match self.account.disassociate(association, now, chance) {
                    Ok(of) if of != *address || there.as_ref() != Some(association) => {
                        return Err(format!("S8: {there:?} of {of} ends instead of {association}"));
                    }
                    Ok(_) => Ok(Outcome::Done),
                    Err(code) => Err(code),
                }
            }
            kubernetes => {
                let done = self.cluster.perform(kubernetes, now);
                if let (Ok(_), Action::Annotate { pod, uid, .. } | Action::Clear { pod, uid }) =
                    (&done, kubernetes)
                    && self.cluster.pods.get(pod).is_some_and(|live| live.seen.uid != *uid)
                {
                    return Err(format!("S9: a write for pod {uid} hits its successor"));
                }
                // Our own writes do not ring, but a deletion does.
                if matches!(kubernetes, Action::Delete { .. }) {
                    self.changed();
                }
                done
            }
        };
        Ok(match done {
            Ok(outcome) => {
                *self.run.effects.entry(action.verb()).or_default() += 1;
                self.ledger.after(action, &outcome, now);
                Answer::Done(outcome)
            }
            Err(code) => failed(action, code),
        })
    }
}

fn verb(call: &Call) -> &'static str {
    match call {
        Call::Perform(action) => action.verb(),
        _ => "read",
    }
}

fn is_ec2(call: &Call) -> bool {
    matches!(
        call,
        Call::DescribeAddress(_)
            | Call::Perform(
                Action::Allocate { .. }
                    | Action::Tag { .. }
                    | Action::Release { .. }
                    | Action::Associate { .. }
                    | Action::Disassociate { .. }
            )
    )
}

/// What the operator is told when the world refuses.
fn failed(action: &Action, code: &str) -> Answer {
    let ec2 = is_ec2(&Call::Perform(action.clone()));
    let meaning = if ec2 {
        ec2_meaning(action, code)
    } else {
        kubernetes_meaning(Some(match code {
            "NotFound" => 404,
            "AlreadyExists" | "Conflict" => 409,
            "Forbidden" => 403,
            _ => 422,
        }))
    };
    if meaning == Meaning::Success {
        return Answer::Done(Outcome::AlreadySo);
    }
    Answer::Failed(Failure { code: code.to_owned(), message: code.to_owned(), meaning })
}

pub(super) fn no_answer(call: &Call) -> Answer {
    match call {
        Call::Perform(action) if is_ec2(call) => failed(action, "Timeout"),
        Call::DescribeAddress(_) => Answer::Failed(Failure {
            code: "Timeout".to_owned(),
            message: "no answer".to_owned(),
            meaning: Meaning::Retry,
        }),
        _ => Answer::Failed(Failure {
            code: "Timeout".to_owned(),
            message: "no answer".to_owned(),
            meaning: kubernetes_meaning(None),
        }),
    }
}
