//! Options of `docker create`, one container for each set. layerlift prints its command line from the store
//! of the running engine, and what the engine says of a second container that this line makes must be what it
//! says of the first.

use std::collections::HashSet;

use super::made::BASE;
use super::values::{difference, of_container};
use super::{Engine, Lab};
use crate::Outcome;
use crate::engines::process::{output, run, text};

/// Names of containers, and words for a shell; `IMAGE` is the image. Later ones refer to earlier ones. None
/// makes a network, which would change the machine's.
pub(super) const SETS: [(&str, &str); 32] = [
    (
        "env",
        r#"-e 'A=it'"'"'s "q" $x `y`' -e 'NL=a
b' -e 'U=grüße' -e EMPTY= -e 'B=\\back\' IMAGE /x"#,
    ),
    ("entry", "--entrypoint /bin/tool IMAGE a 'b c'"),
    ("noentry", "--entrypoint '' IMAGE /x"),
    ("dash", "IMAGE /x -- -v --name foo ''"),
    ("host", "--network host IMAGE /x"),
    ("of", "--network container:env --pid container:env --ipc container:env IMAGE /x"),
    (
        "ports",
        "-p 127.0.0.1:8080-8082:80-82 -p 9000:9000/udp -p 443 -p '[::1]:5000:5000' --expose 7000-7002 \
         IMAGE /x",
    ),
    ("all", "-P --expose 99/sctp IMAGE /x"),
    (
        "tmpfs",
        "--tmpfs /a --tmpfs /b:rw,noexec,size=64k --mount \
         type=tmpfs,destination=/c,tmpfs-size=1048576,tmpfs-mode=1770 IMAGE /x",
    ),
    (
        "mounts",
        "--mount type=volume,source=v1,destination=/d,volume-nocopy --mount \
         type=bind,source=/srv,destination=/e,bind-propagation=rslave,readonly -v /srv:/g:ro,rprivate -v \
         v3:/h:nocopy -v /anonymous IMAGE /x",
    ),
    ("from", "--volumes-from mounts:ro IMAGE /x"),
    ("driver", "-v v4:/data:ro --mount type=volume,source=v5,target=/l,volume-label=a=b IMAGE /x"),
    (
        "limits",
        "--ulimit nofile=10:20 --ulimit core=0 --memory 64m --memory-reservation 32m --memory-swap 128m \
         --cpus 1.5 --cpu-shares 512 --cpuset-cpus 0 --pids-limit 50 --oom-score-adj 5 IMAGE /x",
    ),
    (
        "quota",
        "--cpu-period 50000 --cpu-quota 25000 --device-read-bps /dev/null:1mb --device-write-iops \
         /dev/null:10 --shm-size 65537 IMAGE /x",
    ),
    (
        "caps",
        "--cap-add NET_ADMIN --cap-add SYS_TIME --cap-drop CHOWN --security-opt no-new-privileges \
         --security-opt label=disable --security-opt apparmor=unconfined --security-opt seccomp=unconfined \
         IMAGE /x",
    ),
    ("privileged", "--cap-drop ALL --privileged --security-opt systempaths=unconfined IMAGE /x"),
    ("devices", "--device /dev/null:/dev/n:r --device /dev/zero --device-cgroup-rule 'c 1:3 mr' IMAGE /x"),
    ("gpus", r#"--gpus '"device=0,1","capabilities=utility"' IMAGE /x"#),
    (
        "health",
        r#"--health-cmd 'curl -f "http://x" || exit 1' --health-interval 5s --health-timeout 1500ms
        --health-retries 3 --health-start-period 1m30s IMAGE /x"#,
    ),
    ("nohealth", "--no-healthcheck IMAGE /x"),
    (
        "log",
        "--log-driver json-file --log-opt max-size=10m --log-opt 'tag={{.Name}}/{{.ID}}' --restart \
         on-failure:3 IMAGE /x",
    ),
    (
        "restart",
        "--restart unless-stopped --stop-signal SIGUSR1 --stop-timeout 0 --user 1000:100 --workdir '/w o' \
         IMAGE /x",
    ),
    (
        "names",
        "--hostname box.example --domainname dom.example --add-host a:1.2.3.4 --add-host b:host-gateway \
         --dns 1.1.1.1 --dns-search x.y --dns-opt ndots:2 IMAGE /x",
    ),
    (
        "labels",
        r#"--label 'a=b=c' --label empty --label 'q="x" $y' --label 'nl=a
b' IMAGE /x"#,
    ),
    ("flags", "--init --read-only -i -t --rm IMAGE /x"),
    ("spaces", "--pid host --ipc shareable --uts host IMAGE /x"),
    ("users", "--userns host --ipc host IMAGE /x"),
    ("parent", "--ipc private --cgroup-parent /foo IMAGE /x"),
    ("groups", "--group-add 27 --group-add audio --sysctl net.core.somaxconn=1024 IMAGE /x"),
    ("nothing", "--network none --ipc none IMAGE /x"),
    ("mac", "--mac-address 02:42:ac:11:00:99 IMAGE /x"),
    ("annotated", "--annotation a=b IMAGE /x"),
];

/// Refusals that are due to the version of the engine: it has no such option.
pub(super) const TOO_OLD: &str = "requires API version";
/// How many sets every engine has to know.
const LEAST: usize = SETS.len() - 2;

/// Makes the containers, prints their lines, makes them again and compares.
pub(super) fn again(lab: &Lab<'_>, engine: &impl Engine) -> Outcome {
    let create = |arguments: &str| output(engine.shell(arguments));
    let mut made = Vec::new();
    for (name, set) in SETS {
        let set = set.replace("IMAGE", BASE).replace("\n        ", " ");
        let ended = create(&format!("docker create --name {name} {set}"))?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        match ended.status.success() {
            true => made.push(name),
            false if said.contains(TOO_OLD) => {}
            false => return Err(format!("{name}: {said}").into()),
        }
    }
    if made.len() < LEAST {
        return Err(format!("the engine knows only {made:?}").into());
    }
    for &name in &made {
        let line = text(lab.layerlift(&["containers", name, "--run"]))?;
        let option = format!("--name {name} ");
        if line.matches(&option).count() != 1 {
            return Err(format!("{name}: not one {option}in {line}").into());
        }
        let line = line.replace(&option, &format!("--name {name}-again "));
        run(engine.shell(&line.replace("docker run -d", "docker create")))
            .map_err(|error| format!("{name}: {line}: {error}"))?;
        let again = of_container(&engine.inspect(&format!("{name}-again"))?, "-again");
        if let Some(what) = difference(&again, &of_container(&engine.inspect(name)?, "")) {
            return Err(format!("{name}: {what}: {line}").into());
        }
    }
    listed(lab, engine)?;
    // What others refer to goes last.
    for name in made.iter().rev() {
        run(engine.client(&["rm", "--force", "--volumes", &format!("{name}-again"), name]))?;
    }
    Ok(())
}

/// The columns of the table, against `docker ps`.
fn listed(lab: &Lab<'_>, engine: &impl Engine) -> Outcome {
    let format = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.State}}\t{{.Names}}";
    let theirs = text(engine.client(&["ps", "--all", "--no-trunc", "--format", format]))?;
    // A command may have several lines.
    let rows = |table: &str| -> HashSet<String> { table.lines().map(str::to_owned).collect() };
    let ours: Vec<serde_json::Value> =
        serde_json::from_str(&text(lab.layerlift(&["containers", "--json"]))?)?;
    let row = |one: &serde_json::Value| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let words = one["command"].as_array().into_iter().flatten().filter_map(|word| word.as_str());
        // Docker quotes arguments, but not the program.
        let word = |(index, word): (usize, &str)| match index > 0 && word.contains(' ') {
            true => format!("'{word}'"),
            false => word.to_owned(),
        };
        let command = words.enumerate().map(word).collect::<Vec<_>>().join(" ");
        let name = one["names"][0].as_str().unwrap_or_default();
        let (id, image, state) = (text("id"), text("image"), text("state"));
        format!("{id}\t{image}\t{}\t{state}\t{name}", quoted(&command))
    };
    let ours: HashSet<String> = ours.iter().map(row).collect();
    let theirs = rows(&theirs);
    match theirs.symmetric_difference(&ours).next() {
        None => Ok(()),
        Some(row) => Err(format!("only one of docker ps and layerlift containers has {row:?}").into()),
    }
}

/// A command as `docker ps` quotes it.
fn quoted(command: &str) -> String {
    format!("\"{}\"", command.replace('\\', "\\\\").replace('"', "\\\""))
}
