//! The image that is measured, in each kind of store.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Options;
use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::docker::Docker;
use crate::engines::process::{program, run, text};

/// Debian packages for the layers on top of the base system, one group for each layer.
const PACKAGES: [&[&str]; 9] = [
    &["libreoffice-core", "libreoffice-common", "vim-runtime", "emacs-common"],
    &["openjdk-17-jre-headless"],
    &["texlive-latex-base", "texlive-base", "texlive-latex-extra"],
    &["linux-source-6.1", "libboost1.74-dev"],
    &["golang-1.19-src", "golang-1.19-go"],
    &["libllvm14", "llvm-14-dev", "libclang-common-14-dev"],
    &["fonts-noto-cjk", "fonts-noto-core"],
    &["chromium", "firefox-esr"],
    &["python3-scipy", "python3-numpy", "python3-matplotlib", "python3-pandas"],
];

/// Where the image is.
pub(crate) struct Stores {
    pub(crate) docker: Docker,
    pub(crate) docker_root: PathBuf,
    pub(crate) image: String,
    /// The directories of its layers.
    pub(crate) layers: Vec<String>,
    /// Regular files with content in them.
    pub(crate) files: u64,
    pub(crate) containers: Storage,
    /// An OCI layout with gzip layers.
    pub(crate) layout: PathBuf,
    /// What `docker save` wrote.
    pub(crate) archive: PathBuf,
}

/// The name of the image that is made.
const NAME: &str = "bench/image:1";

pub(crate) fn prepare(options: &Options, scratch: &Path) -> Outcome<Stores> {
    let folder = options.keep.as_deref().unwrap_or(scratch);
    let docker_root = options.root.clone().unwrap_or_else(|| folder.join("docker"));
    let docker = Docker::start(&scratch.join("run"), &docker_root, "overlay2")?;
    let image = options.image.clone().unwrap_or_else(|| NAME.to_owned());
    if options.root.is_none() && run(docker.docker(["image", "inspect", &image])).is_err() {
        build(options, scratch, &docker)?;
    }
    let containers = Storage::new(&folder.join("s"), "overlay", None)?;
    let (layout, archive) = (folder.join("layout"), folder.join("image.tar"));
    // The layout is written last, so if it exists, everything does.
    if !layout.join("index.json").exists() {
        println!("copying {image} to containers-storage and to an OCI layout");
        run(docker.docker(["save", "-o"]).arg(&archive).arg(&image))?;
        let source = format!("docker-archive:{}", archive.display());
        for to in [containers.transport(&image), format!("oci:{}:{image}", layout.display())] {
            patient(program("skopeo", ["--insecure-policy", "copy", "-q", &source, &to]), "skopeo copy")?;
        }
    }
    let data = text(docker.docker(["image", "inspect", "-f", "{{json .GraphDriver.Data}}", &image]))?;
    let data: serde_json::Value = serde_json::from_str(&data)?;
    let folders = [&data["UpperDir"], &data["LowerDir"]].into_iter().filter_map(|value| value.as_str());
    let layers: Vec<String> = folders.flat_map(|folders| folders.split(':')).map(str::to_owned).collect();
    let mut find = program("find", &layers);
    let files = text(find.args(["-type", "f", "-size", "+0", "-printf", "x\\n"]))?.lines().count() as u64;
    println!("{image}: {} layers, {files} files", layers.len());
    Ok(Stores { docker, docker_root, image, layers, files, containers, layout, archive })
}

/// A command line as words.
pub(crate) fn words<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Vec<String> {
    words.into_iter().map(Into::into).collect()
}

/// Runs a command that may take long.
pub(crate) fn patient(mut command: std::process::Command, what: &str) -> Outcome {
    if command.status()?.success() { Ok(()) } else { Err(format!("{what} failed").into()) }
}

/// Makes the layers as tars, and lets the daemon build the image.
fn build(options: &Options, folder: &Path, docker: &Docker) -> Outcome {
    let context = folder.join("context");
    fs::create_dir_all(&context)?;
    let layers = if options.small { generated(&context)? } else { debian(folder, &context)? };
    let adds: String = layers.iter().map(|layer| format!("ADD {layer} /\n")).collect();
    fs::write(context.join("Dockerfile"), format!("FROM scratch\n{adds}"))?;
    println!("building {NAME}: {} layers", layers.len());
    let mut build = docker.docker(["build", "-q", "-t", NAME]);
    build.arg(&context).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    patient(build, "docker build")?;
    Ok(fs::remove_dir_all(&context)?)
}

/// Ten layers of 200 files with bytes that compress a little.
fn generated(context: &Path) -> Outcome<Vec<String>> {
    let mut noise = Noise(1);
    (0..10).map(|layer| noise.layer(&format!("layer{layer}"), 200, 4_000, context)).collect()
}

/// A generator of pseudo-random bytes.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    /// Makes a tar of `files` files with up to `lines` lines each in a folder, and returns its name.
    pub(crate) fn layer(&mut self, name: &str, files: usize, lines: usize, folder: &Path) -> Outcome<String> {
        let tree = folder.join(name);
        for file in 0..files {
            let path = tree.join(format!("d{}/{name}-{file}", file / 100));
            fs::create_dir_all(path.parent().unwrap_or(&tree))?;
            let mut out = std::io::BufWriter::new(fs::File::create(path)?);
            for _ in 0..=(file * file % lines) {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                writeln!(out, "{:x}", self.0 >> 40)?;
            }
        }
        pack(&tree, folder)
    }
}

/// A base system and the groups of packages, unpacked without running their scripts.
fn debian(folder: &Path, context: &Path) -> Outcome<Vec<String>> {
    let base = folder.join("base");
    println!("debootstrap");
    let mut bootstrap = program("debootstrap", ["--variant=minbase", "bookworm"]);
    bootstrap.arg(&base).stdout(std::process::Stdio::null());
    patient(bootstrap, "debootstrap")?;
    let mut names = vec![pack(&base, context)?];
    for (number, packages) in PACKAGES.iter().enumerate() {
        println!("packages: {}", packages.join(" "));
        let debs = folder.join("debs");
        let dir = folder.join(format!("packages{number}"));
        fs::create_dir_all(&debs)?;
        let mut download = program("apt-get", ["download", "-q"]);
        download.args(*packages).current_dir(&debs).stdout(std::process::Stdio::null());
        patient(download, "apt-get download")?;
        for deb in fs::read_dir(&debs)? {
            run(program("dpkg-deb", ["-x"]).arg(deb?.path()).arg(&dir))?;
        }
        fs::remove_dir_all(&debs)?;
        names.push(pack(&dir, context)?);
    }
    Ok(names)
}

/// Packs a directory and removes it.
fn pack(dir: &Path, context: &Path) -> Outcome<String> {
    let name = format!("{}.tar", dir.file_name().unwrap_or_default().display());
    run(program("tar", ["--sort=name", "-cf"]).arg(context.join(&name)).arg("-C").arg(dir).arg("."))?;
    fs::remove_dir_all(dir)?;
    Ok(name)
}
