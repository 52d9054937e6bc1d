//! What a program needs of the libraries of the system where it runs, as readelf says.

use std::path::Path;

use xshell::{Shell, cmd};

use crate::Outcome;

/// The libraries that a program names, and the newest version of glibc that it asks for, as `2.34`.
pub(super) struct Needs {
    pub(super) libraries: Vec<String>,
    pub(super) glibc: Option<String>,
}

pub(super) fn needs(shell: &Shell, program: &Path) -> Outcome<Needs> {
    let dynamic = cmd!(shell, "readelf --wide --dynamic {program}").quiet().read()?;
    let versions = cmd!(shell, "readelf --wide --version-info {program}").quiet().read()?;
    Ok(Needs { libraries: libraries(&dynamic), glibc: newest(&versions) })
}

/// ` 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]`
fn libraries(dynamic: &str) -> Vec<String> {
    let lines = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| Some(line.split_once('[')?.1.trim_end_matches(']').to_owned())).collect()
}

/// `  0x0010:   Name: GLIBC_2.34  Flags: none  Version: 11`
fn newest(versions: &str) -> Option<String> {
    let names = versions.lines().filter_map(|line| line.split_once("Name: GLIBC_")?.1.split(' ').next());
    let numbers = |name: &str| name.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    names.max_by_key(|name| numbers(name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_readelf_prints() {
        let dynamic = "\n 0x1 (NEEDED)  Shared library: [libgcc_s.so.1]\n 0x1 (NEEDED)  Shared library: \
                       [libc.so.6]\n 0xc (INIT)  0x1000\n";
        assert_eq!(libraries(dynamic), ["libgcc_s.so.1", "libc.so.6"]);
        let versions = "  0x10:   Name: GLIBC_2.9  Flags: none  Version: 2\n  0x20:   Name: GCC_3.0  Flags: \
                        none  Version: 3\n  0x30:   Name: GLIBC_2.17  Flags: none  Version: 4\n";
        assert_eq!(newest(versions).as_deref(), Some("2.17"));
        assert_eq!(newest("No version information found in this file.\n"), None);
    }
}
