use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::plan::forecast::{Forecast, forecast};
use crate::plan::text::forecast_plan;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A world in which so many Eips are to be held, and so many wait for their pods.
fn world(eips: usize) -> Snapshot {
    let mut text = String::from("cluster: {name: demo, uid: c1}\n");
    text.push_str(if eips > 0 { "eips:\n" } else { "eips: {}\n" });
    for n in 0..eips {
        text.push_str(&format!("  shop/e{n:04}: {{uid: e{n}, pod: p{n}}}\n"));
    }
    Snapshot::from_yaml(&text).unwrap()
}

/// What an announcer says of these worlds, one after the other, at info and above.
fn said(format: LogFormat, dry_run: bool, worlds: &[Snapshot]) -> Vec<String> {
    let kept = Kept::default();
    let layer = tracing_subscriber::fmt::layer().json().flatten_event(true);
    let info = tracing_subscriber::filter::LevelFilter::INFO;
    let log = tracing_subscriber::registry().with(info).with(layer.with_writer(kept.clone()));
    tracing::subscriber::with_default(log, || {
        let mut announcer = Announcer::new(format, dry_run, "127.0.0.1:8081".parse().unwrap());
        for (nth, world) in worlds.iter().enumerate() {
            let wakes = BTreeSet::from([Wake::Interval]);
            let Forecast { rounds, end } = forecast(world);
            announcer.announce(nth as u64, &wakes, world, &end, &forecast_plan(&rounds));
        }
    });
    let kept = kept.0.lock().unwrap();
    let lines = kept.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
}

#[test]
fn a_plan_of_thousands_is_cut_and_says_by_how_much_and_where_the_whole_is() {
    let lines = said(LogFormat::Json, true, &[world(2_000)]);
    let of = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!((of("\"step: "), of("\"waiting: ")), (SHOWN, SHOWN));
    let plan = forecast_plan(&forecast(&world(2_000)).rounds);
    let whole = "more; the whole is at http://127.0.0.1:8081/plan";
    let left = |all: usize, what| format!("{} {what} {whole}", all - SHOWN);
    assert_eq!(of(&left(plan.steps.len(), "steps")), 1);
    assert_eq!(of(&left(plan.notes.len(), "waiting")), 1);
    let diff: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let diff = diff["diff"].as_str().unwrap();
    assert_eq!(diff.lines().count(), SHOWN + 1);
    assert!(diff.lines().last().unwrap().contains(whole));
    let digest = plan_digest(&plan);
    assert!(lines.iter().all(|line| line.contains(&format!("\"plan\":\"{digest}\""))));

    let text = said(LogFormat::Text, true, &[world(2_000)]);
    assert_eq!(text.len(), 1);
    assert_eq!(text[0].matches(whole).count(), 3);
    assert!(said(LogFormat::Text, true, &[world(3)]).iter().all(|line| !line.contains(whole)));
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_plan_is_said_once_and_then_seldom() {
    let plans = |lines: Vec<String>| lines.iter().filter(|l| l.contains("\"plan: ")).count();
    let (one, other) = (world(1), world(2));
    let same = [one.clone(), one.clone(), one.clone()];
    assert_eq!(plans(said(LogFormat::Json, true, &same)), 1, "in a dry run");
    assert_eq!(plans(said(LogFormat::Json, false, &same)), 3, "each is carried out");
    assert_eq!(plans(said(LogFormat::Json, true, &[one.clone(), other, one])), 3);
    assert_eq!(plans(said(LogFormat::Json, false, &[world(0)])), 0, "nothing to do");
    let mut announcer = Announcer::new(LogFormat::Json, true, "127.0.0.1:1".parse().unwrap());
    let plan = forecast_plan(&forecast(&world(1)).rounds);
    assert!(announcer.is_news(&plan, "d") && !announcer.is_news(&plan, "d"));
    tokio::time::advance(SAY_AGAIN).await;
    assert!(announcer.is_news(&plan, "d"));
}
