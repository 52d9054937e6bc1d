//! What a release ships: the program, man pages, completions and texts, in one archive per architecture.
//!
//! ```text
//! target/dist/layerlift-0.1.0-x86_64-linux.tar.gz
//!     layerlift-0.1.0-x86_64-linux/{layerlift,README.md,CHANGELOG.md,LICENSE-*,man/*.1,completions/*}
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::engines::tarball::{DIRECTORY, Dialect, FILE, Member, Tarball};
use crate::{Outcome, workspace};

/// The shells that the program writes completions for, and the file names that they look for.
const SHELLS: [(&str, &str); 4] = [
    ("bash", "layerlift.bash"),
    ("zsh", "_layerlift"),
    ("fish", "layerlift.fish"),
    ("elvish", "layerlift.elv"),
];

/// Texts that ship with the program.
const TEXTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Writes the man pages, one for the program and one for each command, and returns their folder.
pub(crate) fn man() -> Outcome<PathBuf> {
    let program = program()?;
    let shell = workspace::shell()?;
    let help = cmd!(shell, "{program} --help").quiet().read()?;
    let folder = fresh("man")?;
    let page = cmd!(shell, "{program} man").quiet().output()?.stdout;
    fs::write(folder.join("layerlift.1"), page)?;
    for command in commands(&help) {
        let page = cmd!(shell, "{program} man {command}").quiet().output()?.stdout;
        fs::write(folder.join(format!("layerlift-{command}.1")), page)?;
    }
    println!("{}", folder.display());
    Ok(folder)
}

/// Writes the completions and returns their folder.
pub(crate) fn completions() -> Outcome<PathBuf> {
    let program = program()?;
    let shell = workspace::shell()?;
    let folder = fresh("completions")?;
    for (name, file) in SHELLS {
        fs::write(folder.join(file), cmd!(shell, "{program} completions {name}").quiet().output()?.stdout)?;
    }
    println!("{}", folder.display());
    Ok(folder)
}

/// Builds the program in release mode.
pub(crate) fn program() -> Outcome<PathBuf> {
    let shell = workspace::shell()?;
    cmd!(shell, "cargo build --quiet --release --locked -p layerlift").quiet().run()?;
    Ok(workspace::target().join("release/layerlift"))
}

/// The commands that a help text lists.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|c| !c.is_empty())
}

/// Builds the archive.
pub(crate) fn run() -> Outcome {
    let shell = workspace::shell()?;
    let program = program()?;
    let (man, completions) = (man()?, completions()?);
    let name = format!(
        "layerlift-{}-{}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS
    );
    let folder = fresh(&name)?;
    shell.copy_file(program, &folder)?;
    for text in TEXTS {
        shell.copy_file(text, &folder)?;
    }
    for part in [man, completions] {
        let to = folder.join(part.file_name().unwrap_or_default());
        fs::create_dir(&to)?;
        for file in sorted(&part)? {
            shell.copy_file(file, &to)?;
        }
    }
    let archive = folder.with_file_name(format!("{name}.tar.gz"));
    fs::write(&archive, pack(&shell, &folder, &name, time(&shell)?)?)?;
    println!("{}", archive.display());
    Ok(())
}

/// The time of all files in the archive, in seconds since 1970, so that the same sources give the same bytes:
/// what `SOURCE_DATE_EPOCH` says, or the time of the last commit. Sources without git have the first second.
fn time(shell: &Shell) -> Outcome<i64> {
    if let Ok(time) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(time.parse().map_err(|error| format!("SOURCE_DATE_EPOCH is {time:?}: {error}"))?);
    }
    let log = cmd!(shell, "git log -1 --format=%ct").quiet().ignore_stderr().read();
    Ok(log.ok().and_then(|time| time.parse().ok()).unwrap_or(0))
}

/// Packs a folder as `name`. The bytes depend on contents, modes and `time` alone.
fn pack(shell: &Shell, folder: &Path, name: &str, time: i64) -> Outcome<Vec<u8>> {
    let mut tar = Tarball::new(Dialect::Pax);
    add(&mut tar, folder, name, time)?;
    Ok(cmd!(shell, "gzip -9n").stdin(tar.finish(1024)).quiet().output()?.stdout)
}

fn add(tar: &mut Tarball, path: &Path, name: &str, time: i64) -> Outcome {
    let metadata = fs::metadata(path)?;
    let (mtime, owner) = ((time, 0), ("root", "root"));
    if metadata.is_file() {
        let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        tar.add(&Member { mode, mtime, owner, data: &fs::read(path)?, ..Member::new(FILE, name) });
        return Ok(());
    }
    tar.add(&Member { mtime, owner, ..Member::new(DIRECTORY, &format!("{name}/")) });
    for below in sorted(path)? {
        let file = below.file_name().unwrap_or_default().to_string_lossy().into_owned();
        add(tar, &below, &format!("{name}/{file}"), time)?;
    }
    Ok(())
}

/// What is in a folder, sorted by name.
fn sorted(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut paths =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

/// An empty folder below `target/dist`.
fn fresh(name: &str) -> Outcome<PathBuf> {
    let folder = workspace::target().join("dist").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_depends_on_what_is_in_it() {
        let place = std::env::temp_dir().join(format!("layerlift-dist-{}", std::process::id()));
        let shell = workspace::shell().unwrap();
        let mut packed = Vec::new();
        for (round, files) in [["b", "a"], ["a", "b"]].into_iter().enumerate() {
            let folder = place.join(round.to_string());
            fs::create_dir_all(folder.join("man")).unwrap();
            for file in files {
                fs::write(folder.join("man").join(file), file).unwrap();
            }
            fs::write(folder.join("program"), "").unwrap();
            fs::set_permissions(folder.join("program"), fs::Permissions::from_mode(0o700)).unwrap();
            packed.push(pack(&shell, &folder, "x-1", 7).unwrap());
        }
        fs::remove_dir_all(&place).unwrap();
        assert!(packed[0] == packed[1]);
        let list = cmd!(shell, "tar --utc --full-time -tvzf -").stdin(&packed[0]).quiet().read().unwrap();
        let words = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {} {} {} {}", words[0], words[1], words[2], words[4], words[5])
        };
        assert_eq!(
            list.lines().map(words).collect::<Vec<_>>(),
            [
                "drwxr-xr-x root/root 0 00:00:07 x-1/",
                "drwxr-xr-x root/root 0 00:00:07 x-1/man/",
                "-rw-r--r-- root/root 1 00:00:07 x-1/man/a",
                "-rw-r--r-- root/root 1 00:00:07 x-1/man/b",
                "-rwxr-xr-x root/root 0 00:00:07 x-1/program",
            ]
        );
    }

    #[test]
    fn commands_of_a_help_text() {
        let help = "Export\n\nUsage: x\n\nCommands:\n  save    Write\n          more\n  images  List\n\n\
                    Options:\n  -h\n";
        assert_eq!(super::commands(help).collect::<Vec<_>>(), ["save", "images"]);
    }
}
