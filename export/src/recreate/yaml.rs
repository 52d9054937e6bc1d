//! YAML, as far as a compose file needs it. A text that could be taken for something else is quoted as in
//! JSON, which YAML reads.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A text of the user's. `$` is doubled, because compose replaces variables.
    Text(String),
    /// A number, or `true`.
    Plain(String),
    /// An empty value.
    Null,
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Yaml::Text(text)
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Yaml::Text(text.to_owned())
    }
}

impl Yaml {
    pub(super) fn list(texts: Vec<String>) -> Self {
        Yaml::List(texts.into_iter().map(Yaml::Text).collect())
    }

    /// A map, of which those without a value are left out.
    pub(super) fn map<const N: usize>(entries: [(&str, Option<Yaml>); N]) -> Self {
        let given = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Yaml::Map(given.collect())
    }

    /// Appends the value, which follows a key or a dash.
    pub(super) fn write(&self, depth: usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        match self {
            Yaml::Text(text) => out.push_str(&format!(" {}\n", scalar(&text.replace('$', "$$")))),
            Yaml::Plain(text) => out.push_str(&format!(" {text}\n")),
            Yaml::Null => out.push('\n'),
            Yaml::List(values) if values.is_empty() => out.push_str(" []\n"),
            Yaml::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
            Yaml::List(values) => {
                out.push('\n');
                for value in values {
                    out.push_str(&format!("{indent}-"));
                    match value {
                        Yaml::Map(entries) if !entries.is_empty() => {
                            let mut inner = String::new();
                            write_map(entries, depth + 1, &mut inner);
                            out.push(' ');
                            out.push_str(inner.trim_start());
                        }
                        value => value.write(depth + 1, out),
                    }
                }
            }
            Yaml::Map(entries) => {
                out.push('\n');
                write_map(entries, depth, out);
            }
        }
    }
}

fn write_map(entries: &[(String, Yaml)], depth: usize, out: &mut String) {
    for (key, value) in entries {
        out.push_str(&format!("{}{}:", "  ".repeat(depth), scalar(key)));
        value.write(depth + 1, out);
    }
}

/// A text, quoted if YAML could read it as something else.
fn scalar(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || "/_".contains(c));
    const WORDS: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "null", "y"];
    let word = WORDS.contains(&&*text.to_ascii_lowercase()) || text.eq_ignore_ascii_case("n");
    if begins && text.chars().all(harmless) && !word {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_texts() {
        for (text, expected) in [
            ("app", "app"),
            ("/srv/x-1.y", "/srv/x-1.y"),
            ("8080:80", "\"8080:80\""),
            ("1.0", "\"1.0\""),
            ("no", "\"no\""),
            ("Yes", "\"Yes\""),
            ("", "\"\""),
            ("a \"b\" # c\n", "\"a \\\"b\\\" # c\\n\""),
        ] {
            assert_eq!(scalar(text), expected);
        }
    }

    #[test]
    fn nested() {
        let value = Yaml::Map(vec![
            (
                "a".to_owned(),
                Yaml::List(vec!["$x".into(), Yaml::map([("k", Some("v".into())), ("n", None)])]),
            ),
            ("b".to_owned(), Yaml::Map(vec![])),
            ("c".to_owned(), Yaml::Map(vec![("d".to_owned(), Yaml::Null)])),
        ]);
        let mut out = String::new();
        value.write(0, &mut out);
        assert_eq!(out, "\na:\n  - \"$$x\"\n  - k: v\nb: {}\nc:\n  d:\n");
    }
}
