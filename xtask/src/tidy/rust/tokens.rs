//! Tokens of code that has neither comments nor literals any more.

/// A name, `::`, or any other character, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'t> {
    pub(crate) text: &'t str,
    pub(crate) at: usize,
}

impl Token<'_> {
    pub(crate) fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Takes code apart.
pub(crate) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = code[at..].chars().next() {
        let in_name = |c: char| c.is_alphanumeric() || c == '_';
        let len = if in_name(first) {
            code[at..].find(|c| !in_name(c)).unwrap_or(code.len() - at)
        } else if code[at..].starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(Token { text: &code[at..at + len], at });
        }
        at += len;
    }
    tokens
}

/// The index behind the bracket that closes the one at `open`.
pub(crate) fn behind(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::{behind, tokens};

    #[test]
    fn names_and_marks() {
        let tokens = tokens("use a::{b_1, c}; [x]");
        let texts: Vec<_> = tokens.iter().map(|token| token.text).collect();
        assert_eq!(texts, ["use", "a", "::", "{", "b_1", ",", "c", "}", ";", "[", "x", "]"]);
        assert_eq!(behind(&tokens, 3), 8);
        assert_eq!(behind(&tokens, 9), 12);
    }
}
