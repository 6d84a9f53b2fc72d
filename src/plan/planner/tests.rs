use super::*;

fn count(plan: &Plan, verb: &str) -> usize {
    plan.steps.iter().filter(|step| step.action.verb() == verb).count()
}

#[test]
fn pods_that_share_an_interface_get_their_addresses_at_once_pods_that_share_an_ip_do_not() {
    for (ip, associations) in [("10.0.1.2", 2), ("10.0.1.1", 1)] {
        let snapshot = Snapshot::from_yaml(&format!(
            "cluster: {{name: demo, uid: c1}}\n\
             settings: {{settle: 300, allow_host_network: true}}\n\
             eips:\n  shop/a: {{uid: e1, pod: a-0, held: true}}\n  \
             shop/b: {{uid: e2, pod: b-0, held: true}}\n\
             pods:\n  shop/a-0: {{uid: p1, node: n1, ip: 10.0.1.1, host_network: true}}\n  \
             shop/b-0: {{uid: p2, node: n1, ip: {ip}, host_network: true}}\n\
             nodes:\n  n1: {{instance: i-1}}\n\
             interfaces:\n  eni-1: {{instance: i-1, ips: [10.0.1.1, 10.0.1.2]}}\n\
             addresses:\n  a1: {{ip: 203.0.113.1, cluster: c1, eip: e1, namespace: shop}}\n  \
             a2: {{ip: 203.0.113.2, cluster: c1, eip: e2, namespace: shop}}\n"
        ))
        .unwrap();
        let round = plan(&snapshot);
        assert_eq!(count(&round, "associate"), associations, "{ip}: {round:#?}");
        let waits = round.notes.iter().filter(|n| matches!(n.wait, Wait::TargetOccupied { .. }));
        assert_eq!(waits.count(), 2 - associations, "{ip}: {round:#?}");
    }
}

#[test]
fn nothing_is_bought_while_purchases_are_stopped_and_then_one_finds_out() {
    for (seconds, purchases) in [(300, 0), (1, 0), (0, 1)] {
        let snapshot = Snapshot::from_yaml(&format!(
            "cluster: {{name: demo, uid: c1}}\n\
             eips:\n  shop/a: {{uid: e1, pod: a-0, held: true}}\n  \
             shop/b: {{uid: e2, pod: b-0, held: true}}\n\
             pods:\n  shop/a-0: {{uid: p1, node: n1, ip: 10.0.1.1}}\n  \
             shop/b-0: {{uid: p2, node: n1, ip: 10.0.1.2}}\n\
             recent:\n  settling: {{e1: 0, e2: 0}}\n  \
             stopped: {{allocate: {{seconds: {seconds}, reason: AddressLimitExceeded, \
             message: no more}}}}\n"
        ))
        .unwrap();
        let round = plan(&snapshot);
        assert_eq!(count(&round, "allocate"), purchases, "{seconds}: {round:#?}");
        let waits = round.notes.iter().filter(|n| matches!(n.wait, Wait::PausedAfterError { .. }));
        assert_eq!(waits.count(), 2 - purchases, "{seconds}: {round:#?}");
    }
}
