//! The small data root of a real Docker 1.8 in `docs/example`, loaded into a current engine.
//!
//! Images of Docker 1.8 have no config, so `docker load` computes one, and its digest is the id. layerlift
//! must arrive at the same id when it makes the config itself.

use std::collections::BTreeSet;

use super::report::Report;
use super::source::{Checks, Shape};
use super::{Engine, Options};
use crate::engines::docker::Docker;
use crate::engines::image::Image;
use crate::engines::process::{installed, program, run};
use crate::{Outcome, workspace};

/// Runs the checks.
pub(crate) fn run_all(options: &Options, checks: &Checks<'_>, report: &mut Report) -> Outcome {
    if !options.wants(Engine::Graph, "vfs") {
        return Ok(());
    }
    let name = "docker 1.8 vfs: docker load of docker-v1 and of docker-archive gives the same ids";
    if !installed("dockerd") || !installed("docker") {
        report.not_run(name, "docker is not installed");
        return Ok(());
    }
    let folder = checks.scratch.folder("g")?;
    let docker = match Docker::start(&folder.join("d"), &checks.scratch.folder("g/root")?, "vfs") {
        Ok(docker) => docker,
        Err(error) => {
            report.not_run(name, &error.to_string());
            return Ok(());
        }
    };
    let root = workspace::root().join("docs/example/docker-1.8");
    report.check(name, || {
        let mut loaded = Vec::new();
        for shape in [Shape::PLAIN[1], Shape::PLAIN[0]] {
            let tar = folder.join("saved.tar");
            run(checks.save(&root, shape).arg("--output").arg(&tar))?;
            run(docker.docker(["load", "--input"]).arg(&tar))?;
            loaded.push(docker.images()?.into_iter().collect::<BTreeSet<Image>>());
            docker.clear()?;
            run(program("rm", ["-f", "--"]).arg(&tar))?;
        }
        let tags = loaded[0].iter().flat_map(|image| &image.tags).count();
        if loaded[0] != loaded[1] || tags < 4 {
            return Err(format!("from docker-v1 {:?}, from docker-archive {:?}", loaded[0], loaded[1]).into());
        }
        Ok(())
    });
    docker.stop()
}
