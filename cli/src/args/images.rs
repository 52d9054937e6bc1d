//! The arguments of `layerlift images`.

use std::str::FromStr;

use clap::{Args as ClapArgs, ValueEnum};

use super::StoreArgs;
use crate::template::Template;
use crate::wanted::Name;

/// List the images of a store.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift images --root /mnt/disk/var/lib/docker
  layerlift images 'team/*:1.*'
  layerlift images --format '{{.Repository}}:{{.Tag}}' --filter dangling=false")]
pub(crate) struct Images {
    /// Only images with this name: repository, repository:tag, or a pattern with *, ? and [a-z], none of
    /// which stands for a /. Twelve or more digits of an id do, too.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<Name>,
    /// Show intermediate images, too: those without a name that others were built on.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show digests.
    #[arg(long)]
    pub(crate) digests: bool,
    /// List the images in all namespaces of containerd.
    #[arg(long, conflicts_with_all = ["namespace", "driver"])]
    pub(crate) all_namespaces: bool,
    /// Do not shorten ids.
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// Only images for which this holds: dangling=true (without a tag), reference=PATTERN, label=KEY[=VALUE],
    /// before=IMAGE, since=IMAGE. Can be given several times.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<Filter>,
    /// Print each line in this form: text with fields as {{.Repository}}, {{.Tag}}, {{.ID}}, {{.Size}},
    /// {{.CreatedSince}}, {{.CreatedAt}} and {{.Digest}}. After table, columns under headings; json prints
    /// all fields.
    #[arg(long, value_name = "TEMPLATE", value_parser = template, conflicts_with_all = ["json", "quiet"])]
    pub(crate) format: Option<Template>,
    /// Print ids only.
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,
    /// Sort by the time of creation (newest first), id, repository, size (smallest first) or tag.
    #[arg(long, value_name = "FIELD", value_enum, default_value_t = Order::Created)]
    pub(crate) sort: Order,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

impl Images {
    /// Whether they are printed as a table.
    pub(crate) fn is_table(&self) -> bool {
        !self.json && !self.quiet && self.format.is_none()
    }
}

/// A condition of `--filter`.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    /// Whether it has no tag.
    Dangling(bool),
    /// Its name.
    Reference(Name),
    /// A label, perhaps with a value.
    Label(String, Option<String>),
    /// Created before this image.
    Before(String),
    /// Created after this image.
    Since(String),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("a filter has the form KEY=VALUE")?;
        match (key, value) {
            ("dangling", "true" | "1") => Ok(Filter::Dangling(true)),
            ("dangling", "false" | "0") => Ok(Filter::Dangling(false)),
            ("dangling", _) => Err("dangling is true or false".to_owned()),
            ("reference", value) => value.parse().map(Filter::Reference),
            ("label", value) => Ok(match value.split_once('=') {
                Some((label, value)) => Filter::Label(label.to_owned(), Some(value.to_owned())),
                None => Filter::Label(value.to_owned(), None),
            }),
            ("before", value) => Ok(Filter::Before(value.to_owned())),
            ("since", value) => Ok(Filter::Since(value.to_owned())),
            _ => Err("the filters are dangling, reference, label, before and since".to_owned()),
        }
    }
}

/// What lines are sorted by; those that are equal in it stay newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    Created,
    Id,
    Repository,
    Size,
    Tag,
}

/// The fields of a template: Docker's.
pub(crate) const FIELDS: &[&str] = &[
    "Containers",
    "CreatedAt",
    "CreatedSince",
    "Digest",
    "ID",
    "Repository",
    "SharedSize",
    "Size",
    "Tag",
    "UniqueSize",
    "VirtualSize",
];

fn template(text: &str) -> Result<Template, String> {
    Template::parse(text, FIELDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_there_are() {
        for text in ["dangling=true", "reference=a*", "label=k", "label=k=v=w", "before=x", "since=x"] {
            assert!(text.parse::<Filter>().is_ok(), "{text}");
        }
        for text in ["dangling", "dangling=maybe", "until=1h", "reference=[", "x=y"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }
}
