//! Pushes to the registry of Debian, on this machine, with its files in memory. They are removed after each
//! run, so that each sends everything.

use std::fs;
use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::Bench;
use super::measure::{Contender, Place, clear};
use super::row::{Goal, Row, Spec};
use super::rows::{MEMORY, memory};
use crate::Outcome;
use crate::engines::process::{installed, run};
use crate::engines::registry::Registry;

/// The titles of the comparisons.
pub(crate) const TITLES: [&str; 3] = [
    "overlay2 to a registry, gzip",
    "containers-storage to a registry, gzip",
    "OCI layout (gzip) to a registry, layers as stored",
];

/// More than the requests of an image's push need beside the blobs.
const REQUESTS: u64 = 256 << 10;

/// A registry that is measured with.
pub(crate) struct Pushes {
    registry: Registry,
    place: Place,
    /// Stands before it and counts.
    counter: Counter,
}

/// What a push sent.
pub(crate) struct Sent {
    pub(crate) row: &'static str,
    pub(crate) what: String,
    pub(crate) bytes: u64,
}

impl Pushes {
    /// Starts a registry. Without one the result is `None`, and the reason is printed.
    pub(crate) fn start(bench: &Bench) -> Outcome<Option<Self>> {
        if !installed("docker-registry") {
            println!("skipped: pushes to a registry: docker-registry is not installed");
            return Ok(None);
        }
        let home = bench.memory.join("registry");
        let registry = Registry::start(&home)?;
        let place = Place { out: Registry::content(&home), ..bench.memory() };
        let counter = Counter::start(registry.address())?;
        Ok(Some(Pushes { registry, place, counter }))
    }

    /// The rows.
    pub(crate) fn specs(&self, bench: &Bench) -> Outcome<Vec<Spec>> {
        self.rows(bench, self.registry.address())
    }

    /// How many bytes each push sends, or only layerlift's. Counted apart from the times, since that takes
    /// some itself. Fails if layerlift sends more of a layout than its blobs and what requests need.
    pub(crate) fn sent(&self, bench: &Bench, only_own: bool) -> Outcome<Vec<Sent>> {
        let mut all = Vec::new();
        for spec in self.rows(bench, &self.counter.address)?.iter().filter(|spec| bench.wants(&[spec.what])) {
            let peers = spec.peers.iter().filter(|_| !only_own);
            for contender in std::iter::once(&spec.own).chain(peers) {
                self.counter.bytes.store(0, Ordering::Relaxed);
                contender.run(&self.place)?;
                clear(&self.place.out)?;
                let bytes = self.counter.bytes.load(Ordering::Relaxed);
                all.push(Sent { row: spec.what, what: contender.what.clone(), bytes });
            }
            let blobs = fs::read_dir(bench.stores.layout.join("blobs/sha256"))?;
            let blobs = blobs.map(|blob| Ok(blob?.metadata()?.len())).sum::<Outcome<u64>>()?;
            let own = all.iter().rev().find(|sent| sent.row == TITLES[2] && sent.what == spec.own.what);
            if let Some(sent) = own.filter(|sent| sent.bytes > blobs + REQUESTS) {
                return Err(format!("{} bytes were sent of blobs of {blobs}", sent.bytes).into());
            }
        }
        Ok(all)
    }

    fn rows(&self, bench: &Bench, address: &str) -> Outcome<Vec<Spec>> {
        let stores = &bench.stores;
        let image = &*stores.image;
        let of_docker = format!("{address}/docker/image:1");
        run(stores.docker.docker(["tag", image, &of_docker]))?;
        let to = |name: &str| format!("docker://{address}/{name}/image:1");
        let own = |root: &PathBuf| {
            let to = to("layerlift");
            bench.layerlift(&["push", "--quiet", "--root"], root, &[image, &to])
        };
        let docker = |goal| Contender {
            what: "docker push".to_owned(),
            command: bench.docker_words(&["push", "--quiet", &of_docker]),
            daemon: Some(stores.docker.process()),
            goal: Some(goal),
        };
        let skopeo = |from: &str, what: &str, goal| {
            let copy = ["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", from];
            let to = to("skopeo");
            Contender::new(what, bench.peer_words(copy.into_iter().chain([&*to])), goal)
        };
        let of_containers = |goal| {
            skopeo(
                &stores.containers.transport(image),
                "skopeo copy containers-storage: docker://",
                Some(goal),
            )
        };
        let of_layout = format!("oci:{}:{image}", stores.layout.display());
        let podman = ["push", "--quiet", "--tls-verify=false", image, &*to("podman")].map(str::to_owned);
        let podman = stores.containers.podman(podman.iter().map(String::as_str));
        let podman = Contender::new("podman push", bench.peer_command(&podman), None);
        // Each of the two threads that compress may take 16 MiB more, and 64 MiB of what they make stay in
        // memory instead of in a temporary file.
        let compressing = |row: &Row| vec![Goal { limit: MEMORY + 32.0 + 64.0, ..memory(row)[0] }];
        let spec = |what, own, peers, goals| Spec { what, own, peers, place: self.place.clone(), goals };
        Ok(vec![
            spec(
                TITLES[0],
                own(&stores.docker_root),
                vec![docker(0.5), of_containers(0.5)],
                compressing as fn(&Row) -> Vec<Goal>,
            ),
            spec(TITLES[1], own(&stores.containers.root()), vec![of_containers(0.5), podman], compressing),
            spec(
                TITLES[2],
                own(&stores.layout),
                vec![
                    of_containers(0.25),
                    docker(0.25),
                    skopeo(&of_layout, "skopeo copy oci: docker://", None),
                ],
                memory,
            ),
        ])
    }
}

/// Passes connections on, until this process ends, and counts what clients send.
struct Counter {
    address: String,
    bytes: Arc<AtomicU64>,
}

impl Counter {
    fn start(registry: &str) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let bytes = Arc::new(AtomicU64::new(0));
        let (counted, registry) = (bytes.clone(), registry.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (counted, registry) = (counted.clone(), registry.clone());
                // Who sends may end the connection at any time.
                thread::spawn(move || drop(pass(client, &registry, &counted)));
            }
        });
        Ok(Counter { address, bytes })
    }
}

fn pass(client: TcpStream, registry: &str, counted: &AtomicU64) -> io::Result<()> {
    let registry = TcpStream::connect(registry)?;
    let (mut answers, mut out) = (registry.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut out);
        out.shutdown(Shutdown::Both)
    });
    let (mut requests, mut to) = (client, registry);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let len = requests.read(&mut buffer)?;
        if len == 0 {
            return to.shutdown(Shutdown::Write);
        }
        counted.fetch_add(len as u64, Ordering::Relaxed);
        io::Write::write_all(&mut to, &buffer[..len])?;
    }
}
