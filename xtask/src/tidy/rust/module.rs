//! What a file says of its modules: items, imports and paths. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, behind, tokens};

/// A module, which is a file or a block in one.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Names of what is defined here.
    pub(crate) items: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    /// Paths in code, and where they stand.
    pub(crate) paths: Vec<(Vec<String>, usize)>,
    /// All names in code outside imports.
    pub(crate) names: BTreeSet<String>,
    /// Modules that are blocks here.
    pub(crate) blocks: BTreeMap<String, Module>,
}

/// One name that a `use` brings in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// What it is called here; `None` for all that is there (`*`).
    pub(crate) name: Option<String>,
    /// Whether others may name it through this module.
    pub(crate) public: bool,
    pub(crate) at: usize,
}

/// Words that define something.
const DEFINE: [&str; 8] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static"];

/// Parses the code of a file, without comments and literals.
pub(crate) fn parse(code: &str) -> Module {
    let tokens = tokens(code);
    let mut module = Module::default();
    scan(&tokens, &mut module, true);
    module
}

/// Adds what the tokens hold. Items count where they are the module's own, not those of a function or an
/// `impl`.
fn scan(tokens: &[Token<'_>], module: &mut Module, own: bool) {
    let mut at = 0;
    let mut public = false;
    while let Some(token) = tokens.get(at) {
        let next = text(tokens, at + 1);
        match token.text {
            "#" => {
                let open = at + if next == "!" { 2 } else { 1 };
                let end = behind(tokens, open);
                let attribute = tokens[open.min(end)..end].iter().map(|token| token.text).collect::<String>();
                let test = attribute == "[cfg(test)]";
                if test && next == "!" {
                    return;
                }
                at = if test { item_end(tokens, end) } else { end };
                continue;
            }
            "pub" => {
                public = true;
                at = if next == "(" { behind(tokens, at + 1) } else { at + 1 };
                continue;
            }
            "use" => {
                let end =
                    tokens[at..].iter().position(|token| token.text == ";").map_or(tokens.len(), |e| at + e);
                imports(&tokens[at + 1..end], &[], public, &mut module.imports);
                at = end;
            }
            "mod" if text(tokens, at + 2) == "{" => {
                let end = behind(tokens, at + 2);
                let mut block = Module::default();
                scan(&tokens[at + 3..end.saturating_sub(1).max(at + 3)], &mut block, true);
                module.blocks.insert(next.to_owned(), block);
                at = end;
            }
            "macro_rules" => {
                module.items.insert(text(tokens, at + 2).to_owned());
                at = behind(tokens, at + 3);
            }
            // A lifetime.
            "'" => at += 2,
            word if own && DEFINE.contains(&word) => {
                // `const fn` and `static mut` have their name behind a second word.
                let name =
                    tokens[at + 1..].iter().find(|token| !["fn", "mut", "unsafe"].contains(&token.text));
                module.items.extend(name.map(|token| token.text.to_owned()));
                at += 1;
            }
            "{" => {
                let end = behind(tokens, at);
                scan(&tokens[at + 1..end.saturating_sub(1).max(at + 1)], module, false);
                at = end;
            }
            "::" => at += 1,
            _ if token.is_name() => at += path(tokens, at, module),
            _ => at += 1,
        }
        public = false;
    }
}

fn text<'t>(tokens: &[Token<'t>], at: usize) -> &'t str {
    tokens.get(at).map_or("", |token| token.text)
}

/// Adds the path that begins here, and returns how many tokens it has.
fn path(tokens: &[Token<'_>], at: usize, module: &mut Module) -> usize {
    let mut segments = vec![tokens[at].text.to_owned()];
    let mut len = 1;
    while tokens.get(at + len).is_some_and(|token| token.text == "::") {
        let Some(name) = tokens.get(at + len + 1).filter(|token| token.is_name()) else { break };
        segments.push(name.text.to_owned());
        len += 2;
    }
    module.names.insert(segments[0].clone());
    // What follows a dot is a method or a field.
    let before = at.checked_sub(1).map(|before| tokens[before].text);
    if segments.len() > 1 && before != Some(".") {
        module.paths.push((segments, tokens[at].at));
    }
    len
}

/// The index behind the item that begins at `at`, other attributes included.
fn item_end(tokens: &[Token<'_>], mut at: usize) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            ";" => return at + 1,
            "{" => {
                let end = behind(tokens, at);
                // A `use` goes on behind its braces.
                return if tokens.get(end).is_some_and(|token| token.text == ";") { end + 1 } else { end };
            }
            "(" | "[" => at = behind(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// Adds what a tree of a `use` brings in.
fn imports(tree: &[Token<'_>], prefix: &[String], public: bool, found: &mut Vec<Import>) {
    let mut path = prefix.to_vec();
    let mut at = 0;
    let at_text = tree.first().map_or(0, |token| token.at);
    while let Some(token) = tree.get(at) {
        match token.text {
            "::" => {}
            "*" => return found.push(Import { path, name: None, public, at: at_text }),
            "{" => {
                let end = behind(tree, at).saturating_sub(1);
                let mut from = at + 1;
                let mut index = from;
                while index <= end {
                    let text = tree.get(index).map_or(",", |token| token.text);
                    if index == end || text == "," {
                        if from < index {
                            imports(&tree[from..index], &path, public, found);
                        }
                        from = index + 1;
                    }
                    index = if text == "{" && index < end { behind(tree, index) } else { index + 1 };
                }
                return;
            }
            "as" => {
                let name = tree.get(at + 1).map(|token| token.text.to_owned());
                return found.push(Import { path, name, public, at: at_text });
            }
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        at += 1;
    }
    let name = path.last().cloned();
    if !path.is_empty() {
        found.push(Import { path, name, public, at: at_text });
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn imports() {
        let text = "use a::b; pub(crate) use super::{c::{self, D as E}, f::*, g};\n\
            #[cfg(test)] use x::{y, z};\nuse self::h::I;";
        let found = parse(text).imports;
        let texts: Vec<_> = found
            .iter()
            .map(|i| format!("{} {} {}", i.path.join("::"), i.name.as_deref().unwrap_or("*"), i.public))
            .collect();
        let expected = [
            "a::b b false",
            "super::c c true",
            "super::c::D E true",
            "super::f * true",
            "super::g g true",
            "self::h::I I false",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn items_and_paths() {
        let text = "pub struct A { b: super::C }\n\
            const fn d() -> x::Y<z::Z> { fn inner() {} e::f(g.h::<i::J>()) }\n\
            impl A { fn method() { let k = m!(crate::l::n); } }\n\
            mod block { struct In; }\n#[cfg(test)]\n#[allow(x)]\nmod tests { use a::B; c::d(); }\n\
            static mut S: &'static str = x;";
        let module = parse(text);
        assert_eq!(module.items.iter().collect::<Vec<_>>(), ["A", "S", "d"]);
        let paths: Vec<_> = module.paths.iter().map(|(path, _)| path.join("::")).collect();
        assert_eq!(paths, ["super::C", "x::Y", "z::Z", "e::f", "i::J", "crate::l::n"]);
        assert_eq!(module.blocks["block"].items.iter().collect::<Vec<_>>(), ["In"]);
        assert!(module.imports.is_empty());
    }
}
