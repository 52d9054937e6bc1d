//! Tables: their rows, and what their columns are called.

use super::Database;
use super::record::{self, Value};
use crate::Error;

/// The table that names all others, at the first page.
const SCHEMA: u32 = 1;
const LEAF: u8 = 13;
const INNER: u8 = 5;
/// The most levels of pages. Each level multiplies the number of rows.
const DEPTH: usize = 20;

/// A table of a database.
#[derive(Debug)]
pub(crate) struct Table<'d> {
    database: &'d Database,
    root: u32,
    columns: Vec<String>,
}

/// A row of a table.
#[derive(Debug)]
pub(crate) struct Row {
    record: Vec<u8>,
}

impl Database {
    /// The table of this name; `None` if the file does not have it.
    pub(crate) fn table(&self, name: &str) -> Result<Option<Table<'_>>, Error> {
        let schema = Table { database: self, root: SCHEMA, columns: Vec::new() };
        let mut unreadable = None;
        for row in schema.rows() {
            let row = match row {
                Ok(row) => row,
                // The table may be in another row.
                Err(error) => {
                    unreadable.get_or_insert(error);
                    continue;
                }
            };
            let values = row.values();
            let [Value::Bytes(b"table"), Value::Bytes(found), _, Value::Integer(root), Value::Bytes(sql)] =
                &*values
            else {
                continue;
            };
            if *found == name.as_bytes() {
                let root = u32::try_from(*root).map_err(|_| self.malformed("a table has no page"))?;
                let columns = columns(&String::from_utf8_lossy(sql));
                return Ok(Some(Table { database: self, root, columns }));
            }
        }
        unreadable.map_or(Ok(None), Err)
    }
}

impl Table<'_> {
    /// The index of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// All rows. A page that cannot be read is one error in place of all that it has.
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows {
            table: self,
            stack: vec![(self.root, 0)],
            pages: self.database.pages(),
            bytes: self.database.bytes.len(),
        }
    }

    /// What comes next in a page.
    fn next(&self, number: u32, index: usize) -> Option<Next> {
        let (page, header) = self.database.page(number)?;
        let kind = *page.get(header)?;
        let count = usize::from(u16_at(page, header + 3)?);
        let pointers = header + if kind == INNER { 12 } else { 8 };
        let cell = |index: usize| page.get(usize::from(u16_at(page, pointers + 2 * index)?)..);
        Some(match kind {
            LEAF if index < count => Next::Row(cell(index).and_then(|cell| self.row(cell))),
            INNER if index < count => Next::Page(u32_at(cell(index)?, 0)?),
            INNER if index == count => Next::Page(u32_at(page, header + 8)?),
            LEAF | INNER => Next::End,
            _ => return None,
        })
    }

    fn row(&self, cell: &[u8]) -> Option<Row> {
        let (len, first) = record::varint(cell)?;
        let (_, second) = record::varint(cell.get(first..)?)?;
        let cell = cell.get(first + second..)?;
        let len = usize::try_from(len).ok().filter(|len| *len <= self.database.bytes.len())?;
        let here = self.local(len);
        let mut record = cell.get(..here)?.to_vec();
        let mut next = if here < len { u32_at(cell, here)? } else { 0 };
        while record.len() < len {
            // Each page adds bytes, so a cycle ends.
            let (page, _) = self.database.page(next)?;
            next = u32_at(page, 0)?;
            let more = page.get(4..)?;
            record.extend_from_slice(&more[..more.len().min(len - record.len())]);
        }
        record::values(&record)?;
        Some(Row { record })
    }

    /// How many bytes of a record are in its leaf.
    fn local(&self, len: usize) -> usize {
        let usable = self.database.usable;
        if len <= usable - 35 {
            return len;
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let some = least + (len - least) % (usable - 4);
        if some <= usable - 35 { some } else { least }
    }
}

/// What follows in a page.
enum Next {
    /// A row; `None` if it cannot be read.
    Row(Option<Row>),
    /// A page below.
    Page(u32),
    End,
}

/// The rows of a table. More pages or rows than the file can hold are an error, so that a cycle ends.
#[derive(Debug)]
pub(crate) struct Rows<'t> {
    table: &'t Table<'t>,
    /// Pages with the index of what comes next.
    stack: Vec<(u32, usize)>,
    pages: usize,
    bytes: usize,
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, index) = self.stack.pop()?;
            match self.table.next(number, index) {
                None => return Some(self.error(&format!("page {number} cannot be read"))),
                Some(Next::End) => {}
                Some(Next::Page(below)) => {
                    self.stack.push((number, index + 1));
                    match self.pages.checked_sub(1) {
                        Some(left) if self.stack.len() < DEPTH => self.pages = left,
                        _ => {
                            self.stack.clear();
                            return Some(self.error("its pages form a circle"));
                        }
                    }
                    self.stack.push((below, 0));
                }
                Some(Next::Row(row)) => {
                    self.stack.push((number, index + 1));
                    let len = row.as_ref().map_or(0, |row| row.record.len());
                    match (row, self.bytes.checked_sub(len)) {
                        (_, None) => {
                            self.stack.clear();
                            return Some(self.error("its rows have more bytes than it has"));
                        }
                        (None, _) => {
                            return Some(self.error(&format!("a row in page {number} cannot be read")));
                        }
                        (Some(row), Some(left)) => {
                            self.bytes = left;
                            return Some(Ok(row));
                        }
                    }
                }
            }
        }
    }
}

impl Rows<'_> {
    fn error(&self, why: &str) -> Result<Row, Error> {
        Err(self.table.database.malformed(why))
    }
}

impl Row {
    fn values(&self) -> Vec<Value<'_>> {
        record::values(&self.record).unwrap_or_default()
    }

    /// The text or blob of a column.
    pub(crate) fn bytes(&self, column: usize) -> Option<&[u8]> {
        match self.values().get(column) {
            Some(Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// The same, if it is text.
    pub(crate) fn text(&self, column: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes(column)?).ok()
    }
}

/// The names of the columns in a CREATE statement: the first word of each part that is not a constraint.
fn columns(sql: &str) -> Vec<String> {
    const CONDITIONS: [&str; 5] = ["PRIMARY", "FOREIGN", "UNIQUE", "CHECK", "CONSTRAINT"];
    let inner = sql.split_once('(').map_or("", |(_, inner)| inner);
    let mut depth = 0usize;
    let parts = inner.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let words = parts.filter_map(|part| part.split_whitespace().next());
    let named = words.filter(|word| !CONDITIONS.iter().any(|condition| word.eq_ignore_ascii_case(condition)));
    named.map(|word| word.trim_matches(['"', '`', '[', ']']).to_owned()).collect()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns() {
        let sql = "CREATE TABLE ContainerConfig(\n ID TEXT PRIMARY KEY NOT NULL,\n PodID TEXT,\n \
                   \"JSON\" TEXT, FOREIGN KEY (ID) REFERENCES Other(ID, Name), CHECK (ID BETWEEN -1 AND 2))";
        assert_eq!(columns(sql), ["ID", "PodID", "JSON"]);
        assert!(columns("").is_empty());
    }
}
