//! `layerlift images` as a table, as `docker images` prints it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use layerlift_store::StoreKind;

use super::lines::Line;
use super::rows::Row;
use super::short;
use crate::size::human;
use crate::table::Table;
use crate::time::ago;

/// The table. A column that says the same everywhere is left out, if it is not one of Docker's.
pub(super) fn table(
    rows: &[Row],
    lines: &[Line<'_>],
    digests: bool,
    no_trunc: bool,
    several_stores: bool,
    now: Timestamp,
) -> String {
    let drivers: BTreeSet<&str> = rows.iter().map(|row| row.image.key.partition()).collect();
    let several_drivers = drivers.len() > 1;
    let mut headings = vec!["REPOSITORY", "TAG"];
    headings.extend(digests.then_some("DIGEST"));
    headings.extend(["IMAGE ID", "CREATED", "SIZE", "LAYERS"]);
    let several_platforms = rows.iter().any(|row| !row.platforms.is_empty());
    headings.extend(several_platforms.then_some("PLATFORMS"));
    let namespaces = rows.iter().all(|row| row.kind == StoreKind::Containerd.name());
    headings.extend(several_drivers.then_some(if namespaces { "NAMESPACE" } else { "DRIVER" }));
    let partial = rows.iter().any(|row| !row.image.needs.is_empty());
    headings.extend(several_stores.then_some("STORE"));
    headings.extend(partial.then_some("NEEDS"));
    let mut table = Table::new(&headings);
    for Line { row, repository, tag, digest } in lines {
        let image = &row.image;
        let id = if no_trunc { image.key.id() } else { short(image.key.id()) };
        let mut cells = vec![repository.clone(), tag.clone()];
        cells.extend(digests.then(|| digest.clone()));
        cells.extend([
            id.to_owned(),
            ago(image.created.as_deref(), now),
            image.size.map_or_else(|| "N/A".to_owned(), human),
            image.layers.to_string(),
        ]);
        cells.extend(several_platforms.then(|| row.platforms.join(", ")));
        cells.extend(several_drivers.then(|| image.key.partition().to_owned()));
        cells.extend(several_stores.then(|| row.root.clone()));
        let needs = || if image.needs.is_empty() { String::new() } else { image.needs.to_string() };
        cells.extend(partial.then(needs));
        table.row(cells);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use layerlift_store::{ImageSummary, Keyring, Reference};

    use super::super::lines::lines;
    use super::*;
    use crate::args::Order;

    fn table(rows: &[Row], digests: bool, no_trunc: bool, several_stores: bool, now: Timestamp) -> String {
        super::table(rows, &lines(rows, digests, Order::Created), digests, no_trunc, several_stores, now)
    }

    fn row(root: &str, driver: &str, digit: char, references: &[(&str, &str)], size: Option<u64>) -> Row {
        let reference = |&(r, t): &(&str, &str)| Reference::new(r, t);
        let key = Keyring::new().image(driver, digit.to_string().repeat(64));
        let mut image = ImageSummary::new(key, references.iter().map(reference).collect(), 3);
        image.created = Some("2015-10-12T19:16:27Z".to_owned());
        image.size = size;
        Row {
            root: root.to_owned(),
            kind: "docker",
            image,
            platforms: Vec::new(),
            indexes: Vec::new(),
            own: None,
        }
    }

    fn now() -> Timestamp {
        "2015-11-02T00:00:00Z".parse().unwrap()
    }

    fn digest() -> String {
        format!("sha256:{}", "d".repeat(64))
    }

    #[test]
    fn one_store() {
        let digest = digest();
        let rows = [
            row("/d", "vfs", 'a', &[("base", "latest"), ("base", "1.0"), ("base", &digest)], Some(1_234_567)),
            row("/d", "vfs", 'b', &[("pulled", &digest)], Some(0)),
            row("/d", "vfs", 'c', &[], None),
        ];
        assert_snapshot!(table(&rows, false, false, false, now()), @r"
        REPOSITORY   TAG      IMAGE ID       CREATED       SIZE     LAYERS
        base         latest   aaaaaaaaaaaa   2 weeks ago   1.23MB   3
        base         1.0      aaaaaaaaaaaa   2 weeks ago   1.23MB   3
        pulled       <none>   bbbbbbbbbbbb   2 weeks ago   0B       3
        <none>       <none>   cccccccccccc   2 weeks ago   N/A      3
        ");
        assert_snapshot!(table(&rows, true, true, false, now()), @r"
        REPOSITORY   TAG      DIGEST                                                                    IMAGE ID                                                           CREATED       SIZE     LAYERS
        base         latest   sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd   aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa   2 weeks ago   1.23MB   3
        base         1.0      sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd   aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa   2 weeks ago   1.23MB   3
        pulled       <none>   sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd   bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb   2 weeks ago   0B       3
        <none>       <none>   <none>                                                                    cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc   2 weeks ago   N/A      3
        ");
    }

    #[test]
    fn several_drivers_and_stores() {
        let rows = [
            row("/d", "aufs", 'a', &[("base", "latest")], Some(1)),
            row("/p", "overlay", 'a', &[("localhost/base", "latest")], Some(1)),
        ];
        assert_snapshot!(table(&rows, false, false, true, now()), @r"
        REPOSITORY       TAG      IMAGE ID       CREATED       SIZE   LAYERS   DRIVER    STORE
        base             latest   aaaaaaaaaaaa   2 weeks ago   1B     3        aufs      /d
        localhost/base   latest   aaaaaaaaaaaa   2 weeks ago   1B     3        overlay   /p
        ");
        let none = table(&[], false, false, false, now());
        assert_snapshot!(none, @"REPOSITORY   TAG   IMAGE ID   CREATED   SIZE   LAYERS");
    }
}
