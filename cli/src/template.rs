//! `--format`: the part of Go's templates that people use with engines.
//!
//! ```text
//! {{.Repository}}:{{.Tag}}        fields
//! {{json .}}  {{.ID | json}}      all fields, or one, as JSON; lower and upper, too
//! {{"\t"}}                        text
//! table {{.ID}}\t{{.Size}}        columns under headings
//! json                            the same as {{json .}}
//! ```
//!
//! `\t` and `\n` are a tab and a line end, also outside of actions.

use serde_json::Value;

/// A template that is well-formed, for rows of known fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
    table: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A field, or all of them; and what is done with it.
    Value(Operand, Vec<Function>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operand {
    Field(String),
    All,
    Text(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Json,
    Lower,
    Upper,
}

impl Template {
    /// Reads a template for rows that have these fields.
    ///
    /// # Errors
    ///
    /// Says what is not understood, and what is.
    pub(crate) fn parse(text: &str, fields: &[&str]) -> Result<Self, String> {
        let text = if text == "json" { "{{json .}}" } else { text };
        let (table, text) = match text.strip_prefix("table") {
            Some("") => return Err("columns follow table: table {{.ID}}\\t{{.Size}}".to_owned()),
            Some(rest) if rest.starts_with([' ', '\\', '\t']) => (true, rest.trim_start_matches(' ')),
            _ => (false, text),
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut trim = false;
        while !rest.is_empty() {
            let (before, action) = match rest.split_once("{{") {
                Some((before, action)) => (before, Some(action)),
                None => (rest, None),
            };
            let mut literal = before.replace("\\t", "\t").replace("\\n", "\n");
            if trim {
                literal = literal.trim_start().to_owned();
            }
            let Some(action) = action else {
                pieces.push(Piece::Text(literal));
                break;
            };
            let (action, behind) = close(action).ok_or("a {{ in it has no }}")?;
            let action = match action.strip_prefix("- ") {
                Some(action) => {
                    literal.truncate(literal.trim_end().len());
                    action
                }
                None => action,
            };
            trim = action.ends_with(" -");
            let action = action.strip_suffix(" -").unwrap_or(action);
            if !literal.is_empty() {
                pieces.push(Piece::Text(literal));
            }
            pieces.push(read_action(action.trim(), fields)?);
            rest = behind;
        }
        Ok(Template { pieces, table })
    }

    /// Whether columns under headings are asked for.
    pub(crate) fn is_table(&self) -> bool {
        self.table
    }

    /// Whether a field is printed, by itself or among all.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Value(Operand::Field(name), _) => name == field,
            Piece::Value(Operand::All, _) => true,
            _ => false,
        })
    }

    /// The text of a row.
    pub(crate) fn render(&self, row: &[(&str, String)]) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Value(operand, functions) => {
                    let mut value = match operand {
                        Operand::Text(literal) => Value::from(&**literal),
                        Operand::Field(name) => {
                            let found = row.iter().find(|(field, _)| field == name);
                            Value::from(found.map_or("", |(_, value)| value))
                        }
                        Operand::All => {
                            let all =
                                row.iter().map(|(field, value)| ((*field).to_owned(), value.clone().into()));
                            Value::Object(all.collect())
                        }
                    };
                    for function in functions {
                        value = function.of(value);
                    }
                    match value {
                        Value::String(value) => text.push_str(&value),
                        other => text.push_str(&other.to_string()),
                    }
                }
            }
        }
        text
    }
}

impl Function {
    fn of(self, value: Value) -> Value {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Value::String(match self {
            Function::Json => value.to_string(),
            Function::Lower => text(&value).to_lowercase(),
            Function::Upper => text(&value).to_uppercase(),
        })
    }
}

/// An action and what follows it. A `}}` in a string does not close it.
fn close(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted && text[at..].starts_with("}}") => return Some((&text[..at], &text[at + 2..])),
            _ => {}
        }
    }
    None
}

fn read_action(action: &str, fields: &[&str]) -> Result<Piece, String> {
    let unknown = || {
        let understood = "fields, and json, lower and upper of them, are";
        let fields = fields.join(", .");
        format!("{{{{{action}}}}} is not understood: {understood}; the fields are .{fields}")
    };
    let mut functions = Vec::new();
    // A string is the whole action, so that a | in it is text.
    if let Ok(Value::String(text)) = serde_json::from_str(action) {
        return Ok(Piece::Value(Operand::Text(text), functions));
    }
    let mut commands = action.split('|').map(str::trim);
    let mut words: Vec<&str> = commands.next().unwrap_or_default().split_whitespace().collect();
    let operand = match words.pop().ok_or_else(unknown)? {
        "." => Operand::All,
        field => {
            let name = field.strip_prefix('.').filter(|name| fields.contains(name)).ok_or_else(unknown)?;
            Operand::Field(name.to_owned())
        }
    };
    if words.len() > 1 {
        return Err(unknown());
    }
    for word in words.into_iter().chain(commands) {
        functions.push(match word {
            "json" => Function::Json,
            "lower" => Function::Lower,
            "upper" => Function::Upper,
            _ => return Err(unknown()),
        });
    }
    if operand == Operand::All && functions.is_empty() {
        return Err(unknown());
    }
    Ok(Piece::Value(operand, functions))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[&str] = &["ID", "Repository", "Tag"];

    fn rendered(template: &str) -> Result<String, String> {
        let row = [("ID", "a\"b"), ("Repository", "Team/app"), ("Tag", "1")];
        let row = row.map(|(field, value)| (field, value.to_owned()));
        Template::parse(template, FIELDS).map(|template| template.render(&row))
    }

    #[test]
    fn what_people_write() {
        for (template, expected) in [
            ("{{.Repository}}:{{.Tag}}", "Team/app:1"),
            ("{{ .Repository }}\\t{{.Tag}}\\n", "Team/app\t1\n"),
            ("{{.Repository}}{{\"\\t\"}}{{.Tag}}", "Team/app\t1"),
            ("{{json .ID}} {{.ID | json}}", r#""a\"b" "a\"b""#),
            ("{{upper .Repository}} {{ .Repository | lower | json }}", "TEAM/APP \"team/app\""),
            ("json", r#"{"ID":"a\"b","Repository":"Team/app","Tag":"1"}"#),
            ("{{json .}}", r#"{"ID":"a\"b","Repository":"Team/app","Tag":"1"}"#),
            ("a  {{- .Tag -}}  b", "a1b"),
            ("{{\"}}\"}}x", "}}x"),
            ("tablet {{.Tag}}", "tablet 1"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(rendered(template).as_deref(), Ok(expected), "{template}");
        }
        let table = Template::parse("table {{.ID}}\\t{{.Tag}}", FIELDS).unwrap();
        assert!(table.is_table() && table.has("ID") && !table.has("Repository"));
        assert!(Template::parse("json", FIELDS).unwrap().has("Tag"));
    }

    #[test]
    fn what_is_not_understood() {
        for template in [
            "{{.Name}}",
            "{{.ID",
            "{{if .ID}}x{{end}}",
            "{{.}}",
            "{{}}",
            "{{title .ID}}",
            "{{json a .ID}}",
            "table",
        ] {
            assert!(rendered(template).is_err(), "{template}");
        }
        assert!(rendered("{{.Name}}").unwrap_err().ends_with("the fields are .ID, .Repository, .Tag"));
    }
}
