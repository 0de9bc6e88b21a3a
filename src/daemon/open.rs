//! What the configuration names, opened.

use std::sync::Arc;
use std::time::Duration;

use super::inputs;
use super::lists::{self, ListReader};
use super::{DaemonError, key_lists};
use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::{Config, IssuanceSource, IssuerSource, MailProfile, MailTls, MailTransport};
use crate::finding::KeyHash;
use crate::issuance::{Embedded, IssuanceDb, Sql, feed_tables};
use crate::judges::{self, Judge};
use crate::lint::Tables;
use crate::metrics::Metrics;
use crate::notify::mail::{Addressing, Profile};
use crate::notify::{Folder, Notifier, Smtp, SmtpSettings, Tls};
use crate::pipeline::{Grounds, Walk};
use crate::promise::KnownLogs;
use crate::tail::Fetcher;
use crate::watch::{Issuer, Watchlist};
use crate::web::{Role, feed::Door};

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

/// The CRLs that the configuration names.
pub(super) fn crls(config: &Config) -> Vec<(KeyHash, Vec<String>)> {
    config.issuers.iter().map(|issuer| (issuer.key_hash, issuer.crls.clone())).collect()
}

/// The other judges.
///
/// # Errors
/// [`DaemonError::Judge`] when one of them could never be asked.
pub fn judges(config: &Config, metrics: &Metrics) -> Result<Vec<Arc<Judge>>, DaemonError> {
    let open = |settings: &judges::Settings| {
        metrics.declare_judge(&settings.name, &judges::OUTCOMES);
        let refused = |e: judges::JudgeError| DaemonError::Judge { name: settings.name.clone(), reason: e.to_string() };
        Judge::new(settings.clone()).map(Arc::new).map_err(refused)
    };
    config.judges.iter().map(open).collect()
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

/// What is wrong with the files of a configuration that only the daemon reads: the log list and the lists of keys.
pub fn check_files(config: &Config) -> Vec<DaemonError> {
    let list = lists::check_file(&config.logs);
    let keys = key_lists::read(&config.weak_keys, &config.compromised_keys).map(drop);
    [list, keys].into_iter().filter_map(Result::err).collect()
}

/// What examinations rest on, for a command that examines beside the daemon, and what of it could not be had.
///
/// # Errors
/// What the configuration names and cannot be used.
pub async fn grounds(config: &Config, clock: Clock) -> Result<(Grounds, Vec<String>), DaemonError> {
    let fetcher = Fetcher::new(&config.logs.contact, clock.clone()).map_err(DaemonError::Http)?;
    let mut missing = Vec::new();
    let (known, tables) = {
        // The daemon may have the cache to itself: then the lists are read where they come from.
        let cache = Arc::new(Cache::open(&config.data_directory.join("cache"), clock.clone()));
        let (tables, lacking) = inputs::beside_the_daemon(config, &fetcher, &cache, clock.now()).await;
        missing.extend(lacking);
        match ListReader::new(&config.logs, fetcher, cache).read(&config.logs).await {
            Ok(read) => (read.known, tables),
            Err(error) => {
                missing.push(format!("{error}; SCTs cannot be verified without it"));
                (Vec::new(), tables)
            }
        }
    };
    let keys = key_lists::read(&config.weak_keys, &config.compromised_keys)?;
    let grounds = Grounds {
        watchlist: Arc::new(watchlist(config)?),
        tables: Arc::new(Tables { keys: Arc::new(keys), ..tables }),
        terms: Arc::new(config.issuance.terms.clone()),
        logs: Arc::new(KnownLogs::new(known)),
        grace: config.issuance.grace,
    };
    Ok((grounds, missing))
}

/// The CA's record.
///
/// # Errors
/// [`DaemonError::Issuance`].
pub fn issuance(config: &Config) -> Result<IssuanceDb, DaemonError> {
    Ok(match (&config.issuance.server, config.issuance.source) {
        // Nobody is connected to yet: a server that is down now does not keep the daemon from starting.
        (Some(server), _) => IssuanceDb::Sql(Sql::new(server.clone(), Clock::System)),
        (None, IssuanceSource::Embedded) => IssuanceDb::Embedded(Embedded::open(&config.data_directory)?),
        (None, _) => IssuanceDb::None,
    })
}

/// The door to the CA's record, when somebody has a token for it.
pub(super) fn record_door(config: &Config, walk: &Walk) -> Option<Door> {
    let IssuanceDb::Embedded(record) = &*walk.issuance else { return None };
    if config.web.tokens.is_empty() {
        return None;
    }
    let tables: Vec<&str> = feed_tables().collect();
    for token in config.web.tokens.iter().filter(|token| token.role == Role::Feed) {
        walk.metrics.declare_feed(&token.name, &tables);
    }
    Some(Door {
        record: record.clone(),
        tokens: config.web.tokens.clone(),
        limit_bytes: config.web.feed_limit_bytes,
        metrics: walk.metrics.clone(),
        clock: walk.clock.clone(),
    })
}
