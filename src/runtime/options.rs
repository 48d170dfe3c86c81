//! The option registry: one table a noun, one row a key. A row checks values, gives the error
//! texts and the line of the reference page; keys never change meaning.

use super::{Error, Result};
use std::fmt::Write;

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// An integer within the two bounds.
    Int(i64, i64),
    /// A real within the two bounds.
    Real(f64, f64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Any text; the empty text stands for none.
    Text,
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Int(..) => "int",
            Type::Real(..) => "real",
            Type::Word(_) | Type::Text => "string",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Default {
    Int(i64),
    Real(f64),
    Text(&'static str),
    /// A result: read, never set.
    Result,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub key: &'static str,
    pub of: Type,
    pub default: Default,
    /// "" where the value has no unit.
    pub unit: &'static str,
    /// The methods (or kinds) that honour the key; empty: all of them.
    pub methods: &'static [&'static str],
    pub sentence: &'static str,
}

impl Row {
    pub fn is_result(&self) -> bool {
        matches!(self.default, Default::Result)
    }

    fn honoured_by(&self, method: &str) -> bool {
        self.methods.is_empty() || self.methods.contains(&method)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Int(i64),
    Real(f64),
    Text(String),
}

/// The values of one handle's options.
#[derive(Debug, Clone)]
pub struct Options {
    table: &'static [Row],
    method: &'static str,
    values: Vec<Value>,
    given: Vec<bool>,
}

impl Options {
    pub fn new(table: &'static [Row], method: &'static str) -> Self {
        let value = |row: &Row| match row.default {
            Default::Int(v) => Value::Int(v),
            Default::Real(v) => Value::Real(v),
            Default::Text(v) => Value::Text(v.to_string()),
            Default::Result => Value::Int(0),
        };
        Options { table, method, values: table.iter().map(value).collect(), given: vec![false; table.len()] }
    }

    fn settable(&self, key: &str) -> Result<usize> {
        let i = position(self.table, key, |row| !row.is_result())?;
        let row = &self.table[i];
        if !row.honoured_by(self.method) {
            return Err(Error::Key(format!(
                "option '{key}' is not used by '{}'; it is used by {}",
                self.method,
                row.methods.join(", ")
            )));
        }
        Ok(i)
    }

    /// Another default than the table's, for this method.
    pub fn preset(&mut self, key: &str, value: &str) {
        let i = self.index(key);
        self.values[i] = Value::Text(value.to_string());
    }

    fn store(&mut self, i: usize, value: Value) -> Result<()> {
        self.values[i] = value;
        self.given[i] = true;
        Ok(())
    }

    pub fn set_int(&mut self, key: &str, v: i64) -> Result<()> {
        let i = self.settable(key)?;
        match self.table[i].of {
            Type::Int(low, high) if (low..=high).contains(&v) => self.store(i, Value::Int(v)),
            Type::Int(..) => Err(out_of_range(&self.table[i], v)),
            Type::Real(..) => self.set_real(key, v as f64),
            _ => Err(wrong_type(&self.table[i], "an int")),
        }
    }

    pub fn set_real(&mut self, key: &str, v: f64) -> Result<()> {
        let i = self.settable(key)?;
        match self.table[i].of {
            Type::Real(low, high) if v >= low && v <= high => self.store(i, Value::Real(v)),
            Type::Real(..) if !v.is_finite() => Err(Error::NonFinite(format!("option '{key}' is {v}, must {}", range(&self.table[i])))),
            Type::Real(..) => Err(out_of_range(&self.table[i], v)),
            _ => Err(wrong_type(&self.table[i], "a real")),
        }
    }

    /// A word or text; a number in text goes to a numeric key, so that every option can come
    /// from a command line.
    pub fn set_string(&mut self, key: &str, v: &str) -> Result<()> {
        let i = self.settable(key)?;
        match self.table[i].of {
            Type::Text => self.store(i, Value::Text(v.to_string())),
            Type::Word(words) if words.contains(&v) => self.store(i, Value::Text(v.to_string())),
            Type::Word(_) => Err(out_of_range(&self.table[i], format!("'{v}'"))),
            Type::Int(..) => match v.parse::<i64>() {
                Ok(n) => self.set_int(key, n),
                Err(_) => Err(wrong_type(&self.table[i], &format!("'{v}'"))),
            },
            Type::Real(..) => match v.parse::<f64>() {
                Ok(x) => self.set_real(key, x),
                Err(_) => Err(wrong_type(&self.table[i], &format!("'{v}'"))),
            },
        }
    }

    /// `key=value` pairs between blanks or commas; a value with blanks stands in single quotes.
    /// Either all pairs are taken or none.
    pub fn set_all(&mut self, text: &str) -> Result<()> {
        let mut next = self.clone();
        for (key, value) in pairs(text)? {
            next.set_string(key, value)?;
        }
        *self = next;
        Ok(())
    }

    fn index(&self, key: &str) -> usize {
        self.table.iter().position(|row| row.key == key).expect("a key of the table")
    }

    /// The value of an integer key of the table.
    pub fn int(&self, key: &str) -> i64 {
        match self.values[self.index(key)] {
            Value::Int(v) => v,
            _ => unreachable!("'{key}' is no int"),
        }
    }

    pub fn count(&self, key: &str) -> usize {
        self.int(key) as usize
    }

    pub fn real(&self, key: &str) -> f64 {
        match self.values[self.index(key)] {
            Value::Real(v) => v,
            _ => unreachable!("'{key}' is no real"),
        }
    }

    pub fn text(&self, key: &str) -> &str {
        match &self.values[self.index(key)] {
            Value::Text(v) => v,
            _ => unreachable!("'{key}' is no text"),
        }
    }

    pub fn is_given(&self, key: &str) -> bool {
        self.given[self.index(key)]
    }

    /// The value behind a key that a user asks for by name.
    pub fn get(&self, key: &str) -> Result<&Value> {
        let i = position(self.table, key, |_| true)?;
        Ok(&self.values[i])
    }

    /// `key = value` lines of all options that the method honours, a star at those that were set.
    pub fn describe(&self, out: &mut String) {
        for (i, row) in self.table.iter().enumerate().filter(|(_, row)| !row.is_result() && row.honoured_by(self.method)) {
            let text = match &self.values[i] {
                Value::Int(v) => v.to_string(),
                Value::Real(v) if *v == f64::MAX => "none".to_string(),
                Value::Real(v) => format!("{v:e}"),
                Value::Text(v) if v.is_empty() => "none".to_string(),
                Value::Text(v) => v.clone(),
            };
            let _ = writeln!(out, "  {:<18} {}{}", row.key, text, if self.given[i] { " *" } else { "" });
        }
    }
}

fn range(row: &Row) -> String {
    match row.of {
        Type::Int(low, i64::MAX) => format!("be at least {low}"),
        Type::Int(low, high) => format!("lie in {low}..{high}"),
        Type::Real(low, high) if high == f64::MAX => format!("be a finite number from {low:?}"),
        Type::Real(low, high) => format!("lie in [{low:?}, {high:?}]"),
        Type::Word(words) => format!("be one of {}", words.join(", ")),
        Type::Text => "be text".to_string(),
    }
}

fn out_of_range(row: &Row, got: impl std::fmt::Display) -> Error {
    Error::Argument { name: row.key, got: got.to_string(), want: range(row) }
}

fn wrong_type(row: &Row, got: &str) -> Error {
    let article = if row.of.name() == "int" { "an" } else { "a" };
    Error::Key(format!("option '{}' takes {article} {}, not {got}", row.key, row.of.name()))
}

fn position(table: &[Row], key: &str, wanted: impl Fn(&Row) -> bool) -> Result<usize> {
    if let Some(i) = table.iter().position(|row| row.key == key && wanted(row)) {
        return Ok(i);
    }
    if table.iter().any(|row| row.key == key) {
        return Err(Error::Key(format!("'{key}' is a result and cannot be set")));
    }
    Err(unknown("option", key, table.iter().filter(|row| wanted(row)).map(|row| row.key)))
}

/// "unknown option 'restrt'; did you mean 'restart'?"
pub fn unknown(what: &str, got: &str, known: impl Iterator<Item = &'static str> + Clone) -> Error {
    let nearest = known.clone().map(|k| (distance(got, k), k)).min();
    match nearest {
        Some((d, k)) if d <= 1 + k.len() / 4 => Error::Key(format!("unknown {what} '{got}'; did you mean '{k}'?")),
        _ => Error::Key(format!("unknown {what} '{got}'; known: {}", known.collect::<Vec<_>>().join(", "))),
    }
}

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().collect());
    let mut d = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            d[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let differ = (a[i - 1] != b[j - 1]) as usize;
                let mut best = (d[i - 1][j] + 1).min(d[i][j - 1] + 1).min(d[i - 1][j - 1] + differ);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(d[i - 2][j - 2] + 1);
                }
                best
            };
        }
    }
    d[a.len()][b.len()]
}

/// Splits `key=value key='a b'`; the text's own slices, nothing copied.
pub fn pairs(text: &str) -> Result<Vec<(&str, &str)>> {
    let mut rest = text.trim_start_matches([' ', '\t', '\n', ',']);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let Some(eq) = rest.find('=') else {
            return Err(Error::Key(format!("'{rest}' is no option of the form key=value")));
        };
        let key = rest[..eq].trim();
        if key.is_empty() || key.contains([' ', '\t', '\n', ',']) {
            return Err(Error::Key(format!("'{key}' is no option of the form key=value")));
        }
        let after = rest[eq + 1..].trim_start();
        let (value, next) = match after.strip_prefix('\'') {
            Some(quoted) => match quoted.find('\'') {
                Some(end) => (&quoted[..end], &quoted[end + 1..]),
                None => return Err(Error::Key(format!("the value of '{key}' lacks its closing quote"))),
            },
            None => after.split_at(after.find([' ', '\t', '\n', ',']).unwrap_or(after.len())),
        };
        found.push((key, value));
        rest = next.trim_start_matches([' ', '\t', '\n', ',']);
    }
    Ok(found)
}

/// The reference page of one table in Markdown.
pub fn reference(title: &str, table: &[Row], out: &mut String) {
    let _ = writeln!(out, "## {title}\n");
    for results in [false, true] {
        if !table.iter().any(|row| row.is_result() == results) {
            continue;
        }
        let _ = if results {
            writeln!(out, "Results:\n\n| key | type | unit | used by | meaning |\n|---|---|---|---|---|")
        } else {
            writeln!(out, "| key | type | range | default | unit | used by | meaning |\n|---|---|---|---|---|---|---|")
        };
        for row in table.iter().filter(|row| row.is_result() == results) {
            let sentence = row.sentence.replace('|', "\\|");
            let methods = if row.methods.is_empty() { "all".to_string() } else { row.methods.join(", ") };
            let default = match row.default {
                Default::Int(v) => v.to_string(),
                Default::Real(v) => format!("{v:?}"),
                Default::Text("") => "none".to_string(),
                Default::Text(v) => v.to_string(),
                Default::Result => String::new(),
            };
            let _ = if results {
                writeln!(out, "| `{}` | {} | {} | {methods} | {} |", row.key, row.of.name(), row.unit, sentence)
            } else {
                writeln!(
                    out,
                    "| `{}` | {} | {} | {default} | {} | {methods} | {} |",
                    row.key,
                    row.of.name(),
                    range(row).trim_start_matches("be ").trim_start_matches("lie "),
                    row.unit,
                    sentence
                )
            };
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: &[Row] = &[
        Row { key: "restart", of: Type::Int(1, 100), default: Default::Int(30), unit: "", methods: &["gmres"], sentence: "s" },
        Row { key: "rtol", of: Type::Real(0.0, 1.0), default: Default::Real(1e-8), unit: "", methods: &[], sentence: "s" },
        Row { key: "side", of: Type::Word(&["left", "right"]), default: Default::Text("right"), unit: "", methods: &[], sentence: "s" },
        Row { key: "kind", of: Type::Text, default: Default::Text(""), unit: "", methods: &[], sentence: "s" },
        Row { key: "iterations", of: Type::Int(0, i64::MAX), default: Default::Result, unit: "", methods: &[], sentence: "s" },
    ];

    #[test]
    fn errors_say_what_was_wrong_and_leave_the_values() {
        let mut o = Options::new(TABLE, "cg");
        let text = |r: Result<()>| r.unwrap_err().to_string();
        assert_eq!(text(o.set_int("restrt", 3)), "unknown option 'restrt'; did you mean 'restart'?");
        assert_eq!(text(o.set_int("restart", 3)), "option 'restart' is not used by 'cg'; it is used by gmres");
        assert_eq!(text(o.set_real("rtol", 2.0)), "argument 'rtol' is 2, must lie in [0.0, 1.0]");
        assert_eq!(text(o.set_real("rtol", f64::NAN)), "option 'rtol' is NaN, must lie in [0.0, 1.0]");
        assert_eq!(text(o.set_string("side", "up")), "argument 'side' is 'up', must be one of left, right");
        assert_eq!(text(o.set_int("side", 1)), "option 'side' takes a string, not an int");
        assert_eq!(text(o.set_int("iterations", 1)), "'iterations' is a result and cannot be set");
        assert!(text(o.set_all("rtol=1e-3 side=up")).contains("'up'"));
        assert_eq!(o.real("rtol"), 1e-8, "a refused string changes nothing");
    }

    #[test]
    fn a_string_sets_every_type() {
        let mut o = Options::new(TABLE, "gmres");
        o.set_all("restart=40, rtol=1e-3\n side=left kind='ilu levels=2'").unwrap();
        assert_eq!((o.int("restart"), o.real("rtol"), o.text("side"), o.text("kind")), (40, 1e-3, "left", "ilu levels=2"));
        assert!(o.set_all("restart").is_err() && o.set_all("kind='x").is_err());
    }
}
