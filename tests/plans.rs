//! Runs every story in `plans/`: its worlds, the diffs and plans they lead to, and what must
//! hold for any plan. `BLESS=1 cargo test --no-default-features --test plans` rewrites the
//! answers; review them as a diff.

use std::fs;
use std::path::{Path, PathBuf};

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
                plan_lines(&round).join("\n") + "\n"
            }
            _ => body,
        }
    }
}

/// Tells the story and returns it with right answers.
fn told(name: &str, text: &str) -> String {
    let mut teller = Teller { name, world: None };
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
    right
}

#[test]
fn every_story_is_told_right() {
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    assert!(!(bless && std::env::var_os("CI").is_some()), "BLESS is refused where CI is set");
    let mut wrong = Vec::new();
    for path in stories() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let right = told(name, &text);
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
