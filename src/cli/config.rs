//! `ctwarden config`: the commented example, and everything that is wrong with a file.

use std::io::Write;
use std::path::Path;

use super::format::Format;
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::{self, Config, IssuanceSource, IssuerSource, ListSource, MailTransport};
use crate::daemon::{self, reload};
use crate::issuance::sql::Settings;

/// Prints the commented example.
///
/// # Errors
/// When the output cannot be written.
pub fn example(out: &mut dyn Write) -> Result<Exit, CliError> {
    out.write_all(config::EXAMPLE.as_bytes())?;
    Ok(Exit::Nothing)
}

/// Says in a few lines what a good configuration means.
///
/// # Errors
/// Everything that is wrong with the file; or when the output cannot be written.
pub fn check(file: &Path, out: &mut dyn Write) -> Result<Exit, CliError> {
    let config = config::load(file)?;
    let unusable = daemon::check_files(&config);
    if !unusable.is_empty() {
        let sentences: Vec<String> = unusable.iter().map(ToString::to_string).collect();
        return Err(CliError::Usage(sentences.join("\nctwarden: ")));
    }
    writeln!(out, "{}: good", file.display())?;
    for (word, text) in summary(&config) {
        writeln!(out, "{word:>9}: {text}")?;
    }
    Ok(Exit::Nothing)
}

/// Has the daemon of this configuration read it again, and shows its answer.
///
/// # Errors
/// When no daemon runs on the data directory, or it does not answer; or when the output cannot be written.
pub fn reload(config: &Config, format: Format, out: &mut dyn Write) -> Result<Exit, CliError> {
    let answer = reload::ask(&config.data_directory, &Clock::System).map_err(|e| CliError::Failed(e.to_string()))?;
    if format == Format::Json {
        let json = serde_json::to_string(&answer).map_err(std::io::Error::from)?;
        writeln!(out, "{json}")?;
    } else if let Some(reason) = &answer.refused {
        writeln!(out, "refused; the old configuration stays in force:\n{reason}")?;
    } else {
        let applied = if answer.applied.is_empty() { "nothing".to_string() } else { answer.applied.join(", ") };
        writeln!(out, "in force: {applied}")?;
        for key in &answer.needs_restart {
            writeln!(out, "needs a restart: {key}")?;
        }
    }
    Ok(match (&answer.refused, answer.needs_restart.is_empty()) {
        (Some(_), _) => Exit::Usage,
        (None, false) => Exit::Findings,
        (None, true) => Exit::Nothing,
    })
}

fn summary(config: &Config) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    lines.push(match &config.logs.list {
        ListSource::File(path) => ("logs", format!("of {}, {}", path.display(), config.logs.states.join(", "))),
        ListSource::Url(url) => ("logs", format!("of {url}, {}", config.logs.states.join(", "))),
    });
    if let Some(signing) = &config.logs.signing {
        lines.push(("list key", format!("{}: a list that it did not sign is not used", signing.key_file.display())));
    }
    for issuer in &config.issuers {
        let reach = match issuer.source {
            IssuerSource::Certificate(_) => "precertificates and certificates",
            IssuerSource::KeyHash(_) => "precertificates alone, for want of its certificate",
        };
        lines.push(("issuer", format!("{}, key {}: {reach}", issuer.name, issuer.key_hash)));
    }
    if config.watch_all_issuers {
        lines.push(("watch", "every entry of every issuer".to_string()));
    }
    lines.push(("books", config.books.display().to_string()));
    lines.push(match config.issuance.source {
        IssuanceSource::Embedded => ("issuance", format!("embedded record, grace {}", config.issuance.grace)),
        IssuanceSource::Postgres | IssuanceSource::Mysql => {
            let server = config.issuance.server.as_ref().map(Settings::server).unwrap_or_default();
            ("issuance", format!("{server}, grace {}", config.issuance.grace))
        }
        IssuanceSource::None => ("issuance", "none: rules that need a record are not evaluable".to_string()),
    });
    let to = config.mail.to.join(", ");
    lines.push(match &config.mail.transport {
        MailTransport::Smtp { server, port, .. } => ("mail", format!("to {to} by {server} port {port}")),
        MailTransport::Folder(path) => ("mail", format!("to {to} in {}", path.display())),
    });
    lines.push(("web", config.web.listen.to_string()));
    lines
}
