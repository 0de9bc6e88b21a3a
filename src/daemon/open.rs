//! What the configuration names, opened.

use std::sync::Arc;
use std::time::Duration;

use super::{DaemonError, key_lists};
use crate::config::{Config, IssuerSource, MailProfile, MailTls, MailTransport};
use crate::lint::{SuffixList, Tables};
use crate::metrics::{Input, Metrics};
use crate::notify::mail::{Addressing, Profile};
use crate::notify::{Folder, Notifier, Smtp, SmtpSettings, Tls};
use crate::watch::{Issuer, Watchlist};

/// Whose certificates are ours.
///
/// # Errors
/// [`DaemonError::Issuer`].
pub(super) fn watchlist(config: &Config) -> Result<Watchlist, DaemonError> {
    let issuers = config.issuers.iter().map(|issuer| match &issuer.source {
        IssuerSource::Certificate(der) => Issuer::from_certificate(&issuer.name, der)
            .map_err(|e| DaemonError::Issuer { name: issuer.name.clone(), reason: e.to_string() }),
        IssuerSource::KeyHash(key_hash) => {
            tracing::warn!(
                issuer = issuer.name,
                "only a key hash is known: precertificates are matched, final certificates cannot be; name the certificate"
            );
            Ok(Issuer { name: issuer.name.clone(), key_hash: *key_hash, certificate: None })
        }
    });
    Ok(Watchlist::new(issuers.collect::<Result<_, _>>()?, config.watch_all_issuers))
}

/// The tables that the rules rest on: embedded, or the file that the configuration names.
///
/// # Errors
/// [`DaemonError::SuffixList`], [`DaemonError::KeyList`].
pub fn tables(config: &Config, metrics: &Metrics) -> Result<Tables, DaemonError> {
    let mut tables = Tables::embedded();
    if let Some(path) = &config.public_suffix_list {
        let refused = |reason: String| DaemonError::SuffixList { path: path.clone(), reason };
        let bytes = std::fs::read(path).map_err(|e| refused(e.to_string()))?;
        tables.suffixes = SuffixList::from_bytes(&bytes).map_err(|e| refused(e.to_string()))?;
    }
    tables.keys = Arc::new(key_lists::read(&config.weak_keys, &config.compromised_keys)?);
    metrics.key_lists_loaded(tables.keys.weak_count(), tables.keys.compromised_count(), tables.keys.as_of());
    metrics.input_loaded(Input::TldTable, tables.tlds.as_of());
    metrics.input_loaded(Input::PublicSuffixList, tables.suffixes.as_of());
    Ok(tables)
}

/// Where messages go, and to whom.
///
/// # Errors
/// [`DaemonError::Mail`] when the settings cannot work.
pub fn notifier(config: &Config) -> Result<(Notifier, Vec<Addressing>), DaemonError> {
    let mail = &config.mail;
    let notifier = match &mail.transport {
        MailTransport::Folder(directory) => Notifier::Folder(Folder::open(directory)?),
        MailTransport::Smtp { server, port, tls, username, password, ca_certificate } => {
            Notifier::Smtp(Smtp::new(SmtpSettings {
                server: server.clone(),
                port: *port,
                tls: match tls {
                    MailTls::StartTls => Tls::StartTls,
                    MailTls::Tls => Tls::Implicit,
                    MailTls::NoneOnLoopback => Tls::NoneOnLoopback,
                },
                username: username.clone(),
                password: password.as_ref().map(|secret| secret.expose().to_string()),
                ca_certificate: ca_certificate.clone(),
                timeout: Duration::from_secs(60),
            })?)
        }
    };
    let profile = match mail.profile {
        MailProfile::Human => Profile::Human,
        MailProfile::Ticket => Profile::Ticket,
    };
    let recipients = mail.to.iter().map(|to| Addressing::parse(&mail.from, to, profile));
    Ok((notifier, recipients.collect::<Result<_, _>>()?))
}
