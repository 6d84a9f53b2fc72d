//! Plans as people read them: a line a step with its reason, the diff, the summary.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use similar::{ChangeTag, TextDiff};

use super::action::{Action, Note, Plan, Step};
use super::forecast::shown;
use super::names::digest;
use super::snapshot::{Address, AllocationId, Eip, Part, Pod, Quota, Snapshot};

/// What a plan with no steps and no notes says.
pub const NOTHING: &str = "nothing to do";
/// Beyond this width the reason follows after three blanks instead of in a column.
const REASON_COLUMN: usize = 76;

/// The steps of a plan, in order, each with its reason, and the notes.
pub fn plan_lines(plan: &Plan) -> Vec<String> {
    let heads: Vec<String> = plan.steps.iter().map(step_head).collect();
    let widths = heads.iter().map(|head| head.chars().count());
    let column = widths.filter(|width| *width <= REASON_COLUMN).max().unwrap_or(0);
    let steps = heads
        .iter()
        .zip(&plan.steps)
        .map(|(head, step)| escaped(&format!("{head:column$}   because {}", step.reason)));
    let notes = plan.notes.iter().map(note_line);
    let lines: Vec<String> = steps.chain(notes).collect();
    if lines.is_empty() { vec![NOTHING.to_owned()] } else { lines }
}

/// `! eip shop/web: pod shop/web-0 has no IP yet`
pub fn note_line(note: &Note) -> String {
    escaped(&format!("! {}: {}", note.subject, note.wait))
}

/// One step on one line.
pub fn step_line(step: &Step) -> String {
    escaped(&format!("{}   because {}", step_head(step), step.reason))
}

/// The same without its reason.
pub fn step_head_line(step: &Step) -> String {
    escaped(&step_head(step))
}

fn step_head(step: &Step) -> String {
    format!("{} {} {}", step.action.sign(), step.action.verb(), object(&step.action))
}

/// What stands between the Eip and its uid in the name of a step.
pub(super) const WITH_UID: &str = " with uid ";

/// What a step changes, told by what does not change until it is carried out: an address that is
/// yet to be bought is that of its Eip, and a pod is the one with its uid. Who has agreed to this
/// step has agreed to each that is called so.
pub fn step_identity(step: &Step) -> String {
    let (eip, uid) = (&step.claim, shown(&step.uid));
    let what = match &step.action {
        Action::Associate { interface, private_ip, pod, pod_uid, .. } => {
            format!("with {private_ip} on {interface} of pod {pod} with uid {pod_uid}")
        }
        Action::Annotate { pod, uid, .. } | Action::Clear { pod, uid } => {
            format!("pod {pod} with uid {uid}")
        }
        Action::Create { pod_uid, .. } => format!("for the pod with uid {pod_uid}"),
        other => object(other),
    };
    escaped(&format!("{} for eip {eip}{WITH_UID}{uid}: {what}", step.action.verb()))
}

fn object(action: &Action) -> String {
    match action {
        Action::Create { eip, .. } => format!("eip {eip} for the pod of its name"),
        Action::Delete { eip, .. } | Action::Hold { eip, .. } | Action::LetGo { eip, .. } => {
            format!("eip {eip}")
        }
        Action::Allocate { eip, .. } => format!("an address for eip {eip}"),
        Action::Release { address, ip, .. } => named(address, ip),
        Action::Associate { address, ip, interface, private_ip, .. } => {
            format!("{} with {private_ip} on {interface}", named(address, ip))
        }
        Action::Disassociate { address, ip, association, private_ip } => {
            format!("{} from {private_ip} by {}", named(address, ip), shown(association))
        }
        Action::Tag { address, ip, eip, .. } => format!("{} for eip {eip}", named(address, ip)),
        Action::Annotate { pod, ip, .. } => format!("pod {pod} with {}", shown(ip)),
        Action::Clear { pod, .. } | Action::Unblock { pod, .. } => format!("pod {pod}"),
        Action::Record { eip, status, .. } => {
            let reason = &status.reason;
            match &status.pod {
                Some(pod) if status.ready => format!("eip {eip}: {reason} on {pod}"),
                _ => format!("eip {eip}: {reason}"),
            }
        }
    }
}

fn named(address: &AllocationId, ip: &str) -> String {
    let (address, ip) = (shown(address), shown(ip));
    if address == ip { address } else { format!("{address} ({ip})") }
}

/// The steps of all rounds, in the order in which they would be carried out, and what is held
/// back in the end.
pub fn forecast_plan(rounds: &[Plan]) -> Plan {
    let steps = rounds.iter().flat_map(|round| round.steps.iter().cloned()).collect();
    let notes = rounds.last().map(|last| last.notes.clone()).unwrap_or_default();
    Plan { steps, notes }
}

/// Seven hexadecimal digits that stand for a plan in the log: the same steps for the same
/// reasons give the same ones, whatever is waited for.
pub fn plan_digest(plan: &Plan) -> String {
    let lines: Vec<String> = plan.steps.iter().map(step_line).collect();
    digest(lines.join("\n").as_bytes())[..7].to_owned()
}

/// How many steps of each kind: `1 to allocate (2 of 5 left), 2 to write; 1 waiting`. In brackets
/// is what the account's quota leaves for a purchase before the plan, where it is known.
pub fn summary(plan: &Plan, quota: Option<&Quota>) -> String {
    let count = |sign: char| plan.steps.iter().filter(|s| s.action.sign() == sign).count();
    let kinds = [
        ('+', "allocate"),
        ('>', "associate"),
        ('<', "disassociate"),
        ('-', "release"),
        ('~', "write"),
    ];
    let kinds = kinds.iter().map(|(sign, verb)| (count(*sign), verb)).filter(|(n, _)| *n > 0);
    let left = |Quota { limit, used }: &Quota| {
        format!(" ({} of {limit} left)", limit.saturating_sub(*used))
    };
    let left = quota.map(left).unwrap_or_default();
    let part = |(n, verb): (usize, &&str)| match *verb {
        "allocate" => format!("{n} to allocate{left}"),
        verb => format!("{n} to {verb}"),
    };
    let mut parts: Vec<String> = kinds.map(part).collect();
    if parts.is_empty() {
        parts.push(NOTHING.to_owned());
    }
    match plan.notes.len() {
        0 => parts.join(", "),
        waiting => format!("{}; {waiting} waiting", parts.join(", ")),
    }
}

/// The unified diff from one world to another, one block per object that differs, of the fields
/// that the operator writes.
pub fn world_diff(before: &Snapshot, after: &Snapshot) -> String {
    let mut text = String::new();
    kind_diff(&mut text, "addresses", &before.addresses, &after.addresses, address_fields);
    kind_diff(&mut text, "eips", &before.eips, &after.eips, eip_fields);
    kind_diff(&mut text, "pods", &before.pods, &after.pods, pod_fields);
    text
}

/// The fields of an object that the operator writes, in order, with their values.
type Fields = Vec<(&'static str, String)>;

fn kind_diff<K: Ord + ToString, V: PartialEq>(
    text: &mut String,
    kind: &str,
    before: &Part<BTreeMap<K, V>>,
    after: &Part<BTreeMap<K, V>>,
    fields: impl Fn(&V) -> Fields,
) {
    let (Some(before), Some(after)) = (before.known(), after.known()) else { return };
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    let mut headed = false;
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old == new {
            continue; // most of a large world, whose text is not even written
        }
        let render = |value: Option<&V>| value.map(|value| block(&key.to_string(), fields(value)));
        let (old, new) = (render(old), render(new));
        if old == new {
            continue;
        }
        if !headed {
            let _ = writeln!(text, " {kind}:");
            headed = true;
        }
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        for change in TextDiff::from_lines(&old, &new).iter_all_changes() {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let _ = writeln!(text, "{sign}{}", change.value().trim_end_matches('\n'));
        }
    }
}

/// One object, indented below its kind.
fn block(key: &str, fields: Fields) -> String {
    let mut text = format!("  {}:\n", escaped(&shown(key)));
    for (name, value) in fields {
        let _ = writeln!(text, "    {name}: {}", escaped(&shown(&value)));
    }
    text
}

fn present(fields: Vec<(&'static str, Option<String>)>) -> Fields {
    fields.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
}

fn address_fields(address: &Address) -> Fields {
    present(vec![
        ("ip", Some(address.ip.clone())),
        ("association", address.association.clone()),
        ("interface", address.interface.clone()),
        ("private_ip", address.private_ip.map(|ip| ip.to_string())),
    ])
}

fn eip_fields(eip: &Eip) -> Fields {
    let status = &eip.status;
    present(vec![
        ("deleting", eip.deleting.then(|| "true".to_owned())),
        ("held", Some(eip.held.to_string())),
        ("address", status.ip.clone()),
        ("missing", status.missing.then(|| "true".to_owned())),
        ("pod", status.pod.clone()),
        ("ready", Some(status.ready.to_string())),
        ("reason", Some(status.reason.clone()).filter(|reason| !reason.is_empty())),
    ])
}

fn pod_fields(pod: &Pod) -> Fields {
    let finalizers: Vec<&str> = pod.legacy_finalizers.iter().map(String::as_str).collect();
    present(vec![
        ("target", pod.target.clone()),
        ("alpha_target", pod.alpha_target.clone()),
        ("allocation", pod.allocation.clone()),
        ("legacy_finalizers", (!finalizers.is_empty()).then(|| finalizers.join(", "))),
    ])
}

/// Foreign text must not forge a line or a colour, nor turn the order of what is read: control
/// characters are written out, and so are what separates lines and what marks the direction of text
/// or is not seen (Unicode, "Format", as far as it can mislead).
pub fn escaped(text: &str) -> String {
    let misleads = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() || misleads(c) {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
