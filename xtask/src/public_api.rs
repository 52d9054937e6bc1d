//! The public interface of each library, in a file beside its source: `store/public-api.txt`. What changes
//! there changes for users, so a change is seen in the same commit as its cause.
//!
//! ```text
//! layerlift_store::OpenOptions
//!     #[non_exhaustive] pub struct OpenOptions {
//!         pub kind: Option<StoreKind>,
//!         …
//!     pub fn with_kind(self, kind: StoreKind) -> Self
//!     impl Clone for OpenOptions
//! ```
//!
//! It is taken from the pages that `cargo doc` writes, because rustdoc's JSON takes a nightly compiler. A new
//! rustdoc may word a page differently; then the files are written again, by the toolchain of CI.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use clap::Args;
use xshell::cmd;

use crate::{Outcome, workspace};

/// Folders of the libraries.
const LIBRARIES: [&str; 3] = ["archive", "store", "export"];

#[derive(Args)]
pub(crate) struct Options {
    /// Write the files instead of comparing them
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let shell = workspace::shell()?;
    cmd!(shell, "cargo doc --quiet --no-deps -p layerlift-archive -p layerlift-store -p layerlift-export")
        .arg("--features=layerlift-export/registry")
        .quiet()
        .run()?;
    let mut changed = Vec::new();
    for library in LIBRARIES {
        let name = format!("layerlift_{library}");
        let items = items(&workspace::target().join("doc").join(&name), &name)?;
        let text: String = items.into_iter().map(|(path, item)| format!("{path}\n{item}\n")).collect();
        let file = workspace::root().join(library).join("public-api.txt");
        if options.write {
            fs::write(file, text)?;
        } else if fs::read_to_string(&file).unwrap_or_default() != text {
            let new = workspace::target().join(format!("{name}-api.txt"));
            fs::write(&new, text)?;
            cmd!(shell, "diff -u {file} {new}").ignore_status().quiet().run()?;
            changed.push(library);
        }
    }
    match changed.is_empty() {
        true => Ok(()),
        false => {
            let which = changed.join(", ");
            let what = "if it is meant to, run cargo xtask api --write, and say so in CHANGELOG.md";
            Err(format!("the public interface of {which} has changed: {what}").into())
        }
    }
}

/// The items of a crate, by their paths, from the list that names every page: beside it may lie pages of
/// items that were removed.
fn items(folder: &Path, name: &str) -> Outcome<BTreeMap<String, String>> {
    let list = fs::read_to_string(folder.join("all.html"))?;
    let mut items = BTreeMap::new();
    for page in list.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        // `discover/fn.open.html`
        let (modules, file) = page.rsplit_once('/').unwrap_or(("", page));
        let Some((kind, item)) = file.strip_suffix(".html").and_then(|file| file.split_once('.')) else {
            continue;
        };
        if item.contains('.') || page.starts_with("..") {
            continue;
        }
        let path: Vec<&str> = [name]
            .into_iter()
            .chain(modules.split('/').filter(|module| !module.is_empty()))
            .chain([item])
            .collect();
        if let Some(text) = item_of(kind, &fs::read_to_string(folder.join(page))?) {
            items.insert(path.join("::"), text);
        }
    }
    Ok(items)
}

/// The declaration of an item, its functions, and the traits that it implements.
fn item_of(kind: &str, page: &str) -> Option<String> {
    let declaration = between(page, "item-decl\"><code>", "</code></pre>")?;
    let mut text = String::new();
    let mut add = |code: &str| {
        for line in plain(code).lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(text, "    {}", line.trim_end());
        }
    };
    add(declaration);
    if kind == "trait" {
        return Some(text);
    }
    let own = between(page, "id=\"implementations-list\"", "id=\"trait-implementations\"")
        .or_else(|| between(page, "id=\"implementations-list\"", "id=\"synthetic-implementations\""));
    for head in own.into_iter().flat_map(|own| heads(own, "h4")) {
        add(head);
    }
    let traits = between(page, "id=\"trait-implementations-list\"", "id=\"synthetic-implementations\"");
    let mut traits: Vec<String> = traits.into_iter().flat_map(|all| heads(all, "h3")).map(plain).collect();
    // The compiler adds it to what is compared by its parts.
    traits.retain(|one| !one.contains("StructuralPartialEq"));
    traits.sort();
    traits.iter().for_each(|one| add(one));
    Some(text)
}

/// The headings of this level that are code.
fn heads<'a>(page: &'a str, level: &str) -> Vec<&'a str> {
    let (begin, end) = (format!("<{level} class=\"code-header\">"), format!("</{level}>"));
    page.split(&*begin).skip(1).filter_map(|rest| rest.split(&*end).next()).collect()
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    Some(rest.split_once(end).map_or(rest, |(inside, _)| inside))
}

/// HTML as text. What unfolds a long declaration is left out.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut hidden = false;
    for part in html.split_inclusive('>') {
        let (before, tag) = part.split_once('<').unwrap_or((part, ""));
        if !hidden {
            text.push_str(before);
        }
        match tag {
            tag if tag.starts_with("summary") => hidden = true,
            tag if tag.starts_with("/summary") => hidden = false,
            "/div>" => text.push('\n'),
            _ => {}
        }
    }
    for (entity, char) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " ")] {
        text = text.replace(entity, char);
    }
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let page = "<pre class=\"rust item-decl\"><code><div class=\"code-attribute\">#[non_exhaustive]</div>\
                    pub struct A&lt;T&gt; {\n<details><summary><span>Show 1 field</span></summary>    pub a: \
                    &amp;<a href=\"x\">T</a>,\n}</details></code></pre><div id=\"implementations-list\">\
                    <h3 class=\"code-header\">impl A</h3>\
                    <h4 class=\"code-header\">pub fn <a>b</a>()</h4></div>\
                    <h2 id=\"trait-implementations\"><div id=\"trait-implementations-list\">\
                    <h3 class=\"code-header\">impl Clone for A</h3><h4 class=\"code-header\">fn clone()</h4>\
                    <h2 id=\"synthetic-implementations\"><h3 class=\"code-header\">impl Send for A</h3>";
        let expected = [
            "    #[non_exhaustive]",
            "    pub struct A<T> {",
            "        pub a: &T,",
            "    }",
            "    pub fn b()",
            "    impl Clone for A",
        ];
        let text = item_of("struct", page).unwrap_or_default();
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert_eq!(item_of("struct", "<meta http-equiv=\"refresh\">"), None);
    }
}
