use super::*;

const WORLD: &str = "\
cluster: {name: demo, uid: c1}
addresses:
  eipalloc-9: {ip: 203.0.113.9, cluster: c1, eip: e9, namespace: shop, name: old}
eips:
  shop/web: {uid: e1, pod: web-0}
  shop/old: {uid: e9, pod: old-0, held: true, deleting: true}
pods:
  shop/web-0: {uid: p1, node: n1, ip: 10.0.1.15}
nodes:
  n1: {instance: i-1}
interfaces:
  eni-1: {instance: i-1, ips: [10.0.1.15]}
recent: {settling: {e9: 0}}
";

fn report(world: &str) -> Report {
    Report::of(&Snapshot::from_yaml(world).unwrap(), None).unwrap()
}

/// What is new after a change of the world.
fn news(from: &str, to: &str) -> Vec<String> {
    assert!(WORLD.contains(from), "{from}");
    report(WORLD).news(&report(&WORLD.replace(from, to)))
}

#[test]
fn a_plan_that_was_written_down_is_read_again() {
    let plan = report(WORLD);
    for text in [serde_saphyr::to_string(&plan).unwrap(), serde_json::to_string(&plan).unwrap()] {
        let read = Report::from_text(&text).unwrap();
        assert_eq!(
            (&read.plan, &read.steps, &read.cluster),
            (&plan.plan, &plan.steps, &plan.cluster)
        );
        assert_eq!(read.news(&plan), Vec::<String>::new());
    }
    let error = Report::from_text("cluster: {name: a, uid: b}\nplanned: x\n").unwrap_err();
    assert!(error.contains("planned") && error.contains("line 2"), "{error}");
}

#[test]
fn another_pod_another_eip_or_another_address_is_news() {
    let associates = |news: Vec<String>| news.len() == 2 && news[0].starts_with("> associate");
    assert!(associates(news("web-0: {uid: p1", "web-0: {uid: p2")), "a pod of the same name");
    assert!(news("uid: e1", "uid: e2").iter().any(|line| line.starts_with("+ allocate")));
    let moved = news("10.0.1.15", "10.0.1.16");
    assert_eq!(moved.len(), 1, "{moved:?}");
    let released = news("eipalloc-9", "eipalloc-8");
    assert!(released[0].starts_with("- release eipalloc-8"), "{released:?}");
}

#[test]
fn what_was_agreed_to_stays_so_when_a_part_of_it_is_done() {
    // The first run held the Eip and bought its address, and then time was up.
    let done = WORLD
        .replace("shop/web: {uid: e1, pod: web-0}", "shop/web: {uid: e1, pod: web-0, held: true}")
        .replace(
            "eips:",
            "  eipalloc-1: {ip: 203.0.113.1, cluster: c1, eip: e1, namespace: shop, \
                           name: web, age: 9}\neips:",
        );
    let rest = report(&done);
    assert!(rest.steps.iter().any(|step| step.text.contains("associate eipalloc-1")), "{rest:?}");
    assert_eq!(report(WORLD).news(&rest), Vec::<String>::new());
}

#[test]
fn an_eip_that_is_made_for_a_pod_has_a_uid_afterwards_and_is_the_same() {
    let asks = "cluster: {name: demo, uid: c1}\n\
                pods:\n  shop/job: {uid: p9, node: n1, ip: 10.0.1.15, autocreate: true}\n\
                nodes: {n1: {instance: i-1}}\n\
                interfaces: {eni-1: {instance: i-1, ips: [10.0.1.15]}}\n";
    let eip = |uid| {
        format!("eips:\n  shop/job: {{uid: {uid}, pod: job, autocreated_for: p9, held: true}}\n")
    };
    let made = format!("{asks}{}recent: {{settling: {{e7: 0}}}}\n", eip("e7"));
    let (before, after) = (report(asks), report(&made));
    assert!(before.steps.len() == 5 && after.steps.len() == 4, "{before:?} {after:?}");
    assert_eq!(before.news(&after), Vec::<String>::new());
    // Who has agreed to what becomes of one Eip has not agreed to another of its name.
    let other = format!("{asks}{}recent: {{settling: {{e8: 0}}}}\n", eip("e8"));
    assert_eq!(after.news(&report(&other)).len(), 3, "{:?}", after.news(&report(&other)));
}

#[test]
fn what_a_status_says_needs_nobody_to_agree_and_what_was_not_read_is_said() {
    let nothing = report("cluster: {name: demo, uid: c1}\n");
    let records = "cluster: {name: demo, uid: c1}\n\
                   eips:\n  shop/web: {uid: e1, pod: web-0, held: true}\n\
                   recent: {settling: {e1: 300}}\n";
    let records = report(records);
    assert_eq!(records.steps.len(), 1, "{records:?}");
    assert_eq!(nothing.news(&records), Vec::<String>::new());
    assert!(records.headline().ends_with(" 1 waiting."), "{}", records.headline());
    let unread = report("cluster: {name: demo, uid: c1}\npods: 'unknown: forbidden'\n");
    let but = "nothing to do; 1 waiting. Not everything could be read.";
    assert!(unread.headline().ends_with(but), "{}", unread.headline());
}

#[test]
fn a_hostile_name_stays_on_its_line() {
    let hostile = WORLD.replace("shop/web:", "\"shop/w\\neb\\u001b[31m\":");
    let plan = report(&hostile);
    let lines = report("cluster: {name: demo, uid: c1}\n").news(&plan);
    assert!(lines.iter().chain(&plan.lines()).all(|line| !line.contains(char::is_control)));
}

#[test]
fn a_report_is_told_eip_by_eip_and_then_by_what_differs() {
    let text = WORLD
        .replace("  shop/old:", "  shop/none: {uid: e5, pod: none-0, held: true}\n  shop/old:");
    let plan = report(&text);
    let lines = plan.lines();
    let head = [
        "eip shop/none",
        "  ~ record eip shop/none: MaybeAllocated   because its status lags behind",
    ];
    assert_eq!(lines[..2], head);
    assert!(lines[2].starts_with("  ! eip shop/none: an address may be on its way"), "{lines:#?}");
    assert_eq!(lines[3], "eip shop/old");
    let at = lines.iter().position(|line| line == "--- observed").unwrap();
    assert_eq!(lines[at + 1], "+++ forecast");
    assert_eq!(lines[at + 2..].join("\n") + "\n", plan.diff);
    assert!(plan.changes());
    let rounds: Vec<usize> = plan.steps.iter().map(|step| step.round).collect();
    assert_eq!((rounds[0], rounds.last()), (1, Some(&5)), "{rounds:?}");
    let quiet = report("cluster: {name: demo, uid: c1}\n");
    assert!(quiet.lines().is_empty() && !quiet.changes(), "{quiet:?}");
}

#[test]
fn of_one_eip_only_its_own_steps_notes_and_objects_are_told() {
    let pod = |name: &str, n: u8| {
        let node = format!("node: n1, ip: 10.0.1.{n}, allocation: eipalloc-{n}");
        format!("\n  shop/{name}: {{uid: p{n}, {node}}}")
    };
    let text = WORLD
        .replace("pods:", &format!("pods:{}{}", pod("old-0", 6), pod("far-0", 7)))
        .replace("eips:", "eips:\n  shop/far: {uid: e6, pod: gone-0, held: true}")
        + "definition: 'unknown: forbidden'\n";
    let snapshot = Snapshot::from_yaml(&text).unwrap();
    let one = |name| Report::of(&snapshot, Some(&Key::new("shop", name))).unwrap();
    let ops = |report: &Report| -> Vec<String> {
        report.steps.iter().map(|step| format!("{} {}", step.op, step.eip)).collect()
    };
    // The pod that it names bears annotations of nobody knows whom.
    assert_eq!(ops(&one("old")), ["clear shop/old-0"]);
    let web = one("web");
    let steps = ["hold", "allocate", "associate", "record", "annotate"];
    assert_eq!(ops(&web), steps.map(|op| format!("{op} shop/web")));
    assert_eq!(web.eip, Some(Key::new("shop", "web")));
    let all = report(&text);
    assert_eq!(web.plan, all.plan, "it is the plan of the whole");
    let subjects = |report: &Report| -> Vec<String> {
        report.waiting.iter().map(|wait| wait.subject.clone()).collect()
    };
    assert_eq!(subjects(&web), ["cluster"]);
    assert_eq!(subjects(&one("far")), ["cluster", "eip shop/far"]);
    for (name, others) in [("web", ["old", "far"]), ("far", ["old", "web"])] {
        let diff = one(name).diff;
        assert!(others.iter().all(|other| !diff.contains(other)), "{name}: {diff}");
        assert!(diff.contains(&format!("shop/{name}:")), "{name}: {diff}");
    }
    // What bears its uid is its own, whether or not a status says so.
    let plain = Snapshot::from_yaml(WORLD).unwrap();
    let diff = |name| Report::of(&plain, Some(&Key::new("shop", name))).unwrap().diff;
    assert!(diff("old").contains("-  eipalloc-9:"), "{}", diff("old"));
    assert!(!diff("web").contains("eipalloc-9"), "{}", diff("web"));
    assert!(web.diff.contains("shop/web-0:") && web.diff.contains("(known after allocate):"));
}
