//! A snapshot in a file: the document alone, or the first world of a story as in `plans/`.

use super::Snapshot;

/// The fence of a story's world.
const WORLD: &str = "```yaml world";

impl Snapshot {
    /// Reads a document or a story. Errors name the line of the file.
    pub fn from_file(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let Some(at) = lines.position(|line| line.trim_end() == WORLD) else {
            let fenced = text.lines().any(|line| line.starts_with("```"));
            if text.trim_start().starts_with('#') && fenced {
                return Err(format!("this looks like a story and has no world: a fence {WORLD}"));
            }
            return Self::from_yaml(text);
        };
        let body: Vec<&str> = lines.take_while(|line| line.trim_end() != "```").collect();
        // So many empty lines before it that its lines have their numbers in the file.
        Self::from_yaml(&("\n".repeat(at + 1) + &body.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_read_as_its_first_world() {
        let story = "# A story\n\nProse.\n\n```yaml world\ncluster: {name: demo, uid: c1}\n```\n\n\
                     ```yaml world\ncluster: {name: other, uid: c2}\n```\n";
        assert_eq!(Snapshot::from_file(story).unwrap().cluster.name, "demo");
        let alone = "# A comment.\ncluster: {name: demo, uid: c1}\n";
        assert_eq!(Snapshot::from_file(alone).unwrap().cluster.name, "demo");
    }

    #[test]
    fn a_mistake_in_a_story_is_told_by_the_line_of_the_file() {
        let story = "# A story\n\n```yaml world\ncluster: {name: demo, uid: c1}\npodz: {}\n```\n";
        let error = Snapshot::from_file(story).unwrap_err();
        assert!(error.contains("podz") && error.contains("line 5"), "{error}");
        let none = Snapshot::from_file("# A story\n\n```plan\nnothing to do\n```\n").unwrap_err();
        assert!(none.contains("```yaml world"), "{none}");
    }
}
