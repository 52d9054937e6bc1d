//! What is compared with what, and the goals.

use std::fs;
use std::path::Path;

use super::Bench;
use super::measure::{self, Run};
use crate::Outcome;

/// A comparison: layerlift first, then each peer with the goal for the ratio of their times.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) own: Run,
    pub(crate) peers: Vec<Peer>,
    /// Bytes that layerlift wrote.
    pub(crate) bytes: u64,
}

/// Another program in a row.
pub(crate) struct Peer {
    pub(crate) what: &'static str,
    pub(crate) run: Run,
    /// layerlift's time is at most this part of the peer's.
    pub(crate) goal: Option<f64>,
}

/// All rows, and what does not depend on the machine.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    /// Calls to the system per file of the image, and temporary files, of one `save`.
    pub(crate) calls_per_file: f64,
    pub(crate) temporary_files: u64,
}

type Contender<'a> = (&'static str, Vec<String>, Option<f64>);

struct Place<'a> {
    out: &'a Path,
    drain: bool,
    sync: bool,
}

pub(crate) fn measure(bench: &Bench) -> Outcome<Rows> {
    let stores = &bench.stores;
    let image = stores.image.as_str();
    let save = |root: &Path, more: &[&str]| {
        let mut words = vec![bench.layerlift.display().to_string()];
        words.extend(["save", "-q", "--root"].map(str::to_owned));
        words.push(root.display().to_string());
        words.extend(more.iter().map(|&word| word.to_owned()));
        words
    };
    let tar = |out: &str| {
        let mut words: Vec<String> = ["tar", "-cf", out].map(str::to_owned).into();
        words.extend(stores.layers.iter().cloned());
        words
    };
    let docker = |more: &[&str]| words_of(&stores.docker.docker(more.iter().copied()));
    let skopeo = |from: &str, to: &str| -> Vec<String> {
        ["skopeo", "--insecure-policy", "copy", "-q", from, to].map(str::to_owned).into()
    };
    let mut rows = Vec::new();
    for (what, folder, sync, goal) in [
        ("overlay2 to a docker-archive in memory", &bench.memory, false, 0.5),
        ("overlay2 to a docker-archive on the disk, synced", &bench.disk, true, 0.75),
    ] {
        let out = folder.join("out");
        let name = out.display().to_string();
        let peers = vec![
            ("tar -cf of the layers' directories", tar(&name), Some(goal)),
            ("docker save -o", docker(&["save", "-o", &name, image]), Some(0.1)),
        ];
        let place = Place { out: &out, drain: false, sync };
        rows.extend(row(bench, what, save(&stores.docker_root, &["-o", &name, image]), peers, &place)?);
    }
    let nowhere = bench.memory.join("none");
    let place = Place { out: &nowhere, drain: true, sync: false };
    let peers = vec![
        ("tar -cf - of the layers' directories", tar("-"), Some(0.7)),
        ("docker save", docker(&["save", image]), Some(1.0 / 9.0)),
    ];
    rows.extend(row(bench, "overlay2 to a pipe", save(&stores.docker_root, &[image]), peers, &place)?);

    let out = bench.memory.join("out");
    let name = out.display().to_string();
    let place = Place { out: &out, drain: false, sync: false };
    let mut verify = vec![bench.layerlift.display().to_string()];
    verify.extend(["verify", "-q", "--root"].map(str::to_owned));
    verify.extend([stores.docker_root.display().to_string(), image.to_owned()]);
    let peers = vec![("tar -cf to memory", tar(&name), Some(0.4))];
    rows.extend(row(bench, "verify", verify, peers, &place)?);

    let containers = format!(
        "containers-storage:[overlay@{}+{}]{image}",
        stores.containers_root.display(),
        stores.containers_run.display()
    );
    let peers =
        vec![("skopeo copy", skopeo(&containers, &format!("docker-archive:{name}")), Some(1.0 / 6.0))];
    let own = save(&stores.containers_root, &["-o", &name, image]);
    rows.extend(row(bench, "containers-storage to a docker-archive", own, peers, &place)?);

    let layout = format!("oci:{}:{image}", stores.layout.display());
    let blobs = stores.layout.join("blobs").display().to_string();
    let copy = ["cp", "-r", &blobs, &name].map(str::to_owned).to_vec();
    let peers = vec![
        ("cp -r of its blobs", copy, Some(1.5)),
        ("skopeo copy oci: oci-archive:", skopeo(&layout, &format!("oci-archive:{name}")), None),
    ];
    let own = save(&stores.layout, &["--format", "oci-archive", "-o", &name, image]);
    rows.extend(row(bench, "OCI layout (gzip) to an oci-archive, layers as stored", own, peers, &place)?);

    for (what, how, goal) in [
        ("containers-storage to an oci-archive, gzip", "gzip", 0.6),
        ("containers-storage to an oci-archive, zstd (skopeo: gzip)", "zstd", 0.25),
    ] {
        let peers = vec![("skopeo copy", skopeo(&containers, &format!("oci-archive:{name}:x")), Some(goal))];
        let own = save(
            &stores.containers_root,
            &["--format", "oci-archive", "--compress", how, "-o", &name, image],
        );
        rows.extend(row(bench, what, own, peers, &place)?);
    }

    let own = save(&stores.docker_root, &["-o", "/dev/null", "-j", "2", image]);
    let (calls, temporary_files) = measure::count_calls(&own, &bench.disk)?;
    Ok(Rows { rows, calls_per_file: calls as f64 / stores.files.max(1) as f64, temporary_files })
}

/// Runs all programs of a row in turn, after each once to warm the cache.
fn row(
    bench: &Bench,
    what: &'static str,
    own: Vec<String>,
    peers: Vec<Contender<'_>>,
    place: &Place<'_>,
) -> Outcome<Option<Row>> {
    if !what.contains(&bench.only) {
        return Ok(None);
    }
    println!("measuring: {what}");
    let mut commands = vec![own];
    commands.extend(peers.iter().map(|(_, command, _)| command.clone()));
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); commands.len()];
    let mut bytes = 0;
    for round in 0..=bench.runs {
        for (index, command) in commands.iter().enumerate() {
            let run = measure::run(command, &bench.disk, place.drain, place.sync)?;
            if index == 0
                && let Ok(metadata) = fs::metadata(place.out)
            {
                bytes = metadata.len();
            }
            clear(place.out)?;
            // The first round only warms; with a single one it is all there is.
            if round > 0 {
                runs[index].push(run);
            }
        }
    }
    let mut medians = runs.iter().map(|runs| measure::medians(runs));
    let own = medians.next().unwrap_or_default();
    let peers =
        peers.into_iter().zip(medians).map(|((what, _, goal), run)| Peer { what, run, goal }).collect();
    Ok(Some(Row { what, own, peers, bytes }))
}

fn clear(out: &Path) -> Outcome {
    match fs::symlink_metadata(out) {
        Ok(metadata) if metadata.is_dir() => Ok(fs::remove_dir_all(out)?),
        Ok(_) => Ok(fs::remove_file(out)?),
        Err(_) => Ok(()),
    }
}

fn words_of(command: &std::process::Command) -> Vec<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect()
}
