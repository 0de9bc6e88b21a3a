//! The meaning of `[status]` and `[[control]]`.

use std::path::PathBuf;

use reqwest::Url;

use super::address::parse_span;
use super::document::Document;
use super::problem::{plain, quote};
use super::raw::{RawControl, RawStatus};
use crate::clock::Span;
use crate::status::control::Expected;

/// The longest name of a control, in bytes: it is a label of metrics.
const NAME_LIMIT_BYTES: usize = 100;
/// The most controls: each has metrics of its own.
const MOST_CONTROLS: usize = 200;

/// What is watched beside the certificates in the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusConfig {
    /// How often the record is walked and the CRLs are read; at least one second.
    pub every: Span,
    /// How long after its signature a certificate may be in no log.
    pub logged_within: Span,
    /// Whether a precertificate without its certificate is told.
    pub unfinalised: bool,
    /// Whether the CRLs that certificates name are read.
    pub named_crls: bool,
    /// How long a CRL may be out of reach before that is a case.
    pub crl_grace: Span,
    /// The largest CRL, in bytes.
    pub crl_limit_bytes: usize,
    /// How often the feed of the controls is read; at least one second.
    pub controls_every: Span,
    /// The records of the CA that count no more, by their names in the feed.
    pub retired_counts: Vec<String>,
    /// The controls that must be in force.
    pub controls: Vec<ControlConfig>,
}

/// A control that must be in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlConfig {
    /// What must hold of it.
    pub expected: Expected,
    /// Where its list comes from.
    pub source: Option<EntriesSource>,
}

/// Where the list of a control comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntriesSource {
    /// A file with one entry on each line.
    File(PathBuf),
    /// Another control of the feed.
    Control(String),
}

/// Whether this is where a CRL can be: RFC 5280 4.2.1.13 and BR 7.1.2.11.2 have them at http URLs.
pub(super) fn is_crl_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.host_str().is_some())
}

/// Both sections, or `None` when a problem was reported.
pub(super) fn build(raw: RawStatus, controls: Vec<RawControl>, document: &mut Document<'_>) -> Option<StatusConfig> {
    let mut span = |key: &str, text: Option<String>, remedy: &str| {
        text.and_then(|text| match parse_span(&text) {
            Ok(span) => Some(span),
            Err(reason) => document.refuse(key, reason, remedy),
        })
    };
    let every = span("status.every", raw.every, "The default is 1h.");
    let logged_within = span("status.logged_within", raw.logged_within, "The default is 1d.");
    let crl_grace = span("status.crl_grace", raw.crl_grace, "The default is 2h.");
    let controls_every = span("status.controls_every", raw.controls_every, "The default is 1m.");
    let controls = controls_of(controls, document);
    Some(StatusConfig {
        every: every?,
        logged_within: logged_within?,
        unfinalised: raw.unfinalised?,
        named_crls: raw.named_crls?,
        crl_grace: crl_grace?,
        crl_limit_bytes: raw.crl_limit_mib? << 20,
        controls_every: controls_every?,
        retired_counts: raw.retired_counts.unwrap_or_default(),
        controls,
    })
}

fn controls_of(raw: Vec<RawControl>, document: &mut Document<'_>) -> Vec<ControlConfig> {
    if raw.len() > MOST_CONTROLS {
        document.refuse::<()>(
            "control",
            format!("stands more than {MOST_CONTROLS} times"),
            "Watch the most important.",
        );
    }
    let mut controls: Vec<ControlConfig> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let shown = format!("control[{}]", at + 1);
        let Some(control) = one(raw, &shown, document) else { continue };
        if controls.iter().any(|other| other.expected.name == control.expected.name) {
            let reason = format!("{} names two controls", quote(&control.expected.name));
            document.refuse::<()>(&format!("{shown}.name"), reason, "Describe each control once.");
        }
        controls.push(control);
    }
    controls
}

fn one(raw: RawControl, shown: &str, document: &mut Document<'_>) -> Option<ControlConfig> {
    let key = |name: &str| format!("{shown}.{name}");
    let name = raw.name?;
    if name.len() > NAME_LIMIT_BYTES || name.chars().any(char::is_control) {
        let remedy = "Choose one line of at most 100 bytes.";
        return document.refuse(&key("name"), "is too long or not one line", remedy);
    }
    let max_age = match raw.max_age.as_deref().map(parse_span) {
        None => None,
        Some(Ok(span)) => Some(span),
        Some(Err(reason)) => return document.refuse(&key("max_age"), reason, "Write for instance 15m."),
    };
    let source = match (raw.entries_file, raw.entries_of) {
        (Some(_), Some(_)) => {
            return document.refuse(shown, "has both entries_file and entries_of", "Name one source of its list.");
        }
        (Some(file), None) => {
            let path = document.path(&file);
            if let Err(error) = std::fs::File::open(&path) {
                let reason = format!("{} cannot be read ({})", path.display(), plain(&error));
                return document.refuse(&key("entries_file"), reason, "Name a readable file with one entry per line.");
            }
            Some(EntriesSource::File(path))
        }
        (None, Some(other)) => Some(EntriesSource::Control(other)),
        (None, None) => None,
    };
    let expected = Expected {
        name,
        max_age,
        enabled: raw.enabled?,
        version: raw.version,
        value: raw.value,
        has_source: source.is_some(),
        within: raw.entries_within?,
    };
    Some(ControlConfig { expected, source })
}
