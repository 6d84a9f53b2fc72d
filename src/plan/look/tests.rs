use super::*;
use crate::plan::recent::Memory;

const WEB: &str = "{uid: e1, pod: web-0, held: true}";
const TARGET: &str = "{uid: p1, node: n1, ip: 10.0.1.15}";
const IDLE: &str = "{ip: 203.0.113.7, cluster: c1, eip: e1, namespace: shop, name: web}";
const IN_PLACE: &str = "{ip: 203.0.113.7, cluster: c1, eip: e1, namespace: shop, name: web, \
                        association: eipassoc-1, interface: eni-a, private_ip: 10.0.1.15}";

fn world(parts: &str) -> Snapshot {
    Snapshot::from_yaml(&format!("cluster: {{name: demo, uid: c1}}\n{parts}")).unwrap()
}

/// The reads of a whole look; there are eight, each is made once at most.
fn reads(snapshot: &Snapshot) -> Vec<Read> {
    let next = |last: &Read| Read::next(Some(*last), snapshot);
    std::iter::successors(Read::next(None, snapshot), next).take(9).collect()
}

/// Those after the four that every look makes.
fn further(parts: &str) -> Vec<Read> {
    reads(&world(parts)).split_off(4)
}

#[test]
fn every_look_lists_addresses_before_eips_and_eips_before_pods() {
    let always = [Read::Addresses, Read::Eips, Read::Pods, Read::RecordedPods];
    assert_eq!(reads(&world("")), always);
}

#[test]
fn a_world_at_rest_costs_no_further_read() {
    for (asks, eips) in
        [(false, WEB), (true, "{uid: e1, pod: web-0, held: true, autocreated_for: p1}")]
    {
        let parts = format!(
            "
settings: {{release_orphans: true}}
addresses: {{eipalloc-1: {IN_PLACE}}}
eips: {{shop/web: {eips}}}
pods:
  shop/web-0: {{uid: p1, node: n1, ip: 10.0.1.15, autocreate: {asks}}}
  shop/labelled: {{uid: p2, node: n1, ip: 10.0.1.16}}
nodes: {{n1: {{instance: i-1}}}}
"
        );
        assert_eq!(further(&parts), []);
    }
}

#[test]
fn the_definition_is_read_where_something_may_be_released() {
    let eip = |deleting: bool| {
        format!("eips: {{shop/web: {{uid: e1, pod: web-0, held: true, deleting: {deleting}}}}}\n")
    };
    let one = format!("addresses: {{eipalloc-1: {IDLE}}}\n");
    let two = format!("addresses: {{eipalloc-1: {IDLE}, eipalloc-2: {IDLE}}}\n");
    let on_request = "settings: {release_orphans: true}\n";
    for (parts, expected) in [
        (eip(false) + &one, false),
        (eip(false) + &one + on_request, false),
        (eip(true) + &one, true),
        (eip(false) + &two, true),
        (one.clone(), false),
        (one.clone() + on_request, true),
    ] {
        let definition: &[Read] = if expected { &[Read::Definition] } else { &[] };
        assert_eq!(further(&parts), definition, "{parts}");
    }
}

#[test]
fn the_nodes_are_read_for_pods_that_need_an_association_or_terminate() {
    let ending = "pods: {shop/x: {uid: p1, node: n1, ip: 10.0.1.15, terminating: 30}}";
    assert_eq!(further(ending), [Read::Nodes]);
    let asking = "pods: {shop/x: {uid: p1, node: n1, ip: 10.0.1.15, autocreate: true}}";
    assert_eq!(further(asking), [Read::Nodes]);
    let seated = format!("eips: {{shop/web: {WEB}}}\npods: {{shop/web-0: {TARGET}}}");
    assert_eq!(further(&seated), [Read::Nodes]);
    // Their interfaces are looked for once it is known on which instances they are.
    for parts in [asking, &seated] {
        let parts = format!("{parts}\nnodes: {{n1: {{instance: i-1}}}}");
        assert_eq!(further(&parts), [Read::Nodes, Read::Interfaces], "{parts}");
    }
}

#[test]
fn an_interface_is_looked_for_by_pod_ip_on_the_instance_of_the_pods_node() {
    let parts = format!(
        "
addresses: {{eipalloc-1: {IN_PLACE}}}
eips:
  shop/web: {WEB}
  shop/new: {{uid: e2, pod: new-0}}
  shop/adrift: {{uid: e3, pod: adrift-0}}
pods:
  shop/web-0: {TARGET}
  shop/new-0: {{uid: p2, node: n1, ip: 10.0.1.16}}
  shop/asking: {{uid: p3, node: n2, ip: 10.0.2.17, autocreate: true}}
  shop/adrift-0: {{uid: p4, node: n3, ip: 10.0.3.18}}
  shop/pending: {{uid: p5, node: n1, autocreate: true}}
  shop/labelled: {{uid: p6, node: n1, ip: 10.0.1.19}}
"
    );
    let nodes = "nodes: {n1: {instance: i-1}, n2: {instance: i-2}, n3: {}}";
    let wanted = [([10, 0, 1, 16], "i-1"), ([10, 0, 2, 17], "i-2")]
        .map(|(ip, instance)| Lookup { ip: ip.into(), instance: instance.to_owned() });
    assert_eq!(lookups(&world(&format!("{parts}{nodes}"))), wanted.into());
    let unread = "nodes: 'unknown: nodes is forbidden'";
    assert_eq!(lookups(&world(&format!("{parts}{unread}"))), [].into());
}

#[test]
fn a_pod_that_a_status_names_and_the_list_lacks_is_read_by_name() {
    let parts = "
eips:
  shop/listed: {uid: e1, pod: a, status: {pod: a}}
  shop/unlabelled: {uid: e2, pod: b, status: {pod: b}}
  shop/new: {uid: e3, pod: c}
";
    let pods = "pods: {shop/a: {uid: p1}}";
    let expected = [Key::new("shop", "b")];
    assert_eq!(recorded_pods(&world(&format!("{parts}{pods}"))), expected.into());
    let unread = "pods: 'unknown: pods is forbidden'";
    assert_eq!(recorded_pods(&world(&format!("{parts}{unread}"))), [].into());
}

#[test]
fn an_address_that_a_status_records_and_the_listing_lacks_is_asked_for_by_id() {
    let parts = "
eips:
  shop/web: {uid: e1, pod: a, held: true, status: {allocation: eipalloc-1}}
  shop/lost: {uid: e2, pod: b, held: true, status: {allocation: eipalloc-2}}
  shop/retagged: {uid: e3, pod: c, held: true, status: {allocation: eipalloc-3}}
  shop/moved: {uid: e4, pod: d, held: true, status: {allocation: eipalloc-4}}
  shop/new: {uid: e5, pod: e, held: true}
";
    let listed = format!(
        "
addresses:
  eipalloc-1: {IDLE}
  eipalloc-3: {{ip: 203.0.113.9, cluster: c1, eip: '', namespace: shop}}
  eipalloc-5: {{ip: 203.0.113.10, cluster: c1, eip: e4, namespace: shop}}
"
    );
    let seen = format!("{parts}{listed}");
    assert_eq!(recorded_addresses(&world(&seen)), ["eipalloc-2".to_owned()].into());
    assert_eq!(further(&seen), [Read::RecordedAddresses]);
    // Which of them the listing lacks is not known without it.
    let unread = format!("{parts}addresses: 'unknown: no answer'");
    assert_eq!(further(&unread), []);
}

#[test]
fn an_address_found_by_id_joins_the_listing_only_with_the_tags_of_an_eip() {
    let mut snapshot = world(
        "eips:
  shop/web: {uid: e1, pod: web-0, held: true, status: {allocation: eipalloc-1}}
  shop/bare: {uid: e2, pod: web-1, held: true, status: {allocation: eipalloc-2}}
  shop/other: {uid: e3, pod: web-2, held: true, status: {allocation: eipalloc-3}}
",
    );
    let found = |id: &str, eip: Option<&str>| {
        let bears = |eip: &str| Address {
            ip: "203.0.113.7".into(),
            eip: eip.to_owned(),
            ..Address::default()
        };
        (id.to_owned(), "203.0.113.7".to_owned(), eip.map(bears))
    };
    let answers = vec![
        found("eipalloc-1", Some("e1")),
        found("eipalloc-2", None),
        found("eipalloc-3", Some("of an Eip that is gone")),
    ];
    see_recorded(&mut snapshot, answers);
    let listed = snapshot.addresses.known().unwrap();
    assert_eq!(listed.keys().collect::<Vec<_>>(), ["eipalloc-1"]);
    assert_eq!(listed["eipalloc-1"].eip, "e1");
    let untagged = ["eipalloc-2", "eipalloc-3"].map(|id| (id.to_owned(), "203.0.113.7".to_owned()));
    assert_eq!(snapshot.untagged.known(), Some(&untagged.into()));
}

#[test]
fn a_pod_that_was_read_by_name_and_not_there_is_not_read_again() {
    let both = "eips:
  shop/gone: {uid: e1, pod: a, status: {pod: a}}
  shop/unread: {uid: e2, pod: b, status: {pod: b}}
";
    let seen = |pods: &str| world(&format!("{both}pods: {{{pods}}}"));
    let (mut memory, unlisted) = (Memory::default(), || seen(""));
    let keys = |names: &[&str]| -> BTreeSet<Key> {
        names.iter().map(|name| Key::new("shop", *name)).collect()
    };
    assert_eq!(memory.pods_to_read(&unlisted()), keys(&["a", "b"]));
    let mut after = unlisted();
    after.unread_pods.insert(Key::new("shop", "b"), "Timeout: no answer".to_owned());
    memory.overlay(&mut after, 0);
    assert_eq!(memory.pods_to_read(&unlisted()), keys(&["b"]), "a is gone, b is not known");
    memory.overlay(&mut seen("shop/a: {uid: p1}, shop/b: {uid: p2}"), 0);
    assert_eq!(memory.pods_to_read(&unlisted()), keys(&["a", "b"]), "they were there again");
}

#[test]
fn of_what_a_status_records_only_what_can_be_a_name_or_an_id_is_asked_for() {
    let long = "x".repeat(70_000);
    let world = format!(
        "
cluster: {{name: demo, uid: c1}}
addresses: {{}}
pods: {{}}
eips:
  bank/a: {{uid: e1, pod: web-0, held: true, status: {{allocation: 'eipalloc-*', pod: '../../x'}}}}
  bank/b: {{uid: e2, pod: web-1, held: true, status: {{allocation: '{long}', pod: '{long}'}}}}
  bank/c: {{uid: e3, pod: web-2, held: true, status: {{allocation: eipalloc-3, pod: web-3}}}}
"
    );
    let mut snapshot = Snapshot::from_yaml(&world).unwrap();
    assert_eq!(recorded_addresses(&snapshot), BTreeSet::from(["eipalloc-3".to_owned()]));
    assert_eq!(recorded_pods(&snapshot), BTreeSet::from([Key::new("bank", "web-3")]));
    // Nor is an answer taken in that nobody asked for.
    let (ip, address) = ("203.0.113.7", Address { eip: "e1".into(), ..Address::default() });
    let answers =
        ["eipalloc-1", "eipalloc-3"].map(|id| (id.into(), ip.into(), Some(address.clone())));
    see_recorded(&mut snapshot, answers.into());
    let known: Vec<_> = snapshot.addresses.known().unwrap().keys().collect();
    assert_eq!(known, ["eipalloc-3"]);
}
