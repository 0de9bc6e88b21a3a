//! Judges beside our own rules: zlint, pkilint, pkimetal, or any program or service that speaks one of their formats, and
//! the DNS as it is when a certificate is first seen ([`caa`]).
//!
//! A judge is asked after our own verdict is in the books and never before it. What it finds carries its own rule
//! identifiers; [`mapping`] says which of them are rules of ours and [`opinion`] holds the two verdicts against each
//! other. A judge that does not answer has said nothing: that is counted and told, and is no finding about a certificate.

mod answer;
pub mod caa;
mod command;
pub mod mapping;
pub mod opinion;
mod rest;

use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::clock::Stopwatch;

/// The most bytes of an answer that are read, for all certificates of one question together.
const ANSWER_LIMIT_BYTES: usize = 16 << 20;
/// The most findings about one certificate that are kept; no linter has that many rules.
const MOST_FINDINGS: usize = 1000;
/// The longest text of a finding or of an error, in bytes.
const TEXT_LIMIT_BYTES: usize = 300;

/// How long a judge is taken to have the version that it said.
const VERSION_HOLDS: Duration = Duration::from_secs(600);

/// The form of a judge's answers, and with a URL that of its questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `lint_cabf_serverauth_cert lint -f JSON` of pkilint, or its REST interface.
    Pkilint,
    /// The command line of zlint: an object with one member per lint.
    Zlint,
    /// The REST interface of pkimetal.
    Pkimetal,
}

/// How a judge is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A program with its arguments. `{file}` within an argument stands for a file with the one certificate, an argument
    /// `{files}` for one file per certificate of the batch; with neither, they come one after another on standard input.
    /// They are PEM. The answer on standard output is one JSON document per certificate, in the same order.
    Command(Vec<String>, Format),
    /// Where certificates are POSTed to, one a request.
    Service(Url, Format),
    /// The CAA records of the names are looked up, one certificate after another.
    Dns(caa::CaaLookup),
}

/// `[[judge]]`: another linter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in cases and metrics; unique.
    pub name: String,
    /// How it is asked.
    pub way: Way,
    /// How long one answer may take; the process and all its children are killed then.
    pub timeout: Duration,
    /// The most questions under way, from 1 on.
    pub at_once: usize,
    /// The most certificates of one command, from 1 on; 1 for a service.
    pub batch: usize,
    /// A command that prints its version.
    pub version_command: Option<Vec<String>>,
}

/// How bad another linter finds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// A requirement is broken: error, fatal.
    Error,
    /// A recommendation is.
    Warning,
    /// Anything below.
    Notice,
}

impl Weight {
    /// The word in lines for people.
    pub const fn word(self) -> &'static str {
        match self {
            Weight::Error => "error",
            Weight::Warning => "warning",
            Weight::Notice => "notice",
        }
    }
}

/// A finding of another linter, its text escaped and cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// The linter: `pkilint`; behind pkimetal any of those that it runs.
    pub linter: String,
    /// Its own identifier of the rule.
    pub code: String,
    /// How bad it is.
    pub weight: Weight,
    /// What of the certificate it is about; may be empty.
    pub field: String,
    /// Its own words; may be empty.
    pub text: String,
}

/// What a judge said about one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The linters that have spoken: what they do not complain of they pass.
    pub linters: Vec<String>,
    /// Its version, as far as it says; may be empty.
    pub version: String,
    /// What it found.
    pub findings: Vec<Foreign>,
}

/// Why a judge said nothing. None of it is about the certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// The program does not start, the service cannot be reached or answers with an error.
    #[error("{0}; is it installed and running, and is [[judge]] right?")]
    Unreachable(String),
    /// It took too long.
    #[error("no answer within {0} s; give it a longer timeout or a smaller batch")]
    TimedOut(u64),
    /// The answer is too long.
    #[error("its answer is longer than {ANSWER_LIMIT_BYTES} bytes; give it a smaller batch")]
    TooLarge,
    /// The answer is not of the configured format, or not complete.
    #[error("its answer cannot be used: {0}; is format in [[judge]] right?")]
    Garbled(String),
}

impl JudgeError {
    /// The word in metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            JudgeError::Unreachable(_) => "unreachable",
            JudgeError::TimedOut(_) => "timed_out",
            JudgeError::TooLarge => "too_large",
            JudgeError::Garbled(_) => "garbled",
        }
    }
}

/// The words of [`JudgeError::word`] and of an answer.
pub const OUTCOMES: [&str; 5] = ["answered", "unreachable", "timed_out", "too_large", "garbled"];

/// What a judge is asked through.
#[derive(Debug)]
enum Means {
    Command(Vec<String>, Format),
    Service(Url, Format, reqwest::Client),
    Dns(Box<caa::CaaJudge>),
}

/// A judge that can be asked.
#[derive(Debug)]
pub struct Judge {
    /// What the configuration says of it.
    pub settings: Settings,
    means: Means,
    version: Mutex<Option<(Stopwatch, String)>>,
}

impl Judge {
    /// Of these settings.
    ///
    /// # Errors
    /// When the HTTP client or the resolver cannot be made.
    pub fn new(settings: Settings) -> Result<Judge, JudgeError> {
        let means = match &settings.way {
            Way::Command(argv, format) => Means::Command(argv.clone(), *format),
            Way::Service(url, format) => Means::Service(url.clone(), *format, rest::client()?),
            Way::Dns(lookup) => Means::Dns(Box::new(caa::CaaJudge::new(lookup.clone())?)),
        };
        Ok(Judge { settings, means, version: Mutex::new(None) })
    }

    /// Asks about certificates, DER, at most [`Settings::batch`] of them; the answers in the same order.
    ///
    /// # Errors
    /// When it did not answer about all of them.
    pub async fn ask(&self, ders: &[Vec<u8>]) -> Result<Vec<Answer>, JudgeError> {
        let mut answers = match &self.means {
            Means::Command(argv, format) => command::ask(&self.settings, argv, *format, ders).await?,
            Means::Dns(caa) => {
                let mut answers = Vec::new();
                for der in ders {
                    answers.push(in_time(self.settings.timeout, caa.ask(der)).await?);
                }
                answers
            }
            Means::Service(url, format, client) => {
                let mut answers = Vec::new();
                for der in ders {
                    let answer = rest::ask(client, url, *format, der);
                    answers.push(in_time(self.settings.timeout, answer).await?);
                }
                answers
            }
        };
        if answers.iter().any(|answer| answer.version.is_empty()) {
            let version = self.known_version().await;
            let silent = answers.iter_mut().filter(|answer| answer.version.is_empty());
            silent.for_each(|answer| answer.version.clone_from(&version));
        }
        Ok(answers)
    }

    /// Its version as it said lately; empty when it does not say.
    async fn known_version(&self) -> String {
        let mut known = self.version.lock().await;
        if let Some((_, version)) = known.as_ref().filter(|(asked, _)| asked.elapsed() < VERSION_HOLDS) {
            return version.clone();
        }
        let version = self.ask_version().await.unwrap_or_default();
        *known = Some((Stopwatch::start(), version.clone()));
        version
    }

    async fn ask_version(&self) -> Result<String, JudgeError> {
        match &self.means {
            Means::Service(url, format, client) => {
                in_time(self.settings.timeout, rest::version(client, url, *format)).await
            }
            Means::Dns(_) => Ok(String::new()),
            Means::Command(argv, format) => {
                let zlint = || vec![argv[0].clone(), "-version".to_string()];
                let default = (*format == Format::Zlint).then(zlint);
                match self.settings.version_command.clone().or(default) {
                    Some(argv) => command::version(&argv, self.settings.timeout).await,
                    None => Ok(String::new()),
                }
            }
        }
    }
}

async fn in_time<T>(limit: Duration, work: impl Future<Output = Result<T, JudgeError>>) -> Result<T, JudgeError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(JudgeError::TimedOut(limit.as_secs())))
}

/// Bytes of a judge as text that is safe anywhere.
fn shown(bytes: &[u8]) -> String {
    crate::finding::escape(bytes.trim_ascii(), TEXT_LIMIT_BYTES)
}

#[cfg(test)]
mod tests;
