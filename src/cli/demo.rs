//! `ctwarden demo`.

use super::run::{runtime, signal};
use super::{CliError, Exit};
use crate::clock::{Clock, Span};
use crate::demo::screen::Screen;
use crate::demo::show::{directory, show};

/// Runs the demo; with a limit, exit code 0 only when every planted mistake was found and nothing else was reported.
///
/// # Errors
/// What kept the demo from working.
pub fn demo(limit: Option<Span>) -> Result<Exit, CliError> {
    let directory = directory(&Clock::System);
    let passed = runtime()?.block_on(show(&directory, limit, Screen::stdout(), signal()));
    match passed.map_err(|error| CliError::Failed(error.to_string()))? {
        true => Ok(Exit::Nothing),
        false => Ok(Exit::Findings),
    }
}
