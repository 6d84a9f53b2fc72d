//! Log lines for a person at a terminal: the time of day, the level if it is not the usual one,
//! the message.

use k8s_openapi::jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Modules whose messages say in words what their fields say again for machines.
const IN_WORDS: [&str; 2] = ["eip_operator::live::announce", "eip_operator::live::perform"];

/// The format.
pub struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        write!(writer, "{} ", Zoned::now().strftime("%H:%M:%S"))?;
        let level = *event.metadata().level();
        if level != Level::INFO {
            write!(writer, "{level} ")?;
        }
        if IN_WORDS.contains(&event.metadata().target()) {
            let mut message = Message(String::new());
            event.record(&mut message);
            write!(writer, "{}", message.0)?;
        } else {
            context.format_fields(writer.by_ref(), event)?;
        }
        writeln!(writer)
    }
}

/// The message, and of the other fields an error.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            "error" => self.0.push_str(&format!(": {value:?}")),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "error" {
            self.0.push_str(&format!(": {value}"));
        }
    }
}
