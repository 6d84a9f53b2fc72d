use super::*;

/// A world of these entries, each `KEY: {…}`.
fn world(eips: &[String], pod: &str, addresses: &[String]) -> Snapshot {
    let (eips, addresses) = (eips.join(", "), addresses.join(", "));
    let pods = format!("shop/web-0: {{uid: p1, node: n1{pod}}}");
    Snapshot::from_yaml(&format!(
        "cluster: {{name: demo, uid: c1}}\n\
         eips: {{{eips}}}\npods: {{{pods}}}\naddresses: {{{addresses}}}\n"
    ))
    .unwrap()
}

fn eip(name: &str, uid: &str, rest: &str) -> String {
    format!("shop/{name}: {{uid: {uid}, pod: web-0, held: true{rest}}}")
}

fn address(id: &str, eip: &str, rest: &str) -> String {
    format!("{id}: {{ip: 203.0.113.1, cluster: c1, eip: {eip}, namespace: shop{rest}}}")
}

const IP: &str = ", ip: 10.0.1.1";
const THERE: &str = ", private_ip: 10.0.1.1";
const ELSEWHERE: &str = ", private_ip: 10.0.1.9";

#[test]
fn an_interface_is_sought_for_a_living_eip_whose_address_is_not_on_its_pod() {
    const DELETING: &str = ", deleting: true";
    for (rest, place, sought) in [
        ("", None, true),
        ("", Some(""), true),
        ("", Some(ELSEWHERE), true),
        ("", Some(THERE), false),
        (DELETING, None, false),
        (DELETING, Some(ELSEWHERE), false),
        (DELETING, Some(THERE), false),
    ] {
        let addresses: Vec<_> = place.iter().map(|place| address("a1", "e1", place)).collect();
        let snapshot = world(&[eip("web", "e1", rest)], IP, &addresses);
        let claims = claims(&snapshot);
        let target = claims[0].needs_interface().map(|target| target.ip.to_string());
        let expected = sought.then(|| "10.0.1.1".to_owned());
        assert_eq!(target, expected, "eip{rest}, address {place:?}");
    }
}

#[test]
fn of_several_addresses_the_one_in_use_is_kept_then_the_recorded_one_then_the_oldest() {
    const RECORDED: &str = ", status: {allocation: a2}";
    let in_use = format!(", age: 10{THERE}");
    for (case, status, pod, places, kept) in [
        ("in use", RECORDED, IP, [", age: 90", ", age: 50", &*in_use], "a3"),
        ("recorded", RECORDED, IP, [", age: 90", ", age: 50", ", age: 70"], "a2"),
        ("oldest", "", IP, [", age: 10", ", age: 90", ", age: 50"], "a2"),
        ("undated", "", IP, ["", ", age: 10", ""], "a2"),
        ("alike", "", IP, [", age: 10", ", age: 10", ", age: 10"], "a1"),
        // While the pod has no IP none is in use, and an idle address is no better than another.
        ("no pod IP", RECORDED, "", [", age: 90", ELSEWHERE, ", age: 50"], "a2"),
    ] {
        let [a1, a2, a3] = places;
        let addresses = [address("a1", "e1", a1), address("a2", "e1", a2), address("a3", "e1", a3)];
        let snapshot = world(&[eip("web", "e1", status)], pod, &addresses);
        assert_eq!(claims(&snapshot)[0].addresses[0].0, kept, "{case}");
    }
}

#[test]
fn one_eip_serves_a_pod_whose_address_is_there_who_has_one_who_was_first() {
    const OF_POD: &str = ", autocreated_for: p1";
    const OF_PREDECESSOR: &str = ", autocreated_for: p0";
    const DELETING: &str = ", deleting: true";
    for (case, [first, second], [of_first, of_second], served) in [
        ("the older", ["", ""], [None, None], "first"),
        ("the one with an address", ["", ""], [None, Some("")], "second"),
        ("the older of two idle ones", ["", ""], [Some(""), Some("")], "first"),
        ("the one that is there", ["", ""], [Some(""), Some(THERE)], "second"),
        ("the one that is there", ["", ""], [Some(ELSEWHERE), Some(THERE)], "second"),
        ("the other one", [DELETING, ""], [Some(THERE), None], "second"),
        ("the one made for the pod", [OF_POD, ""], [None, None], "first"),
        ("not one made for another", [OF_PREDECESSOR, ""], [Some(""), None], "second"),
    ] {
        let eips = [
            eip("first", "e1", &format!(", created: 2026-01-01T00:00:00Z{first}")),
            eip("second", "e2", &format!(", created: 2026-02-01T00:00:00Z{second}")),
        ];
        let of_first = of_first.map(|place| address("a1", "e1", place));
        let of_second = of_second.map(|place| address("a2", "e2", place));
        let addresses: Vec<_> = of_first.into_iter().chain(of_second).collect();
        let snapshot = world(&eips, IP, &addresses);
        let claims = claims(&snapshot);
        let served_now: Vec<_> = claims
            .iter()
            .filter(|claim| !claim.eip.deleting && matches!(claim.seat, Seat::Pod(_)))
            .map(|claim| claim.key.name.as_str())
            .collect();
        assert_eq!(served_now, [served], "{case}: {addresses:?}");
    }
}
