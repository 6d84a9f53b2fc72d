//! How a step is carried out: which fresh reads confirm it, which call does it, which read checks
//! it afterwards.
//!
//! A machine without I/O. It says the next call, is told the answer, and says the next one, so a
//! crash or a lost answer can be placed between any two in a test. Times are milliseconds on the
//! clock of the caller.

use super::action::{Absence, Action};
use super::claims::eligible;
use super::forecast::Outcome;
use super::meaning::Failure;
use super::rules::retire::no_longer_asks;
use super::snapshot::{Address, AllocationId, Eip, Key, Pod, Settings, Uid};

/// A call that binds, buys or gives back is sent at most so long after the read that confirms it
/// was sent, in milliseconds. With ten seconds for the one attempt of the call an association takes
/// effect within twelve, and the CNI leaves a freed IP unused for thirty.
pub const CONFIRMED_FOR: u64 = 2_000;

/// One call to the world.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Call {
    /// A fresh read of a pod.
    GetPod(Key),
    /// A fresh read of an Eip.
    GetEip(Key),
    /// A fresh read of one address, by its allocation id.
    DescribeAddress(AllocationId),
    /// The change itself.
    Perform(Action),
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Answer {
    Pod(Option<Pod>),
    Eip(Option<Eip>),
    Address(Option<Address>),
    Done(Outcome),
    Failed(Failure),
}

/// What is to be done next for a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Call(Call),
    End(End),
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum End {
    Done,
    /// The world is not as the plan saw it, so it was not done, or undone: what has changed.
    Changed(String),
    /// Its time was over before the change was sent: it is left for the next cycle.
    Late,
    Failed(Failure),
}

impl End {
    /// In a word, for metrics and traces.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Changed(_) => "changed",
            Self::Late => "late",
            Self::Failed(_) => "failed",
        }
    }
}

/// A step under way.
#[derive(Clone, Debug, Hash)]
pub struct Execution {
    action: Action,
    settings: Settings,
    cluster_uid: Uid,
    stage: Stage,
    /// No change is sent later than this.
    deadline: u64,
    /// When the read or the write that confirms the step was sent.
    confirmed_at: Option<u64>,
    /// When the change was sent.
    sent_at: Option<u64>,
    effects: Vec<(Action, Outcome)>,
}

#[derive(Debug, Clone, PartialEq, Hash)]
enum Stage {
    Start,
    Confirming,
    Performing,
    Checking { association: String },
    Undoing { why: String },
}

impl Execution {
    /// `written_at`: when we sent the write that put our finalizer on the Eip. While that is fresh,
    /// the Eip need not be looked at again before a purchase. `deadline`: when what the plan rests
    /// on is too old to act on; only what undoes an association is sent after it.
    pub fn new(
        action: Action,
        settings: Settings,
        cluster_uid: Uid,
        written_at: Option<u64>,
        deadline: u64,
    ) -> Self {
        let (stage, confirmed_at, effects) = (Stage::Start, written_at, Vec::new());
        Self {
            action,
            settings,
            cluster_uid,
            stage,
            deadline,
            confirmed_at,
            sent_at: None,
            effects,
        }
    }

    /// The change that was tried last: the step's own, or the one that undoes it.
    pub fn tried(&self) -> &Action {
        &self.action
    }

    /// When the change was sent, if it was.
    pub fn sent_at(&self) -> Option<u64> {
        self.sent_at
    }

    /// What has been done so far, in order, to be absorbed into the snapshot.
    pub fn effects(&self) -> &[(Action, Outcome)] {
        &self.effects
    }

    /// The first call.
    pub fn start(&mut self, now: u64) -> Next {
        let confirm = match &self.action {
            Action::Associate { pod, .. } => Some(Call::GetPod(pod.clone())),
            Action::Delete { eip, .. } => Some(Call::GetPod(eip.clone())),
            Action::Allocate { .. } if self.is_fresh(now) => None,
            Action::Allocate { eip, .. } | Action::Tag { eip, .. } => {
                Some(Call::GetEip(eip.clone()))
            }
            Action::Release { eip, .. } => Some(Call::GetEip(eip.clone())),
            _ => None,
        };
        match confirm {
            Some(call) => {
                self.stage = Stage::Confirming;
                self.confirmed_at = Some(now);
                Next::Call(call)
            }
            None => self.perform(now),
        }
    }

    /// The next call, given the answer to the last one.
    pub fn answer(&mut self, answer: Answer, now: u64) -> Next {
        match (self.stage.clone(), answer) {
            (Stage::Checking { .. }, Answer::Failed(_)) => {
                // The association stands; the next look judges it.
                Next::End(End::Done)
            }
            (_, Answer::Failed(failure)) => Next::End(End::Failed(failure)),
            (Stage::Performing, Answer::Done(outcome)) => self.performed(outcome),
            (Stage::Checking { association }, Answer::Pod(pod)) => {
                match self.pod_is_target(pod.as_ref()) {
                    Ok(()) => Next::End(End::Done),
                    Err(why) => self.undo(association, why),
                }
            }
            (Stage::Undoing { why }, Answer::Done(outcome)) => {
                self.effects.push((self.action.clone(), outcome));
                Next::End(End::Changed(why))
            }
            (Stage::Confirming, answer) => match self.confirms(&answer) {
                Ok(()) if !self.is_fresh(now) => {
                    Next::End(End::Changed("the confirming read took too long".to_owned()))
                }
                Ok(()) => match (&self.action, &answer) {
                    // Two reads confirm it; the older one must still be fresh in the end.
                    (Action::Release { address, .. }, Answer::Eip(_)) => {
                        Next::Call(Call::DescribeAddress(address.clone()))
                    }
                    _ => self.perform(now),
                },
                Err(why) => Next::End(End::Changed(why)),
            },
            (_, answer) => {
                Next::End(End::Changed(format!("an answer nobody asked for: {answer:?}")))
            }
        }
    }

    fn is_fresh(&self, now: u64) -> bool {
        self.confirmed_at.is_some_and(|at| now.saturating_sub(at) <= CONFIRMED_FOR)
    }

    fn perform(&mut self, now: u64) -> Next {
        if now > self.deadline {
            return Next::End(End::Late);
        }
        self.stage = Stage::Performing;
        self.sent_at = Some(now);
        Next::Call(Call::Perform(self.action.clone()))
    }

    fn performed(&mut self, outcome: Outcome) -> Next {
        self.effects.push((self.action.clone(), outcome.clone()));
        match (&self.action, outcome) {
            (Action::Associate { pod, .. }, Outcome::Associated { association }) => {
                let pod = pod.clone();
                self.stage = Stage::Checking { association };
                Next::Call(Call::GetPod(pod))
            }
            _ => Next::End(End::Done),
        }
    }

    fn undo(&mut self, association: String, why: String) -> Next {
        let Action::Associate { address, ip, private_ip, .. } = &self.action else {
            return Next::End(End::Changed(why));
        };
        let action = Action::Disassociate {
            address: address.clone(),
            ip: ip.clone(),
            association,
            private_ip: private_ip.to_string(),
        };
        self.stage = Stage::Undoing { why };
        self.action = action.clone();
        Next::Call(Call::Perform(action))
    }

    fn confirms(&self, answer: &Answer) -> Result<(), String> {
        match (&self.action, answer) {
            (Action::Associate { .. }, Answer::Pod(pod)) => self.pod_is_target(pod.as_ref()),
            (Action::Delete { eip, pod_uid, .. }, Answer::Pod(pod)) => {
                match no_longer_asks(pod.as_ref(), pod_uid) {
                    Some(_) => Ok(()),
                    None => Err(format!("pod {eip} is there again")),
                }
            }
            (
                Action::Allocate { eip, uid, .. } | Action::Tag { eip, uid, .. },
                Answer::Eip(found),
            ) => match found {
                Some(found) if found.uid == *uid && found.held && !found.deleting => Ok(()),
                Some(_) => Err(format!("eip {eip} has changed")),
                None => Err(format!("eip {eip} is gone")),
            },
            (Action::Release { eip, orphan: true, .. }, Answer::Eip(found)) => match found {
                Some(_) => Err(format!("eip {eip} is there again")),
                None => Ok(()),
            },
            // Somebody may have seen what is about to happen, and protected it.
            (Action::Release { eip, eip_uid, .. }, Answer::Eip(found)) => match found {
                Some(found) if found.uid != *eip_uid => Err(format!("eip {eip} was replaced")),
                Some(found) if found.protected => Err(format!("eip {eip} is protected")),
                Some(_) => Ok(()),
                None => Err(format!("eip {eip} is gone")),
            },
            (Action::Release { address, eip_uid, .. }, Answer::Address(found)) => match found {
                None => Err(format!("address {address} is gone already")),
                Some(found) if found.association.is_some() => {
                    Err(format!("address {address} is associated"))
                }
                Some(found) if found.eip != *eip_uid || self.is_anothers(found) => {
                    Err(format!("the tags of address {address} have changed"))
                }
                Some(_) => Ok(()),
            },
            _ => Err("the confirming read answered something else".to_owned()),
        }
    }

    fn is_anothers(&self, address: &Address) -> bool {
        address.cluster.as_ref().is_some_and(|uid| *uid != self.cluster_uid)
    }

    fn pod_is_target(&self, found: Option<&Pod>) -> Result<(), String> {
        let Action::Associate { pod, pod_uid, private_ip, .. } = &self.action else {
            return Ok(());
        };
        let Some(found) = found else { return Err(format!("pod {pod} is gone")) };
        if found.uid != *pod_uid {
            return Err(format!("pod {pod} was replaced"));
        }
        let checking = matches!(self.stage, Stage::Checking { .. });
        match eligible(found, &self.settings) {
            Ok(ip) if ip == *private_ip => Ok(()),
            Ok(ip) => Err(format!("pod {pod} has moved to {ip}")),
            // It began to end meanwhile, and drains with the address it was just given.
            Err(Absence::Terminating) if checking => Ok(()),
            Err(absence) => Err(format!("pod {pod} {absence}")),
        }
    }
}

#[cfg(test)]
mod tests;
