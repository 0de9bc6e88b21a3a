//! The audit of everything: every name of every certificate in the CA's record, judged by the evidence on which it rests.
//!
//! The tables are read once. What all need (certificates, orders, applicants, reuses) stays in memory, compact; names,
//! confirmations and CAA checks, for which there may be no room there, are divided into parts that hold together what
//! one registrable domain holds ([`key`]). Each part is judged by itself, on one of two threads or of several machines, and what it gave is kept when
//! it is done: a run that was killed goes on behind it. Every name goes through [`crate::evidence::sieve`]; what that does
//! not let pass goes through [`crate::evidence::run`] itself. `SCALE.md` says what that means for 100 million names.

mod facts;
mod found;
mod groups;
mod incident;
mod intern;
mod judge;
pub mod key;
mod load;
mod location;
mod parts;
mod report;
mod source;
mod spool;
mod table_file;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::evidence::Policy;
use crate::finding::escape;
use crate::issuance::IssuanceError;
use crate::lint::SuffixList;

pub use found::Found;
pub use groups::Group;
pub use parts::{NEEDED, asked, judge, merge};
pub use report::{Change, FindingsFormat, Report, compare, finish, run};
pub use source::{Source, TABLES};

/// The least memory that an audit works in, in bytes.
pub const LEAST_MEMORY: u64 = 32 << 20;

/// What is asked. Two outputs can be compared or merged only by what they asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Certificates that end before this are not looked at; also the moment as of which the record is read.
    pub unexpired_at: Timestamp,
    /// Certificates signed before this are not looked at.
    pub since: Option<Timestamp>,
    /// The rules that are asked about; all when empty.
    pub rules: Vec<String>,
}

/// The rules that an audit can judge: those on the evidence, and those of the cross-check that need no certificate.
pub fn rules() -> Vec<&'static str> {
    let of_order = ["order.hierarchy", "order.channel", "san.unexpected"];
    crate::evidence::RULES.iter().map(|rule| rule.id).chain(of_order).collect()
}

/// A share of the work: the parts with this remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which one, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

impl Share {
    /// All of it.
    pub const ALL: Share = Share { number: 1, of: 1 };

    /// `3/16`.
    ///
    /// # Errors
    /// When it is not such a share.
    pub fn parse(text: &str) -> Result<Share, String> {
        let wrong = || format!("not a share; write for instance 3/16, at most {}/{}", key::PARTS, key::PARTS);
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let share = Share { number: number.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        let sound = (1..=share.of).contains(&share.number) && share.of <= key::PARTS;
        if sound { Ok(share) } else { Err(wrong()) }
    }
    fn has(self, part: u32) -> bool {
        part % self.of == self.number - 1
    }
}

/// What an audit is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Copying rows of a database server.
    Copying,
    /// Reading rows of the source.
    Reading,
    /// Judging parts.
    Judging,
}

/// An audit.
pub struct Job<'a> {
    /// What is asked.
    pub question: &'a Question,
    /// The CA's own terms.
    pub policy: &'a Policy,
    /// The Public Suffix List by which names are judged. How the work is divided does not depend on it.
    pub suffixes: &'a SuffixList,
    /// Where the output goes, and the rows until they are judged.
    pub out: &'a Path,
    /// Which part of the work.
    pub share: Share,
    /// How much memory it may take, in bytes.
    pub memory: u64,
    /// On how many threads.
    pub threads: usize,
    /// Whether CAA checks are read; see [`Job::needs_caa`].
    pub with_caa: bool,
    /// Told how far it has come: stage, done, of how many.
    pub progress: &'a (dyn Fn(Stage, u64, u64) + Sync),
}

impl Job<'_> {
    /// Whether a question needs the CAA checks: the rules on validation alone do not.
    pub fn needs_caa(question: &Question) -> bool {
        question.rules.is_empty()
            || question.rules.iter().any(|rule| !["dcv.", "order.", "san."].iter().any(|room| rule.starts_with(room)))
    }
    fn asks(&self, rule: &str) -> bool {
        self.question.rules.is_empty() || self.question.rules.iter().any(|asked| asked == rule)
    }
    fn spill(&self, name: &str) -> PathBuf {
        self.out.join("spill").join(name)
    }
    /// The size of a block: four tables at once, two threads, and a buffer for each part.
    fn block_bytes(&self) -> usize {
        let buffers = 4 * self.threads as u64 * u64::from(key::PARTS + 1);
        (self.memory / 8 / buffers).clamp(512, 64 << 10) as usize
    }
    /// In how many rounds a part of so many bytes is judged beside so many that are in memory for good.
    fn rounds(&self, kept: u64, bytes: u64) -> u32 {
        let room = self.memory.saturating_sub(kept).max(self.memory / 8) / 2 / self.threads as u64;
        (bytes * 2).div_ceil(room.max(1)).clamp(1, 4096) as u32
    }
    fn fits(&self, facts: usize) -> Result<(), AuditError> {
        if facts as u64 <= self.memory {
            Ok(())
        } else {
            Err(AuditError::Memory { needed: facts as u64, limit: self.memory })
        }
    }
}

/// Why an audit could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file or directory cannot be read or written.
    #[error("{}: {source}: check that it exists, may be used, and that its disk has room", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {reason}: export it again", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why; escaped.
        reason: String,
    },
    /// The embedded database cannot be read.
    #[error(transparent)]
    Issuance(IssuanceError),
    /// The source has no rows of the tables that everything rests on.
    #[error(
        "the source has no table {0}: without it there is nothing to audit; export it too, or write its text in [issuance.queries]"
    )]
    NoTable(&'static str),
    /// Rows that cannot be what they should be: nothing was judged.
    #[error("{count} row{} refused, nothing was judged:\n{}", if *count == 1 { "" } else { "s" }, rows.join("\n"))]
    Refused {
        /// What is wrong, the first hundred.
        rows: Vec<String>,
        /// How many there are.
        count: usize,
    },
    /// Certificates, orders and reuses do not fit into memory.
    #[error("certificates, orders and reuses alone take {} MiB, the limit is {} MiB: raise --memory, or ask about fewer certificates with --since", needed >> 20, limit >> 20)]
    Memory {
        /// How much they take so far.
        needed: u64,
        /// How much they may.
        limit: u64,
    },
    /// The output of something else is there.
    #[error("{}: {reason}", path.display())]
    Output {
        /// Which.
        path: PathBuf,
        /// What it is and what to do; escaped.
        reason: String,
    },
    /// A thread ended without an answer.
    #[error("a thread of the audit stopped; start it again, it goes on behind the parts that are done")]
    Stopped,
}

fn file_fault(path: &Path) -> impl Fn(std::io::Error) -> AuditError {
    let path = path.to_path_buf();
    move |source| AuditError::File { path: path.clone(), source }
}

/// Takes a file away that need not be there.
fn remove(path: &Path) -> Result<(), AuditError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file_fault(path)(error)),
        _ => Ok(()),
    }
}

/// Reads a JSON file that an audit wrote.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, AuditError> {
    let bytes = std::fs::read(path).map_err(file_fault(path))?;
    serde_json::from_slice(&bytes).map_err(|error| AuditError::Output {
        path: path.to_path_buf(),
        reason: format!(
            "not what an audit writes ({}): remove the directory",
            escape(error.to_string().as_bytes(), 200)
        ),
    })
}

/// Writes a file so that it is whole or not there; `durable`: also when the machine loses its power.
fn write_whole(
    path: &Path,
    durable: bool,
    write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> Result<(), AuditError> {
    use std::io::Write;
    let fault = file_fault(path);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut out = create(&new)?;
    write(&mut out).and_then(|()| out.flush()).map_err(&fault)?;
    if durable {
        out.get_ref().sync_data().map_err(&fault)?;
    }
    std::fs::rename(&new, path).map_err(&fault)
}

/// A new file, or an old one emptied.
fn create(path: &Path) -> Result<std::io::BufWriter<std::fs::File>, AuditError> {
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    // The record names customers and staff.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(std::io::BufWriter::with_capacity(1 << 17, options.open(path).map_err(file_fault(path))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_taken_away_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, other) = (directory.path().join("findings.csv"), directory.path().join("incident.csv"));
        std::fs::write(&file, "of an earlier run").expect("written");
        remove(&file).expect("taken away");
        assert!(!file.exists());
        remove(&file).expect("there is none");
        std::fs::create_dir(&other).expect("made");
        let told = remove(&other).expect_err("a directory").to_string();
        assert!(told.contains("incident.csv"), "{told}");
    }
}
