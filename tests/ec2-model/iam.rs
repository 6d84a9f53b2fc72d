//! What IAM makes of a call: a policy of one principal, as much of the language as ours is written
//! in.
//!
//! As EC2 does, each resource of a call is judged for itself, before anything is looked for: one
//! that does not exist bears no tags and is in no VPC (IAM user guide, "Policy evaluation logic";
//! service authorization reference, "Actions, resources, and condition keys for Amazon EC2").

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Whose the model is.
pub const REGION: &str = "us-east-1";
pub const ACCOUNT: &str = "123456789012";

/// What a call needs to be allowed: an action on a resource, and what is known of both.
pub struct Demand {
    pub action: String,
    pub resource: String,
    /// By condition key.
    pub known: BTreeMap<String, Vec<String>>,
}

impl Demand {
    /// `kind` and `id` as in `elastic-ip/eipalloc-1`.
    pub fn new(action: &str, kind: &str, id: &str) -> Self {
        let (service, name) = action.split_once(':').unwrap_or(("ec2", action));
        let resource = format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}/{id}");
        let known = BTreeMap::from([("ec2:Region".to_owned(), vec![REGION.to_owned()])]);
        Self { action: format!("{service}:{name}"), resource, known }
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.known.insert(key.to_owned(), vec![value.to_owned()]);
        self
    }

    pub fn with_tags(mut self, key: &str, tags: &BTreeMap<String, String>) -> Self {
        for (tag, value) in tags {
            self = self.with(&format!("{key}/{tag}"), value);
        }
        if key == "aws:RequestTag" {
            self.known.insert("aws:TagKeys".to_owned(), tags.keys().cloned().collect());
        }
        self
    }
}

/// One text, or a list of them.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn all(&self) -> &[String] {
        match self {
            Texts::One(text) => std::slice::from_ref(text),
            Texts::Many(texts) => texts,
        }
    }
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    /// For people.
    #[serde(default, rename = "Sid")]
    _sid: String,
    effect: String,
    action: Texts,
    resource: Texts,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, Texts>>,
}

/// A policy.
pub struct Policy(Vec<Statement>);

impl Policy {
    /// Refuses what it would not judge as IAM does.
    pub fn read(text: &str) -> Result<Self, String> {
        let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let statements = document.get("Statement").cloned().unwrap_or_default();
        let statements: Vec<Statement> =
            serde_json::from_value(statements).map_err(|error| error.to_string())?;
        for (operator, _) in statements.iter().flat_map(|statement| &statement.condition) {
            if !OPERATORS.contains(&operator.as_str()) {
                return Err(format!("the operator {operator:?}; accepted: {OPERATORS:?}"));
            }
        }
        Ok(Self(statements))
    }

    /// Why a demand is refused, in the words of EC2.
    pub fn refuses(&self, demand: &Demand) -> Option<String> {
        let about =
            |effect: &str| self.0.iter().any(|one| one.effect == effect && one.is_about(demand));
        let because = match (about("Deny"), about("Allow")) {
            (false, true) => return None,
            (true, _) => "with an explicit deny in an identity-based policy".to_owned(),
            _ => format!("because no identity-based policy allows the {} action", demand.action),
        };
        let Demand { action, resource, .. } = demand;
        Some(format!(
            "You are not authorized to perform this operation. User: \
             arn:aws:sts::{ACCOUNT}:assumed-role/eip-operator/model is not authorized to perform: \
             {action} on resource: {resource} {because}. Encoded authorization failure message: \
             {}",
            "bm90IHJlYWRhYmxl".repeat(20)
        ))
    }
}

const OPERATORS: [&str; 6] = [
    "StringEquals",
    "StringEqualsIfExists",
    "StringLike",
    "ArnEquals",
    "ForAllValues:StringLike",
    "ForAllValues:StringEquals",
];

impl Statement {
    fn is_about(&self, demand: &Demand) -> bool {
        let any = |texts: &Texts, one: &str| texts.all().iter().any(|text| is_like(text, one));
        let holds = |(operator, keys): (&String, &BTreeMap<String, Texts>)| {
            keys.iter().all(|(key, wanted)| holds(operator, wanted, demand.known.get(key)))
        };
        any(&self.action, &demand.action)
            && any(&self.resource, &demand.resource)
            && self.condition.iter().all(holds)
    }
}

/// What is absent fails a condition, unless it says otherwise.
fn holds(operator: &str, wanted: &Texts, found: Option<&Vec<String>>) -> bool {
    let found = found.map_or(&[][..], Vec::as_slice);
    if found.is_empty() {
        return operator.ends_with("IfExists") || operator.starts_with("ForAllValues:");
    }
    let wildcards = operator.ends_with("Like") || operator == "ArnEquals";
    let matches = |one: &String| {
        wanted.all().iter().any(|text| if wildcards { is_like(text, one) } else { text == one })
    };
    found.iter().all(matches)
}

/// `*` is any text, `?` any character; `${*}`, `${?}` and `${$}` stand for themselves.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut pattern_rest = pattern.chars();
    let Some(first) = pattern_rest.next() else { return text.is_empty() };
    let mut text_rest = text.chars();
    if let Some(rest) = pattern.strip_prefix("${")
        && let Some((literal, rest)) = rest.split_once('}')
    {
        return text.strip_prefix(literal).is_some_and(|text| is_like(rest, text));
    }
    let rest = pattern_rest.as_str();
    match first {
        '*' => {
            is_like(rest, text)
                || text_rest.next().is_some_and(|_| is_like(pattern, text_rest.as_str()))
        }
        '?' => text_rest.next().is_some() && is_like(rest, text_rest.as_str()),
        other => text_rest.next() == Some(other) && is_like(rest, text_rest.as_str()),
    }
}
