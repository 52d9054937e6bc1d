//! What both programs are asked for.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

/// One call of the program.
pub(crate) struct Request {
    /// Without the root and the output.
    pub(crate) arguments: Vec<String>,
    pub(crate) way: Way,
}

/// Where the output goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Printed,
    File,
    Folder,
}

const FORMATS: [&str; 3] = ["docker-archive", "docker-v1", "oci-archive"];

/// For each format: everything of a store, in every way that is a way of its own.
const EVERYTHING: [(&str, Way); 12] = [
    ("-j 1", Way::File),
    ("-j 4", Way::File),
    ("-j 1", Way::Printed),
    ("-j 4", Way::Printed),
    ("-j 1", Way::Folder),
    ("-j 4", Way::Folder),
    ("-j 4 --compress gzip", Way::File),
    ("-j 1 --compress zstd", Way::Printed),
    ("-j 4 --compress none", Way::File),
    ("-j 4 --archive-compress gzip", Way::Printed),
    ("-j 1 --archive-compress zstd:1", Way::File),
    ("-j 4 --compress zstd:1 --archive-compress gzip:1", Way::File),
];

impl Request {
    fn new(words: &str, way: Way) -> Self {
        Request { arguments: words.split(' ').map(str::to_owned).collect(), way }
    }

    fn of(words: &str, name: &str, way: Way) -> Self {
        let mut request = Request::new(words, way);
        request.arguments.push(name.to_owned());
        request
    }

    /// Whether the output is an OCI layout.
    pub(crate) fn writes_oci(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "oci-archive")
    }

    /// As one would type it.
    pub(crate) fn shown(&self, root: &Path) -> String {
        let output = match self.way {
            Way::Printed => "",
            Way::File => " -o out",
            Way::Folder => " -o out/",
        };
        format!("layerlift {} --root {}{output}", self.arguments.join(" "), root.display())
    }
}

/// All requests to a store of which `listed` is the answer of `images --json`.
pub(crate) fn all(listed: &Value, texts: bool) -> Vec<Request> {
    let mut requests = vec![Request::new("images --json", Way::Printed)];
    for format in FORMATS {
        for (words, way) in EVERYTHING {
            requests
                .push(Request::new(&format!("save -q --all --keep-going --format {format} {words}"), way));
        }
        requests.push(Request::new(&format!("save -q --all --format {format}"), Way::File));
    }
    for (number, name) in names(listed).iter().enumerate() {
        requests.push(Request::of("inspect", name, Way::Printed));
        for (offset, format) in FORMATS.into_iter().enumerate() {
            let way = [Way::File, Way::Printed, Way::Folder][(number + offset) % 3];
            requests.push(Request::of(&format!("save -q --format {format}"), name, way));
        }
        requests.push(Request::of("save -q --tags keep", name, Way::Printed));
    }
    if texts {
        for words in ["images", "images --no-trunc --digests", "save --all --keep-going --dry-run", "verify"]
        {
            requests.push(Request::new(words, Way::Printed));
        }
    }
    requests
}

/// References, ids, a shortened id, repositories without a tag, and two names that lead nowhere.
fn names(listed: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::from(["no/such:image".to_owned(), "UPPER case".to_owned()]);
    for image in listed.as_array().into_iter().flatten() {
        for reference in image["references"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            names.insert(reference.to_owned());
            let name = reference.split('@').next().unwrap_or_default();
            names.extend(name.rsplit_once(':').map(|(repository, _)| repository.to_owned()));
        }
        if let Some(id) = image["id"].as_str() {
            names.insert(id.to_owned());
            names.extend(id.get(..12).map(str::to_owned));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn every_name_is_asked_for() {
        let listed = json!([
            {"id": "0123456789abcdef", "references": ["a:1", "127.0.0.1:5/b@sha256:00"]},
            {"id": "short", "references": []},
        ]);
        let names = super::names(&listed);
        let expected = [
            "0123456789ab",
            "0123456789abcdef",
            "127.0.0.1",
            "127.0.0.1:5/b@sha256:00",
            "UPPER case",
            "a",
            "a:1",
            "no/such:image",
            "short",
        ];
        assert_eq!(names.iter().collect::<Vec<_>>(), expected);
        assert_eq!(super::all(&listed, false).len(), 1 + 3 * 13 + 9 * 5);
    }
}
