//! The package for Debian and its descendants: an ar of three members, which dpkg-deb is not needed for.
//!
//! ```text
//! debian-binary
//! control.tar.gz    ./control ./md5sums
//! data.tar.gz       ./usr/bin/layerlift ./usr/share/...
//! ```

use std::fs;

use xshell::{Shell, cmd};

use super::files::Files;
use super::target::Target;
use super::{DESCRIPTION, Release, SUMMARY, VERSION, elf, fresh, gzip};
use crate::engines::tarball::Dialect;
use crate::{Outcome, workspace};

/// Where the text of the MIT licence begins.
const PERMISSION: &str = "Permission is hereby granted";

/// `layerlift_0.1.0-1_amd64.deb`
pub(super) fn name(target: &Target) -> String {
    format!("layerlift_{VERSION}-1_{}.deb", target.deb)
}

pub(super) fn package(shell: &Shell, release: &Release<'_>) -> Outcome<Vec<u8>> {
    let folder = fresh("deb")?;
    let data = installed(shell, release)?;
    data.write(&folder)?;
    let needs = elf::needs(shell, &folder.join("usr/bin/layerlift"))?;
    let paths: Vec<&str> = data.iter().map(|(path, _)| path).collect();
    let here = shell.push_dir(&folder);
    let mut control = Files::default();
    control.add("md5sums", cmd!(shell, "md5sum -- {paths...}").quiet().output()?.stdout);
    drop(here);
    let size = data.iter().map(|(_, bytes)| bytes.len().div_ceil(1024)).sum();
    control.add("control", self::control(release.target, &maintainer(), &depends(&needs), size));
    fs::remove_dir_all(&folder)?;
    let tar = |files: &Files| gzip(shell, &files.tar(Dialect::Gnu, "./", release.time));
    Ok(ar(
        &[("debian-binary", b"2.0\n"), ("control.tar.gz", &tar(&control)?), ("data.tar.gz", &tar(&data)?)],
        release.time,
    ))
}

/// Where Debian's policy has each file.
fn installed(shell: &Shell, release: &Release<'_>) -> Outcome<Files> {
    let read = |name: &str| fs::read(workspace::root().join(name));
    let mut files = Files::of_any_system(shell, release, "vendor-completions")?;
    let doc = "usr/share/doc/layerlift";
    files.add(&format!("{doc}/README.md"), read("README.md")?);
    files.add(&format!("{doc}/THIRD-PARTY.txt.gz"), gzip(shell, release.licences.as_bytes())?);
    files.add(&format!("{doc}/changelog.gz"), gzip(shell, &read("CHANGELOG.md")?)?);
    let changes = changelog(&maintainer(), release.time)?;
    files.add(&format!("{doc}/changelog.Debian.gz"), gzip(shell, changes.as_bytes())?);
    files.add(&format!("{doc}/copyright"), copyright(&String::from_utf8(read("LICENSE-MIT")?)?));
    Ok(files)
}

/// Whom Debian's own tools would name, or the project.
pub(super) fn maintainer() -> String {
    let value = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let name = value("DEBFULLNAME", "The layerlift developers");
    format!("{name} <{}>", value("DEBEMAIL", "layerlift@packages.invalid"))
}

/// The Debian packages of what the program is linked with.
fn depends(needs: &elf::Needs) -> String {
    let package = |library: &String| match library.as_str() {
        "libgcc_s.so.1" => Some("libgcc-s1 (>= 4.2)".to_owned()),
        "libc.so.6" => Some(match &needs.glibc {
            Some(version) => format!("libc6 (>= {version})"),
            None => "libc6".to_owned(),
        }),
        _ => None,
    };
    let mut packages: Vec<String> = needs.libraries.iter().filter_map(package).collect();
    packages.sort();
    packages.join(", ")
}

fn control(target: &Target, maintainer: &str, depends: &str, size: usize) -> String {
    let depends = if depends.is_empty() { String::new() } else { format!("Depends: {depends}\n") };
    format!(
        "Package: layerlift\nVersion: {VERSION}-1\nArchitecture: {}\nMaintainer: {maintainer}\n\
         Installed-Size: {size}\n{depends}Section: admin\nPriority: optional\nDescription: {SUMMARY}\n{}",
        target.deb,
        DESCRIPTION.map(|line| format!(" {line}\n")).concat()
    )
}

fn changelog(maintainer: &str, time: i64) -> Outcome<String> {
    let date = jiff::Timestamp::from_second(time)?.strftime("%a, %d %b %Y %H:%M:%S +0000");
    Ok(format!(
        "layerlift ({VERSION}-1) unstable; urgency=medium\n\n  * Version {VERSION}: see changelog.gz.\n\n \
         -- {maintainer}  {date}\n"
    ))
}

/// The machine-readable form (DEP-5). Debian installs the text of Apache-2.0 itself.
fn copyright(mit: &str) -> String {
    let start = mit.find(PERMISSION).unwrap_or(0);
    let holder = mit.lines().find_map(|line| line.strip_prefix("Copyright (c) ")).unwrap_or_default();
    let indented = |line: &str| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") };
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: layerlift\nComment: THIRD-PARTY.txt.gz has the licences of what is linked in.\n\n\
         Files: *\nCopyright: {holder}\nLicense: Expat or Apache-2.0\n\n\
         License: Expat\n{}\nLicense: Apache-2.0\n \
         On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0.\n",
        mit[start..].trim_end().lines().map(indented).collect::<String>()
    )
}

/// The archive format of ar(1), in which dpkg reads packages.
fn ar(members: &[(&str, &[u8])], time: i64) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, data) in members {
        let head = format!("{name:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 100_644, data.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(data);
        if data.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_file() {
        let needs = elf::Needs {
            libraries: vec!["libgcc_s.so.1".into(), "libc.so.6".into(), "ld-linux-x86-64.so.2".into()],
            glibc: Some("2.34".into()),
        };
        let target = Target::find("aarch64-unknown-linux-gnu").unwrap();
        let control = control(&target, "Me <me@example.org>", &depends(&needs), 12);
        assert!(
            control.contains("\nArchitecture: arm64\nMaintainer: Me <me@example.org>\nInstalled-Size: 12\n")
        );
        assert!(control.contains("\nDepends: libc6 (>= 2.34), libgcc-s1 (>= 4.2)\nSection: admin\n"));
        assert!(control.lines().all(|line| line.len() <= 80), "{control}");
        assert!(control.ends_with(".\n"));
    }

    #[test]
    fn a_changelog_has_the_time_of_the_sources() {
        let text = changelog("Me <me@example.org>", 1_500_000_000).unwrap();
        assert!(text.ends_with("\n -- Me <me@example.org>  Fri, 14 Jul 2017 02:40:00 +0000\n"), "{text}");
    }

    #[test]
    fn a_copyright_file_has_the_licence_in_its_form() {
        let mit = fs::read_to_string(workspace::root().join("LICENSE-MIT")).unwrap();
        let text = copyright(&mit);
        assert!(text.contains("\nFiles: *\nCopyright: 2026 The layerlift developers\n"), "{text}");
        assert!(text.contains("\nLicense: Expat\n Permission is hereby granted"), "{text}");
        assert!(text.contains("\n .\n THE SOFTWARE IS PROVIDED"), "{text}");
    }

    #[test]
    fn an_archive_that_ar_reads() {
        let shell = workspace::shell().unwrap();
        let folder = std::env::temp_dir().join(format!("layerlift-ar-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("x.deb"), ar(&[("odd", b"1"), ("even", b"22")], 7)).unwrap();
        let archive = folder.join("x.deb");
        let list = cmd!(shell, "ar tvO {archive}").quiet().env("TZ", "UTC").read().unwrap();
        let odd = cmd!(shell, "ar p {archive} odd").quiet().read().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            list.lines().collect::<Vec<_>>(),
            [
                "rw-r--r-- 0/0      1 Jan  1 00:00 1970 odd 0x44",
                "rw-r--r-- 0/0      2 Jan  1 00:00 1970 even 0x82"
            ]
        );
        assert_eq!(odd, "1");
    }
}
