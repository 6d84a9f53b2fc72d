//! What the operator needs to be allowed in AWS, and whether these credentials are.
//!
//! `manifests/iam/policy.json` allows exactly this, which a test compares.

use std::collections::BTreeSet;

use super::Finding;
use crate::live::ec2::{Change, Ec2, Subject, Tried};
use crate::plan::meaning::Failure;
use crate::plan::snapshot::{Cluster, Quota};

/// An action, and the statements of manifests/iam/policy.json that allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    pub name: &'static str,
    pub statements: &'static [&'static str],
    /// What is sent; none for a read.
    pub change: Option<Change>,
}

const fn action(
    name: &'static str,
    statements: &'static [&'static str],
    change: Option<Change>,
) -> Action {
    Action { name, statements, change }
}

const ADDRESSES: Action = action("ec2:DescribeAddresses", &["Read"], None);
const INTERFACES: Action = action("ec2:DescribeNetworkInterfaces", &["Read"], None);
const QUOTA: Action = action("servicequotas:GetServiceQuota", &["Quota"], None);
const ALLOCATE: Action = action(
    "ec2:AllocateAddress",
    &["AllocateTagged", "TagOnlyAtAllocation"],
    Some(Change::Allocate),
);
const TAG: Action = action("ec2:CreateTags", &["CompleteIdentityTags"], Some(Change::Tag));
const ASSOCIATE: Action =
    action("ec2:AssociateAddress", &["OwnAddresses", "ClusterVpcEnis"], Some(Change::Associate));
const DISASSOCIATE: Action = action(
    "ec2:DisassociateAddress",
    &["OwnAddresses", "ClusterVpcEnis"],
    Some(Change::Disassociate),
);
const RELEASE: Action = action("ec2:ReleaseAddress", &["OwnAddresses"], Some(Change::Release));

/// All that the operator asks of AWS.
pub const ACTIONS: [Action; 8] =
    [ADDRESSES, INTERFACES, ALLOCATE, TAG, ASSOCIATE, DISASSOCIATE, RELEASE, QUOTA];

/// What the actions are tried with.
pub(super) struct Asked {
    pub region: String,
    pub cluster: Cluster,
    /// Whether the cluster's uid is known: whose an address is follows from it.
    pub knows_uid: bool,
    /// Of the nodes.
    pub instances: BTreeSet<String>,
    /// The address to ask about, if a person has named one.
    pub address: Option<String>,
}

/// The findings, and whether AWS has answered at all.
pub(super) async fn tried(ec2: &Ec2, asked: &Asked, only_reads: bool) -> (Vec<Finding>, bool) {
    let addresses = ec2.addresses().await;
    if let Err(failure) = &addresses
        && let Some(finding) = no_way(asked, failure)
    {
        return (vec![finding], false);
    }
    let ours = |address: &&crate::plan::snapshot::Address| {
        address.cluster.as_ref() == Some(&asked.cluster.uid)
    };
    let owned = addresses.as_ref().map_or(0, |all| all.values().filter(ours).count());
    let seen = addresses.as_ref().map(|all| match (asked.knows_uid, owned) {
        (false, _) => {
            format!("addresses that bear this cluster's name: {}; its uid is not known", all.len())
        }
        (_, 1) => "1 address is this cluster's".to_owned(),
        (_, many) => format!("{many} addresses are this cluster's"),
    });
    let mut findings = vec![read(&ADDRESSES, seen.map_err(Clone::clone))];
    let interface = ec2.interface_of(&asked.instances).await;
    findings.push(read(&INTERFACES, vpc(asked, &interface)));
    if only_reads {
        return (findings, true);
    }
    let mut subject =
        Subject { interface: interface.ok().flatten().map(|(id, _)| id), address: None };
    if let (Some(id), Ok(mut all)) = (&asked.address, addresses) {
        subject.address =
            all.remove(id).filter(|one| ours(&one)).map(|address| (id.clone(), address));
        if subject.address.is_none() && !asked.knows_uid {
            let seen = format!("nothing was tried on {id}, for this cluster's uid is not known");
            findings.push(Finding::warn("--address", seen, "see what is said of kubernetes"));
        } else if subject.address.is_none() {
            let seen = format!("{id} does not bear the tags of this cluster");
            let todo = "name one that \"eip-operator snapshot\" lists among its addresses";
            findings.push(Finding::fail("--address", seen, todo));
        }
    }
    if !heeds_dry_run(ec2).await {
        let seen = "not shown to be heeded by this endpoint, so no changing call was tried";
        let todo = "see that ec2:DescribeAddresses is allowed, and that AWS_ENDPOINT_URL is \
                    unset or names EC2";
        findings.push(Finding::warn("DryRun", seen, todo));
        return (findings, true);
    }
    for action in ACTIONS {
        if let Some(change) = action.change {
            let tried = ec2.try_change(change, &subject).await;
            findings.push(judged(&action, subject.is_made_up(change), &tried));
            // One that heeds it on reads may not on changes; the first is a purchase, given back.
            if matches!(tried, Tried::Done | Tried::Bought { .. }) {
                break;
            }
        }
    }
    (findings, true)
}

/// Shown by reads, which change nothing where it is not.
async fn heeds_dry_run(ec2: &Ec2) -> bool {
    let heeds = |tried| matches!(tried, Tried::Told { code, .. } if code == "DryRunOperation");
    heeds(ec2.try_addresses().await) || heeds(ec2.try_interfaces().await)
}

/// Why nothing else needs to be asked.
fn no_way(asked: &Asked, failure: &Failure) -> Option<Finding> {
    let region = &asked.region;
    if is_of_credentials(&failure.code) {
        let seen = format!("{}: {}", failure.code, failure.message);
        let todo = "see whose credentials these are: aws sts get-caller-identity";
        return Some(Finding::fail("aws", seen, todo));
    }
    matches!(failure.code.as_str(), "Timeout" | "NotSent").then(|| {
        let why = failure.message.lines().next().unwrap_or_default();
        let seen = format!("EC2 in {region} does not answer: {why}");
        let todo = "give credentials (IRSA, EKS Pod Identity, AWS_PROFILE), and see that EC2 can \
                    be reached from here";
        Finding::fail("aws", seen, todo)
    })
}

/// They say who is not known, before anything is allowed or not.
fn is_of_credentials(code: &str) -> bool {
    let codes = [
        "AuthFailure",
        "Blocked",
        "ExpiredToken",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "MissingAuthenticationToken",
        "OptInRequired",
        "PendingVerification",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnauthorizedAccess",
        "UnrecognizedClientException",
    ];
    codes.contains(&code)
}

fn is_refused(code: &str) -> bool {
    matches!(code, "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException")
}

fn grant(action: &Action) -> String {
    let (name, statements) = (action.name, action.statements.join(" and "));
    let noun = if action.statements.len() == 1 { "statement" } else { "statements" };
    format!("allow {name}: {noun} {statements} of the policy that bin/iam-policy prints")
}

/// What was seen, or why it was not.
fn read(action: &Action, seen: Result<String, Failure>) -> Finding {
    match seen {
        Ok(seen) => Finding::pass(action.name, seen),
        Err(failure) if is_refused(&failure.code) => {
            Finding::fail(action.name, refusal(&failure.code, &failure.message), grant(action))
        }
        Err(failure) => Finding::fail(action.name, failure.to_string(), "ask again"),
    }
}

fn vpc(
    asked: &Asked,
    found: &Result<Option<(String, String)>, Failure>,
) -> Result<String, Failure> {
    let found = found.as_ref().map_err(Clone::clone)?;
    Ok(match found {
        Some((_, vpc)) => format!("the nodes are in {vpc}"),
        None if asked.instances.is_empty() => "allowed; no node's instance is known".to_owned(),
        None => {
            return Err(Failure {
                code: "NoInterface".to_owned(),
                message: format!(
                    "no interface of the nodes' instances is found in {}: is that the Region and \
                     the account of the nodes, and VPC_ID their VPC?",
                    asked.region
                ),
                meaning: crate::plan::meaning::Meaning::Retry,
            });
        }
    })
}

/// Without the encoded message, which only AWS can read.
fn refusal(code: &str, message: &str) -> String {
    let readable = message.split("Encoded authorization failure").next().unwrap_or_default();
    match readable.trim().trim_end_matches('.') {
        "" => code.to_owned(),
        readable => format!("{code}: {readable}"),
    }
}

/// What the answer to a call with `DryRun` says. EC2 asks IAM before it looks for a thing, as
/// people report, so that an id which it does not find was allowed. An id that is made up bears no
/// tags, however: what a policy allows only with them is refused on it, and that says nothing of
/// our own addresses.
pub(super) fn judged(action: &Action, is_made_up: bool, tried: &Tried) -> Finding {
    let name = action.name;
    let (code, message) = match tried {
        Tried::Told { code, message } => (code.as_str(), message.as_str()),
        Tried::Done => {
            let todo = "see what AWS_ENDPOINT_URL names: it is not EC2";
            let seen = "was carried out in spite of DryRun";
            return match is_made_up {
                true => Finding::warn(name, format!("{seen}, on what nobody has"), todo),
                false => Finding::fail(name, format!("{seen}, on the address of --address"), todo),
            };
        }
        Tried::Bought { address, given_back } => {
            let seen = format!("{address} was bought in spite of DryRun");
            let todo = "see what AWS_ENDPOINT_URL names: it is not EC2";
            return match given_back {
                true => Finding::fail(name, format!("{seen}, and given back"), todo),
                false => Finding::fail(name, seen, format!("release {address}; {todo}")),
            };
        }
    };
    let told = refusal(code, message);
    if code == "DryRunOperation" {
        return Finding::pass(name, "allowed");
    }
    if is_refused(code) {
        let denied = message.contains("explicit deny");
        return if is_made_up && !denied {
            let seen = "not known: refused on an id that is made up, and so bears no tags";
            let todo = match action.change {
                Some(Change::Disassociate) => "--address eipalloc-… of an address that is on a pod",
                _ => "--address eipalloc-… of an address of this cluster",
            };
            Finding::warn(name, seen, format!("ask again with {todo}"))
        } else if action.change == Some(Change::Tag) {
            // The policy may leave it out.
            let seen = format!(
                "{told}. Needed only after a restore, and for addresses of the \
                                older operator"
            );
            Finding::warn(name, seen, grant(action))
        } else {
            Finding::fail(name, told, grant(action))
        };
    }
    if is_of_credentials(code) {
        let todo = "see whose credentials these are: aws sts get-caller-identity";
        return Finding::fail(name, told, todo);
    }
    let made_up_ip = matches!(code, "InvalidParameterValue" | "Resource.AlreadyAssociated");
    match code {
        "AddressLimitExceeded" => Finding::warn(
            name,
            "allowed, but the account has all the Elastic IPs that it may have",
            "ask AWS for more (Service Quotas, L-0263D0A3), or release some",
        ),
        _ if code.starts_with("Tag") || code.starts_with("InvalidTag") => {
            Finding::fail(name, told, "change DEFAULT_TAGS, or the tag policy of the organisation")
        }
        _ if made_up_ip && action.change == Some(Change::Associate) => {
            Finding::pass(name, "allowed")
        }
        _ if is_made_up && code.ends_with(".NotFound") => Finding::pass(name, "allowed"),
        _ => Finding::warn(name, format!("not known: {told}"), "ask again"),
    }
}

/// The quota is only a help: without it a purchase too many is made, and refused.
pub(super) fn quota(answer: Result<Quota, String>) -> Finding {
    let name = QUOTA.name;
    match answer {
        Ok(quota) if quota.used < quota.limit => {
            let Quota { limit, used } = quota;
            Finding::pass(name, format!("{used} of {limit} Elastic IPs are used"))
        }
        Ok(Quota { limit, used }) => Finding::warn(
            name,
            format!("{used} of {limit} Elastic IPs are used, so none can be bought"),
            "ask AWS for more (Service Quotas, L-0263D0A3), or release some",
        ),
        Err(why) => {
            let denied = why.contains("AccessDenied");
            let yourself = "look at it yourself (Service Quotas, L-0263D0A3)";
            let todo = if denied { grant(&QUOTA) } else { yourself.to_owned() };
            let seen = format!("{why}; a purchase too many is found out by making it");
            Finding::warn(name, seen, todo)
        }
    }
}
