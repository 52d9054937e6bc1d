//! What a release ships: the program, man pages, completions and texts, in one archive per architecture.
//!
//! ```text
//! target/dist/layerlift-0.1.0-x86_64-linux.tar.gz
//!     layerlift-0.1.0-x86_64-linux/{layerlift,README.md,CHANGELOG.md,LICENSE-*,man/*.1,completions/*}
//! ```

use std::fs;
use std::path::PathBuf;

use xshell::cmd;

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
    cmd!(shell, "cp -r {man} {completions} {folder}").quiet().run()?;
    let dist = workspace::target().join("dist");
    let archive = dist.join(format!("{name}.tar.gz"));
    let time = cmd!(shell, "git log -1 --format=%ct").quiet().read()?;
    let time = format!("--mtime=@{}", time.trim());
    let gzip = "--use-compress-program=gzip -9n";
    cmd!(
        shell,
        "tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX {time} {gzip} -cf {archive}
         -C {dist} {name}"
    )
    .quiet()
    .run()?;
    println!("{}", archive.display());
    Ok(())
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
    #[test]
    fn commands_of_a_help_text() {
        let help = "Export\n\nUsage: x\n\nCommands:\n  save    Write\n          more\n  images  List\n\n\
                    Options:\n  -h\n";
        assert_eq!(super::commands(help).collect::<Vec<_>>(), ["save", "images"]);
    }
}
