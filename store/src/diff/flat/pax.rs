//! What precedes the header of an entry: long names, and PAX records.

use crate::archive::sparse::Sparse;

/// What extended headers say of the entry that follows.
#[derive(Default)]
pub(super) struct Extended {
    /// Whether there was one.
    pub(super) any: bool,
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<i64>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Option<Sparse>,
    pub(super) sparse_name: Option<Vec<u8>>,
}

impl Extended {
    /// Applies the content of a header; false if it makes no sense.
    pub(super) fn take(&mut self, kind: u8, mut bytes: Vec<u8>) -> bool {
        match kind {
            // Records for all entries: Go does not apply them.
            b'g' => return true,
            b'L' | b'K' => {
                bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
                *(if kind == b'L' { &mut self.path } else { &mut self.link }) = Some(bytes);
            }
            _ => {
                let mut rest = &*bytes;
                while !rest.is_empty() {
                    let Some((key, value, behind)) = record(rest) else { return false };
                    rest = behind;
                    if !self.record(key, value) {
                        return false;
                    }
                }
            }
        }
        self.any = true;
        true
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> bool {
        let text = || str::from_utf8(value).ok();
        let integer = || text().and_then(|text| text.parse::<i64>().ok());
        match key {
            // An empty value leaves the header as it is.
            b"path" | b"linkpath" | b"size" | b"uid" | b"gid" | b"mtime" if value.is_empty() => {}
            b"path" | b"linkpath" if value.contains(&0) => return false,
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => {
                self.size = integer().and_then(|size| u64::try_from(size).ok());
                return self.size.is_some();
            }
            b"uid" => {
                self.uid = integer();
                return self.uid.is_some();
            }
            b"gid" => {
                self.gid = integer();
                return self.gid.is_some();
            }
            b"mtime" => {
                self.mtime = text().and_then(seconds);
                return self.mtime.is_some();
            }
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.").filter(|name| !name.is_empty()) {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse(key, value);
                }
            }
        }
        true
    }

    /// A record of a sparse entry.
    fn sparse(&mut self, key: &[u8], value: &[u8]) {
        let sparse = self.sparse.get_or_insert_default();
        match key {
            b"name" => self.sparse_name = Some(value.to_vec()),
            _ => sparse.take(key, value),
        }
    }
}

/// The first of several records, `LENGTH KEY=VALUE` and a new line: key, value, and what follows.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let len: usize = str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, behind) = bytes.split_at_checked(len)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = record.split_at(equals);
    (!key.is_empty()).then_some((key, &value[1..], behind))
}

/// Seconds of a time that may have a fraction; times before 1970 need not be exact, for no engine keeps them.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let record_of =
            |text: &[u8]| record(text).map(|(key, value, rest)| [key, value, rest].map(<[u8]>::to_vec));
        let parts = |key: &str, value: &str, rest: &str| {
            Some([key, value, rest].map(|part| part.as_bytes().to_vec()))
        };
        assert_eq!(record_of(b"7 a=bc\n9 x"), parts("a", "bc", "9 x"));
        // A capability may have any bytes.
        assert_eq!(record_of(b"8 a=\nb=\n"), parts("a", "\nb=", ""));
        for bad in
            [&b"6 a=bc\n"[..], b"8 a=bc\n", b"a=bc\n", b"7 =bcd\n", b"7 abcd\n", b"99 a=b\n", b"", b"2 "]
        {
            assert_eq!(record_of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn times() {
        for (text, expected) in
            [("5", Some(5)), ("5.9", Some(5)), ("-1.5", Some(-1)), ("x", None), ("1.x", None), ("", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
