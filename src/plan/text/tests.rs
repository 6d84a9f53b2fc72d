use super::*;
use crate::plan::forecast::forecast;

const WORLD: &str = "
cluster: {name: demo, uid: c1}
eips:
  shop/web: {uid: e1, pod: web-0, held: true}
  shop/old: {uid: e2, pod: old-0, held: true}
recent:
  settling: {e1: 0, e2: 300}
";

fn foretold() -> Plan {
    forecast_plan(&forecast(&Snapshot::from_yaml(WORLD).unwrap()).rounds)
}

#[test]
fn foreign_text_cannot_forge_a_line_or_a_colour() {
    assert_eq!(escaped("a\nplan \u{1b}[31mred"), "a\\nplan \\u{1b}[31mred");
}

#[test]
fn a_forecast_is_one_plan_with_the_steps_of_all_rounds_and_what_waits_in_the_end() {
    let plan = foretold();
    let lines: Vec<String> = plan.steps.iter().map(step_line).collect();
    assert_eq!(
        lines,
        [
            "+ allocate an address for eip shop/web   because no address carries this Eip's uid",
            "~ record eip shop/old: MaybeAllocated   because its status lags behind",
            "~ record eip shop/web: PodNotFound   because its status lags behind",
        ]
    );
    assert_eq!(summary(&plan, None), "1 to allocate, 2 to write; 2 waiting");
}

#[test]
fn a_summary_counts_each_kind_and_says_when_there_is_none() {
    assert_eq!(summary(&Plan::default(), None), "nothing to do");
    let notes = foretold().notes;
    assert_eq!(summary(&Plan { notes, ..Plan::default() }, None), "nothing to do; 2 waiting");
    let mut steps = foretold().steps;
    steps.truncate(1);
    assert_eq!(summary(&Plan { steps, notes: Vec::new() }, None), "1 to allocate");
}

#[test]
fn a_summary_says_what_the_quota_leaves_where_something_is_bought() {
    let (plan, quota) = (foretold(), |limit, used| Some(Quota { limit, used }));
    let text = summary(&plan, quota(5, 3).as_ref());
    assert_eq!(text, "1 to allocate (2 of 5 left), 2 to write; 2 waiting");
    // A limit can be lowered below what is taken.
    let text = summary(&plan, quota(5, 7).as_ref());
    assert_eq!(text, "1 to allocate (0 of 5 left), 2 to write; 2 waiting");
    assert_eq!(summary(&Plan::default(), quota(5, 3).as_ref()), "nothing to do");
}

#[test]
fn the_digest_of_a_plan_is_seven_digits_of_its_steps_and_reasons() {
    let plan = foretold();
    let digest = plan_digest(&plan);
    assert!(digest.len() == 7 && digest.chars().all(|c| c.is_ascii_hexdigit()), "{digest}");
    assert_eq!(plan_digest(&Plan { notes: Vec::new(), ..plan.clone() }), digest);
    assert_ne!(plan_digest(&Plan { steps: plan.steps[1..].to_vec(), ..plan }), digest);
}

#[test]
fn each_step_says_a_word_for_machines() {
    let codes: Vec<&str> = foretold().steps.iter().map(|step| step.reason.code()).collect();
    assert_eq!(codes, ["NoAddressForEip", "StatusBehind", "StatusBehind"]);
}

#[test]
fn foreign_text_forges_no_line_and_no_colour_and_turns_nothing_around() {
    let hostile = "a\nb\r\u{1b}[31mc\u{85}\u{2028}d\u{202e}e\u{200b}\u{feff}\u{e0041}";
    let told = escaped(hostile);
    assert!(told.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{told}");
    assert_eq!(escaped("web-0 → 10.0.1.2 … é 日本"), "web-0 → 10.0.1.2 … é 日本");
}

#[test]
fn a_step_is_told_without_its_reason_too() {
    let heads: Vec<String> = foretold().steps.iter().map(step_head_line).collect();
    let whole: Vec<String> = foretold().steps.iter().map(step_line).collect();
    assert!(heads[0].starts_with("+ allocate an address for eip"), "{heads:?}");
    for (head, whole) in heads.iter().zip(&whole) {
        assert!(whole.starts_with(&format!("{head}   because ")), "{head} in {whole}");
    }
}
