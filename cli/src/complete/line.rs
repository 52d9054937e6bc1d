//! The words of a command line, as bash reads them.

/// The word at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// Without quotes.
    pub(super) text: String,
    /// Where in `text` begins what readline takes for the word: behind the last of its break characters, or
    /// behind a quote that is open.
    pub(super) begin: usize,
}

impl Word {
    pub(super) fn whole(text: &str) -> Self {
        Word { text: text.to_owned(), begin: 0 }
    }
}

/// The words before the one at the end of the line, without the program, and that one. `None` if the line has
/// something that only a shell can tell the meaning of: variables, commands.
///
/// `breaks` is `COMP_WORDBREAKS`.
pub(super) fn bash_words(line: &str, breaks: &str) -> Option<(Vec<String>, Word)> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if quote.is_none() && matches!(char, ' ' | '\t' | '\n') {
            words.extend(word.take().map(|word| word.text));
            continue;
        }
        let word = word.get_or_insert_with(|| Word::whole(""));
        match (quote, char) {
            (None, '\'' | '"') => {
                quote = Some(char);
                word.begin = word.text.len();
            }
            (Some(open), _) if char == open => {
                quote = None;
                word.begin = 0;
            }
            (None | Some('"'), '$' | '`') => return None,
            (None, '\\') => word.text.extend(chars.next()),
            (Some('"'), '\\') => match chars.next() {
                Some(escaped @ ('"' | '\\' | '$' | '`')) => word.text.push(escaped),
                other => word.text.extend(['\\'].into_iter().chain(other)),
            },
            (None, '~') if word.text.is_empty() => word.text.push_str(&home(chars.as_str())),
            (None, _) => {
                word.text.push(char);
                if breaks.contains(char) {
                    word.begin = word.text.len();
                }
            }
            (Some(_), _) => word.text.push(char),
        }
    }
    let last = word.unwrap_or_else(|| Word::whole(""));
    if words.is_empty() {
        return None;
    }
    words.remove(0);
    Some((words, last))
}

/// What `~` before this text stands for. That of another user is left as it is.
fn home(rest: &str) -> String {
    let own = rest.is_empty() || rest.starts_with(['/', ' ', '\t']);
    std::env::var("HOME").ok().filter(|_| own).unwrap_or_else(|| "~".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS: &str = " \t\n\"'><=;|&(:";

    #[test]
    fn words_of_a_line() {
        for (line, words, text, begin) in [
            ("layerlift save ", &["save"][..], "", 0),
            ("layerlift save ba", &["save"], "ba", 0),
            ("layerlift save base:", &["save"], "base:", 5),
            ("layerlift save base:1", &["save"], "base:1", 5),
            (r"layerlift save base\:1", &["save"], "base:1", 0),
            ("layerlift save 'base:1", &["save"], "base:1", 0),
            ("layerlift save 'a'base", &["save"], "abase", 0),
            ("layerlift save --exclude=h:5/a:2", &["save"], "--exclude=h:5/a:2", 16),
            ("layerlift save --exclude='h:5", &["save"], "--exclude=h:5", 10),
            (r#"layerlift  --root "/a \"b" save x"#, &["--root", "/a \"b", "save"], "x", 0),
            (r"layerlift --root /old\ disk save ''", &["--root", "/old disk", "save"], "", 0),
        ] {
            let word = Word { text: text.to_owned(), begin };
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(bash_words(line, BREAKS), Some((words, word)), "{line}");
        }
        for line in ["", "layerlift", "layerlift save $HOME/", "layerlift save \"$x", "layerlift `x"] {
            assert_eq!(bash_words(line, BREAKS), None, "{line}");
        }
        // Some take the colon out of the variable.
        let (_, word) = bash_words("layerlift save base:1", " =").unwrap();
        assert_eq!(word.begin, 0);
    }
}
