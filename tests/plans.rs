//! Runs every story in `plans/`: its worlds, the diffs and plans they lead to, and what must
//! hold for any plan. `BLESS=1 cargo test --no-default-features --test plans` rewrites the
//! answers; review them as a diff.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use eip_operator::plan::action::{Absence, Action, Plan, Reason, Subject, Wait};
use eip_operator::plan::conditions::{
    self, ASSOCIATED, PENDING, REASONS, conditions_table, events_table, reasons_table,
};
use eip_operator::plan::faults::faults;
use eip_operator::plan::forecast::{Outcome, apply, forecast};
use eip_operator::plan::planner::plan;
use eip_operator::plan::snapshot::Snapshot;
use eip_operator::plan::text::{plan_lines, world_diff};
use serde_json::Value;

/// A stretch of a story.
enum Piece {
    /// Prose, kept as it is.
    Prose(String),
    /// A fence: its info string, its body, and the line of the file its body begins at.
    Fence { info: String, body: String, line: usize },
}

fn plans() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("plans")
}

fn stories() -> Vec<PathBuf> {
    let files = fs::read_dir(plans()).unwrap().map(|entry| entry.unwrap().path());
    let is_story = |path: &PathBuf| {
        path.extension().is_some_and(|ext| ext == "md") && !path.ends_with("README.md")
    };
    let mut stories: Vec<PathBuf> = files.filter(is_story).collect();
    stories.sort();
    stories
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut prose = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else {
            prose.push_str(line);
            prose.push('\n');
            continue;
        };
        pieces.push(Piece::Prose(std::mem::take(&mut prose)));
        let mut body = String::new();
        for (_, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
            body.push_str(line);
            body.push('\n');
        }
        pieces.push(Piece::Fence { info: info.to_owned(), body, line: number + 2 });
    }
    pieces.push(Piece::Prose(prose));
    pieces
}

/// Merges an edit into a document: mappings are merged, `null` removes, all else replaces.
fn merge(into: &mut Value, edit: Value) {
    match (into, edit) {
        (Value::Object(into), Value::Object(edit)) => {
            for (key, value) in edit {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, edit) => *into = edit,
    }
}

/// A story being told.
struct Teller<'a> {
    name: &'a str,
    world: Option<Snapshot>,
    /// The plans that it has printed.
    printed: Vec<Plan>,
}

impl Teller<'_> {
    fn parse<T: serde::de::DeserializeOwned>(&self, body: &str, line: usize) -> T {
        serde_saphyr::from_str(body)
            .unwrap_or_else(|error| panic!("{}.md, fence at line {line}: {error}", self.name))
    }

    fn world(&self) -> &Snapshot {
        self.world.as_ref().unwrap_or_else(|| panic!("{}.md: no world yet", self.name))
    }

    fn set_world(&mut self, world: Snapshot) {
        let canonical = Snapshot::from_yaml(&world.to_yaml())
            .unwrap_or_else(|error| panic!("{}.md: its canonical YAML: {error}", self.name));
        assert_eq!(canonical, world, "{}.md: the world changes when written again", self.name);
        self.check_forecast(&world);
        self.world = Some(world);
    }

    /// What must hold wherever a story starts: it settles, and no plan on the way is faulty.
    fn check_forecast(&self, world: &Snapshot) {
        let mut at = world.clone();
        let forecast = forecast(world);
        for round in &forecast.rounds {
            assert_eq!(*round, plan(&at), "{}.md: the forecast differs from the plan", self.name);
            let none: Vec<String> = Vec::new();
            assert_eq!(faults(&at, round), none, "{}.md: a faulty plan", self.name);
            for step in &round.steps {
                apply(&mut at, &step.action, &Outcome::expected(&step.action));
            }
        }
        let last = plan(&forecast.end);
        assert!(last.steps.is_empty(), "{}.md: does not settle: {last:#?}", self.name);
    }

    /// The right body of a fence; a plan is carried out on the way.
    fn tell(&mut self, info: &str, body: String, line: usize) -> String {
        match info {
            "yaml world" => {
                let world = self.parse(&body, line);
                self.set_world(world);
                body
            }
            "yaml edit" => {
                let mut document = serde_json::to_value(self.world()).unwrap();
                merge(&mut document, self.parse(&body, line));
                let world = serde_json::from_value(document)
                    .unwrap_or_else(|error| panic!("{}.md, edit at {line}: {error}", self.name));
                self.set_world(world);
                body
            }
            "diff" => world_diff(self.world(), &forecast(self.world()).end),
            "plan" => {
                let round = plan(self.world());
                for step in &round.steps {
                    let outcome = Outcome::expected(&step.action);
                    apply(self.world.as_mut().unwrap(), &step.action, &outcome);
                }
                let lines = plan_lines(&round).join("\n") + "\n";
                self.printed.push(round);
                lines
            }
            _ => body,
        }
    }
}

/// Tells the story and returns it with right answers, and the plans among them.
fn told(name: &str, text: &str) -> (String, Vec<Plan>) {
    let mut teller = Teller { name, world: None, printed: Vec::new() };
    let mut right = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Prose(prose) => right.push_str(&prose),
            Piece::Fence { info, body, line } => {
                let body = teller.tell(&info, body, line);
                right.push_str(&format!("```{info}\n{body}```\n"));
            }
        }
    }
    (right, teller.printed)
}

#[test]
fn every_story_is_told_right() {
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    assert!(!(bless && std::env::var_os("CI").is_some()), "BLESS is refused where CI is set");
    let mut wrong = Vec::new();
    for path in stories() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (right, _) = told(name, &text);
        if right == text {
            continue;
        }
        if bless {
            fs::write(&path, right).unwrap();
        } else {
            let diff = similar::TextDiff::from_lines(&text, &right);
            let diff = diff.unified_diff().header("the story", "the planner").to_string();
            wrong.push(format!("plans/{name}.md\n{diff}"));
        }
    }
    let hint = "if the planner is right: BLESS=1 cargo test --no-default-features --test plans";
    assert!(wrong.is_empty(), "{}\n{hint}", wrong.join("\n"));
}

#[test]
fn the_index_lists_every_story_by_its_title() {
    let index = fs::read_to_string(plans().join("README.md")).unwrap();
    let stories = stories();
    for path in &stories {
        let file = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(path).unwrap();
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        let entry = format!("[{title}]({file})");
        assert!(index.contains(&entry), "plans/README.md does not contain {entry}");
    }
    let entries = index.lines().filter(|line| line.starts_with("- [")).count();
    assert_eq!(entries, stories.len(), "plans/README.md lists a story that is not there");
}

/// A type of what a plan can say.
trait Said {
    /// Its name, and those of all its variants.
    const TYPE: &str;
    const VARIANTS: &[&str];

    fn variant(&self) -> &'static str;
}

/// The variants of a type, which the compiler compares with this list: it refuses one that is left
/// out, and one that there is not.
macro_rules! said {
    ($type:ident: $($variant:ident)*) => {
        impl Said for $type {
            const TYPE: &str = stringify!($type);
            const VARIANTS: &[&str] = &[$(stringify!($variant)),*];

            fn variant(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant)),* }
            }
        }
    };
}

said!(Action: Create Delete Hold LetGo Allocate Release Tag Associate Disassociate Annotate Clear
    Unblock Record);
said!(Reason: PodAsksForEip PodNoLongerAsks IntentBeforePurchase NoAddressForEip TagsIncomplete
    SameNameBefore PodIsRunning PodIsElsewhere PodCannotCarry AssociationInPlace AddressLeaves
    EipDeleted EipGone EipAndPodGone NothingLeft Surplus Unclaimed StatusBehind
    LeftByOlderOperator);
said!(Absence: Gone NotManaged NotAutocreate Finished Unscheduled WithoutIp SandboxDown Terminating
    HostNetwork Ipv6Only OtherUid ClaimedBy);
said!(Subject: Cluster Eip Pod Address);
said!(Wait: Unread Pod MaybeAllocated AddressLost Untagged QuotaReached NamespaceLimit NodeUnknown
    InterfaceNotFound TargetOccupied TargetLeaving PausedAfterError NameTaken PredecessorLeaves
    PredecessorProtected     Orphan TooManyOrphans DefinitionDeleted Protected MovedRecently AnnotatedRecently
    InvalidPodName);

fn word<T: Said>(said: &T) -> String {
    format!("{}::{}", T::TYPE, said.variant())
}

fn words<T: Said>() -> impl Iterator<Item = String> {
    T::VARIANTS.iter().map(|variant| format!("{}::{variant}", T::TYPE))
}

/// By rule: what no other rule says, a step for this reason or a note of this kind on this subject.
const RULES: &[(&str, &str, &str)] = &[
    ("allocate", "Action::Allocate", "Reason::NoAddressForEip"),
    ("annotate", "Action::Annotate", "Reason::AssociationInPlace"),
    ("associate", "Action::Associate", "Reason::PodIsRunning"),
    ("clear", "Action::Clear", "Reason::AddressLeaves"),
    ("complete", "Action::Tag", "Reason::TagsIncomplete"),
    ("create", "Action::Create", "Reason::PodAsksForEip"),
    ("disassociate", "Action::Disassociate", "Reason::PodIsElsewhere"),
    ("hold", "Action::Hold", "Reason::IntentBeforePurchase"),
    ("let_go", "Action::LetGo", "Reason::NothingLeft"),
    ("orphans", "Action::Release", "Reason::Unclaimed"),
    ("record", "Action::Record", "Reason::StatusBehind"),
    ("release", "Action::Release", "Reason::EipDeleted"),
    ("retire", "Action::Delete", "Reason::PodNoLongerAsks"),
    ("surplus", "Action::Release", "Reason::Surplus"),
    ("take_up", "Action::Tag", "Reason::SameNameBefore"),
    ("unblock", "Action::Unblock", "Reason::LeftByOlderOperator"),
    ("unread", "Subject::Cluster", "Wait::Unread"),
];

/// The words of a plan as it is printed, and which of them stand in one line.
fn said_in(plan: &Plan) -> (Vec<String>, Vec<(String, String)>) {
    let steps = plan.steps.iter().map(|step| {
        let absence = match &step.reason {
            Reason::PodNoLongerAsks { absence, .. } | Reason::PodCannotCarry { absence, .. } => {
                Some(absence)
            }
            _ => None,
        };
        (word(&step.action), word(&step.reason), absence)
    });
    let notes = plan.notes.iter().map(|note| {
        let absence = match &note.wait {
            Wait::Pod { absence, .. } => Some(absence),
            _ => None,
        };
        (word(&note.subject), word(&note.wait), absence)
    });
    let (mut words, mut lines) = (Vec::new(), Vec::new());
    for (what, why, absence) in steps.chain(notes) {
        words.extend([what.clone(), why.clone()]);
        words.extend(absence.map(word));
        lines.push((what, why));
    }
    (words, lines)
}

#[test]
fn the_stories_show_everything_that_a_plan_can_say() {
    let (mut shown, mut lines) = (BTreeSet::new(), BTreeSet::new());
    for path in stories() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (_, plans) = told(name, &fs::read_to_string(&path).unwrap());
        for plan in &plans {
            let (words, said) = said_in(plan);
            shown.extend(words);
            lines.extend(said);
        }
    }
    let all = words::<Action>().chain(words::<Reason>()).chain(words::<Absence>());
    let all = all.chain(words::<Subject>()).chain(words::<Wait>());
    let unshown: Vec<String> = all.filter(|word| !shown.contains(word)).collect();
    assert!(unshown.is_empty(), "no story shows {unshown:?}");
    for (rule, what, why) in RULES {
        let line = ((*what).to_owned(), (*why).to_owned());
        assert!(lines.contains(&line), "no story shows the rule {rule}");
    }
}

/// A rule counts as shown by what only it says, so that must be true of its file, and of no other.
#[test]
fn each_rule_is_told_from_the_others() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/rules");
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if file == "mod" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (rule, what, why) in RULES {
            let says = text.contains(what) && text.contains(why);
            assert_eq!(says, *rule == file, "whether {file} says {what} for {why}");
        }
        files.insert(file);
    }
    let rules: BTreeSet<String> = RULES.iter().map(|(rule, ..)| (*rule).to_owned()).collect();
    assert_eq!(rules, files, "the rules in the table, and those in src/plan/rules");
}

/// Every word of ours that a plan says of what waits, or that a status writes; and no other.
#[test]
fn the_stories_show_every_reason_and_the_list_has_them_all() {
    // For an Eip of which nothing is to be said, and there is no such world that we know of.
    let mut shown = BTreeSet::from([PENDING.to_owned()]);
    for path in stories() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (_, plans) = told(name, &fs::read_to_string(&path).unwrap());
        let notes = plans.iter().flat_map(|plan| &plan.notes);
        let theirs = |code: &String| conditions::of(code).is_none();
        shown.extend(notes.filter_map(|note| {
            let failed = matches!(note.wait, Wait::PausedAfterError { .. });
            Some(note.wait.code()).filter(|code| !(failed && theirs(code)))
        }));
    }
    shown.insert(ASSOCIATED.to_owned());
    let listed: BTreeSet<String> = REASONS.iter().map(|told| told.word.to_owned()).collect();
    assert_eq!(shown, listed, "what the stories show, and what src/plan/conditions.rs lists");
}

#[test]
fn the_readme_has_the_tables_of_conditions_reasons_and_events() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    for table in [conditions_table(), reasons_table(), events_table()] {
        let alone = format!("\n\n{table}\n");
        assert!(readme.contains(&alone), "README.md should contain:\n{table}");
    }
}
