//! What is compared with what on the image, and the goals.

use std::path::Path;

use super::measure::{Contender, Place, drop_caches};
use super::row::{Goal, Row, Spec};
use super::{Bench, image::words};
use crate::Outcome;

/// Limit of the peak resident size without recompression, in MiB.
pub(super) const MEMORY: f64 = 32.0;

/// All comparisons on the image.
pub(crate) fn specs(bench: &Bench) -> Vec<Spec> {
    let mut specs = docker(bench);
    specs.extend(containers(bench));
    specs.extend(layout(bench));
    specs
}

/// Comparisons with an empty page cache. The finished tar, which only has to be read, is on the disk as well.
/// Where the page cache cannot be emptied, says why, and makes none.
pub(crate) fn cold(bench: &Bench, graph: Option<&super::graph::Graph>) -> Outcome<Vec<Spec>> {
    if let Err(error) = drop_caches() {
        println!("skipped: rows with an empty page cache: {error}");
        return Ok(Vec::new());
    }
    let stores = &bench.stores;
    let image = &*stores.image;
    let place = bench.memory();
    let out = &*place.out.display().to_string();
    let finished = bench.disk.join("finished.tar");
    std::fs::copy(&bench.finished, &finished)?;
    let finished = &*finished.display().to_string();
    let peers = || {
        let layers = stores.layers.iter().map(String::as_str);
        let tar = words(["tar", "-cf", out].into_iter().chain(layers));
        let cat = words(["sh", "-c", "cat \"$0\" >/dev/null", finished]);
        vec![
            Contender::new("tar -cf of the layers' directories", tar, Some(0.5)),
            Contender::new("cat of the finished tar", cat, Some(1.6)),
        ]
    };
    let save = ["-o", out, image];
    let own = [
        ("overlay2 to a docker-archive in memory", bench.save(&stores.docker_root, &save)),
        (
            "verify, overlay2",
            bench.layerlift(&["verify", "--quiet", "--root"], &stores.docker_root, &[image]),
        ),
        ("containers-storage to a docker-archive", bench.save(&stores.containers.root(), &save)),
    ];
    let own = own.into_iter();
    let mut specs: Vec<Spec> = own
        .map(|(what, own)| Spec { what, own, peers: peers(), place: place.clone(), goals: memory })
        .collect();
    specs.extend(graph.into_iter().map(|graph| Spec {
        what: GRAPH[0],
        own: of_graph(bench, &graph.with_data, out),
        peers: vec![Contender::new("tar -cf of the same files", graph.tar(out), Some(0.5))],
        place: place.clone(),
        goals: memory,
    }));
    Ok(specs)
}

fn docker(bench: &Bench) -> Vec<Spec> {
    let stores = &bench.stores;
    let image = &*stores.image;
    let tar =
        |out: &str| words(["tar", "-cf", out].into_iter().chain(stores.layers.iter().map(String::as_str)));
    let client = |more: &[&str], goal| Contender {
        what: "docker save".to_owned(),
        command: bench.docker_words(more),
        daemon: Some(stores.docker.process()),
        goal: Some(goal),
    };
    let mut specs = Vec::new();
    for (what, place, goal) in [
        ("overlay2 to a docker-archive in memory", bench.memory(), 0.5),
        ("overlay2 to a docker-archive on the disk, synced", bench.disk(), 0.5),
    ] {
        let out = place.out.display().to_string();
        let mut peers = vec![
            Contender::new("tar -cf of the layers' directories", tar(&out), Some(goal)),
            Contender { what: "docker save -o".to_owned(), ..client(&["save", "-o", &out, image], 0.1) },
        ];
        let mut goals: fn(&Row) -> Vec<Goal> = memory;
        if !place.sync {
            // The work that no verified export can avoid.
            let read = "find \"$@\" -type f -print0 | xargs -0 cat >/dev/null";
            let read =
                words(["sh", "-c", read, "sh"].into_iter().chain(stores.layers.iter().map(String::as_str)));
            let finished = bench.finished.display().to_string();
            peers.push(Contender::new("cat of all files", read, None));
            peers.push(Contender::new(
                "SHA-256 of the finished tar",
                words(["openssl", "dgst", "-sha256", &*finished]),
                None,
            ));
            peers.push(Contender::new("cp of the finished tar", words(["cp", &*finished, &*out]), None));
            goals = floor;
        }
        let own = bench.save(&stores.docker_root, &["-o", &out, image]);
        specs.push(Spec { what, own, peers, place, goals });
    }
    specs.push(Spec {
        what: "overlay2 to a pipe",
        own: bench.save(&stores.docker_root, &[image]),
        peers: vec![
            Contender::new("tar -cf - of the layers' directories", tar("-"), Some(0.7)),
            client(&["save", image], 1.0 / 9.0),
        ],
        place: Place { drain: true, ..bench.memory() },
        goals: |row| {
            let first = row.own.first_byte.unwrap_or_default().as_secs_f64() * 1e3;
            [memory(row), vec![Goal { what: "first byte, ms", value: first, limit: 100.0 }]].concat()
        },
    });
    let place = bench.memory();
    specs.push(Spec {
        what: "verify, overlay2",
        own: bench.layerlift(&["verify", "--quiet", "--root"], &stores.docker_root, &[image]),
        peers: vec![Contender::new("tar -cf to memory", tar(&place.out.display().to_string()), Some(0.4))],
        place,
        goals: memory,
    });
    specs
}

fn containers(bench: &Bench) -> Vec<Spec> {
    let stores = &bench.stores;
    let image = &*stores.image;
    let place = bench.memory();
    let out = &*place.out.display().to_string();
    let source = stores.containers.transport(image);
    let skopeo = |to: &str, more: &[&str]| {
        let copy = ["skopeo", "--insecure-policy", "copy", "-q"];
        bench.peer_words(copy.into_iter().chain(more.iter().copied()).chain([&*source, to]))
    };
    let podman = stores.containers.podman(["save", "-q", "--format", "docker-archive", "-o", out, image]);
    let mut specs = vec![Spec {
        what: "containers-storage to a docker-archive",
        own: bench.save(&stores.containers.root(), &["-o", out, image]),
        peers: vec![
            Contender::new("skopeo copy", skopeo(&format!("docker-archive:{out}"), &[]), Some(1.0 / 6.0)),
            Contender::new("podman save", bench.peer_command(&podman), None),
        ],
        place: place.clone(),
        goals: memory,
    }];
    let archive = format!("oci-archive:{out}:x");
    let gzip = || skopeo(&archive, &["--dest-compress-format", "gzip", "--dest-compress-level", "6"]);
    let zstd = || skopeo(&archive, &["--dest-compress-format", "zstd", "--dest-compress-level", "3"]);
    for (what, how, peers) in [
        (
            "containers-storage to an oci-archive, gzip",
            "gzip:6",
            vec![Contender::new("skopeo copy, gzip", gzip(), Some(0.55))],
        ),
        (
            "containers-storage to an oci-archive, zstd",
            "zstd:3",
            vec![Contender::new("skopeo copy, zstd", zstd(), Some(0.25))],
        ),
    ] {
        let own = bench.save(
            &stores.containers.root(),
            &["--format", "oci-archive", "--compress", how, "-o", out, image],
        );
        // Each of the two threads may take 16 MiB more.
        let goals = |row: &Row| vec![Goal { limit: MEMORY + 32.0, ..memory(row)[0] }];
        specs.push(Spec { what, own, peers, place: place.clone(), goals });
    }
    specs
}

fn layout(bench: &Bench) -> Vec<Spec> {
    let layout = &bench.stores.layout;
    let image = &*bench.stores.image;
    let place = bench.memory();
    let out = &*place.out.display().to_string();
    let blobs = &*layout.join("blobs/sha256").display().to_string();
    let skopeo = |to: &str| {
        let from = format!("oci:{}:{image}", layout.display());
        bench.peer_words(["skopeo", "--insecure-policy", "copy", "-q", &*from, &*format!("{to}:{out}:x:y")])
    };
    let spec = |what, format, peer: Option<Contender>| {
        let mut peers = vec![
            Contender::new("cp -r of its blobs", words(["cp", "-r", blobs, out]), None),
            Contender::new(
                "SHA-256 of its blobs",
                words(["sh", "-c", "exec openssl dgst -sha256 \"$0\"/*", blobs]),
                None,
            ),
        ];
        peers.extend(peer);
        let own = bench.save(layout, &["--format", format, "-o", out, image]);
        // With two processors, copying and hashing overlap at best, and the longer of the two remains.
        let goals = |row: &Row| {
            let seconds = |peer: usize| row.peers[peer].run.wall.as_secs_f64();
            let hidden = (seconds(1) - 1.5 * seconds(0)).max(0.0);
            let ratio = row.own.wall.as_secs_f64() / (1.5 * seconds(0) + hidden);
            let goal = Goal {
                what: "relative to 1.5 × cp plus the hashing that takes longer than that",
                value: ratio,
                limit: 1.0,
            };
            [memory(row), vec![goal]].concat()
        };
        Spec { what, own, peers, place: place.clone(), goals }
    };
    vec![
        spec(
            "OCI layout (gzip) to an oci-archive, layers as stored",
            "oci-archive",
            Some(Contender::new("skopeo copy", skopeo("oci-archive"), None)),
        ),
        spec("OCI layout (gzip) to a docker-archive, layers as stored", "docker-archive", None),
    ]
}

pub(super) fn memory(row: &Row) -> Vec<Goal> {
    let value = row.own.memory as f64 / f64::from(1 << 20);
    vec![Goal { what: "peak resident size, MiB", value, limit: MEMORY }]
}

/// Compares with the sum of what reading, hashing and writing cost on their own.
fn floor(row: &Row) -> Vec<Goal> {
    let floor: f64 =
        row.peers.iter().filter(|peer| peer.goal.is_none()).map(|peer| peer.run.cpu.as_secs_f64()).sum();
    let value = row.own.cpu.as_secs_f64() / floor.max(0.001);
    [memory(row), vec![Goal { what: "CPU time relative to cat, SHA-256 and cp together", value, limit: 1.1 }]]
        .concat()
}

/// The titles of [`graph`]'s rows.
pub(crate) const GRAPH: [&str; 2] = [
    "Docker 1.8 vfs to docker-v1, layers with tar-split data",
    "Docker 1.8 vfs to docker-v1, layers compared",
];

/// The rows of the graph store; see [`super::graph`].
pub(crate) fn graph(bench: &Bench, graph: &super::graph::Graph) -> Vec<Spec> {
    let place = bench.memory();
    let out = &*place.out.display().to_string();
    vec![
        Spec {
            what: GRAPH[0],
            own: of_graph(bench, &graph.with_data, out),
            peers: vec![Contender::new("tar -cf of the same files", graph.tar(out), Some(0.6))],
            place: place.clone(),
            goals: memory,
        },
        Spec {
            what: GRAPH[1],
            own: of_graph(bench, &graph.without_data, out),
            peers: vec![Contender::new("diff -rq of each pair of trees", graph.diff(), Some(1.2))],
            place: place.clone(),
            goals: memory,
        },
    ]
}

fn of_graph(bench: &Bench, root: &Path, out: &str) -> Contender {
    bench.save(root, &["--format", "docker-v1", "-o", out, super::graph::NAME])
}
