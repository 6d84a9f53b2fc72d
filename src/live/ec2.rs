//! The EC2 API: what we ask it, and what we ask of it.
//!
//! Answers become the snapshot's types here, errors become a [`Failure`] with their meaning.

mod counted;
mod told;
mod tried;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::config::{Builder, Config};
use aws_sdk_ec2::operation::allocate_address::builders::AllocateAddressFluentBuilder;
use aws_sdk_ec2::operation::create_tags::builders::CreateTagsFluentBuilder;
use aws_sdk_ec2::types::{self, DomainType, Filter, ResourceType, Tag, TagSpecification};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::OnceCell;

use super::metrics::Metrics;
use crate::plan::action::Action;
use crate::plan::forecast::Outcome;
use crate::plan::look::Lookup;
use crate::plan::meaning::{Failure, Meaning, ec2_meaning, ec2_meaning_of_5xx};
use crate::plan::names;
use crate::plan::snapshot::{Address, AllocationId, Cluster, Interface, InterfaceId};
pub use counted::Counted;
use told::{Told, read_failure, told_of_one_attempt};
pub use tried::{Change, Subject, Tried};
use whole::WholeAnswers;

/// One attempt of one call. Without it the SDK waits for ever (see its `TimeoutConfig`).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// All attempts of one call; [`crate::plan::recent::ALLOCATE_TIMEOUT`] counts on it.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(25);
/// EC2 takes 200 filter values a call.
const VALUES_A_CALL: usize = 200;
/// One of them is the VPC.
const IPS_A_CALL: usize = VALUES_A_CALL - 1;
/// The largest page of DescribeNetworkInterfaces.
const PAGE: i32 = 1000;
/// Tag of a branch interface that names its trunk (amazon-vpc-resource-controller-k8s).
const TRUNK_TAG: &str = "vpcresources.k8s.aws/trunk-eni-id";

/// The EC2 API of one account and Region, as one cluster uses it.
pub struct Ec2 {
    client: Client,
    cluster: Cluster,
    default_tags: BTreeMap<String, String>,
    vpc: OnceCell<String>,
}

impl Ec2 {
    /// As this cluster uses it, with what the settings say of AWS.
    pub fn new(
        sdk: &SdkConfig,
        cluster: Cluster,
        settings: &super::config::Config,
        metrics: &Metrics,
    ) -> Self {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let counted = Counted { service: "EC2", metrics: metrics.clone() };
        let config = Builder::from(sdk).timeout_config(timeouts);
        let config = config.interceptor(WholeAnswers).interceptor(counted).build();
        let vpc = settings.vpc_id.clone();
        Self {
            client: Client::from_conf(config),
            cluster,
            default_tags: settings.default_tags.clone(),
            // Else it is found from the nodes' instances.
            vpc: vpc.map_or_else(OnceCell::new, |vpc| OnceCell::new_with(Some(vpc))),
        }
    }

    /// Every address that bears our cluster's name and an Eip's uid. Of all namespaces, be there
    /// one alone to serve: the tag that names it may be changed, and the address is the Eip's.
    pub async fn addresses(&self) -> Result<BTreeMap<AllocationId, Address>, Failure> {
        let name = format!("tag:{}", names::CLUSTER_NAME_TAG);
        let call = self.client.describe_addresses();
        let call = call.filters(filter("tag-key", [names::EIP_UID_TAG.to_owned()]));
        let call = call.filters(filter(&name, [self.cluster.name.clone()]));
        let answer = call.send().await.map_err(|error| read_failure(&error))?;
        Ok(answer.addresses().iter().filter_map(address).collect())
    }

    /// One address, fresh. None when it is gone, or no longer bears our tags.
    pub async fn address(&self, id: &AllocationId) -> Result<Option<Address>, Failure> {
        let call = self.client.describe_addresses();
        let call = call.filters(filter("allocation-id", [id.clone()]));
        let answer = call.send().await.map_err(|error| read_failure(&error))?;
        let ours = answer.addresses().iter().filter(|one| {
            tag(one.tags(), names::CLUSTER_NAME_TAG).as_ref() == Some(&self.cluster.name)
        });
        Ok(ours.filter_map(address).next().map(|(_, address)| address))
    }

    /// Those of these addresses that exist, whatever their tags: id, public address, and what the
    /// listing would say of it if it bears our tags.
    pub async fn addresses_by_id(
        &self,
        ids: &BTreeSet<AllocationId>,
    ) -> Result<Vec<(AllocationId, String, Option<Address>)>, Failure> {
        let ids: Vec<&AllocationId> = ids.iter().collect();
        let mut found = Vec::new();
        for batch in ids.chunks(VALUES_A_CALL) {
            let batch = batch.iter().map(|id| (*id).clone());
            let call = self.client.describe_addresses().filters(filter("allocation-id", batch));
            let answer = call.send().await.map_err(|error| read_failure(&error))?;
            for one in answer.addresses() {
                let Some(id) = given(one.allocation_id()) else { continue };
                let ours =
                    tag(one.tags(), names::CLUSTER_NAME_TAG).as_ref() == Some(&self.cluster.name);
                let described = address(one).filter(|_| ours).map(|(_, address)| address);
                found.push((id, one.public_ip().unwrap_or_default().to_owned(), described));
            }
        }
        Ok(found)
    }

    /// How many Elastic IPs count towards the account's limit: own ranges and those that AWS
    /// services manage do not.
    pub async fn count(&self) -> Result<u64, Failure> {
        let answer = self.client.describe_addresses().send().await;
        let answer = answer.map_err(|error| read_failure(&error))?;
        let counts = |address: &&types::Address| {
            let own_range = address.public_ipv4_pool().is_some_and(|pool| {
                pool.starts_with("ipv4pool-") // "amazon" is Amazon's own
            });
            address.service_managed().is_none() && !own_range
        };
        Ok(answer.addresses().iter().filter(counts).count() as u64)
    }

    /// The interfaces that hold these IPs: by IP first; for IPs not found so, because they are
    /// inside a delegated prefix or on a branch interface, all interfaces of their instances.
    pub async fn interfaces(
        &self,
        lookups: &BTreeSet<Lookup>,
    ) -> Result<BTreeMap<InterfaceId, Interface>, Failure> {
        let mut found = BTreeMap::new();
        let lookups: Vec<&Lookup> = lookups.iter().collect();
        if lookups.is_empty() {
            return Ok(found);
        }
        let instances = lookups.iter().map(|lookup| lookup.instance.clone()).collect();
        let vpc = self.vpc.get_or_try_init(|| self.vpc_of(&instances)).await?.clone();
        let in_vpc = || filter("vpc-id", [vpc.clone()]);
        for batch in lookups.chunks(IPS_A_CALL) {
            let ips = batch.iter().map(|lookup| lookup.ip.to_string());
            let by_ip = filter("addresses.private-ip-address", ips);
            found.extend(self.describe_interfaces(vec![in_vpc(), by_ip]).await?);
            let missing: BTreeSet<String> = batch
                .iter()
                .filter(|lookup| !is_found(&found, lookup.ip))
                .map(|lookup| lookup.instance.clone())
                .collect();
            if !missing.is_empty() {
                let by_instance = filter("attachment.instance-id", missing);
                found.extend(self.describe_interfaces(vec![in_vpc(), by_instance]).await?);
            }
        }
        Ok(found)
    }

    /// The VPC of any of these instances: one that is ending has no interface any more.
    async fn vpc_of(&self, instances: &BTreeSet<String>) -> Result<String, Failure> {
        let found = self.interface_of(instances).await?;
        found.map(|(_, vpc)| vpc).ok_or_else(|| {
            let some: Vec<&str> =
                instances.iter().take(VALUES_A_CALL).map(String::as_str).collect();
            let names = some.join(", ");
            Failure {
                code: "VpcUnknown".to_owned(),
                message: format!("no interface of {names} names its VPC; set VPC_ID"),
                meaning: Meaning::Retry,
            }
        })
    }

    async fn describe_interfaces(
        &self,
        filters: Vec<Filter>,
    ) -> Result<BTreeMap<InterfaceId, Interface>, Failure> {
        let call = self.client.describe_network_interfaces().set_filters(Some(filters));
        let call = call.include_managed_resources(true);
        let mut pages = call.into_paginator().page_size(PAGE).items().send();
        let mut found = BTreeMap::new();
        while let Some(next) = pages.next().await {
            let described = next.map_err(|error| read_failure(&error))?;
            if let Some(id) = described.network_interface_id() {
                found.insert(id.to_owned(), interface(&described));
            }
        }
        Ok(found)
    }

    /// Carries out an action on EC2, in one attempt: the SDK would repeat a call long after the
    /// read that confirmed it, and past the limiter. Actions on Kubernetes are not for here.
    pub async fn perform(&self, action: &Action) -> Result<Outcome, Failure> {
        let done = match action {
            Action::Allocate { eip, uid, pod } => {
                let tags = self.tags(&eip.namespace, &eip.name, uid, pod);
                self.allocate(tags).await
            }
            Action::Tag { address, uid, undated, .. } => self.tag(address, uid, *undated).await,
            Action::Associate { address, interface, private_ip, .. } => {
                self.associate(address, interface, *private_ip).await
            }
            Action::Disassociate { association, .. } => {
                let call = self.client.disassociate_address().association_id(association);
                call.customize()
                    .config_override(once())
                    .send()
                    .await
                    .map(|_| Outcome::Done)
                    .map_err(|error| told_of_one_attempt(&error))
            }
            Action::Release { address, .. } => {
                let call = self.client.release_address().allocation_id(address);
                call.customize()
                    .config_override(once())
                    .send()
                    .await
                    .map(|_| Outcome::Done)
                    .map_err(|error| told_of_one_attempt(&error))
            }
            other => Err(Told::new("NotEc2", format!("{} is not EC2's", other.verb()))),
        };
        done.or_else(|Told { code, message, is_5xx }| {
            let meaning = if is_5xx { ec2_meaning_of_5xx } else { ec2_meaning };
            match meaning(action, &code) {
                Meaning::Success => Ok(Outcome::AlreadySo),
                meaning => Err(Failure { code, message, meaning }),
            }
        })
    }

    /// There is no client token, and a repeated call would buy a second address.
    async fn allocate(&self, tags: BTreeMap<String, String>) -> Result<Outcome, Told> {
        let answer = self.allocation(tags).customize().config_override(once()).send().await;
        let answer = answer.map_err(|error| told_of_one_attempt(&error))?;
        match (answer.allocation_id, answer.public_ip) {
            (Some(address), Some(ip)) => Ok(Outcome::Allocated { address, ip }),
            _ => Err(Told::new("InternalError", "the answer has no allocation id".to_owned())),
        }
    }

    fn allocation(&self, tags: BTreeMap<String, String>) -> AllocateAddressFluentBuilder {
        let tags = tags.iter().map(|(key, value)| built(key, value));
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::ElasticIp)
            .set_tags(Some(tags.collect()))
            .build();
        self.client.allocate_address().domain(DomainType::Vpc).tag_specifications(tags)
    }

    /// It takes effect within ten seconds of being sent or not at all, while the CNI keeps a freed
    /// IP unused for thirty. Never with reassociation: a move is two calls.
    async fn associate(
        &self,
        address: &AllocationId,
        interface: &InterfaceId,
        private_ip: Ipv4Addr,
    ) -> Result<Outcome, Told> {
        let call = self
            .client
            .associate_address()
            .allocation_id(address)
            .network_interface_id(interface)
            .private_ip_address(private_ip.to_string())
            .allow_reassociation(false);
        let answer = call.customize().config_override(once()).send().await;
        let answer = answer.map_err(|error| told_of_one_attempt(&error))?;
        match answer.association_id {
            Some(association) => Ok(Outcome::Associated { association }),
            None => Err(Told::new("InternalError", "no association id in the answer".to_owned())),
        }
    }

    /// Only the tags that say whose an address is; all others stay as they are.
    async fn tag(&self, address: &AllocationId, uid: &str, undated: bool) -> Result<Outcome, Told> {
        let mut call = self.tagging(address, uid);
        if undated {
            let now = format!("{:.0}", Timestamp::now());
            call = call.tags(built(names::ALLOCATED_AT_TAG, &now));
        }
        let answer = call.customize().config_override(once()).send().await;
        answer.map(|_| Outcome::Done).map_err(|error| told_of_one_attempt(&error))
    }

    fn tagging(&self, address: &str, uid: &str) -> CreateTagsFluentBuilder {
        let call = self.client.create_tags().resources(address);
        let call = call.tags(built(names::EIP_UID_TAG, uid));
        call.tags(built(names::CLUSTER_UID_TAG, &self.cluster.uid))
    }

    /// An address is born with all its tags, since EC2 sets them together with it.
    fn tags(&self, ns: &str, eip: &str, uid: &str, pod: &str) -> BTreeMap<String, String> {
        let mut tags = self.default_tags.clone();
        let ours = [
            (names::EIP_UID_TAG, uid.to_owned()),
            (names::EIP_NAME_TAG, eip.to_owned()),
            (names::NAMESPACE_TAG, ns.to_owned()),
            (names::CLUSTER_NAME_TAG, self.cluster.name.clone()),
            (names::CLUSTER_UID_TAG, self.cluster.uid.clone()),
            (names::POD_NAME_TAG, pod.to_owned()),
            (names::ALLOCATED_AT_TAG, format!("{:.0}", Timestamp::now())),
            (names::NAME_TAG, names::name_tag(&self.cluster.name, ns, eip)),
        ];
        tags.extend(ours.map(|(key, value)| (key.to_owned(), value)));
        tags
    }
}

fn once() -> Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    let values = values.into_iter().collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// Whether an IP's interface is among these, and its trunk if it is a branch interface.
fn is_found(found: &BTreeMap<InterfaceId, Interface>, ip: Ipv4Addr) -> bool {
    found
        .values()
        .filter(|interface| interface.ips.contains(&ip))
        .any(|interface| interface.trunk.as_ref().is_none_or(|trunk| found.contains_key(trunk)))
}

/// Some stand-ins answer an empty string where EC2 leaves a field out.
fn given(value: Option<&str>) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

fn built(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

fn tag(tags: &[Tag], key: &str) -> Option<String> {
    let tag = tags.iter().find(|tag| tag.key() == Some(key))?;
    given(tag.value())
}

fn address(described: &types::Address) -> Option<(AllocationId, Address)> {
    if described.service_managed().is_some() {
        return None;
    }
    let tags = described.tags();
    let bought = tag(tags, names::ALLOCATED_AT_TAG).and_then(|at| at.parse::<Timestamp>().ok());
    let age = bought.map(|at| Timestamp::now().as_second().saturating_sub(at.as_second()).max(0));
    let association = given(described.association_id());
    let associated = association.is_some();
    let address = Address {
        ip: described.public_ip().unwrap_or_default().to_owned(),
        cluster: tag(tags, names::CLUSTER_UID_TAG),
        eip: tag(tags, names::EIP_UID_TAG)?,
        namespace: tag(tags, names::NAMESPACE_TAG).unwrap_or_default(),
        name: tag(tags, names::EIP_NAME_TAG).unwrap_or_default(),
        age: age.and_then(|age| u64::try_from(age).ok()),
        association,
        interface: given(described.network_interface_id()).filter(|_| associated),
        private_ip: described
            .private_ip_address()
            .filter(|_| associated)
            .and_then(|ip| ip.parse().ok()),
    };
    Some((given(described.allocation_id())?, address))
}

fn interface(described: &types::NetworkInterface) -> Interface {
    let ip = |one: &types::NetworkInterfacePrivateIpAddress| one.private_ip_address()?.parse().ok();
    let ips = described.private_ip_addresses();
    let primary = described.private_ip_address().and_then(|ip| ip.parse().ok());
    let occupied = ips.iter().filter_map(|one| {
        let public = given(one.association()?.public_ip())?;
        Some((ip(one)?, public))
    });
    Interface {
        instance: described.attachment().and_then(|a| given(a.instance_id())),
        trunk: tag(described.tag_set(), TRUNK_TAG),
        ips: ips.iter().filter_map(ip).chain(primary).collect(),
        prefixes: described
            .ipv4_prefixes()
            .iter()
            .filter_map(|prefix| given(prefix.ipv4_prefix()))
            .collect(),
        occupied: occupied.collect(),
    }
}
