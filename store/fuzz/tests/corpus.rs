//! Every target takes its whole corpus, and every input that has once been a finding.

use std::fs;
use std::path::Path;

use layerlift_fuzz::TARGETS;

#[test]
fn whole_corpus() {
    for target in TARGETS {
        let corpus = (target.corpus)();
        assert!(!corpus.is_empty(), "{}", target.name);
        for input in corpus {
            (target.run)(&input);
        }
    }
}

#[test]
fn earlier_findings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/fuzz");
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let target = TARGETS.iter().find(|target| name.starts_with(target.name));
        let target = target.unwrap_or_else(|| panic!("{name} does not begin with the name of a target"));
        (target.run)(&fs::read(&path).unwrap());
    }
}
