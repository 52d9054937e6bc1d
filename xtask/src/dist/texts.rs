//! Man pages and completions, which the program writes itself.

use std::fs;
use std::path::PathBuf;

use xshell::cmd;

use super::build::program;
use super::fresh;
use crate::{Outcome, workspace};

/// The shells that the program writes completions for, and the file names that they look for.
const SHELLS: [(&str, &str); 4] = [
    ("bash", "layerlift.bash"),
    ("zsh", "_layerlift"),
    ("fish", "layerlift.fish"),
    ("elvish", "layerlift.elv"),
];

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

/// The commands that a help text lists.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|c| !c.is_empty())
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
