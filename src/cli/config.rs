//! `ctwarden config`: the commented example, and everything that is wrong with a file.

use std::io::Write;
use std::path::Path;

use super::{CliError, Exit};
use crate::config::{self, Config, IssuanceSource, IssuerSource, ListSource, MailTransport};

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
    writeln!(out, "{}: good", file.display())?;
    for (word, text) in summary(&config) {
        writeln!(out, "{word:>9}: {text}")?;
    }
    Ok(Exit::Nothing)
}

fn summary(config: &Config) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    lines.push(match &config.logs.list {
        ListSource::File(path) => ("logs", format!("of {}, {}", path.display(), config.logs.states.join(", "))),
        ListSource::Url(url) => ("logs", format!("of {url}, {}", config.logs.states.join(", "))),
    });
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
        IssuanceSource::None => ("issuance", "none: rules that need a record are not evaluable".to_string()),
    });
    let to = config.mail.to.join(", ");
    lines.push(match &config.mail.transport {
        MailTransport::Smtp { server, port, .. } => ("mail", format!("to {to} by {server} port {port}")),
        MailTransport::Folder(path) => ("mail", format!("to {to} in {}", path.display())),
    });
    lines.push(("web", config.web_listen.to_string()));
    lines
}
