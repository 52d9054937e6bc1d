//! The licences of all that is linked into the program: texts as its crates ship them, each text once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::crates::{Crates, Linked};
use super::target::sysroot;
use crate::{Outcome, workspace};

/// How names of such files begin, in capitals.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

const HEAD: &str = "\
layerlift is licensed under MIT or Apache-2.0, as you choose. The program contains code of others:
first, what it contains, with its licence; then the texts, each once, below the names of all that ship it.

";

/// `THIRD-PARTY.txt`
pub(super) fn text(crates: &Crates) -> Outcome<String> {
    let mut holders: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    let mut text = HEAD.to_owned();
    for linked in crates.all.iter().filter(|linked| !linked.is_ours()) {
        let name = format!("{} {}", linked.name, linked.version);
        text += &format!("{name}: {}\n", linked.licence);
        for found in texts(linked)? {
            add(&mut holders, &name, found);
        }
    }
    let std = format!("Rust's std {}", crates.std);
    text += &format!("{std}: MIT OR Apache-2.0\n");
    for found in of_std()? {
        add(&mut holders, &std, found);
    }
    let mut sections: Vec<(String, Vec<String>)> = holders.into_values().collect();
    sections.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (section, names) in sections {
        text += &format!("\n{}\n{}\n\n{}\n", "=".repeat(78), names.join(", "), section.trim_end());
    }
    Ok(text)
}

/// Texts that differ in white space alone are one.
fn add(holders: &mut BTreeMap<String, (String, Vec<String>)>, name: &str, text: String) {
    let key: Vec<&str> = text.split_whitespace().collect();
    let (_, names) = holders.entry(key.join(" ")).or_insert_with(|| (text.replace('\r', ""), Vec::new()));
    if names.last().is_none_or(|last| last != name) {
        names.push(name.to_owned());
    }
}

/// The texts that a crate ships, those of the C that it builds included.
fn texts(linked: &Linked) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    for folder in [vec![linked.folder.clone()], folders(&linked.folder)?].concat() {
        for file in files(&folder)? {
            let bytes = fs::read(&file)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // zstd and xz offer the GPL as an alternative, or have it for programs that are not built here.
            if !text.trim_start().starts_with("GNU ") {
                found.push(text);
            }
        }
    }
    if found.is_empty() && linked.licence.split(" OR ").any(|licence| licence == "Apache-2.0") {
        found.push(fs::read_to_string(workspace::root().join("LICENSE-APACHE"))?);
    }
    if found.is_empty() {
        return Err(format!(
            "{} {} ships no text of its licence, {}: add it in xtask/src/dist/licences.rs",
            linked.name, linked.version, linked.licence
        )
        .into());
    }
    Ok(found)
}

/// The texts of std, which the toolchain installs. Toolchains of distributions have them elsewhere.
fn of_std() -> Outcome<Vec<String>> {
    let folder = sysroot()?.join("share/doc/rust/licenses");
    let mut found = vec![fs::read_to_string(workspace::root().join("LICENSE-APACHE"))?];
    for name in ["MIT.txt", "Apache-2.0.txt", "Unicode-3.0.txt", "LLVM-exception.txt"] {
        found.extend(fs::read_to_string(folder.join(name)));
    }
    Ok(found)
}

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let is_text = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && NAMES.iter().any(|start| name.starts_with(start))
    };
    Ok(sorted(folder)?.into_iter().filter(is_text).collect())
}

fn folders(folder: &Path) -> Outcome<Vec<PathBuf>> {
    Ok(sorted(folder)?.into_iter().filter(|path| path.is_dir()).collect())
}

/// What is in a folder, sorted by name.
fn sorted(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut paths =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dist::crates::tests::two;

    #[test]
    fn each_text_is_there_once() {
        let place = std::env::temp_dir().join(format!("layerlift-licences-{}", std::process::id()));
        let mut all = two();
        all[0].checksum = Some("11".into());
        all[0].licence = "Zlib".into();
        for (at, linked) in all.iter_mut().enumerate() {
            linked.folder = place.join(at.to_string());
            fs::create_dir_all(linked.folder.join("c")).unwrap();
        }
        let missing = texts(&all[0]).unwrap_err().to_string();
        assert!(missing.starts_with("ours 1.0.0 ships no text of its licence, Zlib"), "{missing}");
        assert!(texts(&all[1]).unwrap()[0].contains("Apache License"));
        fs::write(place.join("0/License.txt"), "Do  what\r\nyou like\n").unwrap();
        fs::write(place.join("1/COPYING"), "Do what you\nlike").unwrap();
        fs::write(place.join("1/c/LICENSE"), "The C").unwrap();
        fs::write(place.join("1/c/COPYING"), "   GNU GENERAL PUBLIC LICENSE\n").unwrap();
        let text = text(&Crates { all, std: "1.89.0".into() }).unwrap();
        fs::remove_dir_all(&place).unwrap();
        assert!(text.contains("ours 1.0.0: Zlib\nouter 0.2.0+c.3: MIT OR Apache-2.0\nRust's std 1.89.0: "));
        assert!(text.contains("ours 1.0.0, outer 0.2.0+c.3\n\nDo  what\nyou like\n"), "{text}");
        assert_eq!((text.matches("you like").count(), text.matches("The C").count()), (1, 1));
        assert!(!text.contains("GENERAL PUBLIC"));
    }
}
