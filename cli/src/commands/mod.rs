//! The commands, one file each.

mod containers;
mod images;
mod inspect;
mod save;
mod stores;
mod verify;

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use clap::CommandFactory;

use crate::args::{Args, Command, processors};
use crate::error::Error;
use crate::report::Reporter;
use crate::status::Status;

/// Limits the threads of all crates. Called before any store is read, so that listings obey it, too.
///
/// Rayon's pool is made of all its threads or fails for good, and its first use panics then. So the threads
/// are started first, and the pool is made of those that the system gives; of this one alone, if it gives
/// none (`prlimit --nproc`, a small `RLIMIT_AS`).
fn limit_threads(threads: NonZeroUsize) {
    let (sender, waiting) = mpsc::channel::<rayon::ThreadBuilder>();
    let waiting = Arc::new(Mutex::new(waiting));
    let start = |_: &usize| {
        let waiting = waiting.clone();
        let work = move || {
            let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
            if let Ok(thread) = next {
                thread.run();
            }
        };
        thread::Builder::new().spawn(work).is_ok()
    };
    let started = (0..threads.get()).take_while(start).count();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(started.max(1));
    // Only the first call in a process counts, and a command makes one.
    let _ = if started == 0 {
        pool.use_current_thread().build_global()
    } else {
        let hand_over = |thread| sender.send(thread).map_err(|_| io::ErrorKind::BrokenPipe.into());
        pool.spawn_handler(hand_over).build_global()
    };
}

/// Runs a command.
pub(crate) fn run(command: Command, reporter: &Reporter) -> Result<Status, Error> {
    match command {
        Command::Save(args) => save::run(&args, reporter),
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
        Command::Verify(args) => verify::run(&args, reporter),
        Command::Stores(args) => stores::run(&args),
        Command::Completions { shell } => completions(shell),
        Command::Man { command } => man(command.as_deref()),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Status, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "layerlift", &mut script);
    print_bytes(&script)
}

fn man(name: Option<&str>) -> Result<Status, Error> {
    let mut program = Args::command();
    program.build();
    let page = match name {
        None => program,
        Some(name) => program.find_subcommand(name).ok_or_else(|| Error::NoCommand(name.to_owned()))?.clone(),
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).map_err(Error::Stdout)?;
    print_bytes(&text)
}

fn print_bytes(bytes: &[u8]) -> Result<Status, Error> {
    let mut out = io::stdout().lock();
    io::Write::write_all(&mut out, bytes).and_then(|()| io::Write::flush(&mut out)).map_err(Error::Stdout)?;
    Ok(Status::Done)
}
