//! Parts of messages.

use std::borrow::Cow;
use std::path::Path;

use crate::Platform;

pub(super) fn only_in(present: &[String]) -> String {
    if present.is_empty() { String::new() } else { format!(", only in {}", present.join(", ")) }
}

pub(super) fn counted(present: &[(String, usize)]) -> String {
    let one = |(name, count): &(String, usize)| match count {
        1 => format!("{name} (1 name)"),
        count => format!("{name} ({count} names)"),
    };
    present.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(super) fn had_by(of: &[String]) -> String {
    if of.is_empty() { String::new() } else { format!(", which {} has", of.join(" or ")) }
}

pub(super) fn because(why: &Option<Cow<'static, str>>) -> String {
    why.as_ref().map_or_else(String::new, |why| format!(": {why}"))
}

pub(super) fn platforms(wanted: Option<&Platform>, here: &[String], missing: &[String]) -> String {
    let found = here.join(", ");
    match (here, missing, wanted) {
        ([], [], _) => "is an index without images".to_owned(),
        ([], [only], _) => format!("is not here: its image for {only} is missing"),
        ([], several, _) => format!("is not here: its images for {} are missing", several.join(", ")),
        (_, _, None) => format!("is here for {found}; this machine is {}", Platform::host()),
        (_, missing, Some(wanted)) => {
            let named = |text: &String| text.parse().is_ok_and(|platform: Platform| platform.matches(wanted));
            let named = if missing.iter().any(named) { "; the image that it names is missing" } else { "" };
            format!("is here for {found}, not for {wanted}{named}")
        }
    }
}

pub(super) fn damaged_files(files: &[String], more: usize) -> String {
    let count = files.len() + more;
    let verb = if count == 1 { "is" } else { "are" };
    let mut text = format!("{count} of its files {verb} not what was recorded:\n  {}", files.join("\n  "));
    if more > 0 {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
}

/// Whether a path is of a file with records, and not of what a record leads to.
pub(super) fn has_records(path: &Path) -> bool {
    ["layers.json", "metadata.db", "meta.db"].iter().any(|name| path.ends_with(name))
}

#[cfg(test)]
mod tests {
    use crate::Error;

    #[test]
    fn files_are_counted() {
        for (count, first, last) in [
            (1_usize, "1 of its files is not what was recorded:", "  file 0"),
            (2, "2 of its files are not what was recorded:", "  file 1"),
            (20, "20 of its files are not what was recorded:", "  file 19"),
            (21, "21 of its files are not what was recorded:", "  and 1 more"),
            (27, "27 of its files are not what was recorded:", "  and 7 more"),
        ] {
            let files: Vec<String> = (0..count.min(20)).map(|number| format!("file {number}")).collect();
            let text = Error::DamagedFiles { files, more: count.saturating_sub(20) }.to_string();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!((lines.first(), lines.last()), (Some(&first), Some(&last)));
            assert_eq!(lines.len(), count.min(21) + 1);
        }
    }
}
