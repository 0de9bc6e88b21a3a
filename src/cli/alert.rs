//! `ctwarden test-alert`: does mail arrive?

use std::io::Write;

use super::format::Format;
use super::run::runtime;
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon;
use crate::notify::{mail, test_notice};

/// Sends a test mail to every recipient, at once and not through the outbox, so that a person sees the answer.
///
/// # Errors
/// When the settings cannot work or nothing can be written; a recipient who could not be reached is exit code 3.
pub fn test(config: &Config, format: Format, out: &mut dyn Write) -> Result<Exit, CliError> {
    let (notifier, recipients) = runtime()?
        .block_on(async { daemon::notifier(config) })
        .map_err(|e| CliError::Usage(e.to_string()))?;
    let runtime = runtime()?;
    let notice = test_notice(Clock::System.now());
    let mut failed = 0;
    for recipient in &recipients {
        let mail = mail::compose(&notice, recipient);
        let sent = runtime.block_on(notifier.send(&mail));
        let (to, id) = (recipient.recipient(), &mail.message_id);
        failed += u32::from(sent.is_err());
        let error = sent.err().map(|e| e.to_string());
        match (format, &error) {
            (Format::Json, _) => writeln!(out, "{}", serde_json::json!({"to": to, "message_id": id, "error": error}))?,
            (Format::Text, None) => writeln!(out, "{to}: handed over as {id}")?,
            (Format::Text, Some(error)) => writeln!(out, "{to}: {error}")?,
        }
    }
    Ok(if failed == 0 { Exit::Nothing } else { Exit::Failed })
}
