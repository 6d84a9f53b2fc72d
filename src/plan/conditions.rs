//! The words by which an Eip, its pod and a plan say how things stand: conditions, the reasons of
//! `Ready`, Events. One list, which the tables of README.md must agree with; the stories show each.

use std::fmt::Write;

/// Conditions of an Eip (`metav1.Condition`).
pub const ALLOCATED: &str = "Allocated";
pub const ASSOCIATED: &str = "Associated";
pub const READY: &str = "Ready";

/// Reasons of `Allocated` and `Associated` that are False.
pub const NOT_ALLOCATED: &str = "NotAllocated";
pub const ADDRESS_NOT_SEEN: &str = "AddressNotSeen";
pub const IDLE: &str = "Idle";

/// Reason of `Ready` while nothing is wrong and something is still under way.
pub const PENDING: &str = "Pending";

/// Events that are no reason of `Ready`.
pub const DISASSOCIATED: &str = "Disassociated";
pub const RELEASED: &str = "Released";

/// What becomes of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Nothing has to become of it.
    Well,
    /// By itself: no Event tells it.
    ByItself,
    /// When somebody does something: told as an Event where it comes about.
    ByAPerson,
    /// The same, but it is also how things begin, so no Event tells it.
    ByAPersonUntold,
}

/// Where a reason can be read, besides the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In the status of the Eip, and its Event there.
    Eip,
    /// In an Event on the pod alone: it has no Eip that could say it.
    Pod,
    /// The same, and in the status of an Eip that a person has written.
    Both,
    /// Nowhere else.
    Plan,
}

/// One reason.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    pub word: &'static str,
    pub shown: Shown,
    pub ends: Ends,
    /// For people, in Markdown.
    pub meaning: &'static str,
}

const fn told(word: &'static str, shown: Shown, ends: Ends, meaning: &'static str) -> Told {
    Told { word, shown, ends, meaning }
}

/// Every reason that is a word of ours. The code of a call that failed is one too, without what is
/// neither letter nor digit.
pub const REASONS: &[Told] = &[
    told(ASSOCIATED, Shown::Eip, Ends::Well, "the address is on the pod"),
    told(PENDING, Shown::Eip, Ends::ByItself, "steps are under way"),
    told("PodNotScheduled", Shown::Eip, Ends::ByItself, "the pod has no node yet"),
    told("PodWithoutIP", Shown::Eip, Ends::ByItself, "the pod has no IP yet"),
    told(
        "PodSandboxDown",
        Shown::Eip,
        Ends::ByItself,
        "the pod's sandbox is down, and its IP with it",
    ),
    told(
        "PodTerminating",
        Shown::Eip,
        Ends::ByItself,
        "the pod is on its way out, and keeps what it has and gets nothing new",
    ),
    told(
        "PodFinished",
        Shown::Eip,
        Ends::ByItself,
        "the pod has ended; the address waits for the next one",
    ),
    told(
        "PodReplaced",
        Shown::Eip,
        Ends::ByItself,
        "the Eip was made for a pod that another of its name has followed",
    ),
    told(
        "Changed",
        Shown::Eip,
        Ends::ByItself,
        "the world was not as it was seen a moment before; it is planned anew",
    ),
    told(
        "MaybeAllocated",
        Shown::Eip,
        Ends::ByItself,
        "an address may have been bought by a call whose answer was lost; it is waited for, not \
         bought twice",
    ),
    told(
        "MovedRecently",
        Shown::Eip,
        Ends::ByItself,
        "the address was moved less than a minute ago",
    ),
    told(
        "WaitingForENI",
        Shown::Eip,
        Ends::ByItself,
        "no interface of the pod's node holds its IP yet, as EC2 shows it; it is looked for again \
         within seconds, later less often",
    ),
    told(
        "Unread",
        Shown::Eip,
        Ends::ByItself,
        "something could not be read; nothing is done that needs it. What it is, and why, is in \
         the log",
    ),
    told("TargetLeaving", Shown::Plan, Ends::ByItself, "another address leaves the pod's IP first"),
    told(
        "AnnotatedRecently",
        Shown::Plan,
        Ends::ByItself,
        "somebody else changes what we write on a pod, so it is put right once a minute",
    ),
    told(
        "PredecessorLeaves",
        Shown::Plan,
        Ends::ByItself,
        "an Eip of the name that a pod asks for is on its way out",
    ),
    told(
        "PodNotFound",
        Shown::Eip,
        Ends::ByAPersonUntold,
        "no pod of that name bears the label `eip.materialize.cloud/manage=true`",
    ),
    told(
        "PodNotManaged",
        Shown::Eip,
        Ends::ByAPerson,
        "the pod has lost the label `eip.materialize.cloud/manage=true`",
    ),
    told(
        "HostNetwork",
        Shown::Both,
        Ends::ByAPerson,
        "the pod is on the host network: its IP is the node's (see `ALLOW_HOST_NETWORK`)",
    ),
    told(
        "UnsupportedIPFamily",
        Shown::Both,
        Ends::ByAPerson,
        "the pod has only an IPv6 address; Elastic IPs are IPv4",
    ),
    told("Conflict", Shown::Eip, Ends::ByAPerson, "another Eip serves the pod; it keeps it"),
    told(
        "TargetOccupied",
        Shown::Eip,
        Ends::ByAPerson,
        "the pod's IP carries an address that is not ours; it is not thrown off",
    ),
    told(
        "NodeUnknown",
        Shown::Eip,
        Ends::ByAPerson,
        "the pod's node has no provider id that names an EC2 instance",
    ),
    told(
        "QuotaExceeded",
        Shown::Eip,
        Ends::ByAPerson,
        "the account's Elastic IPs are used up, or go to others first; ask AWS for more \
         (L-0263D0A3)",
    ),
    told(
        "NamespaceLimit",
        Shown::Eip,
        Ends::ByAPerson,
        "the namespace has as many addresses as `NAMESPACE_LIMIT` allows",
    ),
    told(
        "InvalidPodName",
        Shown::Eip,
        Ends::ByAPerson,
        "`spec.podName` is not a name that a pod can have",
    ),
    told(
        "AddressLost",
        Shown::Eip,
        Ends::ByAPerson,
        "somebody released or transferred the address, and the operator does not replace it: \
         delete the Eip and make it again for a new one",
    ),
    told(
        "Untagged",
        Shown::Eip,
        Ends::ByAPerson,
        "somebody took our tags off the address, or changed the one that names its namespace; \
         it exists, and is left alone until they are back. An Eip that is deleted meanwhile \
         waits as well: put the tags back, or release the address yourself",
    ),
    told(
        "DefinitionDeleted",
        Shown::Eip,
        Ends::ByAPerson,
        "the definition of Eips is being deleted; the address is kept until you say that it may \
         go (see [below](#what-is-promised))",
    ),
    told(
        "Protected",
        Shown::Eip,
        Ends::ByAPerson,
        "it is being deleted, and protected: see [above](#keep-an-address-for-good)",
    ),
    told(
        "NameTaken",
        Shown::Pod,
        Ends::ByAPerson,
        "a person's Eip has the name of the one that the pod asks for, and names another pod",
    ),
    told(
        "PredecessorProtected",
        Shown::Pod,
        Ends::ByAPerson,
        "the Eip of the pod before it is protected, and stays",
    ),
    told(
        "Orphan",
        Shown::Plan,
        Ends::ByAPerson,
        "an address whose Eip does not exist (see `RELEASE_ORPHANS`)",
    ),
    told(
        "TooManyOrphans",
        Shown::Plan,
        Ends::ByAPerson,
        "more of them are due for release than `MAX_RELEASES` allows, so none goes",
    ),
];

/// The entry of a word; `None` for the code of a failed call.
pub fn of(word: &str) -> Option<&'static Told> {
    REASONS.iter().find(|told| told.word == word)
}

/// Whether an Event tells it when an Eip comes to say this.
pub fn is_event(word: &str) -> bool {
    of(word).is_none_or(|told| matches!(told.ends, Ends::Well | Ends::ByAPerson))
}

/// The conditions of README.md.
pub fn conditions_table() -> String {
    let rows = [
        (
            ALLOCATED,
            "the Eip has an address",
            vec![ALLOCATED],
            vec![NOT_ALLOCATED, ADDRESS_NOT_SEEN],
        ),
        (ASSOCIATED, "its address is on an IP", vec![ASSOCIATED], vec![IDLE]),
        (
            READY,
            "its address is on its pod",
            vec![ASSOCIATED, "Protected", "DefinitionDeleted"],
            vec![],
        ),
    ];
    let mut table =
        "| Condition | True when | Reasons then | Reasons otherwise |\n|---|---|---|---|\n"
            .to_owned();
    for (kind, when, yes, no) in rows {
        let no = if no.is_empty() { "see below".to_owned() } else { words(&no) };
        let _ = writeln!(table, "| `{kind}` | {when} | {} | {no} |", words(&yes));
    }
    table
}

/// The reasons of README.md: those that need a person, those that pass, those of the plan alone.
pub fn reasons_table() -> String {
    let mut table =
        "| Reason | Passes by itself | Shown | Meaning |\n|---|---|---|---|\n".to_owned();
    for Told { word, shown, ends, meaning } in REASONS {
        let passes = match ends {
            Ends::Well => "–",
            Ends::ByItself => "yes",
            Ends::ByAPerson | Ends::ByAPersonUntold => "**no**",
        };
        let shown = match shown {
            Shown::Eip => "Eip",
            Shown::Pod => "pod",
            Shown::Both => "Eip, pod",
            Shown::Plan => "plan",
        };
        let _ = writeln!(table, "| `{word}` | {passes} | {shown} | {meaning} |");
    }
    table
}

/// The Events of README.md.
pub fn events_table() -> String {
    let told = |on: &[Shown]| {
        let told = REASONS.iter().filter(|told| told.ends == Ends::ByAPerson);
        words(
            &told.filter(|told| on.contains(&told.shown)).map(|told| told.word).collect::<Vec<_>>(),
        )
    };
    let rows = [
        (words(&[ASSOCIATED]), "Eip and pod", "Normal", "the address came to the pod"),
        (words(&[DISASSOCIATED]), "Eip", "Normal", "the address left a pod"),
        (words(&[RELEASED]), "Eip", "Normal", "an address was given back to AWS"),
        (told(&[Shown::Eip, Shown::Both]), "Eip", "Warning", "the Eip comes to say so"),
        (
            told(&[Shown::Pod, Shown::Both]),
            "pod",
            "Warning",
            "this keeps the pod from an Eip of its own",
        ),
        ("an error code".to_owned(), "Eip or pod", "Warning", "a call for it failed"),
    ];
    let mut table = "| Event | On | Type | When |\n|---|---|---|---|\n".to_owned();
    for (words, on, kind, when) in rows {
        let _ = writeln!(table, "| {words} | {on} | {kind} | {when} |");
    }
    table
}

fn words(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
