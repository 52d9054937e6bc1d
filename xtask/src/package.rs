//! What goes to crates.io: each crate with its licences and its README, without the stores that engines
//! wrote, and able to run its own unit tests.

use std::fs;

use xshell::cmd;

use crate::{Outcome, workspace};

/// Each package with its folder.
const PACKAGES: [(&str, &str); 4] = [
    ("layerlift-archive", "archive"),
    ("layerlift-store", "store"),
    ("layerlift-export", "export"),
    ("layerlift", "cli"),
];

/// Files of each package, whatever else it has.
const NEEDED: [&str; 4] = ["Cargo.toml", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// What a package may have of `tests/fixtures`: more would be a store.
const MOST_FIXTURES: u64 = 512 << 10;

/// Recipes of package managers in `xtask/packaging`, and what reads them without running them.
const RECIPES: [(&str, &[&str]); 3] = [
    ("PKGBUILD", &["bash", "-n"]),
    ("layerlift.rb", &["ruby", "-c"]),
    ("flake.nix", &["nix-instantiate", "--parse"]),
];

/// What is done with the packages.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Also unpack them, and run the unit tests of what is in them: some minutes
    #[arg(long)]
    test: bool,
}

pub(crate) fn run(options: &Options) -> Outcome {
    recipes()?;
    for (package, folder) in PACKAGES {
        check(package, folder)?;
    }
    if options.test { test() } else { Ok(()) }
}

fn manifest() -> Outcome<String> {
    Ok(fs::read_to_string(workspace::root().join("Cargo.toml"))?)
}

/// The version of all packages.
fn version(manifest: &str) -> &str {
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    version.unwrap_or_default().trim_matches('"')
}

/// Checks the recipes, as far as the tools are here.
fn recipes() -> Outcome {
    let shell = workspace::shell()?;
    let manifest = manifest()?;
    for (recipe, command) in RECIPES {
        let file = workspace::root().join("xtask/packaging").join(recipe);
        if !fs::read_to_string(&file)?.contains(version(&manifest)) {
            return Err(
                format!("xtask/packaging/{recipe} does not name version {}", version(&manifest)).into()
            );
        }
        let (tool, options) = (command[0], &command[1..]);
        if cmd!(shell, "{tool} --version").quiet().ignore_stderr().ignore_status().read().is_err() {
            println!("{recipe}: not checked, {tool} is not installed");
            continue;
        }
        cmd!(shell, "{tool} {options...} {file}").quiet().read()?;
    }
    Ok(())
}

/// Checks which files a package has.
fn check(package: &str, folder: &str) -> Outcome {
    let shell = workspace::shell()?;
    let listed = cmd!(shell, "cargo package --list --allow-dirty -p {package}").quiet().read()?;
    let files: Vec<&str> = listed.lines().collect();
    if let Some(missing) = NEEDED.iter().find(|name| !files.contains(name)) {
        return Err(format!("{package} would be published without {missing}: see include in {folder}").into());
    }
    let size =
        |file: &&str| fs::metadata(workspace::root().join(folder).join(file)).map_or(0, |file| file.len());
    let fixtures: u64 = files.iter().filter(|file| file.starts_with("tests/fixtures/")).map(size).sum();
    if fixtures > MOST_FIXTURES {
        let why = "the stores that engines wrote stay in the repository";
        return Err(format!("{package} would be published with {fixtures} bytes of fixtures: {why}").into());
    }
    println!("{package}: {} files, {} KiB of fixtures", files.len(), fixtures >> 10);
    Ok(())
}

/// Unpacks the packages beside each other and runs their unit tests there.
fn test() -> Outcome {
    let shell = workspace::shell()?;
    let packages: Vec<String> = PACKAGES.iter().map(|(package, _)| format!("--package={package}")).collect();
    cmd!(shell, "cargo package --quiet --no-verify --allow-dirty {packages...}").quiet().run()?;
    let from = workspace::target().join("package");
    let place = from.join("tested");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    let manifest = manifest()?;
    let version = version(&manifest);
    // Dependencies that are built already are taken if they are optimized in the same way.
    let profiles = manifest.find("[profile.").map_or("", |at| &manifest[at..]);
    let (mut members, mut patches) = (String::new(), String::new());
    for (package, _) in PACKAGES {
        let folder = format!("{package}-{version}");
        let archive = from.join(format!("{folder}.crate"));
        // With times of today: those in a package are always the same, and cargo would take what it built of
        // an earlier one.
        cmd!(shell, "tar -C {place} -xzmf {archive}").quiet().run()?;
        members += &format!("\"{folder}\", ");
        patches += &format!("{package} = {{ path = \"{folder}\" }}\n");
    }
    let workspace = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[patch.crates-io]\n{patches}\n{profiles}"
    );
    fs::write(place.join("Cargo.toml"), workspace)?;
    fs::copy(workspace::root().join("Cargo.lock"), place.join("Cargo.lock"))?;
    shell.change_dir(&place);
    let target = workspace::target();
    cmd!(shell, "cargo test --quiet --workspace --lib --bins").env("CARGO_TARGET_DIR", target).run()?;
    fs::remove_dir_all(&place)?;
    Ok(())
}
