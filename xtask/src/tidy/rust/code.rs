//! Where comments and literals are in Rust source, and the source without them.

use std::ops::Range;

/// What a span holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Comment,
    /// A string in which a backslash means something, or a character.
    Literal,
    /// A raw string: its bytes stand there as they are.
    Raw,
}

/// A comment or literal, in bytes.
pub(crate) struct Span {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
}

/// All comments and literals, in their order.
pub(crate) fn spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match span_at(text.as_bytes(), at) {
            Some((kind, end)) => {
                // An escape may stand at the end of a text that breaks off.
                let end = end.min(text.len());
                spans.push(Span { kind, range: at..end });
                at = end;
            }
            None => at += 1,
        }
    }
    spans
}

/// The text with comments and literals blanked out. Lines and offsets stay as they are.
pub(crate) fn code_only(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for span in spans(text) {
        bytes[span.range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The comment or literal that begins at `at`, and where it ends.
fn span_at(text: &[u8], at: usize) -> Option<(Kind, usize)> {
    let rest = &text[at..];
    let end_of = |from: usize, mark: &[u8]| -> usize {
        let found = text[from.min(text.len())..].windows(mark.len()).position(|window| window == mark);
        found.map_or(text.len(), |position| from + position + mark.len())
    };
    let quoted = |quote: u8| {
        let mut position = at + 1;
        while position < text.len() && text[position] != quote {
            position += if text[position] == b'\\' { 2 } else { 1 };
        }
        (position + 1).min(text.len())
    };
    match rest {
        [b'/', b'/', ..] => Some((Kind::Comment, end_of(at, b"\n").saturating_sub(1).max(at + 2))),
        [b'/', b'*', ..] => Some((Kind::Comment, end_of(at + 2, b"*/"))),
        [b'"', ..] => Some((Kind::Literal, quoted(b'"'))),
        [b'r', b'"' | b'#', ..] if !inside_a_word(text, at) => {
            let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return None;
            }
            let mark = [b"\"", "#".repeat(hashes).as_bytes()].concat();
            Some((Kind::Raw, end_of(at + hashes + 2, &mark)))
        }
        [b'\'', b'\\', ..] => Some((Kind::Literal, quoted(b'\''))),
        // A lifetime has no closing quote.
        [b'\'', first, ..] => {
            let len = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            (rest.get(1 + len) == Some(&b'\'')).then_some((Kind::Literal, at + len + 2))
        }
        _ => None,
    }
}

/// Whether the byte before belongs to a name, `b` of a byte string aside.
fn inside_a_word(text: &[u8], at: usize) -> bool {
    at > 0 && (text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_') && text[at - 1] != b'b'
}

#[cfg(test)]
mod tests {
    use super::{Kind, code_only, spans};

    #[test]
    fn comments_and_literals() {
        let text =
            "a('ä', b'\\'', \"x \\\" // y\") // c ö\nfn f<'a>(r: r#\"z \" /* \"#, b: br\"q\") /* d */ {}";
        let kinds: Vec<_> = spans(text).iter().map(|span| (span.kind, &text[span.range.clone()])).collect();
        assert_eq!(
            kinds,
            [
                (Kind::Literal, "'ä'"),
                (Kind::Literal, "'\\''"),
                (Kind::Literal, "\"x \\\" // y\""),
                (Kind::Comment, "// c ö"),
                (Kind::Raw, "r#\"z \" /* \"#"),
                (Kind::Raw, "r\"q\""),
                (Kind::Comment, "/* d */"),
            ]
        );
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.split_whitespace().collect::<String>(), "a(,b,)fnf<'a>(r:,b:b){}");
    }

    #[test]
    fn text_that_breaks_off() {
        for text in ["\"a", "\"a\\", "'\\", "r#\"a", "/* a", "// a", "r", "'"] {
            assert_eq!(code_only(text).len(), text.len(), "{text}");
        }
    }
}
