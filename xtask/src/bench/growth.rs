//! How time grows with the number of layers, of images that share a base, and of files in one layer.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::Bench;
use super::image::{Noise, patient};
use super::measure::{clear, medians};
use crate::Outcome;
use crate::engines::tarball::{Dialect, Tarball};

/// One measurement.
pub(crate) struct Point {
    pub(crate) what: &'static str,
    /// The number of layers, images or files.
    pub(crate) number: usize,
    pub(crate) bytes: u64,
    pub(crate) millis: f64,
    pub(crate) peak_mib: f64,
}

/// Builds images with the benchmark's daemon, and saves them.
pub(crate) fn measure(bench: &Bench, folder: &Path, small: bool, million: bool) -> Outcome<Vec<Point>> {
    let context = folder.join("growth");
    fs::create_dir_all(&context)?;
    let mut points = Vec::new();
    let (files, images) = if small { (20, 10) } else { (400, 100) };
    let mut noise = Noise(99);
    let layers: Vec<String> = (0..8)
        .map(|layer| noise.layer(&format!("growth{layer}"), files, 16_000, &context))
        .collect::<Outcome<_>>()?;
    for number in [1, 2, 4, 8] {
        let adds: String = layers[..number].iter().map(|layer| format!("ADD {layer} /\n")).collect();
        let name = format!("growth/layers:{number}");
        build(bench, &context, &format!("FROM scratch\n{adds}"), &name)?;
        points.push(point(bench, "layers", number, &[name])?);
    }
    let own: Vec<String> = (0..images).map(|image| format!("growth/shared:{image}")).collect();
    for name in &own {
        let layer = noise.layer("own", 2, 100, &context)?;
        build(bench, &context, &format!("FROM growth/layers:8\nADD {layer} /\n"), name)?;
    }
    for number in [1, 10, 100] {
        if number <= images {
            points.push(point(bench, "images that share a base of eight layers", number, &own[..number])?);
        }
    }
    for number in if million { vec![10_000, 100_000, 1_000_000] } else { Vec::new() } {
        let mut out = fs::File::create(context.join("files.tar"))?;
        for folder in 0..number / 1_000 {
            let mut tar = Tarball::new(Dialect::Gnu);
            tar.directory(&format!("d{folder}"));
            for file in 0..1_000 {
                tar.file(&format!("d{folder}/f{file}"), file.to_string().as_bytes());
            }
            out.write_all(&tar.finish(0))?;
        }
        out.write_all(&[0; 1024])?;
        let name = format!("growth/files:{number}");
        build(bench, &context, "FROM scratch\nADD files.tar /\n", &name)?;
        points.push(point(bench, "files in one layer", number, &[name])?);
    }
    fs::remove_dir_all(&context)?;
    Ok(points)
}

/// Builds an image with the benchmark's daemon.
pub(crate) fn build(bench: &Bench, context: &Path, dockerfile: &str, name: &str) -> Outcome {
    fs::write(context.join("Dockerfile"), dockerfile)?;
    let mut build = bench.stores.docker.docker(["build", "-q", "-t", name]);
    build.arg(context).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    patient(build, "docker build")
}

fn point(bench: &Bench, what: &'static str, number: usize, names: &[String]) -> Outcome<Point> {
    println!("measuring: {number} {what}");
    let place = bench.memory();
    let out = place.out.display().to_string();
    let names = names.iter().map(String::as_str);
    let words: Vec<&str> = ["-o", &out].into_iter().chain(names).collect();
    let own = bench.save(&bench.stores.docker_root, &words);
    let mut runs = Vec::new();
    let mut bytes = 0;
    for round in 0..=bench.runs {
        let run = own.run(&place)?;
        bytes = fs::metadata(&place.out)?.len();
        clear(&place.out)?;
        // The first run warms the cache.
        if round > 0 {
            runs.push(run);
        }
    }
    let median = medians(&runs);
    Ok(Point {
        what,
        number,
        bytes,
        millis: median.wall.as_secs_f64() * 1e3,
        peak_mib: median.memory as f64 / f64::from(1 << 20),
    })
}
