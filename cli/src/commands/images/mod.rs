//! `layerlift images`: what a store lists, as `docker images` prints it.

mod filter;
mod format;
mod lines;
mod rows;
mod table;

use jiff::Timestamp;

use filter::Filters;
use rows::Rows;

use crate::args::Images;
use crate::error::Error;
use crate::output::{print, print_json};
use crate::report::Reporter;
use crate::sources::Sources;
use crate::status::Status;

pub(crate) fn run(args: &Images, reporter: &Reporter) -> Result<Status, Error> {
    let sources = match args.all_namespaces {
        true => Sources::open_all(&args.store, reporter)?,
        false => Sources::open(&args.store, reporter)?,
    };
    let filters = Filters::new(args, &sources, reporter)?;
    let shows_digests = args.digests || args.format.as_ref().is_some_and(|template| template.has("Digest"));
    let (mut rows, status) = Rows::gather(&sources, args, &filters, args.json || shows_digests, reporter)?;
    if args.is_table() {
        rows.add_platforms();
    }
    let lines = lines::lines(&rows.rows, shows_digests, args.sort);
    let id = |id: &str| if args.no_trunc { id.to_owned() } else { short(id).to_owned() };
    if args.json {
        print_json(&lines::images(&lines).map(rows::Row::json).collect::<Vec<_>>())?;
    } else if args.quiet {
        print(&lines.iter().map(|line| id(line.row.image.key.id()) + "\n").collect::<String>())?;
    } else if let Some(template) = &args.format {
        print(&format::formatted(template, &lines, id, Timestamp::now()))?;
    } else {
        let several = sources.several();
        print(&table::table(&rows.rows, &lines, args.digests, args.no_trunc, several, Timestamp::now()))?;
    }
    Ok(status)
}

/// The twelve digits by which engines show an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
