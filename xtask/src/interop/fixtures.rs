//! `cargo xtask fixtures`: data roots that real engines wrote, small enough to keep, and what the engines say
//! about them.
//!
//! ```text
//! target/fixtures/<engine>-<version>-<driver>/
//!     README.md       how it was made
//!     store.tar.xz    the data root with owners, times, devices and xattrs
//!     images.txt      what the engine lists
//!     inspect.json    what it says about each image
//!     save/           for each archive that it saves: a listing of the entries, and the digests of the files
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use super::archive;
use super::images::{self, Set};
use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::docker::Docker;
use crate::engines::process::{installed, program, run, text};
use crate::engines::scratch::{Scratch, enter_namespaces, unmount_below};
use crate::{interop::builds, workspace};

#[derive(Args)]
pub(crate) struct Options {
    /// The folder for the fixtures
    #[arg(long, default_value = "target/fixtures")]
    output: PathBuf,
}

/// The drivers of docker and podman that run on any machine.
const STORES: [(&str, &str); 4] =
    [("docker", "overlay2"), ("docker", "vfs"), ("podman", "overlay"), ("podman", "vfs")];

/// An engine on its store, while the fixture is made.
enum Client {
    Docker(Docker),
    Podman(Storage),
}

impl Client {
    fn command(&self, arguments: &[&str]) -> Command {
        match self {
            Client::Docker(docker) => docker.docker(arguments.iter().copied()),
            Client::Podman(storage) => storage.podman(arguments.iter().copied()),
        }
    }
}

/// Makes all fixtures.
pub(crate) fn run_all(options: &Options) -> Outcome {
    enter_namespaces()?;
    let output = workspace::root().join(&options.output);
    let scratch = Scratch::new(false)?;
    for (number, (engine, driver)) in STORES.into_iter().enumerate() {
        if !installed(engine) || (engine == "docker" && !installed("dockerd")) {
            println!("not made: {engine} {driver}: {engine} is not installed");
            continue;
        }
        one(engine, driver, &scratch.folder(&format!("f{number}"))?, &output)?;
        unmount_below(scratch.path());
    }
    Ok(())
}

fn one(engine: &str, driver: &str, home: &Path, output: &Path) -> Outcome {
    let archive = images::make(home, Set::All)?;
    let context = builds::context(home)?;
    let (client, root) = if engine == "docker" {
        let root = home.join("root");
        fs::create_dir(&root)?;
        (Client::Docker(Docker::start(&home.join("daemon"), &root, driver)?), root)
    } else {
        let storage = Storage::new(&home.join("s"), driver, None)?;
        let root = storage.root();
        (Client::Podman(storage), root)
    };
    run(client.command(&["load", "--input"]).arg(&archive.path))?;
    match &client {
        Client::Docker(docker) => {
            let layer = home.join("layer.tar");
            fs::write(&layer, images::names(Set::All))?;
            builds::docker(docker, &context, &layer)?;
        }
        Client::Podman(storage) => builds::buildah(storage, &context)?,
    }

    let version = text(client.command(&[
        "version",
        "--format",
        if engine == "docker" { "{{.Server.Version}}" } else { "{{.Client.Version}}" },
    ]))?;
    let version = version.trim().split('+').next().unwrap_or_default().to_owned();
    let fixture = output.join(format!("{engine}-{version}-{driver}"));
    fs::create_dir_all(fixture.join("save"))?;
    let listed = text(client.command(&["images", "--all", "--digests", "--no-trunc"]))?;
    fs::write(fixture.join("images.txt"), &listed)?;
    let ids = text(client.command(&["images", "--all", "--quiet", "--no-trunc"]))?;
    let mut inspect = client.command(&["image", "inspect"]);
    fs::write(fixture.join("inspect.json"), text(inspect.args(ids.lines()))?)?;
    for image in &archive.images {
        let name = image.tags.first().unwrap_or(&image.id);
        let (tar, unpacked) = (home.join("saved.tar"), home.join("saved"));
        run(client.command(&["save", "--output"]).arg(&tar).arg(name))?;
        archive::unpack(&tar, &unpacked)?;
        let listing = "tar -tvf \"$0\" --numeric-owner --full-time; \
                       cd \"$1\" && find . -type f -print0 | sort -z | xargs -0 sha256sum";
        let listing = text(program("sh", ["-c", listing]).arg(&tar).arg(&unpacked))?;
        fs::write(fixture.join("save").join(format!("{}.txt", name.replace(['/', ':'], "_"))), listing)?;
        run(program("rm", ["-rf", "--"]).arg(&unpacked).arg(&tar))?;
    }
    if let Client::Docker(docker) = client {
        docker.stop()?;
    }

    let flags = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--sort=name", "--xz", "-cf"];
    let mut tar = program("tar", flags);
    run(tar.arg(fixture.join("store.tar.xz")).arg("-C").arg(&root).arg("."))?;
    fs::write(fixture.join("README.md"), readme(engine, driver, &version))?;
    println!("{}", fixture.display());
    Ok(())
}

/// A README that says how the fixture was made.
fn readme(engine: &str, driver: &str, version: &str) -> String {
    format!(
        "# A data root of {engine} {version}, driver {driver}\n\n\
         `cargo xtask fixtures` made this with the engine itself: `{engine} load` of an archive whose\n\
         layers `xtask/src/interop/images.rs` writes byte for byte, then the builds of\n\
         `xtask/src/interop/builds.rs`. The store also holds a stopped container with its own layers.\n\n\
         ```sh\n\
         tar --xattrs --xattrs-include='*' --numeric-owner -xJf store.tar.xz    # as root\n\
         ```\n\n\
         `images.txt` is the output of `{engine} images --all --digests --no-trunc`, `inspect.json`\n\
         that of `{engine} image inspect`. Each file in `save/` lists an archive of `{engine} save`: its\n\
         entries, then the digest of each file.\n"
    )
}
