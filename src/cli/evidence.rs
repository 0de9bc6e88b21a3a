//! `ctwarden evidence`: what shows that a log misbehaved, for a third party.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::format::Format;
use super::run::runtime;
use super::{CliError, ConfigFile, Exit, Output};
use crate::books::Books;
use crate::conduct::Kind;
use crate::conduct::verify::{LIMIT_BYTES, Worth, verify};
use crate::config::Config;

/// `ctwarden evidence`.
#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Print the newest evidence of one kind against one log
    Export {
        /// The log's name, as `ctwarden logs` prints it
        #[arg(value_name = "LOG")]
        log: String,
        /// fork, rollback, root_mismatch, bad_signature, ...
        #[arg(value_name = "KIND")]
        kind: String,
        #[command(flatten)]
        #[allow(missing_docs)]
        config: ConfigFile,
    },
    /// Verify an evidence file by the log's own signatures: 0 proven, 1 only stated
    Verify {
        /// The evidence
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        #[allow(missing_docs)]
        output: Output,
    },
}

/// Prints the newest evidence of one kind against one log: one JSON document.
///
/// # Errors
/// A kind or a log of which nothing is known, no books, or no output.
pub fn export(config: &Config, log: &str, kind: &str, out: &mut dyn Write) -> Result<Exit, CliError> {
    let Some(kind) = Kind::parse(kind) else {
        let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        return Err(CliError::Usage(format!("{kind:?} is not a kind of misbehaviour; there are {}", kinds.join(", "))));
    };
    let failed = |e: crate::books::BooksError| CliError::Failed(e.to_string());
    let books = Books::open_read_only(&config.books).map_err(failed)?;
    match runtime()?.block_on(books.evidence(log, kind)).map_err(failed)? {
        Some(evidence) => {
            writeln!(out, "{evidence}")?;
            Ok(Exit::Nothing)
        }
        None => Err(CliError::Usage(format!(
            "there is no evidence of {} against {log:?}; `ctwarden logs` names the logs with faults",
            kind.word()
        ))),
    }
}

/// Verifies an evidence file: exit code 0 when it proves the misbehaviour, 1 when it only states it.
///
/// # Errors
/// A file that cannot be read, or is no evidence.
pub fn check(file: &Path, format: Format, out: &mut dyn Write) -> Result<Exit, CliError> {
    let shown = file.display();
    let unreadable = |e: std::io::Error| CliError::Failed(format!("{shown}: {e}; name a readable evidence file"));
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > LIMIT_BYTES as u64 {
        return Err(CliError::Failed(format!("{shown}: larger than 16 MiB, which no evidence file is")));
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let worth = verify(&bytes).map_err(|e| CliError::Failed(format!("{shown}: {e}")))?;
    let (word, text, exit) = match worth {
        Worth::Proven(text) => ("proven", text, Exit::Nothing),
        Worth::Stated(text) => ("stated", text, Exit::Findings),
    };
    match format {
        Format::Json => {
            writeln!(out, "{}", serde_json::json!({"file": shown.to_string(), "worth": word, "detail": text}))?
        }
        Format::Text => writeln!(out, "{shown}: {word}: {text}")?,
    }
    Ok(exit)
}
