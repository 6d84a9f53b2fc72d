use super::*;

const WORLD: &str = "\
cluster: {name: demo, uid: c1}
quota: {limit: 5, used: 1}
settings: {settle: 300, namespace_limit: 2}
addresses:
  eipalloc-1: {ip: 203.0.113.7, cluster: c1, eip: e1, namespace: shop, name: web, age: 9000,
    association: eipassoc-1, interface: eni-1, private_ip: 10.0.1.23}
eips:
  shop/web: {uid: e1, pod: web-0, held: true, status: {allocation: eipalloc-1, pod: web-0}}
  shop/db: {uid: e2, pod: db-0, held: true}
  shop/second: {uid: e3, pod: web-0, held: true}
pods:
  shop/web-0: {uid: p1, node: n1, ip: 10.0.1.23, target: 203.0.113.7, alpha_target: 203.0.113.7,
    allocation: eipalloc-1}
  shop/bare: {uid: p2, node: n1, ip: 10.0.1.24}
  shop/other: {uid: p3, node: n1, ip: 10.0.1.25, managed: false}
  shop/asks: {uid: p4, ip: 10.0.1.26, autocreate: true}
nodes:
  n1: {instance: i-1}
recent:
  settling: {e2: 300, e1: 0, e3: 0}
  backoff: {e2: {seconds: 9, reason: Odd, message: refused}}
  stopped: {allocate: {seconds: 20, reason: AddressLimitExceeded, message: no more}}
";

fn told(world: &str, key: &str) -> Vec<String> {
    let snapshot = Snapshot::from_yaml(world).unwrap();
    let lines = explain(&snapshot, &key.parse().unwrap()).unwrap();
    assert!(lines.len() < 20, "{lines:#?}");
    lines
}

#[test]
fn an_eip_and_its_pod_are_told_alike() {
    let lines = told(WORLD, "shop/web");
    assert_eq!(lines[0], "eip shop/web has 203.0.113.7 (eipalloc-1), and it is on pod shop/web-0");
    assert_eq!(
        lines[1..5],
        [
            "  eip         shop/web names pod web-0, held by our finalizer",
            "  pod         shop/web-0: Running on node n1 at 10.0.1.23; it may carry the address",
            "  node        n1: Ready, i-1",
            "  dns         the pod announces 203.0.113.7 (eipalloc-1)",
        ]
    );
    assert_eq!(told(WORLD, "shop/web-0"), lines, "the one of two Eips that serves the pod");
}

#[test]
fn what_is_waited_for_stands_in_the_first_line() {
    let lines = told(WORLD, "shop/db");
    assert!(lines[0].starts_with("eip shop/db has no address: an address may be on"), "{lines:#?}");
    for line in [
        "  quota       1 of 5 are taken now",
        "  limit       namespace shop has 1 of 2",
        "  failed      allocate, for all: no more; for 20 s",
        "  failed      refused; for 9 s",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line} in {lines:#?}");
    }
    let lines = told(WORLD, "shop/second");
    let why = "pod shop/web-0 is served by eip shop/web";
    assert_eq!(lines[0], format!("eip shop/second has no address: {why}"));
}

#[test]
fn a_pod_that_no_eip_names_is_told_what_it_lacks() {
    let first = |key| told(WORLD, key)[0].clone();
    assert!(first("shop/bare").contains("no Eip names it"), "{}", first("shop/bare"));
    let unlabelled = "pod shop/other has no address: it is not labelled";
    assert!(first("shop/other").starts_with(unlabelled), "{}", first("shop/other"));
    let asks = first("shop/asks");
    assert_eq!(asks, "pod shop/asks has no address: it is not scheduled yet");
    let snapshot = Snapshot::from_yaml(WORLD).unwrap();
    let error = explain(&snapshot, &Key::new("shop", "none")).unwrap_err();
    assert_eq!(error, "there is neither an eip nor a pod shop/none");
}

#[test]
fn what_could_not_be_read_is_said() {
    let at = WORLD.find("addresses:").unwrap();
    let rest = &WORLD[WORLD.find("eips:").unwrap()..];
    let unread = format!("{}addresses: 'unknown: denied'\n{rest}", &WORLD[..at]);
    let lines = told(&unread, "shop/web");
    assert!(lines[0].contains("AWS could not be asked: denied"), "{lines:#?}");
    let snapshot = "cluster: {name: demo, uid: c1}\neips: 'unknown: forbidden'\n";
    let snapshot = Snapshot::from_yaml(snapshot).unwrap();
    let error = explain(&snapshot, &Key::new("shop", "web")).unwrap_err();
    assert_eq!(error, "nothing is known of shop/web; could not be read: eips: forbidden");
}

/// The lines of a changed world.
fn changed(from: &str, to: &str, key: &str) -> Vec<String> {
    assert_eq!(WORLD.matches(from).count(), 1, "{from}");
    told(&WORLD.replace(from, to), key)
}

#[test]
fn one_look_remembers_nothing_and_believes_the_status() {
    let status = "uid: e2, pod: db-0, held: true, \
                  status: {allocation: eipalloc-9, reason: AddressLost, message: it is gone}";
    let world = WORLD.replace("e2: 300, ", "").replace("uid: e2, pod: db-0, held: true", status);
    let lines = told(&world, "shop/db");
    assert_eq!(lines[0], "eip shop/db has no address: the operator said AddressLost: it is gone");
    assert!(lines.contains(&"  status      AddressLost: it is gone".to_owned()), "{lines:#?}");
    let recorded = "  address     none; its status records eipalloc-9".to_owned();
    assert!(lines.contains(&recorded), "{lines:#?}");
}

#[test]
fn an_eip_that_is_being_deleted_says_so_first() {
    let deleting = "uid: e1, pod: web-0, held: true, deleting: true";
    let has = "eip shop/web has 203.0.113.7 (eipalloc-1), and it is on pod shop/web-0; it is \
               being deleted";
    let lines = changed("uid: e1, pod: web-0, held: true", deleting, "shop/web");
    assert_eq!(
        lines[0],
        format!(
            "{has}: next comes ~ clear pod shop/web-0   because its address leaves it, or was \
             never there"
        )
    );
    let protected = format!("{deleting}, protected: true");
    let lines = changed("uid: e1, pod: web-0, held: true", &protected, "shop/web");
    assert!(lines[0].starts_with(&format!("{has}, and held: protected by the annotation")));
    assert!(lines[1].ends_with(", protected, being deleted"), "{lines:#?}");
}

#[test]
fn an_address_that_is_elsewhere_leaves_only_where_that_is_planned() {
    let moved = changed(
        "shop/web-0: {uid: p1, node: n1, ip: 10.0.1.23",
        "shop/web-0: {uid: p1, node: n1, ip: 10.0.1.29",
        "shop/web",
    );
    assert!(
        moved[0].contains("which is on 10.0.1.23 and leaves it: next comes < dis"),
        "{moved:#?}"
    );
    let at = WORLD.find("pods:").unwrap();
    let rest = &WORLD[WORLD.find("nodes:").unwrap()..];
    let unread = format!("{}pods: 'unknown: forbidden'\n{rest}", &WORLD[..at]);
    let lines = told(&unread, "shop/web");
    assert!(
        lines[0].ends_with("which is on 10.0.1.23: pods could not be read: forbidden"),
        "{lines:#?}"
    );
    assert!(lines.contains(&"  pod         pods could not be read: forbidden".to_owned()));
}

#[test]
fn a_pod_that_carries_what_is_not_its_own_says_so() {
    let lines = changed(
        "shop/bare: {uid: p2, node: n1, ip: 10.0.1.24}",
        "shop/bare: {uid: p2, node: n1, ip: 10.0.1.23}",
        "shop/bare",
    );
    let carries = "pod shop/bare carries 203.0.113.7 (eipalloc-1), the address of eip shop/web";
    assert!(lines[0].starts_with(carries), "{lines:#?}");
}

#[test]
fn a_pod_that_only_has_the_name_of_an_eip_is_told_with_it() {
    let also =
        "shop/db: {uid: p9, node: n1, ip: 10.0.1.30, autocreate: true}\n  shop/bare: {uid: p2,";
    let lines = changed("shop/bare: {uid: p2,", also, "shop/db");
    let taken = "  also        pod shop/db has no address: eip shop/db has its name and names \
                 another pod; none is made";
    assert!(lines.contains(&taken.to_owned()), "{lines:#?}");
}

#[test]
fn only_the_namespace_that_is_served_is_judged() {
    let lines = changed("settle: 300,", "settle: 300, namespace: bank,", "shop/bare");
    assert_eq!(lines[0], "pod shop/bare has no address: only namespace bank is served");
}

#[test]
fn an_idle_address_of_an_eip_that_is_being_deleted_is_about_to_go() {
    let world = WORLD
        .replace(",\n    association: eipassoc-1, interface: eni-1, private_ip: 10.0.1.23}", "}")
        .replace(
            "uid: e1, pod: web-0, held: true",
            "uid: e1, pod: web-0, held: true, deleting: true",
        );
    let first = told(&world, "shop/web")[0].clone();
    let idle = "eip shop/web has 203.0.113.7 (eipalloc-1), which is on no pod";
    assert!(first.starts_with(&format!("{idle}; it is being deleted: next comes ")), "{first}");
    let living = told(&world.replace(", deleting: true", ""), "shop/web")[0].clone();
    assert!(living.starts_with(&format!("{idle}: ")), "{living}");
}

#[test]
fn what_a_process_remembers_counts_more_than_what_was_written() {
    let status = "uid: e2, pod: db-0, held: true, status: {reason: Odd, message: long ago}";
    let world = WORLD.replace("uid: e2, pod: db-0, held: true", status);
    let first = told(&world, "shop/db")[0].clone();
    assert!(first.contains("an address may be on its way"), "{first}");
    let nothing_written = WORLD.replace("e2: 300, ", "");
    let first = told(&nothing_written, "shop/db")[0].clone();
    assert!(first.contains("an address may be on its way"), "{first}");
}

#[test]
fn a_name_in_the_namespace_that_is_served_is_not_told_of_it() {
    let world = WORLD.replace("settle: 300,", "settle: 300, namespace: shop,");
    let snapshot = Snapshot::from_yaml(&world).unwrap();
    let error = |key: Key| explain(&snapshot, &key).unwrap_err();
    let none = "there is neither an eip nor a pod";
    assert_eq!(error(Key::new("shop", "none")), format!("{none} shop/none"));
    let other = format!("{none} bank/none; only namespace shop is served");
    assert_eq!(error(Key::new("bank", "none")), other);
}

/// Three pods on one node: one whose Eip is new, one that nobody names and that bears what it has
/// no more, one that asks for an Eip.
const NEW: &str = "\
cluster: {name: demo, uid: c1}
quota: {limit: 5, used: 1}
addresses:
  eipalloc-0: {ip: 203.0.113.9, cluster: c1, eip: e0, namespace: shop, name: web, age: 60,
    association: eipassoc-0, interface: eni-1, private_ip: 10.0.1.18}
eips:
  shop/web: {uid: e1, pod: web-0}
  shop/db: {uid: e2, pod: db-0}
pods:
  shop/web-0: {uid: p1, node: n1, ip: 10.0.1.15}
  shop/bare: {uid: p2, node: n1, ip: 10.0.1.16, allocation: eipalloc-7, target: 203.0.113.8}
  shop/asks: {uid: p3, node: n1, ip: 10.0.1.17, autocreate: true}
  shop/hit: {uid: p4, node: n1, ip: 10.0.1.18}
  shop/six: {uid: p5, node: n1, ip: 'fd00::1', target: 192.0.2.1}
nodes:
  n1: {instance: i-1}
interfaces:
  eni-1: {instance: i-1, ips: [10.0.1.15, 10.0.1.16, 10.0.1.17, 10.0.1.18]}
";

#[test]
fn a_new_eip_is_told_in_these_lines() {
    let lines = told(NEW, "shop/web");
    let expected = [
        "eip shop/web has no address: next comes < disassociate eipalloc-0 (203.0.113.9) from \
         10.0.1.18 by eipassoc-0   because its Eip is gone, and so is the pod it was on",
        "  eip         shop/web names pod web-0, not held yet",
        "  pod         shop/web-0: Running on node n1 at 10.0.1.15; it may carry the address",
        "  node        n1: Ready, i-1",
        "  interface   eni-1 of i-1 holds 10.0.1.15",
        "  address     none",
        "  quota       1 of 5 are taken now",
        "  next        < disassociate eipalloc-0 (203.0.113.9) from 10.0.1.18 by eipassoc-0   \
         because its Eip is gone, and so is the pod it was on",
        "  next        ~ hold eip shop/web   because nothing is bought for an Eip that may vanish \
         (and 4 more)",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_pod_is_told_the_steps_that_touch_it_and_no_others() {
    let next = |key: &str| -> Vec<String> {
        let lines = told(NEW, key);
        lines.into_iter().filter(|line| line.starts_with("  next ")).collect()
    };
    let clear =
        "  next        ~ clear pod shop/bare   because its address leaves it, or was never there";
    assert_eq!(next("shop/bare"), [clear]);
    let create = "  next        ~ create eip shop/asks for the pod of its name   because pod \
                  shop/asks asks for one by its label";
    let annotate = "  next        ~ annotate pod shop/asks with (known after allocate)   because \
                    the association is in place";
    assert_eq!(next("shop/asks"), [create, annotate]);
    let lines = told(NEW, "shop/hit");
    let carries = "pod shop/hit carries 203.0.113.9 (eipalloc-0), the address of eip shop/web, \
                   which does not name it: next comes < disassociate eipalloc-0";
    assert!(lines[0].starts_with(carries), "{lines:#?}");
    let address =
        "  address     203.0.113.9 (eipalloc-0): on 10.0.1.18 of eni-1 by eipassoc-0, 60 s old";
    assert!(lines.contains(&address.to_owned()), "{lines:#?}");
    assert_eq!(next("shop/hit").len(), 1, "{lines:#?}");
    let lines = told(NEW, "shop/six");
    assert_eq!(next("shop/six"), ["  next        nothing to do"]);
    let wrote = "  dns         the pod announces 192.0.2.1, which somebody else wrote".to_owned();
    assert!(lines.contains(&wrote), "{lines:#?}");
}

#[test]
fn an_interface_is_told_with_whose_it_is_and_what_is_on_it() {
    let line = |from: &str, to: &str| -> String {
        assert_eq!(NEW.matches(from).count(), 1, "{from}");
        let lines = told(&NEW.replace(from, to), "shop/web");
        let found = lines.into_iter().find(|line| line.starts_with("  interface "));
        found.unwrap_or_default().trim_start_matches("  interface   ").to_owned()
    };
    let own = "eni-1: {instance: i-1, ips: [10.0.1.15,";
    let branch = "eni-2: {trunk: eni-1, ips: [10.0.1.15]}\n  eni-1: {instance: i-1, ips: [";
    assert_eq!(line(own, branch), "eni-2 of trunk eni-1 holds 10.0.1.15");
    assert_eq!(line(own, "eni-1: {ips: [10.0.1.15,"), "eni-1 holds 10.0.1.15");
    assert_eq!(line(own, "eni-1: {instance: i-1, ips: ["), "none that was seen holds 10.0.1.15");
    let taken = "eni-1: {instance: i-1, occupied: {10.0.1.15: 192.0.2.9}, ips: [10.0.1.15,";
    assert_eq!(line(own, taken), "eni-1 of i-1 holds 10.0.1.15, and 192.0.2.9 is on it");
    let at = NEW.find("interfaces:").unwrap();
    let unread = format!("{}interfaces: 'unknown: denied'\n", &NEW[..at]);
    let told = told(&unread, "shop/web");
    assert!(told.contains(&"  interface   interfaces could not be read: denied".to_owned()));
}

#[test]
fn an_address_is_told_with_its_place_and_its_age() {
    let line = |from: &str, to: &str| -> String {
        let lines = told(&WORLD.replace(from, to), "shop/web");
        let found = lines.into_iter().find(|line| line.starts_with("  address "));
        found.unwrap_or_default().trim_start_matches("  address     ").to_owned()
    };
    let (id, on) = ("203.0.113.7 (eipalloc-1)", "on 10.0.1.23");
    assert_eq!(line("shop", "shop"), format!("{id}: {on} of eni-1 by eipassoc-1, 9000 s old"));
    assert_eq!(line(", age: 9000", ""), format!("{id}: {on} of eni-1 by eipassoc-1"));
    assert_eq!(line(" interface: eni-1,", ""), format!("{id}: {on} by eipassoc-1, 9000 s old"));
    let place = ",\n    association: eipassoc-1, interface: eni-1, private_ip: 10.0.1.23}";
    assert_eq!(line(place, "}"), format!("{id}: idle, 9000 s old"));
    let one = "  eipalloc-1: {ip: 203.0.113.7, cluster: c1, eip: e1, namespace: shop, name: web";
    let four = (2..=4).map(|n| one.replace("eipalloc-1", &format!("eipalloc-{n}")) + "}\n");
    let many = WORLD.replace("addresses:\n", &format!("addresses:\n{}", four.collect::<String>()));
    let lines = told(&many, "shop/web");
    let addresses: Vec<_> = lines.iter().filter(|line| line.starts_with("  address ")).collect();
    assert_eq!(addresses.len(), 2, "{lines:#?}");
    assert!(addresses[1].ends_with(" (and 2 more)"), "{lines:#?}");
}
