//! Commands that are printed so that a person can give them to a shell as they stand. Not what else is printed.

use std::path::Path;

/// A text as one word of a POSIX shell's line.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { quoted(text) }
}

/// The same in quotes, whatever it is. (A control character, which no name has, would not do what it says.)
pub(super) fn quoted(text: &str) -> String {
    let visible = text.replace(char::is_control, "?");
    format!("'{}'", visible.replace('\'', r"'\''"))
}

/// A path as one word, which is not taken for an option.
pub(super) fn path_word(path: &Path) -> String {
    let text = path.display().to_string();
    word(&if text.starts_with('-') { format!("./{text}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_in_quotes_where_the_shell_would_take_it_apart() {
        assert_eq!(word("https://localhost:7443"), "https://localhost:7443");
        assert_eq!(word("retention.ms=1,segment.ms=1"), "retention.ms=1,segment.ms=1");
        assert_eq!(word(""), "''");
        assert_eq!(word("a b$c"), "'a b$c'");
        assert_eq!(quoted("User:CN=tax.registry"), "'User:CN=tax.registry'");
        assert_eq!(quoted("it's; rm\n"), r"'it'\''s; rm?'");
        assert_eq!(path_word(Path::new("-o")), "./-o");
        assert_eq!(path_word(Path::new("/tmp/two words")), "'/tmp/two words'");
    }
}
