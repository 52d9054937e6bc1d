//! The image that is measured, in each kind of store.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Options;
use crate::Outcome;
use crate::engines::docker::Docker;
use crate::engines::process::{program, run, text};

/// Packages of Debian that fill a layer each, beside the base system.
const PACKAGES: &[&[&str]] = &[
    &["libreoffice-core", "libreoffice-common"],
    &["openjdk-17-jre-headless"],
    &["texlive-latex-base", "texlive-base", "texlive-latex-extra"],
    &["linux-headers-amd64", "linux-source-6.1"],
    &["golang-1.19-src", "golang-1.19-go"],
    &["libllvm14", "clang-14", "libclang-common-14-dev"],
    &["fonts-noto-cjk", "fonts-noto-core"],
    &["chromium", "firefox-esr"],
    &["python3-scipy", "python3-numpy", "python3-matplotlib"],
];

/// Where the image is.
pub(crate) struct Stores {
    pub(crate) docker: Docker,
    pub(crate) docker_root: PathBuf,
    pub(crate) image: String,
    /// The directories of its layers, with their files.
    pub(crate) layers: Vec<String>,
    pub(crate) files: u64,
    /// containers-storage: arguments that name it for skopeo, and its root.
    pub(crate) containers_root: PathBuf,
    pub(crate) containers_run: PathBuf,
    /// An OCI layout with gzip layers.
    pub(crate) layout: PathBuf,
}

pub(crate) fn prepare(options: &Options, folder: &Path) -> Outcome<Stores> {
    let root = options.root.clone().unwrap_or_else(|| folder.join("docker"));
    let docker = Docker::start(&folder.join("run"), &root, "overlay2")?;
    let image = match &options.image {
        Some(image) => image.clone(),
        None => build(options, folder, &docker)?,
    };
    let (containers_root, containers_run) = (folder.join("containers"), folder.join("containers-run"));
    let layout = folder.join("layout");
    let archive = folder.join("image.tar");
    println!("copying {image} to containers-storage and to an OCI layout");
    shell(&docker, &image, &archive)?;
    let storage = format!(
        "containers-storage:[overlay@{}+{}]{image}",
        containers_root.display(),
        containers_run.display()
    );
    let source = format!("docker-archive:{}", archive.display());
    copy(&source, &storage)?;
    copy(&source, &format!("oci:{}:{image}", layout.display()))?;
    fs::remove_file(&archive)?;
    let name = text(docker.docker(["image", "inspect", "-f", "{{json .GraphDriver.Data}}", &image]))?;
    let data: serde_json::Value = serde_json::from_str(&name)?;
    let dirs = [&data["UpperDir"], &data["LowerDir"]];
    let layers: Vec<String> = dirs
        .iter()
        .filter_map(|dir| dir.as_str())
        .flat_map(|dirs| dirs.split(':'))
        .map(str::to_owned)
        .collect();
    let mut find = program("find", &layers);
    let files = text(find.args(["-type", "f", "-size", "+0", "-printf", "x\\n"]))?.lines().count() as u64;
    println!("{image}: {} layers, {files} files", layers.len());
    Ok(Stores { docker, docker_root: root, image, layers, files, containers_root, containers_run, layout })
}

fn shell(docker: &Docker, image: &str, archive: &Path) -> Outcome {
    let mut save = docker.docker(["save", "-o", &archive.display().to_string(), image]);
    status(save.status()?.success(), "docker save")
}

fn copy(from: &str, to: &str) -> Outcome {
    let mut copy = program("skopeo", ["--insecure-policy", "copy", "-q", from, to]);
    status(copy.status()?.success(), "skopeo copy")
}

fn status(success: bool, what: &str) -> Outcome {
    if success { Ok(()) } else { Err(format!("{what} failed").into()) }
}

/// Makes the layers as tars, and has the daemon build the image.
fn build(options: &Options, folder: &Path, docker: &Docker) -> Outcome<String> {
    let context = folder.join("context");
    fs::create_dir_all(&context)?;
    let layers = if options.small { generated(&context)? } else { debian(folder, &context)? };
    let adds: String = layers.iter().map(|layer| format!("ADD {layer} /\n")).collect();
    fs::write(context.join("Dockerfile"), format!("FROM scratch\n{adds}"))?;
    let name = "bench/image:1";
    println!("building {name}: {} layers", layers.len());
    let mut build = docker.docker(["build", "-q", "-t", name, &context.display().to_string()]);
    status(build.status()?.success(), "docker build")?;
    fs::remove_dir_all(&context)?;
    Ok(name.to_owned())
}

/// Ten layers of 200 files with bytes that compress a little.
fn generated(context: &Path) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    let mut state = 1_u64;
    for layer in 0..10 {
        let dir = context.join(format!("layer{layer}"));
        for file in 0..200_usize {
            let path = dir.join(format!("d{}/f{file}", file % 7));
            fs::create_dir_all(path.parent().unwrap_or(&dir))?;
            let mut out = std::io::BufWriter::new(fs::File::create(path)?);
            for _ in 0..(file * file % 4_001) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                writeln!(out, "{:x}", state >> 40)?;
            }
        }
        names.push(pack(&dir, context)?);
    }
    Ok(names)
}

/// A base system, and groups of large packages, unpacked without their scripts.
fn debian(folder: &Path, context: &Path) -> Outcome<Vec<String>> {
    let base = folder.join("base");
    println!("debootstrap");
    let mut bootstrap = program("debootstrap", ["--variant=minbase", "bookworm"]);
    status(bootstrap.arg(&base).stdout(std::process::Stdio::null()).status()?.success(), "debootstrap")?;
    let mut names = vec![pack(&base, context)?];
    for (number, packages) in PACKAGES.iter().enumerate() {
        println!("packages: {}", packages.join(" "));
        let debs = folder.join("debs");
        let dir = folder.join(format!("packages{number}"));
        fs::create_dir_all(&debs)?;
        let mut download = program("apt-get", ["download", "-q"]);
        status(download.args(*packages).current_dir(&debs).status()?.success(), "apt-get download")?;
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
    let mut tar = program("tar", ["-cf"]);
    status(tar.arg(context.join(&name)).arg("-C").arg(dir).arg(".").status()?.success(), "tar")?;
    fs::remove_dir_all(dir)?;
    Ok(name)
}
