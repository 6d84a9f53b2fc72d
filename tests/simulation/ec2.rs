//! A model of the EC2 API for Elastic IPs: what is true, and what a caller is shown of it.
//!
//! Each attribute of an address (that it exists, its tags, its association) is shown some time
//! after it has changed, each on its own. Times are milliseconds.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use eip_operator::plan::look::Lookup;
use eip_operator::plan::snapshot::{Address, AllocationId, Interface, InterfaceId, Uid};
use std::collections::BTreeSet;

use super::chance::Chance;

/// How late a caller sees what has changed.
#[derive(Clone, Copy, Debug, PartialEq, Hash)]
pub enum Lag {
    /// At once.
    None,
    /// Each change after up to so many milliseconds, in order.
    UpTo(u64),
    /// Until so many milliseconds have passed each read may or may not show it.
    Flickers(u64),
}

#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct Tags {
    pub cluster_name: String,
    pub cluster_uid: Option<Uid>,
    pub eip: Uid,
    pub namespace: String,
    pub name: String,
    /// Milliseconds, when it was bought.
    pub allocated_at: Option<u64>,
    /// Those by which nobody decides.
    pub others: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Association {
    pub id: String,
    pub interface: InterfaceId,
    pub private_ip: Ipv4Addr,
}

/// Values of one attribute, oldest first: when it took effect, when it is shown.
#[derive(Clone, Debug, Hash)]
struct History<T>(Vec<(u64, u64, T)>);

impl<T: Clone> History<T> {
    fn new(now: u64, shown: u64, value: T) -> Self {
        Self(vec![(now, shown, value)])
    }

    fn truth(&self) -> &T {
        &self.0[self.0.len() - 1].2
    }

    fn set(&mut self, now: u64, shown: u64, value: T) {
        self.0.push((now, shown, value));
    }

    fn seen(&self, now: u64, lag: Lag, chance: &mut Chance) -> Option<&T> {
        match lag {
            Lag::None => Some(self.truth()),
            Lag::UpTo(_) => self.0.iter().rev().find(|(_, shown, _)| *shown <= now).map(|v| &v.2),
            Lag::Flickers(most) => {
                let settled = self.0.iter().rposition(|(at, _, _)| at + most <= now);
                let first = settled.map_or(0, |index| index + 1);
                let choice = chance.between(first as u64, self.0.len() as u64);
                let index = usize::try_from(choice).unwrap_or(0);
                index.checked_sub(1).map(|index| &self.0[index].2)
            }
        }
    }

    /// Whether a value held at some time since.
    pub fn held_since(&self, since: u64, holds: impl Fn(&T) -> bool) -> bool {
        let mut until = u64::MAX;
        self.0.iter().rev().any(|(at, _, value)| {
            let lasted = until >= since;
            until = *at;
            lasted && holds(value)
        })
    }
}

#[derive(Clone, Debug, Hash)]
pub struct Elastic {
    pub ip: String,
    pub born: u64,
    exists: History<bool>,
    tags: History<Tags>,
    association: History<Option<Association>>,
}

impl Elastic {
    pub fn exists(&self) -> bool {
        *self.exists.truth()
    }
    pub fn tags(&self) -> &Tags {
        self.tags.truth()
    }
    pub fn association(&self) -> Option<&Association> {
        self.association.truth().as_ref()
    }
    /// When it ceased to exist, or else was bought.
    pub fn gone_at(&self) -> u64 {
        self.exists.0.last().map_or(0, |(at, _, _)| *at)
    }
    /// When its tags last changed.
    pub fn tagged_at(&self) -> u64 {
        self.tags.0.last().map_or(0, |(at, _, _)| *at)
    }
    /// When its association last changed.
    pub fn changed_at(&self) -> u64 {
        self.association.0.last().map_or(0, |(at, _, _)| *at)
    }
    /// Whether it was on this IP at some time since.
    pub fn was_on(&self, ip: Ipv4Addr, since: u64) -> bool {
        self.association
            .held_since(since, |one| one.as_ref().is_some_and(|one| one.private_ip == ip))
    }
}

/// Calls that change something are refused while there is no token for them.
#[derive(Clone, Copy, Debug, PartialEq, Hash)]
pub struct Bucket {
    /// Tokens that come back in a second.
    pub rate: u64,
    /// Tokens it holds at most.
    pub burst: u64,
    /// Thousandths of a token, when it was last looked at.
    level: u64,
    at: u64,
}

impl Bucket {
    pub fn new(rate: u64, burst: u64) -> Self {
        Self { rate, burst, level: burst * 1000, at: 0 }
    }

    fn take(&mut self, now: u64) -> Answer<()> {
        let back = now.saturating_sub(self.at) * self.rate;
        self.level = (self.level + back).min(self.burst * 1000);
        self.at = now;
        self.level = self.level.checked_sub(1000).ok_or("RequestLimitExceeded")?;
        Ok(())
    }
}

/// One account in one Region.
#[derive(Clone, Debug, Hash)]
pub struct Account {
    pub lag: Lag,
    pub limit: u64,
    /// What each action begins with (EC2 counts them apart). None: as many calls as one likes.
    pub bucket: Option<Bucket>,
    buckets: BTreeMap<&'static str, Bucket>,
    pub elastics: BTreeMap<AllocationId, Elastic>,
    /// By interface: its instance, and the IPs on it.
    pub interfaces: BTreeMap<InterfaceId, (String, BTreeSet<Ipv4Addr>)>,
    /// Those IPs are inside a delegated prefix, and not shown one by one.
    pub prefixes: bool,
    /// Ids say whose they are, so that worlds which differ in the order of calls alone are the same.
    pub named_ids: bool,
    /// For so long EC2 may not know a new association.
    pub shy: u64,
    /// How often it has changed.
    pub changes: u64,
    made: u64,
}

type Answer<T> = Result<T, &'static str>;

impl Account {
    pub fn new(limit: u64, lag: Lag) -> Self {
        let (elastics, interfaces) = (BTreeMap::new(), BTreeMap::new());
        Self {
            lag,
            limit,
            bucket: None,
            buckets: BTreeMap::new(),
            elastics,
            interfaces,
            prefixes: false,
            named_ids: false,
            shy: 0,
            changes: 0,
            made: 0,
        }
    }

    /// Addresses of another cluster that bears our name, and has namespaces and Eips like ours.
    pub fn strangers(&mut self, cluster_name: &str) {
        let chance = &mut Chance::new(0);
        for (namespace, name) in [("shop", "web"), ("bank", "job")] {
            let tags = Tags {
                cluster_name: cluster_name.to_owned(),
                cluster_uid: Some("c2".to_owned()),
                eip: format!("x-{namespace}"),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                allocated_at: Some(0),
                others: BTreeMap::new(),
            };
            self.limit += 1;
            let _ = self.allocate(tags, 0, chance);
        }
    }

    /// An address of somebody else on which they have written our tags, but for the date. Its Eip
    /// never was.
    pub fn counterfeit(&mut self, name: &str, uid: &str, now: u64, chance: &mut Chance) {
        let tags = Tags {
            cluster_name: name.to_owned(),
            cluster_uid: Some(uid.to_owned()),
            eip: "x-ghost".to_owned(),
            namespace: "shop".to_owned(),
            name: "ghost".to_owned(),
            ..Tags::default()
        };
        self.limit += 1;
        let _ = self.allocate(tags, now, chance);
    }

    fn take_token(&mut self, action: &'static str, now: u64) -> Answer<()> {
        let Some(full) = self.bucket else { return Ok(()) };
        self.buckets.entry(action).or_insert(full).take(now)
    }

    /// When a change that is made now is shown.
    fn shown(&mut self, now: u64, chance: &mut Chance) -> u64 {
        self.changes += 1;
        match self.lag {
            Lag::UpTo(most) => now + chance.between(0, most),
            _ => now,
        }
    }

    /// The addresses there really are.
    pub fn living(&self) -> impl Iterator<Item = (&AllocationId, &Elastic)> {
        self.elastics.iter().filter(|(_, one)| one.exists())
    }

    /// Those of an Eip. One whose tags a person took off is not, whatever we wrote on it since.
    pub fn of<'a>(&'a self, eip: &'a str) -> impl Iterator<Item = (&'a AllocationId, &'a Elastic)> {
        let is_its = move |tags: &Tags| tags.eip == eip && !tags.cluster_name.is_empty();
        self.living().filter(move |(_, one)| is_its(one.tags()))
    }

    pub fn allocate(&mut self, tags: Tags, now: u64, chance: &mut Chance) -> Answer<AllocationId> {
        self.take_token("AllocateAddress", now)?;
        if self.living().count() as u64 >= self.limit {
            return Err("AddressLimitExceeded");
        }
        self.made += u64::from(!self.named_ids);
        let nth = self.elastics.values().filter(|one| one.tags().eip == tags.eip).count();
        let id = match self.named_ids {
            true => format!("eipalloc-{}-{nth}", tags.eip),
            false => format!("eipalloc-{}", self.made),
        };
        let ip = match self.named_ids {
            true => id.clone(),
            false => format!("203.0.{}.{}", 113 + self.made / 250, self.made % 250),
        };
        let elastic = Elastic {
            ip,
            born: now,
            exists: History::new(now, self.shown(now, chance), true),
            tags: History::new(now, self.shown(now, chance), tags),
            association: History::new(now, now, None),
        };
        self.elastics.insert(id.clone(), elastic);
        Ok(id)
    }

    pub fn release(&mut self, id: &str, now: u64, chance: &mut Chance) -> Answer<()> {
        self.take_token("ReleaseAddress", now)?;
        let shown = self.shown(now, chance);
        let found = self.elastics.get_mut(id).filter(|one| one.exists());
        let elastic = found.ok_or("InvalidAllocationID.NotFound")?;
        if elastic.association().is_some() {
            return Err("InvalidIPAddress.InUse");
        }
        elastic.exists.set(now, shown, false);
        Ok(())
    }

    /// The id of the association, and the address that it threw off, if it did.
    pub fn associate(
        &mut self,
        id: &str,
        interface: &str,
        private_ip: Ipv4Addr,
        now: u64,
        chance: &mut Chance,
    ) -> Answer<(String, Option<AllocationId>)> {
        self.take_token("AssociateAddress", now)?;
        let found = self.elastics.get(id).filter(|one| one.exists());
        let elastic = found.ok_or("InvalidAllocationID.NotFound")?;
        if elastic.association().is_some() {
            return Err("Resource.AlreadyAssociated");
        }
        let (_, ips) =
            self.interfaces.get(interface).ok_or("InvalidNetworkInterfaceID.NotFound")?;
        if !ips.contains(&private_ip) {
            return Err("InvalidParameterValue");
        }
        let there = self.on(private_ip).map(|(id, _)| id.clone());
        if let Some(there) = &there {
            self.end(there, now, chance);
        }
        self.made += u64::from(!self.named_ids);
        let nth = self.elastics.get(id).map_or(0, |elastic| elastic.association.0.len());
        let association = Association {
            id: match self.named_ids {
                true => format!("eipassoc-{id}-{nth}"),
                false => format!("eipassoc-{}", self.made),
            },
            interface: interface.to_owned(),
            private_ip,
        };
        let made = association.id.clone();
        let shown = self.shown(now, chance);
        if let Some(elastic) = self.elastics.get_mut(id) {
            elastic.association.set(now, shown, Some(association));
        }
        Ok((made, there))
    }

    /// Ends an association by its id; says of which address it was.
    pub fn disassociate(
        &mut self,
        association: &str,
        now: u64,
        chance: &mut Chance,
    ) -> Answer<AllocationId> {
        self.take_token("DisassociateAddress", now)?;
        let of = self
            .living()
            .find(|(_, one)| one.association().is_some_and(|found| found.id == association));
        let known = of.filter(|(_, one)| one.changed_at() + self.shy <= now);
        let id = known.map(|(id, _)| id.clone()).ok_or("InvalidAssociationID.NotFound")?;
        self.end(&id, now, chance);
        Ok(id)
    }

    /// Ends the association of this address.
    pub fn end(&mut self, id: &str, now: u64, chance: &mut Chance) {
        let shown = self.shown(now, chance);
        if let Some(elastic) = self.elastics.get_mut(id) {
            elastic.association.set(now, shown, None);
        }
    }

    /// The address on this private IP.
    pub fn on(&self, ip: Ipv4Addr) -> Option<(&AllocationId, &Elastic)> {
        self.living().find(|(_, one)| one.association().is_some_and(|a| a.private_ip == ip))
    }

    /// CreateTags: whose an address is.
    pub fn tag(
        &mut self,
        id: &str,
        change: impl Fn(&mut Tags),
        now: u64,
        chance: &mut Chance,
    ) -> Answer<()> {
        self.take_token("CreateTags", now)?;
        let shown = self.shown(now, chance);
        let found = self.elastics.get_mut(id).filter(|one| one.exists());
        let elastic = found.ok_or("InvalidElasticIpID.NotFound")?;
        let mut tags = elastic.tags().clone();
        change(&mut tags);
        elastic.tags.set(now, shown, tags);
        Ok(())
    }

    /// The address never had some of its tags.
    pub fn never_tagged(&mut self, id: &str, change: impl Fn(&mut Tags), now: u64) {
        let bought = self.elastics.get_mut(id).map(|elastic| &mut elastic.tags.0);
        if let Some([(at, _, tags)]) = bought.map(Vec::as_mut_slice) {
            *at = now; // a look that is under way may have seen it otherwise
            change(tags);
        }
    }

    /// An instance ends, and its interface with it.
    pub fn lose_interface(&mut self, interface: &str, now: u64, chance: &mut Chance) {
        let Some((_, ips)) = self.interfaces.remove(interface) else { return };
        for ip in ips {
            if let Some((id, _)) = self.on(ip) {
                let id = id.clone();
                self.end(&id, now, chance);
            }
        }
    }

    /// DescribeAddresses by the tag keys and the cluster's name.
    pub fn describe(
        &self,
        cluster_name: &str,
        now: u64,
        chance: &mut Chance,
    ) -> BTreeMap<AllocationId, Address> {
        let mut found = BTreeMap::new();
        for (id, elastic) in &self.elastics {
            if let Some(address) = self.view(elastic, cluster_name, now, chance) {
                found.insert(id.clone(), address);
            }
        }
        found
    }

    /// Those of these addresses that exist, whatever their tags.
    pub fn describe_by_id(
        &self,
        ids: &BTreeSet<AllocationId>,
        cluster_name: &str,
        now: u64,
        chance: &mut Chance,
    ) -> Vec<(AllocationId, String, Option<Address>)> {
        let mut found = Vec::new();
        for id in ids {
            let Some(elastic) = self.elastics.get(id) else { continue };
            if self.seen(elastic, now, chance).is_some() {
                let view = self.view(elastic, cluster_name, now, chance);
                found.push((id.clone(), elastic.ip.clone(), view));
            }
        }
        found
    }

    /// The same of one address.
    pub fn describe_one(
        &self,
        id: &str,
        cluster_name: &str,
        now: u64,
        chance: &mut Chance,
    ) -> Option<Address> {
        self.view(self.elastics.get(id)?, cluster_name, now, chance)
    }

    /// What a caller is shown of this address now: its tags and its association.
    pub fn seen<'a>(
        &self,
        elastic: &'a Elastic,
        now: u64,
        chance: &mut Chance,
    ) -> Option<(Option<&'a Tags>, Option<&'a Association>)> {
        let exists = elastic.exists.seen(now, self.lag, chance).copied().unwrap_or(false);
        let tags = elastic.tags.seen(now, self.lag, chance);
        let association = elastic.association.seen(now, self.lag, chance);
        exists.then_some((tags, association.and_then(Option::as_ref)))
    }

    fn view(
        &self,
        elastic: &Elastic,
        cluster_name: &str,
        now: u64,
        chance: &mut Chance,
    ) -> Option<Address> {
        let (tags, association) = self.seen(elastic, now, chance)?;
        let tags = tags?;
        if tags.cluster_name != cluster_name || tags.eip.is_empty() {
            return None;
        }
        Some(Address {
            ip: elastic.ip.clone(),
            cluster: tags.cluster_uid.clone(),
            eip: tags.eip.clone(),
            namespace: tags.namespace.clone(),
            name: tags.name.clone(),
            age: tags.allocated_at.map(|at| now.saturating_sub(at) / 1000),
            association: association.map(|one| one.id.clone()),
            interface: association.map(|one| one.interface.clone()),
            private_ip: association.map(|one| one.private_ip),
        })
    }

    /// DescribeNetworkInterfaces by IPs. What is on an IP is always true here: whether EC2 refuses
    /// to throw an address off is not known, so nobody could do better than this read.
    pub fn describe_interfaces(
        &self,
        lookups: &BTreeSet<Lookup>,
    ) -> BTreeMap<InterfaceId, Interface> {
        let wanted: BTreeSet<Ipv4Addr> = lookups.iter().map(|lookup| lookup.ip).collect();
        let matches = self.interfaces.iter().filter(|(_, (_, ips))| !ips.is_disjoint(&wanted));
        matches
            .map(|(id, (instance, ips))| {
                let occupied =
                    ips.iter().filter_map(|ip| Some((*ip, self.on(*ip)?.1.ip.clone()))).collect();
                let mut interface = Interface {
                    instance: Some(instance.clone()),
                    occupied,
                    ..Interface::default()
                };
                let prefix = |ip: &Ipv4Addr| {
                    let [a, b, c, d] = ip.octets();
                    format!("{a}.{b}.{c}.{}/28", d & 0xf0)
                };
                match self.prefixes {
                    true => interface.prefixes = ips.iter().map(prefix).collect(),
                    false => interface.ips.clone_from(ips),
                }
                (id.clone(), interface)
            })
            .collect()
    }
}
