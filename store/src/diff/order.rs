//! The order in which entries are written.

use super::records::{Id, ROOT, Records};

/// The two orders of Docker's tars. They differ in where `a-b` stands relative to `a/x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// `a/`, `a/x`, `a-b`: the names of a directory sorted, each followed by what is below it.
    Walk,
    /// `a/`, `a-b`, `a/x`: sorted by the bytes of whole paths.
    Paths,
}

/// An entry, or everything below it.
#[derive(Debug, Clone, Copy)]
struct Step {
    id: Id,
    below: bool,
}

impl Order {
    /// Calls `visit` with each entry that is written and its path, without a `/` at the end of a directory's.
    pub(super) fn visit<E>(
        self,
        records: &Records,
        mut visit: impl FnMut(Id, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit_all(records, |id, path| if records.is_unowned(id) { Ok(()) } else { visit(id, path) })
    }

    /// The same, with what is left out because of its owner.
    pub(super) fn visit_all<E>(
        self,
        records: &Records,
        mut visit: impl FnMut(Id, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut path: Vec<u8> = Vec::new();
        // For each directory on the way: its remaining steps, the next one last, and the length of its path.
        let mut stack = vec![(self.steps(records, ROOT), 0)];
        while let Some((steps, len)) = stack.last_mut() {
            path.truncate(*len);
            let Some(Step { id, below }) = steps.pop() else {
                stack.pop();
                continue;
            };
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(records.name(id));
            if below {
                let len = path.len();
                stack.push((self.steps(records, id), len));
            } else {
                visit(id, &path)?;
            }
        }
        Ok(())
    }

    /// The steps of a directory, last one first.
    fn steps(self, records: &Records, dir: Id) -> Vec<Step> {
        let mut steps = Vec::new();
        for id in records.children(dir).filter(|&id| records.get(id).written) {
            steps.push(Step { id, below: false });
            if !records.children(id).is_empty() {
                steps.push(Step { id, below: true });
            }
        }
        if self == Order::Paths {
            // Every path below `a` begins with `a/`, so all of them sort as one block, where `a/` would.
            let key = |step: &Step| (records.name(step.id), step.below);
            steps.sort_by(|a, b| {
                let ((a, a_below), (b, b_below)) = (key(a), key(b));
                let slash = |below: bool| below.then_some(&b'/');
                a.iter().chain(slash(a_below)).cmp(b.iter().chain(slash(b_below)))
            });
        }
        steps.reverse();
        steps
    }
}
