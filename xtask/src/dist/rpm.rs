//! The package for Fedora, RHEL, openSUSE and others, which rpmbuild makes. It finds out itself which
//! libraries the program needs.

use std::fs;

use xshell::{Shell, cmd};

use super::files::Files;
use super::target::Target;
use super::{DESCRIPTION, Release, SUMMARY, VERSION, fresh};
use crate::engines::process::installed;
use crate::{Outcome, workspace};

/// What makes the bytes depend on what is packed alone. Nothing is compressed or stripped on the way.
const MACROS: [&str; 9] = [
    "_buildhost layerlift",
    "use_source_date_epoch_as_buildtime 1",
    "clamp_mtime_to_source_date_epoch 1",
    "_build_id_links none",
    "debug_package %{nil}",
    "__os_install_post %{nil}",
    "_binary_payload w9.gzdio",
    "_source_filedigest_algorithm 8",
    "_binary_filedigest_algorithm 8",
];

/// `layerlift-0.1.0-1.x86_64.rpm`
pub(super) fn name(target: &Target) -> String {
    format!("layerlift-{VERSION}-1.{}.rpm", target.machine)
}

/// What is missing to make the package, if anything is.
pub(super) fn missing() -> Option<&'static str> {
    (!installed("rpmbuild")).then_some("rpmbuild is not installed (Debian: rpm, Fedora: rpm-build)")
}

pub(super) fn package(shell: &Shell, release: &Release<'_>) -> Outcome<Vec<u8>> {
    let folder = fresh("rpm")?;
    let files = files(shell, release)?;
    let staged = folder.join("staged");
    files.write(&staged)?;
    fs::write(folder.join("layerlift.spec"), spec(&files))?;
    let mut arguments = vec![format!("_topdir {}", folder.display()), format!("staged {}", staged.display())];
    arguments.extend(MACROS.map(str::to_owned));
    let defines = arguments.iter().flat_map(|value| ["--define", value]);
    let (spec, machine) = (folder.join("layerlift.spec"), release.target.machine);
    let built = cmd!(shell, "rpmbuild --quiet -bb --target {machine}-linux").args(defines).arg(spec);
    let output = built.env("SOURCE_DATE_EPOCH", release.time.to_string()).quiet().ignore_status().output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("rpmbuild: {}", said.trim_end()).into());
    }
    let package = fs::read(folder.join("RPMS").join(machine).join(name(release.target)))?;
    fs::remove_dir_all(&folder)?;
    Ok(package)
}

/// Where Fedora has each file.
fn files(shell: &Shell, release: &Release<'_>) -> Outcome<Files> {
    let read = |name: &str| fs::read(workspace::root().join(name));
    let mut files = Files::of_any_system(shell, release, "site-functions")?;
    for name in ["README.md", "CHANGELOG.md"] {
        files.add(&format!("usr/share/doc/layerlift/{name}"), read(name)?);
    }
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        files.add(&format!("usr/share/licenses/layerlift/{name}"), read(name)?);
    }
    files.add("usr/share/licenses/layerlift/THIRD-PARTY.txt", release.licences);
    Ok(files)
}

fn spec(files: &Files) -> String {
    let own = ["usr/share/doc/layerlift", "usr/share/licenses/layerlift"];
    let mut list: String = own.map(|folder| format!("%dir /{folder}\n")).concat();
    for (path, _) in files.iter() {
        let kind = match path {
            _ if path.starts_with("usr/share/licenses/") => "%license ",
            _ if path.starts_with("usr/share/doc/") || path.starts_with("usr/share/man/") => "%doc ",
            _ => "",
        };
        list += &format!("{kind}/{path}\n");
    }
    format!(
        "Name: layerlift\nVersion: {VERSION}\nRelease: 1\nSummary: {SUMMARY}\n\
         License: MIT OR Apache-2.0\n\n%description\n{}\n\n\
         %install\nmkdir -p %{{buildroot}}\ncp -a %{{staged}}/. %{{buildroot}}/\n\n\
         %files\n%defattr(-,root,root,-)\n{list}",
        DESCRIPTION.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_lists_every_file() {
        let mut files = Files::default();
        for path in
            ["usr/bin/layerlift", "usr/share/licenses/layerlift/X", "usr/share/man/man1/layerlift.1.gz"]
        {
            files.add(path, "");
        }
        let spec = spec(&files);
        let list = "\n/usr/bin/layerlift\n%license /usr/share/licenses/layerlift/X\n\
                    %doc /usr/share/man/man1/layerlift.1.gz\n";
        assert!(spec.ends_with(list), "{spec}");
    }
}
