//! The command line.

use super::recipe::Recipe;

impl Recipe {
    /// Lines for a shell: comments, the command that makes and starts the container, and commands that must
    /// follow it.
    pub fn run(&self) -> String {
        let mut text = String::new();
        for comment in self.comments.iter().chain(&self.not_in_run) {
            text.push_str(&comment_lines(&format!("{}: {comment}", self.name)));
        }
        let words = match &self.recorded {
            Some(words) => words.clone(),
            None => {
                let begin = std::iter::once(self.program.to_owned()).chain(self.general.iter().cloned());
                let begin = begin.chain(["run", "-d"].map(str::to_owned));
                let options = self.options.iter().flatten().cloned();
                let end = std::iter::once(self.image.clone()).chain(self.arguments.iter().cloned());
                begin.chain(options).chain(end).collect()
            }
        };
        for words in std::iter::once(&words).chain(&self.after) {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            text.push_str(&words.join(" "));
            text.push('\n');
        }
        text
    }
}

/// A comment, each line of it marked as one. Control characters of a name must not reach a terminal.
pub(super) fn comment_lines(text: &str) -> String {
    let mut comment = String::new();
    for line in text.lines() {
        comment.push_str("# ");
        for c in line.chars() {
            if c.is_control() { comment.extend(c.escape_default()) } else { comment.push(c) }
        }
        comment.push('\n');
    }
    comment
}

/// A word for a POSIX shell. Control characters but for tabs and line ends must not reach a terminal:
/// `printf` makes them.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = "'".to_owned();
    for c in word.chars() {
        if c == '\'' {
            quoted.push_str(r"'\''");
        } else if c.is_control() && !matches!(c, '\t' | '\n') {
            let octal: String = c.to_string().bytes().map(|byte| format!("\\{byte:03o}")).collect();
            quoted.push_str(&format!("'\"$(printf '{octal}')\"'"));
        } else {
            quoted.push(c);
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        for (word, expected) in [
            ("a=b", "a=b"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("a\nb", "'a\nb'"),
            ("~", "'~'"),
            ("a\u{1b}[31m\t", "'a'\"$(printf '\\033')\"'[31m\t'"),
            ("\u{9b}0m", "''\"$(printf '\\302\\233')\"'0m'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
        assert_eq!(comment_lines("a\nrm -rf /"), "# a\n# rm -rf /\n");
        assert_eq!(comment_lines("\u{1b}[31mé\ra"), "# \\u{1b}[31mé\\ra\n");
    }
}
