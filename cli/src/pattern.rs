//! Patterns with wildcards, as `docker images` and Podman's filters take them (Go's `path.Match`):
//!
//! ```text
//! *      any characters but /          [a-z]  one of a range
//! ?      one character but /           [^a]   any other character but /
//! ```
//!
//! A backslash takes the meaning of the next character away.

/// A pattern that is well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    One(char),
    /// `?`
    Any,
    /// `*`
    Many,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Whether a text has wildcards, so that it cannot be a name.
    pub(crate) fn is_one(text: &str) -> bool {
        text.contains(['*', '?', '['])
    }

    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::Many,
                '?' => Part::Any,
                '[' => class(&mut chars)?,
                '\\' => Part::One(chars.next().ok_or("nothing follows its last backslash")?),
                c => Part::One(c),
            });
        }
        parts.dedup_by(|a, b| *a == Part::Many && *b == Part::Many);
        Ok(Pattern { parts })
    }

    /// Whether the whole text has this form. Takes time in proportion to the lengths of both, whatever the
    /// pattern is.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut part) = (0, 0);
        // The last * and where its part of the text ends. An earlier one need not take more: what follows it
        // has matched at the first place that can be.
        let mut many: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.parts.get(part) {
                Some(Part::Many) => {
                    many = Some((part, at));
                    part += 1;
                    continue;
                }
                Some(one) if one.takes(text[at]) => {
                    (at, part) = (at + 1, part + 1);
                    continue;
                }
                _ => {}
            }
            match many {
                Some((star, end)) if text[end] != '/' => {
                    many = Some((star, end + 1));
                    (at, part) = (end + 1, star + 1);
                }
                _ => return false,
            }
        }
        self.parts[part..].iter().all(|part| *part == Part::Many)
    }
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Part::One(one) => *one == c,
            Part::Any => c != '/',
            Part::Many => false,
            Part::Class { negated, ranges } => {
                c != '/' && ranges.iter().any(|&(from, to)| (from..=to).contains(&c)) != *negated
            }
        }
    }
}

/// What follows a `[`.
fn class(chars: &mut std::str::Chars<'_>) -> Result<Part, &'static str> {
    const OPEN: &str = "a [ in it has no ]";
    let mut ranges = Vec::new();
    let negated = chars.as_str().starts_with('^');
    if negated {
        chars.next();
    }
    let literal = |chars: &mut std::str::Chars<'_>| match chars.next() {
        Some('\\') => chars.next().ok_or(OPEN),
        Some('-') => Err("a - in it has nothing before it"),
        Some(c) => Ok(c),
        None => Err(OPEN),
    };
    while !chars.as_str().starts_with(']') || ranges.is_empty() {
        let from = literal(chars)?;
        let to = if chars.as_str().starts_with('-') {
            chars.next();
            literal(chars)?
        } else {
            from
        };
        ranges.push((from, to));
    }
    chars.next();
    Ok(Part::Class { negated, ranges })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of Go's own tests of `path.Match` was the model for what is tried here.
    #[test]
    fn as_in_go() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a?b", "a/b", false),
            ("a[^x]b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
            ("*x", "xxx", true),
            ("team/*:1.*", "team/app:1.0", true),
            ("team/*:1.*", "team/sub/app:1.0", false),
            ("", "", true),
            ("", "a", false),
            ("**", "a", true),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
        for pattern in ["[", "[]", "[a", "[^", "[-x]", "[a-]", "a\\", "[a\\"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    /// One that tries every way to divide the text among the stars does not end.
    #[test]
    fn many_stars() {
        let pattern = Pattern::parse(&"a*".repeat(100)).unwrap();
        assert!(!pattern.matches(&("a".repeat(10_000) + "/")));
    }
}
