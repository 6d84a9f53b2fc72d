//! Text as it comes from elsewhere: usual, odd, or made to do harm.

use proptest::collection::vec;
use proptest::prelude::*;

/// Texts that a reader or a log may take for something else.
const TRAPS: [&str; 28] = [
    "",
    " ",
    "~",
    "null",
    "true",
    "no",
    "0",
    "-1",
    "1e3",
    "0x1F",
    ".inf",
    "2026-01-01",
    "<<",
    "*alias",
    "&anchor",
    "!tag",
    "- item",
    "key: value",
    "# comment",
    "unknown: unknown: ",
    "'\"",
    "a\nplan \u{1b}[31mred",
    "\r\n\t\u{0}\u{7f}\u{85}",
    "\u{feff}bom",
    "\u{202e}right to left\u{2028}",
    "ﬁ ß İ 漢字 🦀",
    "(known after allocate: shop/web)",
    "../../etc/passwd",
];

/// A trap, any characters, or a text far too long.
pub fn odd() -> BoxedStrategy<String> {
    let any = vec(any::<char>(), 0..12).prop_map(String::from_iter);
    let long = prop::sample::select(vec!["x", "ß", "🦀", "\n"]).prop_map(|one| one.repeat(1_000));
    let traps = prop::sample::select(&TRAPS[..]).prop_map(str::to_owned);
    prop_oneof![6 => traps, 3 => any, 1 => long].boxed()
}

/// One of a few, now and then an odd one.
pub fn mostly(few: &'static [&'static str]) -> BoxedStrategy<String> {
    let usual = prop::sample::select(few).prop_map(str::to_owned);
    prop_oneof![50 => usual, 1 => odd()].boxed()
}

/// The name of an object: Kubernetes allows neither an empty one nor a slash.
pub fn name(few: &'static [&'static str]) -> BoxedStrategy<String> {
    mostly(few).prop_map(|name| named(&name)).boxed()
}

fn named(text: &str) -> String {
    let name = text.replace('/', "");
    if name.is_empty() { "web".to_owned() } else { name }
}

/// Seconds: none, some, or more than a clock will ever count.
pub fn seconds() -> BoxedStrategy<u64> {
    prop_oneof![4 => Just(0), 8 => 1..900_u64, 1 => Just(u64::MAX)].boxed()
}
