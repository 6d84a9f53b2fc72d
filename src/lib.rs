//! The front page of eip-operator, which gives Kubernetes pods AWS Elastic IPs.
//!
//! ```text
//!         interval ─┐                    ┌────────── one cycle, never two at once ───────────┐
//!  watch: Eip, pod ─┼─► mailbox ────────►│ observe → overlay → forecast → log ─► dry run?    │
//!      own progress ─┘   (coalesces,     │                                       stop.       │
//!                         debounces,     │         ┌───── else act, in rounds ─────┐         │
//!                         watchdog)      │         └─► plan → confirm → perform ───┘ absorb  │
//!                                        └── report: status, what waits, next wake-up ───────┘
//! ```
//!
//! Two halves. [`plan`] decides and is pure: a value goes in, a value comes out. `live` does, and
//! holds everything that touches the world; it is behind the Cargo feature of that name, so the
//! compiler guards the border: `cargo test --no-default-features` builds the whole brain without
//! kube, tokio or the AWS SDK.
//!
//! # Where to look
//!
//! - What can the operator see? [`plan::snapshot`]
//! - What can it change, why, and what does it wait for? [`plan::action`]
//! - In which order are the rules asked? [`plan::planner`]
//! - In which order are steps carried out? `Action::rank` in [`plan::action`]; of one rank the
//!   namespaces are served in turn: `in_turn` in [`plan::planner`], and where addresses are short
//!   that in [`plan::rules`] `allocate`
//! - What ends a round early, and with it the cycle? An alarm, for an address may be exposed:
//!   `grip` in `live::watch` sees it, `Operator::round` in `live::operator` says what becomes of
//!   the steps
//! - Which pod may carry an address, and where is it? [`plan::claims`]
//! - When does an address leave a pod? [`plan::rules`] `disassociate`; until when does one that is
//!   being deleted keep it? [`plan::claims`]
//! - When is one bought, bound, given back? [`plan::rules`] `allocate` `associate` `release`, and
//!   `surplus` for a second one, `orphans` for one without an Eip
//! - What becomes of addresses after a restore, or of the older operator's? [`plan::rules`]
//!   `take_up` `complete`
//! - When does an Eip bear our finalizer, and when is a deleted one let go? [`plan::rules`] `hold`
//!   `let_go`
//! - What happens after a purchase whose answer was lost? [`plan::meaning`] calls it lost,
//!   [`plan::recent`] remembers it, [`plan::rules`] `allocate` waits
//! - When is an Eip made for a pod, and deleted? [`plan::rules`] `create` `retire`
//! - What did the older operator leave on pods? [`plan::rules`] `unblock`
//! - What do annotations and status say, and when? [`plan::rules`] `annotate` `clear` `record`
//! - What is an Event, when is one told, and who sends it? [`plan::events`] `live::recorder`
//! - Which reasons and conditions are there, which of them need a person, and which are Events?
//!   [`plan::conditions`]
//! - What is said of a part that could not be read? [`plan::rules`] `unread`
//! - How does a rule find what points at what, in a world of any size? `plan::index`
//! - Where does a plan lead? [`plan::forecast`]
//! - What is read, given what was read? [`plan::look`]
//! - What happens in a cycle, round by round? [`plan::rounds`]
//! - Which fresh reads confirm a step, so that a pod that was replaced stops it, and until when is
//!   its change sent? [`plan::execution`]; `ACT_FOR` in [`plan::rounds`]
//! - What is remembered between looks, and laid over what was seen? `Memory` in [`plan::recent`]
//! - What does an error of AWS mean? [`plan::meaning`], and `of_an_address` in [`plan::rounds`];
//!   when is what failed tried again? `Memory::failed` in [`plan::recent`]; what is never held
//!   back? [`plan::planner`]; what slows our calls down? `live::limiter`
//! - What must no plan contain? [`plan::faults`]
//! - How is a plan printed? [`plan::text`]; for who asks for one: [`plan::report`] `live::oneshot`
//! - How is a reviewed plan carried out, and what is compared first? `live::apply`; `Report::news`
//!   in [`plan::report`], `step_identity` in [`plan::text`]
//! - Why has a pod no address? [`plan::explain`]
//! - What keeps an address from being released? `Snapshot::protection` in [`plan::snapshot`],
//!   [`plan::rules`] `release` `surplus` `orphans`
//! - How is a snapshot read from a file, and made fit to be shown? [`plan::snapshot`]
//!   [`plan::redact`]
//! - What runs a cycle? `live::operator`
//! - What starts a cycle? `live::wake` `live::watch`; when is the next look due without either?
//!   `look_again` in [`plan::rounds`] asks `Memory::next_due` in [`plan::recent`]; what is skipped
//!   when one takes too long? `Bell::rearm` in `live::wake` counts, `live::serve` says it
//! - Which of several operators acts, and until when? `live::lease`, `Operator::may_act_until` in
//!   `live::operator`; before each change [`plan::execution`] asks whether that time is over
//! - How are the parts put together, and taken apart? `live::serve`
//! - What are the labels, annotations, finalizers and tags called? [`plan::names`]
//! - In which order is the world read? `live::observe`
//! - Which calls does a step make, at what rate? `live::perform` `live::limiter`; which steps go
//!   side by side, and which go on when an address may be exposed? `Queue` in [`plan::rounds`]
//! - What do we ask of AWS and of Kubernetes? `live::ec2` `live::quotas` `live::kubernetes`
//! - What is the Eip resource, and who installs it? `live::crd`
//! - What may be configured, and how is it checked? `live::config`; which commands are there?
//!   `live::command`; their completions and manual pages: `live::pages`
//! - What must be allowed in AWS and in Kubernetes, and is it? `live::doctor`
//! - What is logged, traced, counted, served? `live::announce` `live::telemetry` `live::metrics`
//!   `live::http`
//!
//! Behaviour is told, and checked, by the stories in the folder `plans/`, one Markdown file each.
//! What must hold whatever happens is in `tests/simulation/invariants.rs`, and the worlds that try
//! to break it beside it; laws of arbitrary snapshots are in `tests/properties/`. That no guard is
//! superfluous is shown by `bin/guards` with `tests/guards.toml`, that no rule is untested by
//! `bin/mutants`. What a plan costs is measured by `benches/plan.rs`, what the operator costs by
//! `bin/bench`.
//!
//! # What is absent
//!
//! - In [`plan`] there is no `async`, no I/O, no clock, no environment, no randomness, no hash
//!   map and no logging. It never fails: what it cannot do it notes. Times are seconds in the
//!   snapshot.
//! - Nothing is decided while a step is carried out. A fresh read can only stop a step, or undo the
//!   association that was just made.
//! - No decision reads what a watch saw. Watches wake, consistent lists inform.
//! - No part that could not be read is taken for empty.
//! - No address is re-associated in one call: a move is a disassociation, named by the id of the
//!   association, and then an association.
//! - No purchase is repeated before the last one would have shown.
//! - There is no second way to change an address, an Eip or a pod: what the operator can do to them
//!   is one enum, [`plan::action::Action`], and one function performs it. A dry run is one `if`
//!   before that. Beside it stand the Lease (`live::lease`), Events (`live::recorder`), and at the
//!   start the definition of Eips (`live::crd`), none of them in a dry run; and `doctor` asks EC2
//!   whether changes would be allowed (`tried` in `live::ec2`), with `DryRun`.

#[cfg(feature = "live")]
pub mod live;
pub mod plan;
