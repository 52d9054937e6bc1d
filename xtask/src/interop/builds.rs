//! Images that an engine makes: built, imported, committed, pushed and pulled.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::docker::Docker;
use crate::engines::process::{program, run, text};
use crate::engines::registry::Registry;

/// A static program, so that an image from scratch can run it.
const TOOL: &str = r#"
fn main() {
    for task in std::env::args().skip(1) {
        let (what, path) = task.split_once(':').expect("TASK:PATH");
        match what {
            "remove" => std::fs::remove_file(path).or_else(|_| std::fs::remove_dir_all(path)),
            "create" => std::fs::create_dir(path),
            "write" => std::fs::write(path, path),
            "link" => std::fs::hard_link(path, format!("{path}-linked")),
            "read" => std::fs::read_to_string(path).map(|text| print!("{}", text)),
            "sleep" => Ok(std::thread::sleep(std::time::Duration::from_secs(path.parse().expect("SECONDS")))),
            "exit" => std::process::exit(path.parse().expect("STATUS")),
            _ => panic!("{}", what),
        }
        .expect(path);
    }
}
"#;

/// Deletes, replaces and links files in several steps. The engine makes the layers from what its driver
/// records.
const DOCKERFILE: &str = r#"FROM scratch
COPY tool /tool
COPY tree /
RUN ["/tool", "remove:/a/x", "remove:/b", "create:/b", "write:/b/new"]
RUN ["/tool", "link:/a/y", "remove:/c", "write:/c"]
ENV NAME="a value with \"quotes\" and <brackets>" OTHER=2
HEALTHCHECK CMD ["/tool"]
ONBUILD RUN ["/tool"]
VOLUME /data
LABEL org.example.of=interop
CMD ["/tool"]
"#;

/// Makes a build context in a folder.
pub(crate) fn context(folder: &Path) -> Outcome<PathBuf> {
    let context = folder.join("context");
    for place in ["tree/a", "tree/b/old", "tree/c/old"] {
        fs::create_dir_all(context.join(place))?;
    }
    for file in ["a/x", "a/y", "b/old/z", "c/old/z"] {
        fs::write(context.join("tree").join(file), file)?;
    }
    tool(&context)?;
    fs::write(context.join("Dockerfile"), DOCKERFILE)?;
    Ok(context)
}

/// Makes the static program in a folder. Without arguments, it does nothing and succeeds.
pub(crate) fn tool(folder: &Path) -> Outcome<PathBuf> {
    let (tool, source) = (folder.join("tool"), folder.join("tool.rs"));
    fs::write(&source, TOOL)?;
    let flags = ["-C", "target-feature=+crt-static", "-C", "opt-level=s", "-C", "strip=symbols", "-o"];
    run(program("rustc", flags).arg(&tool).arg(&source))?;
    fs::remove_file(source)?;
    Ok(tool)
}

/// Builds, imports and commits with a daemon.
pub(crate) fn docker(docker: &Docker, context: &Path, layer: &Path) -> Outcome {
    run(docker.docker(["build", "--quiet", "--network=none", "--tag", "interop/built:b1"]).arg(context))?;
    run(docker.docker(["import", "--change", "CMD [\"/bin/a\"]"]).arg(layer).arg("interop/imported:i1"))?;
    // The container stays, with layers that do not belong to an image.
    let container = text(docker.docker(["create", "--network=none", "interop/built:b1"]))?;
    let container = container.trim();
    run(docker.docker(["cp"]).arg(context.join("tree")).arg(format!("{container}:/added")))?;
    run(docker.docker(["commit", "--author", "somebody", container, "interop/committed:c1"]))?;
    run(docker.docker(["tag", "interop/shapes:1.0", "library-less"]))
}

/// Pushes an image, removes it, and pulls it by tag and by digest.
pub(crate) fn docker_registry(docker: &Docker, registry: &Registry) -> Outcome {
    let name = format!("{}/interop/built:pulled", registry.address());
    run(docker.docker(["tag", "interop/built:b1", &name]))?;
    run(docker.docker(["push", "--quiet", &name]))?;
    run(docker.docker(["rmi", "--force", "interop/built:b1", &name]))?;
    run(docker.docker(["pull", "--quiet", &name]))?;
    let digest = text(docker.docker(["image", "inspect", "--format", "{{index .RepoDigests 0}}", &name]))?;
    run(docker.docker(["pull", "--quiet", digest.trim()]))
}

/// Builds with podman, in Docker's format and in OCI's, and commits a working container of buildah.
pub(crate) fn buildah(storage: &Storage, context: &Path) -> Outcome {
    for (format, tag) in [("docker", "interop/built:docker"), ("oci", "interop/built:oci")] {
        let build =
            ["build", "--quiet", "--network=host", "--isolation=chroot", "--format", format, "--tag", tag];
        run(storage.podman(build).arg(context))?;
    }
    // The working container stays, with a layer that does not belong to an image.
    let container = text(storage.buildah(["from", "scratch"]))?;
    let container = container.trim();
    run(storage.buildah(["copy", "--quiet", container]).arg(context.join("tree")).arg("/added"))?;
    run(storage.buildah(["config", "--author", "somebody", "--cmd", "/bin/a", container]))?;
    run(storage.buildah(["commit", "--quiet", container, "interop/committed:c1"]))
}

/// Pushes an image and pulls it again, so that the store also keeps the registry's manifest.
pub(crate) fn podman_registry(storage: &Storage, registry: &Registry) -> Outcome {
    let name = format!("{}/interop/built:pulled", registry.address());
    run(storage.podman(["push", "--quiet", "--tls-verify=false", "interop/built:oci", &name]))?;
    run(storage.podman(["pull", "--quiet", "--tls-verify=false", &name]))
}
