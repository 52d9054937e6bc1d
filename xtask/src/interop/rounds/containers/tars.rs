//! Compares tars of layers and file systems, entry by entry.

use std::fs;
use std::path::Path;

use crate::Outcome;
use crate::engines::process::{bytes, program};

/// In what an engine's tars may differ from those of layerlift, which has the form of current engines.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// Docker 20.10 and Podman 4.3 write names of owners, and the type of a file in its mode.
    pub(super) headers: bool,
    /// Podman before 5.8 links a whiteout to the path that another one removes.
    pub(super) whiteout_links: bool,
    /// With vfs and in containerd 1.7, a whiteout has the time at which the tar is written.
    pub(super) whiteout_times: bool,
}

impl Form {
    /// The words for the name of a check.
    pub(super) fn words(self) -> String {
        let differences = [
            (self.headers, "names of owners and types in modes"),
            (self.whiteout_links, "links of whiteouts"),
            (self.whiteout_times, "times of whiteouts"),
        ];
        let differences: Vec<&str> =
            differences.into_iter().filter_map(|(differs, what)| differs.then_some(what)).collect();
        match &*differences {
            [] => "byte for byte".to_owned(),
            differences => format!("but for {}", differences.join(", ")),
        }
    }
}

/// An entry, with the PAX records before it.
struct Entry {
    name: String,
    bytes: Vec<u8>,
}

/// Fails at the first entry that differs.
pub(super) fn same(ours: &Path, theirs: &Path, form: Form) -> Outcome {
    let [ours, theirs] = [plain(ours)?, plain(theirs)?];
    if ours == theirs {
        return Ok(());
    }
    let ([ours, our_end], [theirs, their_end]) = (entries(&ours, form)?, entries(&theirs, form)?);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        if ours.name != theirs.name {
            return Err(format!("{} instead of {}", ours.name, theirs.name).into());
        }
        if ours.bytes != theirs.bytes {
            return Err(format!("{}: {}", ours.name, difference(&ours.bytes, &theirs.bytes)).into());
        }
    }
    let more = |name: &str, longer: &[Entry], shorter: &[Entry]| {
        longer.get(shorter.len()).map(|entry| format!("only {name} has {}", entry.name))
    };
    match more("layerlift's", &ours, &theirs).or_else(|| more("the engine's", &theirs, &ours)) {
        Some(difference) => Err(difference.into()),
        None if our_end[0].bytes != their_end[0].bytes => Err("the end differs".into()),
        None => Ok(()),
    }
}

/// What differs: a field of the header, a record, or the contents.
fn difference(ours: &[u8], theirs: &[u8]) -> String {
    if ours.len() != theirs.len() {
        return format!("{} bytes instead of {}", ours.len(), theirs.len());
    }
    let at = ours.iter().zip(theirs).position(|(a, b)| a != b).unwrap_or(0);
    let around = |bytes: &[u8]| {
        let near = &bytes[at.saturating_sub(8)..bytes.len().min(at + 24)];
        near.escape_ascii().to_string()
    };
    format!("at byte {at}: {} instead of {}", around(ours), around(theirs))
}

/// The bytes of a tar that may be compressed.
fn plain(tar: &Path) -> Outcome<Vec<u8>> {
    let raw = fs::read(tar)?;
    if raw.starts_with(&[0x1f, 0x8b]) { bytes(program("gzip", ["-dc", "--"]).arg(tar)) } else { Ok(raw) }
}

/// The entries, and the zeros at the end as an entry of their own.
fn entries(tar: &[u8], form: Form) -> Outcome<[Vec<Entry>; 2]> {
    let mut entries = Vec::new();
    let (mut at, mut records) = (0, Vec::new());
    while let Some(header) = tar.get(at..at + 512).filter(|header| header[0] != 0) {
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8)?;
        let end = (at + 512 + size).next_multiple_of(512);
        let data = tar.get(at + 512..end).ok_or("a tar is cut short")?;
        let [prefix, name] = [text(&header[345..500]), text(&header[..100])];
        if header[156] == b'x' {
            records.extend_from_slice(&tar[at..end]);
        } else {
            let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let mut bytes = std::mem::take(&mut records);
            bytes.extend(translated(header, form)?);
            bytes.extend_from_slice(data);
            entries.push(Entry { name, bytes });
        }
        at = end;
    }
    let end = Entry { name: "the end".to_owned(), bytes: tar[at.min(tar.len())..].to_vec() };
    Ok([entries, vec![end]])
}

/// A header without what may differ.
fn translated(header: &[u8], form: Form) -> Outcome<Vec<u8>> {
    let mut header = header.to_vec();
    let name = text(&header[..100]);
    let whiteout = name.rsplit('/').next().is_some_and(|base| base.starts_with(".wh."));
    if form.headers {
        let mode = u32::from_str_radix(text(&header[100..108]).trim(), 8)? & 0o7777;
        header[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
        header[265..329].fill(0);
    }
    if form.whiteout_links && whiteout {
        header[157..257].fill(0);
    }
    if form.whiteout_times && whiteout {
        header[136..148].fill(b'0');
    }
    if form != Form::default() {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(header)
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
