//! A configuration file between its text and its meaning: walked against the key table, with the line of every key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, KEYS, Key, Kind, Need};
use super::problem::{Problem, Problems, quote};
use super::raw::RawConfig;
use crate::finding::escape;

/// A walked file. Every check of the rooms beside this one reports to it.
pub(super) struct Document<'a> {
    text: &'a str,
    /// The directory that relative paths start from.
    base: PathBuf,
    /// The line of every key and section that the file has, by its shown path, well formed or not.
    lines: BTreeMap<String, usize>,
    /// The text is not TOML: a key may seem to be missing only because its line could not be read.
    torn: bool,
    problems: Vec<Problem>,
}

impl<'a> Document<'a> {
    /// Reads the text, reports what is not TOML, unknown, missing or of the wrong kind, and returns what is left.
    pub(super) fn read(text: &'a str, base: PathBuf) -> (Document<'a>, RawConfig) {
        let mut document = Document { text, base, lines: BTreeMap::new(), torn: false, problems: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            document.torn = true;
            let line = error.span().map(|span| document.line_at(span.start));
            let reason = escape(error.message().lines().next().unwrap_or("not TOML").as_bytes(), 200);
            document.push("file", line, reason, "Write it in TOML as `ctwarden config example` does.");
        }
        let mut kept = document.section(table.get_ref(), "", "");
        for key in KEYS.iter().filter(|key| !key.section().contains("[]")) {
            let misshapen = document.has(key.section()) && !kept.contains_key(key.section());
            if document.has(key.path) || misshapen {
                continue;
            }
            match key.need {
                Need::Required => document.missing(key.path, &write_it(key)),
                Need::Default(value) => insert(&mut kept, key, value),
                Need::Optional => {}
            }
        }
        let raw = RawConfig::deserialize(toml::Value::Table(kept)).unwrap_or_else(|error| {
            let reason = escape(error.to_string().as_bytes(), 200);
            document.push("file", None, reason, "Compare it with `ctwarden config example`.");
            RawConfig::default()
        });
        (document, raw)
    }

    /// Reports that a value is not acceptable. Returns `None`, so that a check can end with it.
    pub(super) fn refuse<T>(&mut self, key: &str, reason: impl Into<String>, remedy: impl Into<String>) -> Option<T> {
        // A key that is missing is reported where its section begins.
        let section = key.rsplit_once('.').map_or(key, |(section, _)| section);
        let line = self.lines.get(key).or_else(|| self.lines.get(section)).copied();
        self.push(key, line, reason, remedy);
        None
    }

    /// Reports that a key is missing, unless the file is too torn to tell. Returns nothing to use.
    pub(super) fn missing(&mut self, key: &str, remedy: &str) {
        if !self.torn {
            self.refuse::<()>(key, "is missing", remedy);
        }
    }

    /// Whether the file has this key or section, well formed or not.
    pub(super) fn has(&self, key: &str) -> bool {
        self.lines.contains_key(key)
    }

    /// A path of the file; a relative one starts from the directory of the file.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }

    /// Ends the reading: the meaning, or all problems in the order of their lines.
    pub(super) fn finish<T>(mut self, file: &Path, meaning: Option<T>) -> Result<T, Problems> {
        self.problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        match meaning {
            Some(meaning) if self.problems.is_empty() => Ok(meaning),
            _ => Err(Problems { file: file.to_path_buf(), list: self.problems }),
        }
    }

    fn push(&mut self, key: &str, line: Option<usize>, reason: impl Into<String>, remedy: impl Into<String>) {
        let (key, reason, remedy) = (key.to_string(), reason.into(), remedy.into());
        self.problems.push(Problem { key, reason, remedy, line });
    }

    fn line_at(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    /// Walks one table. `known` is its path in the key table, `shown` its path with the numbers of repeated sections.
    fn section(&mut self, table: &DeTable<'_>, known: &str, shown: &str) -> toml::Table {
        let mut kept = toml::Table::new();
        for (name, value) in table {
            let line = self.line_at(name.span().start);
            let (name, value) = (name.get_ref().as_ref(), value.get_ref());
            let (known, shown) = (join(known, name), join(shown, &escape(name.as_bytes(), 60)));
            self.lines.insert(shown.clone(), line);
            let repeated = format!("{known}[]");
            if let Some(key) = keys::find(&known) {
                if let Some(value) = self.value(key, &shown, value) {
                    kept.insert(name.to_string(), value);
                }
            } else if keys::is_section(&known) {
                match value {
                    DeValue::Table(inner) => {
                        let inner = self.section(inner, &known, &shown);
                        kept.insert(name.to_string(), toml::Value::Table(inner));
                    }
                    _ => drop(self.refuse::<()>(&shown, wrong(value, "a section"), format!("Write [{known}]."))),
                }
            } else if keys::is_section(&repeated) {
                match value {
                    DeValue::Array(list) if list.iter().all(|item| item.get_ref().is_table()) => {
                        let list = self.repeated(list.iter(), &repeated, &shown);
                        kept.insert(name.to_string(), list);
                    }
                    _ => {
                        let remedy = format!("Write [[{known}]] in double brackets, once for each.");
                        self.refuse::<()>(&shown, wrong(value, "a repeated section"), remedy);
                    }
                }
            } else {
                self.unknown(&known, &shown, name);
            }
        }
        kept
    }

    /// Walks the tables of a repeated section; `issuer[1]` is the first.
    fn repeated<'i>(
        &mut self,
        list: impl Iterator<Item = &'i Spanned<DeValue<'i>>>,
        known: &str,
        shown: &str,
    ) -> toml::Value {
        let mut kept = Vec::new();
        for (at, item) in list.enumerate() {
            let shown = format!("{shown}[{}]", at + 1);
            self.lines.insert(shown.clone(), self.line_at(item.span().start));
            let DeValue::Table(table) = item.get_ref() else { continue };
            let mut inner = self.section(table, known, &shown);
            for key in KEYS.iter().filter(|key| key.section() == known) {
                match key.need {
                    _ if self.has(&join(&shown, key.name())) => {}
                    Need::Required => {
                        self.missing(&join(&shown, key.name()), &write_it(key));
                    }
                    Need::Default(value) => insert(&mut inner, key, value),
                    Need::Optional => {}
                }
            }
            kept.push(toml::Value::Table(inner));
        }
        toml::Value::Array(kept)
    }

    /// A value that is what the key table says, or a problem.
    fn value(&mut self, key: &Key, shown: &str, value: &DeValue<'_>) -> Option<toml::Value> {
        let remedy = format!("Write for instance {}.", setting(key));
        match (key.kind, value) {
            (Kind::Boolean, DeValue::Boolean(boolean)) => return Some(toml::Value::Boolean(*boolean)),
            (Kind::Text | Kind::Word(_), DeValue::String(text)) => {
                return self.text(key, shown, text, &remedy).map(toml::Value::String);
            }
            (Kind::Integer(least, most), DeValue::Integer(number)) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                return match number.filter(|number| (least..=most).contains(number)) {
                    Some(number) => Some(toml::Value::Integer(number)),
                    None => self.refuse(shown, format!("is not between {least} and {most}"), remedy),
                };
            }
            (Kind::Texts | Kind::Words(_), DeValue::Array(list)) => {
                if list.is_empty() {
                    return self.refuse(shown, "is an empty list", remedy);
                }
                if let Some(odd) = list.iter().find(|item| !item.get_ref().is_str()) {
                    let reason = wrong(odd.get_ref(), "a string");
                    return self.refuse(shown, format!("has an item that {reason}"), remedy);
                }
                let texts = list.iter().filter_map(|item| item.get_ref().as_str());
                // Every item is checked before one failure spoils the list.
                let texts: Vec<_> = texts.map(|text| self.text(key, shown, text, &remedy)).collect();
                let texts: Option<Vec<String>> = texts.into_iter().collect();
                return texts.map(|texts| toml::Value::Array(texts.into_iter().map(toml::Value::String).collect()));
            }
            _ => {}
        }
        self.refuse(shown, wrong(value, key.kind.name()), remedy)
    }

    /// One string, which must not be empty and, where the key has a choice of words, must be one of them.
    fn text(&mut self, key: &Key, shown: &str, text: &str, remedy: &str) -> Option<String> {
        if text.trim().is_empty() {
            return self.refuse(shown, "is an empty string", remedy);
        }
        if let Kind::Word(words) | Kind::Words(words) = key.kind
            && !words.contains(&text)
        {
            let choice = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            let meant = keys::nearest(text, words.iter().copied()).map(|word| format!(" Did you mean \"{word}\"?"));
            let remedy = format!("Choose from {choice}.{}", meant.unwrap_or_default());
            return self.refuse(shown, format!("{} is not known", quote(text)), remedy);
        }
        Some(text.to_string())
    }

    fn unknown(&mut self, known: &str, shown: &str, name: &str) {
        let section = known.rsplit_once('.').map_or("", |(section, _)| section);
        let siblings = KEYS.iter().filter(|key| key.section() == section).map(Key::name);
        let elsewhere = KEYS.iter().find(|key| key.name() == name && !section.is_empty());
        let sections = KEYS.iter().map(Key::section).map(|section| section.trim_end_matches("[]"));
        let remedy = if let Some(key) = elsewhere {
            format!("Did you mean {} in {}?", key.name(), place(key))
        } else if let Some(near) = keys::nearest(name, siblings) {
            format!("Did you mean {near}?")
        } else if let Some(near) = keys::nearest(known, sections) {
            let repeated = KEYS.iter().any(|key| key.section() == format!("{near}[]"));
            format!("Did you mean {}?", if repeated { format!("[[{near}]]") } else { format!("[{near}]") })
        } else {
            "Remove it; `ctwarden config example` shows every key.".to_string()
        };
        self.refuse::<()>(shown, "is not a key of ctwarden", remedy);
    }
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_string() } else { format!("{section}.{name}") }
}

/// `list = "..."`: a key with its example.
fn setting(key: &Key) -> String {
    format!("{} = {}", key.name(), key.example)
}

/// The remedy of a missing key.
fn write_it(key: &Key) -> String {
    format!("Write {} in {}. {}", setting(key), place(key), key.doc)
}

/// The section of a key as it is written.
fn place(key: &Key) -> String {
    keys::header(key.section())
}

fn wrong(value: &DeValue<'_>, wanted: &str) -> String {
    let found = match value {
        DeValue::Array(_) => "a list".to_string(),
        DeValue::Table(_) => "a section".to_string(),
        DeValue::Integer(_) => "a number".to_string(),
        other => format!("a {}", other.type_str()),
    };
    format!("is {found}, not {wanted}")
}

/// Puts the default of a key where the key would stand.
fn insert(table: &mut toml::Table, key: &Key, value: &str) {
    let Ok(mut line) = toml::from_str::<toml::Table>(&format!("{} = {value}", key.name())) else { return };
    let Some(value) = line.remove(key.name()) else { return };
    let section = key.section();
    if section.is_empty() || section.ends_with("[]") {
        table.insert(key.name().to_string(), value);
        return;
    }
    let inner = table.entry(section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let toml::Value::Table(inner) = inner {
        inner.insert(key.name().to_string(), value);
    }
}
