//! The query protocol of EC2 in front of the model: parameters in, XML out.
//!
//! Names of actions, parameters, filters and elements are those of the EC2 API reference.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use aws_smithy_xml::encode::{ScopeWriter, XmlWriter};
use eip_operator::plan::look::Lookup;
use eip_operator::plan::names;
use eip_operator::plan::snapshot::{Interface, InterfaceId};

use super::Model;
use super::ec2::{Association, Lag, Tags};
use super::judged::{demands, dry};

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
pub const VPC: &str = "vpc-1";
/// The largest page of DescribeNetworkInterfaces.
const PAGE: usize = 1000;

/// The parameters of a call, its action among them.
pub struct Query(BTreeMap<String, String>);

/// An error as EC2 answers it.
pub struct Refusal {
    pub code: &'static str,
    message: String,
}

type Answer = Result<String, Refusal>;
type Filters = Vec<(String, BTreeSet<String>)>;

impl Query {
    pub fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether it is for what is true, asked by a test and not by an operator.
    pub fn is_for_the_truth(&self) -> bool {
        self.get("Truth") == Some("true")
    }

    pub fn need(&self, name: &'static str) -> Result<&str, Refusal> {
        let missing = || refused("MissingParameter", format!("the request must contain {name}"));
        self.get(name).ok_or_else(missing)
    }

    /// `NAME.1`, `NAME.2` and so on.
    pub fn list(&self, name: &str) -> Vec<String> {
        let numbered = |n: usize| self.get(&format!("{name}.{n}")).map(str::to_owned);
        (1..).map_while(numbered).collect()
    }

    fn filters(&self) -> Filters {
        let filter = |n: usize| {
            let name = self.get(&format!("Filter.{n}.Name"))?.to_owned();
            Some((name, self.list(&format!("Filter.{n}.Value")).into_iter().collect()))
        };
        (1..).map_while(filter).collect()
    }

    pub fn tags(&self, prefix: &str) -> BTreeMap<String, String> {
        let tag = |n: usize| {
            let key = self.get(&format!("{prefix}.{n}.Key"))?.to_owned();
            let value = self.get(&format!("{prefix}.{n}.Value")).unwrap_or_default();
            Some((key, value.to_owned()))
        };
        (1..).map_while(tag).collect()
    }
}

pub fn refused(code: &'static str, message: String) -> Refusal {
    Refusal { code, message }
}

/// What the model refuses with this code, about this thing.
fn about(thing: &str) -> impl Fn(&'static str) -> Refusal {
    move |code| refused(code, format!("refused: {thing}"))
}

impl Refusal {
    pub fn told(&self) -> String {
        let mut text = String::new();
        let mut writer = XmlWriter::new(&mut text);
        let mut root = writer.start_el("Response").finish();
        let mut errors = root.start_el("Errors").finish();
        let mut error = errors.start_el("Error").finish();
        leaf(&mut error, "Code", self.code);
        leaf(&mut error, "Message", &self.message);
        error.finish();
        errors.finish();
        leaf(&mut root, "RequestID", "00000000-0000-0000-0000-000000000000");
        root.finish();
        text
    }
}

/// Carries out one call.
pub fn answer(model: &mut Model, query: &Query) -> Answer {
    if !query.is_for_the_truth() {
        if let Some(why) = model.refuses(&demands(model, query)?) {
            return Err(refused("UnauthorizedOperation", why));
        }
        if query.get("DryRun") == Some("true") && !model.ignores_dry_run(query.need("Action")?) {
            return Err(dry(model, query));
        }
        return perform(model, query);
    }
    let (lag, bucket) = (model.account.lag, model.account.bucket.take());
    model.account.lag = Lag::None;
    let answer = perform(model, query);
    (model.account.lag, model.account.bucket) = (lag, bucket);
    answer
}

fn perform(model: &mut Model, query: &Query) -> Answer {
    let action = query.need("Action")?;
    let (now, account, chance) = (model.now(), &mut model.account, &mut model.chance);
    match action {
        "AllocateAddress" => {
            let wanted = tags_from(&query.tags("TagSpecification.1.Tag"));
            let id = account.allocate(wanted, now, chance).map_err(about("a new address"))?;
            let ip = account.elastics[&id].ip.clone();
            Ok(flat(action, &[("publicIp", &ip), ("domain", "vpc"), ("allocationId", &id)]))
        }
        "AssociateAddress" => {
            let (id, interface) = (query.need("AllocationId")?, query.need("NetworkInterfaceId")?);
            let ip = query.need("PrivateIpAddress")?;
            let ip = ip.parse().map_err(|_| refused("InvalidParameterValue", ip.to_owned()))?;
            if query.get("AllowReassociation") == Some("true") {
                account.end(id, now, chance);
            }
            let made = account.associate(id, interface, ip, now, chance).map_err(about(id))?;
            Ok(flat(action, &[("return", "true"), ("associationId", &made.0)]))
        }
        "DisassociateAddress" => {
            let id = query.need("AssociationId")?;
            account.disassociate(id, now, chance).map_err(about(id))?;
            Ok(flat(action, &[("return", "true")]))
        }
        "ReleaseAddress" => {
            let id = query.need("AllocationId")?;
            account.release(id, now, chance).map_err(about(id))?;
            Ok(flat(action, &[("return", "true")]))
        }
        "CreateTags" | "DeleteTags" => {
            let changes = query.tags("Tag");
            for id in query.list("ResourceId") {
                let change = |tags: &mut Tags| {
                    let mut all = tags_of(tags);
                    match action {
                        "CreateTags" => all.extend(changes.clone()),
                        _ => all.retain(|key, _| !changes.contains_key(key)),
                    }
                    *tags = tags_from(&all);
                };
                account.tag(&id, change, now, chance).map_err(about(&id))?;
            }
            Ok(flat(action, &[("return", "true")]))
        }
        "DescribeAddresses" => describe_addresses(model, query),
        "DescribeNetworkInterfaces" => describe_interfaces(model, query),
        "DescribeInstances" => Ok(describe_instances(model, query)),
        _ => Err(refused("InvalidAction", format!("the action {action} is not in this model"))),
    }
}

fn describe_addresses(model: &mut Model, query: &Query) -> Answer {
    let (now, account, chance) = (model.now(), &model.account, &mut model.chance);
    let mut filters = query.filters();
    let ids = query.list("AllocationId");
    for id in &ids {
        account.elastics.get(id).ok_or_else(|| about(id)("InvalidAllocationID.NotFound"))?;
    }
    if !ids.is_empty() {
        filters.push(("allocation-id".to_owned(), ids.into_iter().collect()));
    }
    let mut found = Vec::new();
    for (id, elastic) in &account.elastics {
        let Some((tags, association)) = account.seen(elastic, now, chance) else { continue };
        let tags = tags.map(tags_of).unwrap_or_default();
        let mut all = true;
        for (name, values) in &filters {
            all &= match name.as_str() {
                "allocation-id" => values.contains(id),
                "public-ip" => values.contains(&elastic.ip),
                "tag-key" => tags.keys().any(|key| values.contains(key)),
                other => match other.strip_prefix("tag:") {
                    Some(key) => tags.get(key).is_some_and(|value| values.contains(value)),
                    None => return Err(unknown_filter(name)),
                },
            };
        }
        if all {
            found.push((id, &elastic.ip, tags, association));
        }
    }
    Ok(document("DescribeAddresses", |root| {
        let mut set = root.start_el("addressesSet").finish();
        for (id, ip, tags, association) in &found {
            write_address(&mut set, id, ip, tags, *association);
        }
        set.finish();
    }))
}

fn write_address(
    set: &mut ScopeWriter<'_, '_>,
    id: &str,
    ip: &str,
    tags: &BTreeMap<String, String>,
    association: Option<&Association>,
) {
    let mut item = set.start_el("item").finish();
    for (name, value) in [("publicIp", ip), ("allocationId", id), ("domain", "vpc")] {
        leaf(&mut item, name, value);
    }
    if let Some(association) = association {
        leaf(&mut item, "associationId", &association.id);
        leaf(&mut item, "networkInterfaceId", &association.interface);
        leaf(&mut item, "privateIpAddress", &association.private_ip.to_string());
    }
    let mut set = item.start_el("tagSet").finish();
    for (key, value) in tags {
        let mut tag = set.start_el("item").finish();
        leaf(&mut tag, "key", key);
        leaf(&mut tag, "value", value);
        tag.finish();
    }
    set.finish();
    item.finish();
}

fn describe_interfaces(model: &Model, query: &Query) -> Answer {
    let all = model.account.interfaces.iter();
    let all: BTreeSet<Lookup> = all
        .flat_map(|(_, (instance, ips))| ips.iter().map(|ip| (instance.clone(), *ip)))
        .map(|(instance, ip)| Lookup { instance, ip })
        .collect();
    let mut found = model.account.describe_interfaces(&all);
    for (name, values) in query.filters() {
        found.retain(|_, one| match name.as_str() {
            "vpc-id" => values.contains(VPC),
            "attachment.instance-id" => one.instance.as_ref().is_some_and(|id| values.contains(id)),
            // An IP inside a delegated prefix is not found by this filter.
            _ => one.ips.iter().any(|ip| values.contains(&ip.to_string())),
        });
        if !["vpc-id", "attachment.instance-id", "addresses.private-ip-address"]
            .contains(&name.as_str())
        {
            return Err(unknown_filter(&name));
        }
    }
    let page = query.get("MaxResults").and_then(|text| text.parse().ok()).unwrap_or(PAGE);
    let first: usize = query.get("NextToken").and_then(|text| text.parse().ok()).unwrap_or(0);
    let more = found.len() > first + page;
    Ok(document("DescribeNetworkInterfaces", |root| {
        let mut set = root.start_el("networkInterfaceSet").finish();
        for (id, interface) in found.iter().skip(first).take(page) {
            write_interface(&mut set, id, interface);
        }
        set.finish();
        if more {
            leaf(root, "nextToken", &(first + page).to_string());
        }
    }))
}

/// Asked by other operators alone, which find a pod's interface so.
fn describe_instances(model: &Model, query: &Query) -> String {
    let mut wanted: BTreeSet<String> = query.list("InstanceId").into_iter().collect();
    let by_filter = query.filters().into_iter().filter(|(name, _)| name == "instance-id");
    wanted.extend(by_filter.flat_map(|(_, values)| values));
    let interfaces = model.account.interfaces.iter();
    let ips = interfaces.filter(|(_, (instance, _))| wanted.contains(instance)).flat_map(
        |(_, (instance, ips))| ips.iter().map(|ip| Lookup { instance: instance.clone(), ip: *ip }),
    );
    let found = model.account.describe_interfaces(&ips.collect());
    document("DescribeInstances", |root| {
        let mut reservations = root.start_el("reservationSet").finish();
        for (id, interface) in &found {
            let mut reservation = reservations.start_el("item").finish();
            let mut instances = reservation.start_el("instancesSet").finish();
            let mut instance = instances.start_el("item").finish();
            leaf(&mut instance, "instanceId", interface.instance.as_deref().unwrap_or_default());
            leaf(&mut instance, "vpcId", VPC);
            let mut set = instance.start_el("networkInterfaceSet").finish();
            write_interface(&mut set, id, interface);
            set.finish();
            instance.finish();
            instances.finish();
            reservation.finish();
        }
        reservations.finish();
    })
}

fn write_interface(set: &mut ScopeWriter<'_, '_>, id: &InterfaceId, interface: &Interface) {
    let mut item = set.start_el("item").finish();
    leaf(&mut item, "networkInterfaceId", id);
    leaf(&mut item, "vpcId", VPC);
    let mut attachment = item.start_el("attachment").finish();
    leaf(&mut attachment, "instanceId", interface.instance.as_deref().unwrap_or_default());
    attachment.finish();
    let mut ips = item.start_el("privateIpAddressesSet").finish();
    for ip in &interface.ips {
        let mut one = ips.start_el("item").finish();
        leaf(&mut one, "privateIpAddress", &ip.to_string());
        if let Some(public) = interface.occupied.get(ip) {
            let mut association = one.start_el("association").finish();
            leaf(&mut association, "publicIp", public);
            association.finish();
        }
        one.finish();
    }
    ips.finish();
    let mut prefixes = item.start_el("ipv4PrefixSet").finish();
    for prefix in &interface.prefixes {
        let mut one = prefixes.start_el("item").finish();
        leaf(&mut one, "ipv4Prefix", prefix);
        one.finish();
    }
    prefixes.finish();
    item.finish();
}

fn unknown_filter(name: &str) -> Refusal {
    refused("InvalidParameterValue", format!("the filter {name:?} is not in this model"))
}

fn leaf(parent: &mut ScopeWriter<'_, '_>, name: &str, value: &str) {
    let mut element = parent.start_el(name).finish();
    element.data(value);
    element.finish();
}

fn document(action: &str, write: impl FnOnce(&mut ScopeWriter<'_, '_>)) -> String {
    let (mut text, name) = (String::new(), format!("{action}Response"));
    let mut writer = XmlWriter::new(&mut text);
    let mut root = writer.start_el(&name).write_ns(NAMESPACE, None).finish();
    leaf(&mut root, "requestId", "00000000-0000-0000-0000-000000000000");
    write(&mut root);
    root.finish();
    text
}

fn flat(action: &str, fields: &[(&str, &str)]) -> String {
    document(action, |root| {
        for (name, value) in fields {
            leaf(root, name, value);
        }
    })
}

/// Whose the address is, which the model knows, and all else.
fn tags_from(all: &BTreeMap<String, String>) -> Tags {
    let mut others = all.clone();
    let mut take = |key: &str| others.remove(key);
    Tags {
        cluster_name: take(names::CLUSTER_NAME_TAG).unwrap_or_default(),
        cluster_uid: take(names::CLUSTER_UID_TAG),
        eip: take(names::EIP_UID_TAG).unwrap_or_default(),
        namespace: take(names::NAMESPACE_TAG).unwrap_or_default(),
        name: take(names::EIP_NAME_TAG).unwrap_or_default(),
        allocated_at: None,
        others,
    }
}

pub fn tags_of(tags: &Tags) -> BTreeMap<String, String> {
    let identity = [
        (names::CLUSTER_NAME_TAG, tags.cluster_name.as_str()),
        (names::CLUSTER_UID_TAG, tags.cluster_uid.as_deref().unwrap_or_default()),
        (names::EIP_UID_TAG, &tags.eip),
        (names::NAMESPACE_TAG, &tags.namespace),
        (names::EIP_NAME_TAG, &tags.name),
    ];
    let given = identity.into_iter().filter(|(_, value)| !value.is_empty());
    let identity = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
    tags.others.clone().into_iter().chain(identity).collect()
}

/// The IPs of a range, without its first and its last.
pub fn ips_of(cidr: &str) -> Option<BTreeSet<Ipv4Addr>> {
    let (ip, length) = cidr.split_once('/')?;
    let (first, length) = (u32::from(ip.parse::<Ipv4Addr>().ok()?), length.parse::<u32>().ok()?);
    let size = 1_u32 << 32_u32.checked_sub(length).filter(|bits| (2..=12).contains(bits))?;
    Some((1..size - 1).map(|n| Ipv4Addr::from(first + n)).collect())
}
