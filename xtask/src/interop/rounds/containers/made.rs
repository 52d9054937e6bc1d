//! Containers, and what they change.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Engine, Lab};
use crate::Outcome;
use crate::engines::process::{output, program, run, signal};
use crate::engines::tarball::{DIRECTORY, Dialect, FILE, HARD_LINK, Member, Tarball};
use crate::interop::builds;
use crate::interop::images::architecture;
use crate::interop::rounds::layout::{Layout, Packing};

/// The image of all containers. Its program is `/tool`.
pub(super) const BASE: &str = "rounds/base:1";

/// The containers: how each one ended is its name.
pub(super) const NAMES: [&str; 4] = ["stopped", "exited", "killed", "created"];

/// Run in a container's root directory, as `sh -euc CHANGES DIRECTORY`.
const CHANGES: &str = r#"
cd "$0"
echo new > new; chmod 4711 new; chown 1234:5678 new
mkdir -p deep/er; echo x > deep/er/x; chmod 1777 deep
rm etc/gone; rm -r tree
rm -r replaced; mkdir replaced; echo 2 > replaced/second
rm -r moves; mkdir moves; echo 3 > moves/third; mv moves moved
rm becomes-directory; mkdir becomes-directory; rm -r becomes-file; echo file > becomes-file
chmod 600 etc/mode; chown 2097152:7 etc/owner; echo more >> etc/kept
ln etc/kept etc/linked; ln new deep/linked
ln -s ../etc/kept deep/symbolic; ln -s "$(printf '%0120d' 1)" deep/long-link
mkfifo -m 640 fifo; mknod -m 666 null c 1 3
ln -P deep/symbolic deep/symbolic-too; ln fifo fifo-too; ln null null-too
echo long > "$(printf '%0200d' 7)"; echo dash > 'ü -'
truncate -s 1M sparse; printf x | dd of=sparse bs=1 seek=500000 conv=notrunc status=none
touch -d @-5 before; touch -d @9000000000 after
setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 deep/er/x
setfattr -n user.note -v text new || true
mkdir data/in; echo datum > data/in/file; chown 33:33 data/in; ln -s in data/link; mkfifo data/fifo
"#;

/// What these say once it was changed.
pub(super) const CHANGED: (&str, &str) = ("read:/etc/kept", "etc/kept\nmore\n");

/// What every container is made with.
const COMMON: &str = "--network none --label who=me --env 'A=two words'";

/// How the one that is only created is made, too.
const OPTIONS: &str = r#"--publish 8080:80 --publish 127.0.0.1:53:53/udp --expose 7000 --restart on-failure:3
    --memory 64m --pids-limit 99 --shm-size 1m --cap-add NET_ADMIN --cap-drop MKNOD --user 7:8 --group-add 9
    --device /dev/null:/dev/nothing:r --ulimit nofile=100:200 --workdir /etc --hostname box --read-only
    --entrypoint /tool --env B= --env "C=it's \$x" --label 'two=a "b" <c> & d' --volume /anonymous
    --tmpfs /scratch:size=1m --security-opt no-new-privileges --stop-signal SIGINT --stop-timeout 3
    --health-cmd 'true || false' --health-interval 7s"#;

/// Options of Docker that Podman refuses together with these, or records otherwise.
const OF_DOCKER: &str = "--add-host far:10.0.0.1 --dns 10.0.0.2 --sysctl net.ipv4.ip_forward=1 \
    --log-driver none --mount type=volume,source=data,destination=/again,readonly --cpu-shares 77 \
    --mount type=volume,target=/labelled,volume-label=q=r,volume-opt=type=tmpfs,volume-opt=device=tmpfs \
    --mount type=tmpfs,target=/small,tmpfs-size=4096,tmpfs-mode=1770 --publish 9 --init \
    --device-cgroup-rule 'c 1:* r' --group-add 10 --domainname example.org";

/// Makes the image in an archive for `docker load` and `podman load`.
pub(super) fn image(folder: &Path) -> Outcome<PathBuf> {
    let tool = fs::read(builds::tool(folder)?)?;
    let mut tar = Tarball::new(Dialect::Gnu);
    for name in ["data/", "etc/", "tree/", "tree/deep/", "replaced/", "moves/", "becomes-file/"] {
        tar.add(&Member::new(DIRECTORY, name));
    }
    tar.add(&Member { data: &tool, mode: 0o755, ..Member::new(FILE, "tool") });
    for name in [
        "etc/gone",
        "etc/mode",
        "etc/owner",
        "tree/deep/x",
        "replaced/first",
        "moves/first",
        "becomes-file/x",
    ] {
        tar.file(name, name.as_bytes());
    }
    tar.file("becomes-directory", b"").file("etc/kept", b"etc/kept\n");
    tar.add(&Member { link: b"etc/mode", ..Member::new(HARD_LINK, "etc/mode-linked") });
    let base = tar.finish(1024);
    let mut tar = Tarball::new(Dialect::Gnu);
    tar.add(&Member::new(DIRECTORY, "replaced/")).file("replaced/upper", b"upper");
    let upper = tar.finish(1024);
    let mut layout = Layout::new(&folder.join("layout"))?;
    layout.image(architecture(), &[(&base, Packing::Tar), (&upper, Packing::Tar)], &[BASE])?;
    let archive = folder.join("base.tar");
    layout.archive(&archive)?;
    Ok(archive)
}

/// Loads the image. Fails if the engine cannot run containers here.
pub(super) fn load(engine: &impl Engine, image: &Path) -> Outcome {
    run(engine.client(&["load", "--input"]).arg(image))?;
    run(engine.client(&["run", "--rm", "--network", "none", BASE, "/tool"]))
}

/// Makes volumes and containers, changes them, and ends all but one of them.
pub(super) fn make(lab: &Lab<'_>, engine: &impl Engine) -> Outcome {
    let [host, elsewhere] = ["host", "elsewhere"].map(|name| lab.home.join(name));
    for folder in [&host, &elsewhere] {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("file"), "of the host")?;
    }
    run(engine.client(&["volume", "create", "--label", "backup=yes", "data"]))?;
    run(engine.client(&["volume", "create", "unused"]))?;
    let device = format!("device={}", elsewhere.display());
    let bind = ["volume", "create", "--opt", "type=none", "--opt", "o=bind", "--opt", &device, "elsewhere"];
    run(engine.client(&bind))?;
    let (name, host) = (engine.name(), host.display());
    // Podman calls mount(8) for the volume, and the chroots do not have it.
    let (more, bound) = match name {
        "docker" => (OF_DOCKER, "--volume elsewhere:/elsewhere"),
        _ => ("", ""),
    };
    let options = OPTIONS.replace('\n', " ");
    for container in NAMES {
        let arguments = match container {
            "created" => format!("create --name {container} {COMMON} {options} {more} {BASE} exit:4"),
            "exited" => format!("run --name {container} {COMMON} {BASE} /tool exit:3"),
            _ => format!(
                "run -d --name {container} {COMMON} --volume data:/data --volume {host}:/host:ro \
                 {bound} {BASE} /tool sleep:600"
            ),
        };
        let ended = output(engine.shell(&format!("{name} {arguments}")))?;
        let expected = if container == "exited" { 3 } else { 0 };
        if ended.status.code() != Some(expected) {
            let said = String::from_utf8_lossy(&ended.stderr).trim().replace('\n', " | ");
            return Err(format!("{name} {container}: {}: {said}", ended.status).into());
        }
    }
    for container in ["stopped", "killed"] {
        let process = process(&engine.inspect(container)?)?;
        let root = PathBuf::from(format!("/proc/{process}/root"));
        // The second one finds the data of the first one in the volume.
        run(program("rm", ["-rf", "--"])
            .args(["in", "link", "fifo"].map(|name| root.join("data").join(name))))?;
        run(program("sh", ["-euc", CHANGES]).arg(&root))?;
        drop(UnixListener::bind(root.join("socket"))?);
    }
    run(engine.client(&["stop", "--time", "0", "stopped"]))
}

/// Kills the processes of a container and what watches it.
pub(super) fn kill(inspected: &Value) -> Outcome {
    let process = process(inspected)?;
    let watcher = match inspected["State"]["ConmonPid"].as_u64() {
        Some(conmon) => conmon,
        // containerd's shim is its parent.
        None => parent(process)?,
    };
    for process in [watcher, process] {
        signal("KILL", &process.to_string());
    }
    Ok(())
}

fn process(inspected: &Value) -> Outcome<u64> {
    let process = inspected["State"]["Pid"].as_u64().filter(|process| *process > 1);
    process.ok_or_else(|| format!("{} does not run", inspected["Name"]).into())
}

fn parent(process: u64) -> Outcome<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let parent = fields.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    parent.filter(|process| *process > 1).ok_or_else(|| format!("{process} has no parent").into())
}
