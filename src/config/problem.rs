//! What is wrong with a configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::finding::escape;

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key: `logs.list`, `issuer[2].certificate` (counted from 1), or `file`.
    pub key: String,
    /// What is wrong; no full stop. Text from the file is escaped.
    pub reason: String,
    /// What to do about it: a sentence.
    pub remedy: String,
    /// The line of the file, from 1; `None` when the key is not in the file.
    pub line: Option<usize>,
}

/// Everything that is wrong with one configuration file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub file: PathBuf,
    /// At least one problem.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    /// One problem a line: `FILE:LINE: key: reason. remedy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            let Problem { key, reason, remedy, line } = problem;
            let line = line.map_or(String::new(), |line| format!(":{line}"));
            let end = if at + 1 < self.list.len() { "\n" } else { "" };
            write!(f, "{}{line}: {key}: {reason}. {remedy}{end}", self.file.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A value of the file, quoted and made safe to print.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text.as_bytes(), 120))
}

/// The bytes of a regular file of at most `limit_bytes`, or why they cannot be had, in words.
pub(super) fn read_file(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let shown = path.display();
    let cannot = |error: std::io::Error| format!("{shown} cannot be read ({})", plain(&error));
    // A pipe or a device would block or never end, so the kind is asked before the file is opened.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(limit_bytes + 1).read_to_end(&mut bytes)).map_err(cannot)?;
    match bytes.len() as u64 {
        0 => Err(format!("{shown} is empty")),
        length if length > limit_bytes => Err(format!("{shown} is longer than {limit_bytes} bytes")),
        _ => Ok(bytes),
    }
}

/// The text of an I/O error without its number.
pub(super) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
