//! Compares `layerlift save --format docker-v1` with what real daemons of Docker 1.7 and 1.8 answered to
//! `docker save`: about 600 cases on five data roots.
//!
//! ```text
//! store/tests/fixtures/docker-graph/1.8.2-vfs/
//!   store.tar.xz    the data root: graph/, repositories-vfs, vfs/
//!   cases.json.xz   names, and what the daemon wrote: entries with their digests, layers entry by entry
//! ```
//!
//! | the daemon | layerlift |
//! |---|---|
//! | succeeded | writes the same entries in the same order, the same `repositories`, `json` as in the store (with id and parent set if missing), `layer.tar` byte for byte or, where the daemon had to compare directories, entry by entry |
//! | failed | fails too, says why, and leaves no output file; the cases of [`MAY_SUCCEED`] may also succeed |
//! | either | writes the same bytes again with another number of threads |

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use layerlift_archive::Digest;
use serde_json::Value;

use crate::listing::{Entry, entries, recorded};
use crate::program::{ended, is_root, save};
use crate::store::{Store, answers};

/// What the old daemons could not save, although the store holds everything: names that are not UTF-8, global
/// PAX headers, leftovers of aufs, and damage that no export needs to read.
const MAY_SUCCEED: &[&str] =
    &["weird", "latin1", "pax-global", "plnk", "epstr", "negpax", "badtime", "year1", "badsize", "nlsize"];

/// What they saved although the store makes no sense. An error that says so is as good.
const DEGENERATE: &[&str] = &["cycle", "selfparent", "shortid", "shortparent", "emptyid", "emptyrepo"];

/// Cases whose rules changed with 1.8, by the prefix of their names.
const RULES_OF_1_8: &[&str] = &["pfx_", "dig_", "repoid", "err_", "id", "amb_"];

#[test]
fn docker_1_7_1_overlay() {
    conforms("1.7.1-overlay");
}

#[test]
fn docker_1_8_2_vfs() {
    conforms("1.8.2-vfs");
}

#[test]
fn docker_1_8_3_overlay() {
    conforms("1.8.3-overlay");
}

#[test]
fn docker_1_8_3_vfs_broken() {
    conforms("1.8.3-vfs-broken");
}

#[test]
fn docker_1_8_3_vfs_edge() {
    conforms("1.8.3-vfs-edge");
}

fn conforms(fixture: &str) {
    if !is_root(fixture, "to unpack a store with devices and foreign owners") {
        return;
    }
    let store = Store::unpack(fixture);
    let answers = answers(fixture);
    let old = ["v1.5.0", "v1.6.2", "v1.7.1"].contains(&text(&answers["engine"]));
    let mut compared = 0;
    let mut failures = Vec::new();
    for case in answers["cases"].as_array().expect("a list of cases") {
        let name = text(&case["case"]);
        if old && RULES_OF_1_8.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        compared += 1;
        if let Err(why) = compare(&store, case, &answers) {
            failures.push(format!("{name}: {why}"));
        }
    }
    assert!(compared > 20, "only {compared} cases were there to compare");
    assert!(failures.is_empty(), "{} of {compared} cases:\n{}", failures.len(), failures.join("\n"));
}

fn compare(store: &Store, case: &Value, answers: &Value) -> Result<(), String> {
    let output = store.beside("out.tar");
    let run = |threads: &str| {
        let _ = fs::remove_file(&output);
        let names: Vec<_> = case["names"].as_array().expect("names").iter().map(as_argument).collect();
        let mut command = save(&store.root);
        command.args(["--format", "docker-v1", "-j", threads, "-o"]).arg(&output).arg("--").args(names);
        ended(&command.output().expect("the program starts"))
    };
    let (status, said) = run("8");
    let name = text(&case["case"]);
    let is_one_of = |list: &[&str], text: &str| list.iter().any(|part| text.contains(part));
    let refused = !said.trim().is_empty() && !said.contains("panicked") && !output.exists();
    if case["ok"] != true {
        let error = case["error"].as_str().unwrap_or_default();
        return match status {
            Some(0) if is_one_of(MAY_SUCCEED, &format!("{name}{error}")) => Ok(()),
            Some(0) => Err(format!("succeeded where the daemon said {error:?}")),
            Some(1 | 2) if refused => Ok(()),
            _ => Err(format!("status {status:?}, output there: {}, said: {said}", output.exists())),
        };
    }
    if is_one_of(DEGENERATE, name) && (status == Some(0) || refused) {
        return Ok(());
    }
    if status != Some(0) {
        return Err(format!("status {status:?}: {said}"));
    }
    let tar = fs::read(&output).map_err(|error| error.to_string())?;
    let found = entries(&tar)?;
    compare_entries(&found, case)?;
    for (entry, expected) in found.iter().zip(list(&case["entries"])) {
        compare_content(&store.root, entry, expected, answers)
            .map_err(|why| format!("{}: {why}", entry.row.name))?;
    }
    run("1");
    match fs::read(&output) {
        Ok(again) if again == tar => Ok(()),
        _ => Err("a second run, on one thread, wrote other bytes".to_owned()),
    }
}

/// Compares the entries, their order and modes, and `repositories`. Root must own all entries, without a
/// name.
fn compare_entries(found: &[Entry], case: &Value) -> Result<(), String> {
    let names: Vec<(&str, &str)> = found.iter().map(|entry| (&*entry.row.kind, &*entry.row.name)).collect();
    let expected: Vec<(&str, &str)> = list(&case["entries"])
        .iter()
        .map(|entry| (text(&entry[0]), text(&entry[3]).trim_end_matches('/')))
        .collect();
    if names != expected {
        return Err(format!("has the entries {names:?}\ninstead of {expected:?}"));
    }
    for (entry, expected) in found.iter().zip(list(&case["entries"])) {
        let row = &entry.row;
        let mode = u32::from_str_radix(text(&expected[1]), 8).expect("octal digits") & 0o7777;
        if row.mode != mode {
            return Err(format!("{}: mode {:o}, not {mode:o}", row.name, row.mode));
        }
        if (row.uid, row.gid, entry.named_owner) != (0, 0, false) {
            return Err(format!("{}: owned by {}:{}", row.name, row.uid, row.gid));
        }
    }
    let repositories = found.iter().find(|entry| entry.row.name == "repositories");
    let found = repositories.map(|entry| json(&entry.bytes)).transpose()?;
    let expected = case["repositories"].as_str().filter(|text| !text.is_empty());
    let expected = expected.map(|text| json(text.as_bytes())).transpose()?;
    if found == expected { Ok(()) } else { Err(format!("repositories is {found:?}, not {expected:?}")) }
}

fn compare_content(root: &Path, entry: &Entry, expected: &Value, answers: &Value) -> Result<(), String> {
    let Some((id, file)) = entry.row.name.split_once('/') else { return Ok(()) };
    let digest = || text(&expected[4]);
    let same = || Digest::of(&entry.bytes).hex() == digest();
    match file {
        "json" => compare_document(&root.join("graph").join(id), id, &entry.bytes),
        "layer.tar" if same() => Ok(()),
        "layer.tar" if root.join("graph").join(id).join("tar-data.json.gz").exists() => {
            Err("not byte for byte the layer that its tar-split data describe".to_owned())
        }
        "layer.tar" => {
            let found: Vec<_> = entries(&entry.bytes)?.into_iter().map(|entry| entry.row).collect();
            let expected = recorded(&answers["layers"][digest()]);
            match found.iter().zip(&expected).find(|(found, expected)| found != expected) {
                Some((found, expected)) => Err(format!("has {found:?}\nwhere {expected:?} was expected")),
                None if found.len() != expected.len() => {
                    Err(format!("has {} entries, not {}", found.len(), expected.len()))
                }
                None => Ok(()),
            }
        }
        _ if same() => Ok(()),
        _ => Err("has other bytes".to_owned()),
    }
}

/// Compares with the bytes in the store, if they have the image's own id and its real parent, otherwise with
/// the same document after these two are set.
fn compare_document(folder: &Path, id: &str, found: &[u8]) -> Result<(), String> {
    let stored = fs::read(folder.join("json")).map_err(|error| error.to_string())?;
    let document = json(&stored)?;
    let said = |key: &str| document[key].as_str().filter(|text| !text.is_empty());
    let parent_file = fs::read_to_string(folder.join("parent")).ok().filter(|text| !text.is_empty());
    let parent_id = said("parent_id").map(|digest| digest.replace("sha256:", ""));
    let parent = parent_file.or_else(|| said("parent").map(str::to_owned)).or(parent_id);
    if said("id") == Some(id) && said("parent") == parent.as_deref() {
        return if found == stored { Ok(()) } else { Err("not the bytes in the store".to_owned()) };
    }
    let found = json(found)?;
    let expect = |key: &str, value: Option<&str>| {
        let is = found[key].as_str().filter(|text| !text.is_empty());
        if is == value { Ok(()) } else { Err(format!("its {key} is {is:?}, not {value:?}")) }
    };
    expect("id", Some(id))?;
    expect("parent", parent.as_deref())?;
    let set = ["id", "parent", "parent_id", "layer_id"];
    let fields: BTreeMap<_, _> = document.as_object().into_iter().flatten().collect();
    match fields.iter().find(|(key, value)| !set.contains(&key.as_str()) && found.get(key) != Some(value)) {
        Some((key, _)) => Err(format!("its field {key} was lost or changed")),
        None => Ok(()),
    }
}

/// The first JSON value, read as leniently as by the daemons, which ignore anything after it, bytes that are
/// not UTF-8, and lone surrogates.
fn json(bytes: &[u8]) -> Result<Value, String> {
    let text = String::from_utf8_lossy(bytes);
    let parse = |text: &str| {
        serde_json::Deserializer::from_str(text).into_iter::<Value>().next().and_then(Result::ok)
    };
    let without_surrogates = || {
        let mut text = text.to_string();
        for digit in
            ["d8", "d9", "da", "db", "dc", "dd", "de", "df", "D8", "D9", "DA", "DB", "DC", "DD", "DE", "DF"]
        {
            text = text.replace(&format!("\\u{digit}"), "\\uff");
        }
        parse(&text)
    };
    parse(&text).or_else(without_surrogates).ok_or_else(|| format!("no JSON: {text}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A name as the daemon got it, including bytes that are not UTF-8.
fn as_argument(name: &Value) -> std::ffi::OsString {
    let mut bytes = Vec::new();
    for c in text(name).chars() {
        match u32::from(c) {
            private @ 0xe080..=0xe0ff => bytes.push((private - 0xe000) as u8),
            _ => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    std::ffi::OsString::from_vec(bytes)
}
