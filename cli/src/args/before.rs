//! What may also stand before the command, or in the environment: where the store is.

use std::env::var_os;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args as ClapArgs, CommandFactory, Error, FromArgMatches, ValueHint};
use layerlift_store::StoreKind;

use super::values::{kinds, root};
use super::{Args, Command, ImageCommand, PlaceArgs};

/// Options of the commands that read stores, for all of them.
#[derive(Debug, Default, ClapArgs)]
#[command(next_help_heading = "Store, also after the command")]
pub(crate) struct Before {
    /// Where the store is [env: LAYERLIFT_ROOT].
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = root())]
    root: Vec<PathBuf>,
    /// Only stores of this kind [env: LAYERLIFT_STORE].
    #[arg(long, value_name = "KIND", value_parser = kinds(), hide_possible_values = true)]
    store: Option<StoreKind>,
    /// Only images of this graph driver.
    #[arg(long, value_name = "DRIVER")]
    driver: Option<String>,
}

/// The environment, in the place of options that are not given.
struct Environment {
    root: Option<PathBuf>,
    store: Option<StoreKind>,
}

impl Args {
    /// Reads the command line and the environment.
    pub(crate) fn read() -> Result<Args, Error> {
        let matches = Args::command().try_get_matches()?;
        let mut args = Args::from_arg_matches(&matches)?;
        args.command = args.command.plain();
        args.place_before(&matches)?;
        Ok(args)
    }

    /// Gives the command what stands before it.
    fn place_before(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        let Before { root, store, driver } = std::mem::take(&mut self.before);
        let given = !root.is_empty() || store.is_some() || driver.is_some();
        let environment = Environment::read()?;
        let refuse = |text: String| Err(Args::command().error(ErrorKind::ArgumentConflict, text));
        let name = matches.subcommand_name().unwrap_or_default();
        let Some(place) = self.command.place() else {
            if let Command::Stores(stores) = &mut self.command
                && store.is_none()
                && driver.is_none()
                && root.len() <= 1
            {
                if stores.root.is_some() && given {
                    return refuse("--root stands before and after the command".to_owned());
                }
                let found = stores.root.take().or(root.into_iter().next());
                stores.root = found.or(environment.root);
                return Ok(());
            }
            return match given {
                true => refuse(format!("{name} does not take these options before its name")),
                false => Ok(()),
            };
        };
        for (twice, option) in [
            (!root.is_empty() && !place.root.is_empty(), "--root"),
            (store.is_some() && place.store.is_some(), "--store"),
            (driver.is_some() && place.driver.is_some(), "--driver"),
        ] {
            if twice {
                return refuse(format!("{option} stands before and after the command"));
            }
        }
        place.root.extend(root);
        place.store = place.store.or(store);
        place.driver = place.driver.take().or(driver);
        // Without --root, archives are checked by themselves.
        if !matches!(self.command, Command::Check(_))
            && let Some(place) = self.command.place()
        {
            if place.root.is_empty() {
                place.root.extend(environment.root);
            }
            place.store = place.store.or(environment.store);
        }
        Ok(())
    }
}

impl Environment {
    /// A variable that is empty is not set.
    fn read() -> Result<Self, Error> {
        let variable = |name| var_os(name).filter(|value| !value.is_empty());
        let store = variable("LAYERLIFT_STORE").map(|value| {
            let known = |kind: &StoreKind| value.to_str() == Some(kind.name());
            StoreKind::ALL.iter().copied().find(known).ok_or_else(|| {
                let names: Vec<&str> = StoreKind::ALL.iter().map(|kind| kind.name()).collect();
                let text = format!("LAYERLIFT_STORE is {value:?}, and must be one of {}", names.join(", "));
                Args::command().error(ErrorKind::InvalidValue, text)
            })
        });
        Ok(Environment { root: variable("LAYERLIFT_ROOT").map(PathBuf::from), store: store.transpose()? })
    }
}

impl Command {
    /// The command that a hidden spelling of it means.
    fn plain(self) -> Command {
        match self {
            Command::Image { command: ImageCommand::Ls(images) } => Command::Images(images),
            Command::Image { command: ImageCommand::Save(save) } => Command::Save(save),
            Command::Image { command: ImageCommand::Inspect(inspect) } => Command::Inspect(inspect),
            other => other,
        }
    }

    /// Where it looks for stores, if it does.
    fn place(&mut self) -> Option<&mut PlaceArgs> {
        match self {
            Command::Save(args) => Some(&mut args.store.place),
            Command::Push(args) => Some(&mut args.store.place),
            Command::Check(args) => Some(&mut args.place),
            Command::Images(args) => Some(&mut args.store.place),
            Command::Inspect(args) => Some(&mut args.store.place),
            Command::Verify(args) => Some(&mut args.store.place),
            Command::Containers(args) => Some(&mut args.place),
            Command::Rootfs(args) => Some(&mut args.store.place),
            Command::Volumes(args) => Some(&mut args.place),
            Command::Volume(args) => Some(&mut args.place),
            _ => None,
        }
    }
}
