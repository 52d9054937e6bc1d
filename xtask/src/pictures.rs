//! Pictures of what the program prints, from runs on the store in `docs/example`: `docs/pictures/*.svg`.
//! Their text has the reader's own colour scheme, so that they can be read on light and on dark pages.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use clap::Args;
use xshell::{Shell, cmd};

use crate::{Outcome, workspace};

/// Each picture, and the commands that it shows.
const PICTURES: [(&str, &[&str]); 3] = [
    ("images", &["images --root docs/example/docker-1.8"]),
    ("save", &["save --root docs/example/docker-1.8 base:latest -o base.tar", "images --root base.tar"]),
    ("verify", &["verify --root docs/example/docker-1.8"]),
];

/// Of a character.
const WIDTH: f32 = 8.5;
/// Of a line.
const HEIGHT: usize = 20;

#[derive(Args)]
pub(crate) struct Options {
    /// A program that is built already [default: builds one]
    #[arg(long)]
    program: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let shell = workspace::shell()?;
    let program = match &options.program {
        Some(program) => fs::canonicalize(program)?,
        None => {
            cmd!(shell, "cargo build --quiet -p layerlift").run()?;
            workspace::target().join("debug/layerlift")
        }
    };
    let folder = workspace::root().join("docs/pictures");
    fs::create_dir_all(&folder)?;
    let place = shell.create_temp_dir()?;
    let elsewhere = Shell::new()?;
    elsewhere.change_dir(place.path());
    let docs = workspace::root().join("docs");
    cmd!(elsewhere, "ln -s {docs} docs").quiet().run()?;
    for (name, commands) in PICTURES {
        let mut lines = Vec::new();
        for command in commands {
            lines.push((true, format!("layerlift {command}")));
            let words = command.split(' ');
            let ran = cmd!(elsewhere, "{program} {words...}").quiet().output()?;
            let printed = String::from_utf8([ran.stdout, ran.stderr].concat())?;
            lines.extend(printed.lines().map(|line| (false, line.to_owned())));
        }
        fs::write(folder.join(name).with_extension("svg"), picture(&lines))?;
    }
    Ok(())
}

/// Lines in a frame; of each, whether somebody typed it.
fn picture(lines: &[(bool, String)]) -> String {
    let columns = lines.iter().map(|(typed, line)| line.chars().count() + usize::from(*typed) * 2).max();
    let width = (columns.unwrap_or_default() as f32 * WIDTH) as usize + 32;
    let height = lines.len() * HEIGHT + 28;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\">\n\
         <style>\n\
         text {{ font: 14px ui-monospace, monospace; white-space: pre }}\ntext {{ fill: #1f2328 }}\n\
         .typed {{ font-weight: bold }} .mark {{ fill: #1a7f37 }}\n\
         rect {{ fill: #f6f8fa; stroke: #d1d9e0 }}\n@media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #f0f6fc }} .mark {{ fill: #3fb950 }}\nrect {{ fill: #151b23; stroke: #3d444d }}\n}}\n\
         </style>\n<rect x=\"1\" y=\"1\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
        width - 2,
        height - 2
    );
    for (at, (typed, line)) in lines.iter().enumerate() {
        let y = 28 + at * HEIGHT;
        let line = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = match typed {
            true => writeln!(
                svg,
                "<text x=\"16\" y=\"{y}\" class=\"typed\"><tspan class=\"mark\">$</tspan\n> {line}</text>"
            ),
            false => writeln!(svg, "<text\nx=\"16\" y=\"{y}\" xml:space=\"preserve\"\n>{line}</text>"),
        };
    }
    svg.push_str("</svg>\n");
    svg
}
