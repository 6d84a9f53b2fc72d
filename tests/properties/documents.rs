//! The reader of snapshots: what it writes it reads, and what it cannot read it says.

use eip_operator::plan::names::digest;
use eip_operator::plan::planner::plan;
use eip_operator::plan::snapshot::Snapshot;
use eip_operator::plan::text::plan_lines;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};

use crate::snapshots::{World, worlds};
use crate::texts::odd;
use crate::{Verdict, check};

#[test]
fn a_world_that_is_written_and_read_is_the_same_world() {
    check(200, worlds(), |World(world)| {
        let text = world.to_yaml();
        let read = Snapshot::from_yaml(&text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&read.to_yaml(), &text);
        prop_assert_eq!(plan_lines(&plan(&read)), plan_lines(&plan(&world)));
        prop_assert_eq!(read, world);
        Ok(())
    });
}

/// A text as JSON, with all but letters and the like written out: YAML allows fewer characters as
/// they are than JSON does.
fn quoted(text: &str) -> String {
    let one = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() || c == '\u{feff}' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(one).collect::<String>())
}

/// The same document with its mappings in another order, and its sequences too, all of which are
/// sets. JSON is YAML; the question mark stands before keys, for one of more than 1,024 characters
/// is none without it.
fn shuffled(value: &Value, seed: u64) -> String {
    let in_some_order = |mut all: Vec<String>| {
        all.sort_by_key(|one| digest(format!("{seed}{one}").as_bytes()));
        all.join(", ")
    };
    match value {
        Value::String(text) => quoted(text),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("? {} : {}", quoted(key), shuffled(value, seed))
            };
            format!("{{{}}}", in_some_order(entries.iter().map(entry).collect()))
        }
        Value::Array(all) => {
            format!("[{}]", in_some_order(all.iter().map(|one| shuffled(one, seed)).collect()))
        }
        other => other.to_string(),
    }
}

#[test]
fn the_order_in_which_a_world_is_written_changes_no_byte_of_its_plan() {
    check(300, (worlds(), any::<u64>()), |(World(world), seed)| {
        let text = shuffled(&serde_json::to_value(&world).unwrap(), seed);
        let read = Snapshot::from_yaml(&text);
        let read = read.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(format!("{:?}", plan(&read)), format!("{:?}", plan(&world)));
        prop_assert_eq!(read, world);
        Ok(())
    });
}

/// A text gives a world that can be planned on, or an error that says something on a few lines.
fn is_read_or_refused(text: &str) -> Verdict {
    match Snapshot::from_yaml(text) {
        Ok(world) => {
            plan(&world);
        }
        Err(error) => prop_assert!(!error.trim().is_empty(), "refused without a word: {text:?}"),
    }
    Ok(())
}

#[test]
fn any_bytes_are_read_or_refused() {
    let bytes = vec(any::<u8>(), 0..80).prop_map(|bytes| String::from_utf8_lossy(&bytes).into());
    let yaml = vec(
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "- ",
            ": ",
            "\n",
            "  ",
            "a",
            "&a ",
            "*a",
            "!t ",
            "? ",
            "|\n",
            "\"",
            "'",
            "cluster",
            "unknown: ",
            "<<",
            "---\n",
            "#",
            ",",
        ]),
        0..30,
    );
    let texts = prop_oneof![bytes, odd(), yaml.prop_map(|all| all.concat())];
    check(3_000, texts, |text| is_read_or_refused(&text));
}

#[test]
fn texts_made_to_exhaust_the_reader_are_refused() {
    let laughs = (1..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        format!("{text}a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)
    });
    for text in [laughs, "[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        assert!(Snapshot::from_yaml(&text).is_err());
    }
}

/// One slip of the pen: from here on so many characters are replaced by this text.
type Slip = (Index, usize, String);

fn slips() -> impl Strategy<Value = Vec<Slip>> {
    vec((any::<Index>(), 0..12_usize, odd()), 1..4)
}

fn slipped(text: &str, slips: Vec<Slip>) -> String {
    slips.into_iter().fold(text.to_owned(), |text, (at, length, instead)| {
        let all: Vec<char> = text.chars().collect();
        let at = at.index(all.len() + 1);
        let rest = all.iter().skip(at + length);
        all[..at].iter().copied().chain(instead.chars()).chain(rest.copied()).collect()
    })
}

#[test]
fn a_document_with_slips_is_read_or_refused() {
    check(300, (worlds(), slips()), |(World(world), slips)| {
        is_read_or_refused(&slipped(&world.to_yaml(), slips))
    });
}

/// Every mapping whose fields are fixed, that is all but those by name and by id.
fn structs<'a>(document: &'a mut Value) -> Vec<&'a mut Map<String, Value>> {
    let Value::Object(top) = document else { return Vec::new() };
    let parts = ["addresses", "eips", "pods", "nodes", "interfaces"];
    let fixed = |(name, value): (&String, &'a mut Value)| match value.as_object_mut() {
        Some(objects) if parts.contains(&name.as_str()) => {
            objects.values_mut().filter_map(Value::as_object_mut).collect()
        }
        Some(one) if name != "untagged" => vec![one],
        _ => Vec::new(),
    };
    top.iter_mut().flat_map(fixed).collect()
}

#[test]
fn a_field_that_is_not_known_is_named() {
    check(200, (worlds(), any::<Index>()), |(World(world), which)| {
        let mut document = serde_json::to_value(&world).unwrap();
        let mut structs = structs(&mut document);
        let at = which.index(structs.len());
        structs[at].insert("podz".to_owned(), Value::Null);
        let error = Snapshot::from_yaml(&shuffled(&document, 1)).unwrap_err();
        prop_assert!(error.contains("podz"), "{error}");
        Ok(())
    });
}
