//! Counts that do not depend on the machine: system calls, bytes read and written, files created.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::Outcome;
use crate::engines::process::program;

/// System calls per file of the image: open, read, close, and a share of what a layer and the run cost.
const CALLS_PER_FILE_LIMIT: f64 = 4.0;
/// Bytes read in addition to the contents of files: libraries, metadata of the store.
const EXTRA_BYTES_LIMIT: u64 = 8 << 20;

/// The counts of one `save` into a file.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) read: u64,
    pub(crate) written: u64,
    /// Files created, including the output.
    pub(crate) created: u64,
    /// Bytes of the output.
    pub(crate) output: u64,
    /// Regular files with content in the image.
    pub(crate) files: u64,
}

impl Counts {
    /// Runs the command under strace. `out` is the file that it writes.
    pub(crate) fn of(command: &[String], out: &Path, files: u64) -> Outcome<Self> {
        let log = out.with_extension("calls");
        let mut traced = program("strace", ["-f", "-qq", "-s", "0", "-o"]);
        traced.arg(&log).args(command).stdout(Stdio::null()).stderr(Stdio::null());
        if !traced.status()?.success() {
            return Err(format!("{} failed under strace", command.join(" ")).into());
        }
        let text = fs::read_to_string(&log)?;
        fs::remove_file(&log)?;
        let mut counts = Counts { output: fs::metadata(out)?.len(), files, ..Counts::default() };
        text.lines().for_each(|line| counts.add(line));
        Ok(counts)
    }

    /// Counts a line of strace: `PID name(arguments) = result`, or the rest of such a line after
    /// `<... name resumed>`.
    fn add(&mut self, line: &str) {
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        // How often threads wait for each other depends on the machine.
        if call.starts_with("futex(")
            || call.starts_with("sched_yield(")
            || call.starts_with("+++")
            || call.starts_with("---")
        {
            return;
        }
        let resumed = call.strip_prefix("<... ");
        if resumed.is_none() {
            self.calls += 1;
        }
        let name = resumed.unwrap_or(call).split(['(', ' ']).next().unwrap_or_default();
        let result =
            call.rsplit_once(" = ").and_then(|(_, result)| result.split(' ').next()?.parse::<u64>().ok());
        match (name, result) {
            ("read" | "pread64" | "readv" | "preadv" | "preadv2", Some(bytes)) => self.read += bytes,
            ("write" | "pwrite64" | "writev" | "pwritev" | "pwritev2", Some(bytes)) => self.written += bytes,
            ("copy_file_range" | "sendfile" | "splice", Some(bytes)) => {
                self.read += bytes;
                self.written += bytes;
            }
            _ => {}
        }
        if resumed.is_none() && (call.contains("O_CREAT") || call.contains("O_TMPFILE")) {
            self.created += 1;
        }
    }

    pub(crate) fn calls_per_file(&self) -> f64 {
        self.calls as f64 / self.files.max(1) as f64
    }

    /// Fails if a count exceeds its limit. `source` is how many bytes the contents have before they are
    /// compressed, headers included.
    pub(crate) fn check(&self, source: u64) -> Outcome {
        let Counts { read, written, created, output, .. } = *self;
        if self.calls_per_file() > CALLS_PER_FILE_LIMIT {
            let calls = self.calls_per_file();
            return Err(format!("{calls:.2} system calls per file exceed {CALLS_PER_FILE_LIMIT}").into());
        }
        // Fewer than in the output, since padding is a hole. More would mean that something is written twice.
        if written > output {
            return Err(format!("{written} bytes were written for an output of {output}").into());
        }
        if read > source + EXTRA_BYTES_LIMIT {
            return Err(format!("{read} bytes were read for contents of {source}").into());
        }
        if created != 1 {
            return Err(format!("{created} files were created, not only the output").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn lines_of_strace() {
        let mut counts = Counts::default();
        for line in [
            "12 openat(3, \"\"..., O_RDONLY) = 5",
            "12 read(5, \"\"..., 8192) = 100",
            "12 futex(0x1, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>",
            "13 pwrite64(4, \"\"..., 70, 512 <unfinished ...>",
            "12 read(5, \"\", 8192) = 0",
            "13 <... pwrite64 resumed>) = 70",
            "13 copy_file_range(5, NULL, 4, [512], 9, 0) = 9",
            "13 openat(AT_FDCWD, \"\"..., O_RDWR|O_CREAT|O_EXCL, 0600) = 4",
            "13 read(5, 0x7ff, 1) = -1 EAGAIN (Resource temporarily unavailable)",
            "13 +++ exited with 0 +++",
        ] {
            counts.add(line);
        }
        let Counts { calls, read, written, created, .. } = counts;
        assert_eq!((calls, read, written, created), (7, 109, 79, 1));
    }
}
