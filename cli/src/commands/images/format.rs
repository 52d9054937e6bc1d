//! `layerlift images --format`: Docker's fields.

use jiff::Timestamp;

use super::lines::Line;
use crate::args::FIELDS;
use crate::size::human;
use crate::table::Table;
use crate::template::Template;
use crate::terminal::visible;
use crate::time::ago;

/// The fields, and their headings in a table. What only a daemon counts is `N/A`, as it is in Docker itself
/// unless asked for.
const HEADINGS: &[(&str, &str)] = &[
    ("Containers", "CONTAINERS"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("SharedSize", "SHARED SIZE"),
    ("Size", "SIZE"),
    ("Tag", "TAG"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];

/// The lines in this form.
pub(super) fn formatted(
    template: &Template,
    lines: &[Line<'_>],
    id: impl Fn(&str) -> String,
    now: Timestamp,
) -> String {
    let rows = lines.iter().map(|line| template.render(&fields(line, &id, now)));
    if !template.is_table() {
        return rows.map(|row| row + "\n").collect();
    }
    let headings: Vec<(&str, String)> =
        HEADINGS.iter().map(|&(field, heading)| (field, heading.to_owned())).collect();
    let headings = template.render(&headings);
    let mut table = Table::new(&headings.split('\t').collect::<Vec<_>>());
    rows.for_each(|row| table.row(row.split('\t').map(str::to_owned).collect()));
    table.render()
}

fn fields(line: &Line<'_>, id: impl Fn(&str) -> String, now: Timestamp) -> Vec<(&'static str, String)> {
    let image = &line.row.image;
    let size = image.size.map_or_else(|| "N/A".to_owned(), human);
    let value = |field: &str| match field {
        "CreatedAt" => at(image.created.as_deref()),
        "CreatedSince" => ago(image.created.as_deref(), now),
        "Digest" => line.digest.clone(),
        "ID" => id(image.key.id()),
        "Repository" => line.repository.clone(),
        "Size" | "VirtualSize" => size.clone(),
        "Tag" => line.tag.clone(),
        _ => "N/A".to_owned(),
    };
    // A name from a hostile store must not look like another line, or obey the terminal.
    let harmless = |text: String| visible(&text).replace('\n', "\\n");
    FIELDS.iter().map(|&field| (field, harmless(value(field)))).collect()
}

/// `2023-11-14 22:13:20 +0000 UTC`, as Docker prints a time where the clock is set to UTC.
fn at(created: Option<&str>) -> String {
    match created.and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(time) => time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string(),
        None => "N/A".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_headings() {
        assert!(HEADINGS.iter().map(|(field, _)| field).eq(FIELDS));
        assert_eq!(at(Some("2023-11-14T23:13:20.5+01:00")), "2023-11-14 22:13:20 +0000 UTC");
    }
}
