//! The commands, one file each.

mod check;
mod containers;
mod images;
mod inspect;
mod join;
mod orphans;
mod push;
mod rootfs;
mod save;
mod stores;
mod verify;
mod volumes;

#[cfg(feature = "registry")]
pub(crate) use push::several;

use std::io;

use clap::CommandFactory;

use crate::args::{Args, Command, processors};
use crate::complete::script;
use crate::error::Error;
use crate::man::page;
use crate::output::print;
use crate::report::Reporter;
use crate::status::Status;
use crate::threads::limit_threads;

/// Runs a command.
pub(crate) fn run(command: Command, reporter: &Reporter) -> Result<Status, Error> {
    match command {
        Command::Save(args) => save::run(&args, reporter),
        Command::Push(args) => push::run(&args, reporter),
        Command::Join(args) => join::run(&args, reporter),
        Command::Check(args) => {
            limit_threads(processors());
            check::run(&args, reporter)
        }
        Command::Images(args) => {
            limit_threads(processors());
            images::run(&args, reporter)
        }
        Command::Inspect(args) => {
            limit_threads(processors());
            inspect::run(&args, reporter)
        }
        Command::Containers(args) => {
            limit_threads(processors());
            containers::run(&args, reporter)
        }
        Command::Volumes(args) => {
            limit_threads(processors());
            volumes::run(&args, reporter)
        }
        Command::Rootfs(args) => rootfs::run(&args, reporter),
        Command::Volume(args) => volumes::export(&args, reporter),
        Command::Verify(args) => verify::run(&args, reporter),
        Command::Stores(args) => stores::run(&args, reporter),
        Command::Image { .. } => Err(Error::NoCommand("image".to_owned())),
        Command::Help { command } => help(command.as_deref()),
        Command::Version => print(&Args::command().render_version()).map(|()| Status::Done),
        Command::Completions { shell } => print(&script(shell)).map(|()| Status::Done),
        Command::Man { command } => man(command.as_deref()),
    }
}

fn help(name: Option<&str>) -> Result<Status, Error> {
    print(&definition(name)?.render_long_help().to_string()).map(|()| Status::Done)
}

/// The definition of a command, or of the program.
fn definition(name: Option<&str>) -> Result<clap::Command, Error> {
    let mut program = Args::command();
    program.build();
    match name {
        None => Ok(program),
        Some(name) => program.find_subcommand(name).cloned().ok_or_else(|| Error::NoCommand(name.to_owned())),
    }
}

fn man(name: Option<&str>) -> Result<Status, Error> {
    print_bytes(&page(&definition(name)?, name.is_none()).map_err(Error::Stdout)?)
}

fn print_bytes(bytes: &[u8]) -> Result<Status, Error> {
    let mut out = io::stdout().lock();
    io::Write::write_all(&mut out, bytes).and_then(|()| io::Write::flush(&mut out)).map_err(Error::Stdout)?;
    Ok(Status::Done)
}
