//! `ctwarden issuance export`: the tables of the source as files, for an audit on another machine.

use std::io::Write;
use std::path::Path;

use super::format::Format;
use super::progress::Progress;
use super::run::runtime;
use super::{CliError, Exit};
use crate::config::Config;
use crate::daemon;
use crate::issuance::{self, IssuanceDb, feed_tables};

/// Writes every table that the source has.
///
/// # Errors
/// There is no source, it does not answer, a row cannot be used, or the directory cannot.
pub fn export(
    config: &Config,
    directory: &Path,
    resume: bool,
    format: Format,
    out: &mut dyn Write,
) -> Result<Exit, CliError> {
    const WHAT: &str = "rows written";
    let source = daemon::issuance(config).map_err(|error| CliError::Failed(error.to_string()))?;
    if matches!(source, IssuanceDb::None) {
        let why = "the configuration has no issuance source: there is nothing to export";
        return Err(CliError::Usage(why.to_string()));
    }
    let progress = Progress::new(WHAT);
    let tables: Vec<&str> = feed_tables().collect();
    let tell = |done, total| progress.at(WHAT, done, total);
    let exported = runtime()?.block_on(issuance::export(&source, directory, &tables, resume, &tell));
    progress.end();
    let exported = exported?;
    match format {
        Format::Json => {
            let told = serde_json::to_string(&exported).map_err(|error| CliError::Failed(error.to_string()))?;
            writeln!(out, "{told}")?;
        }
        Format::Text => {
            writeln!(out, "{} as of {} is in {}", exported.source, exported.moments(), directory.display())?;
            for table in &exported.tables {
                writeln!(out, "{:<18}  {} rows", table.table, table.rows)?;
            }
        }
    }
    Ok(Exit::Nothing)
}
