//! Spelling of names in code.

use super::Violation;

const CODE: &[&str] = &["rs", "sql", "ts", "tsx", "py"];

// Put together so that this file follows its own rule.
const BRITISH: &str = concat!("organi", "sation");

/// Names spell `organization`; prose in comments is free.
pub(super) fn check(path: &str, content: &str) -> Vec<Violation> {
    let is_code = path.rsplit_once('.').is_some_and(|(_, extension)| CODE.contains(&extension));
    if !is_code {
        return Vec::new();
    }
    content
        .lines()
        .enumerate()
        .filter(|(_, line)| without_comment(line).to_ascii_lowercase().contains(BRITISH))
        .map(|(index, _)| Violation::in_line(path, index, "names spell `organization` everywhere"))
        .collect()
}

/// The part of a line before a comment; a `//` inside an address is no comment.
fn without_comment(line: &str) -> &str {
    let trimmed = line.trim_start();
    if ["//", "--", "#", "*"].iter().any(|mark| trimmed.starts_with(mark)) && !trimmed.starts_with("#[") {
        return "";
    }
    line.split(" // ").next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_prose_in_comments() {
        let content =
            format!("/// One {BRITISH}.\nlet organization = 1; // an {BRITISH}\n-- the {BRITISH}\n");
        assert_eq!(check("a.rs", &content), []);
        assert_eq!(check("README.md", BRITISH), []);
    }

    #[test]
    fn refuses_names() {
        let content = format!("let a = 1;\nstruct {}Id;\n", BRITISH.replace('o', "O"));
        assert_eq!(
            check("a.rs", &content),
            [Violation::in_line("a.rs", 1, "names spell `organization` everywhere")]
        );
        assert_eq!(check("a.rs", &format!("#[serde(rename = \"{BRITISH}_id\")]")).len(), 1);
    }
}
