//! The meaning of `[[judge]]`.

use reqwest::Url;

use super::address::{check_url, parse_span};
use super::document::Document;
use super::problem::quote;
use super::raw::RawJudge;
use crate::judges::{Format, Settings, Way};

/// The longest name of a judge, in bytes: it is a label of metrics.
const NAME_LIMIT_BYTES: usize = 100;

/// Every `[[judge]]`; those with problems are left out, and the problems reported.
pub(super) fn build(raw: Vec<RawJudge>, document: &mut Document<'_>) -> Vec<Settings> {
    let mut judges: Vec<Settings> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let shown = format!("judge[{}]", at + 1);
        let Some(judge) = one(raw, &shown, document) else { continue };
        if judges.iter().any(|other| other.name == judge.name) {
            let reason = format!("{} names two judges", quote(&judge.name));
            document.refuse::<()>(&format!("{shown}.name"), reason, "Give each judge a name of its own.");
        }
        judges.push(judge);
    }
    judges
}

fn one(raw: RawJudge, shown: &str, document: &mut Document<'_>) -> Option<Settings> {
    let key = |name: &str| format!("{shown}.{name}");
    let name = raw.name.and_then(|name| {
        let good = name.len() <= NAME_LIMIT_BYTES && !name.chars().any(char::is_control);
        let remedy = "Choose one line of at most 100 bytes.";
        if good { Some(name) } else { document.refuse(&key("name"), "is too long or not one line", remedy) }
    });
    let timeout = raw.timeout.and_then(|text| match parse_span(&text) {
        Ok(span) => Some(span.duration()),
        Err(reason) => document.refuse(&key("timeout"), reason, "The default is 30s."),
    });
    let (batch, at_once) = (raw.batch, raw.at_once);
    let way = match (document.has(&key("command")), document.has(&key("url"))) {
        (true, true) => document.refuse(shown, "has both command and url", "Keep the one by which it is asked."),
        (false, false) => {
            document.missing(&key("command"), "Write command = [\"PROGRAM\", ...] (or url = \"URL\") in [[judge]].");
            None
        }
        (true, false) => {
            raw.command.zip(raw.format).and_then(|(argv, format)| command(argv, format, batch, shown, document))
        }
        (false, true) => {
            raw.url.zip(raw.format).and_then(|(text, format)| service(&text, format, batch, shown, document))
        }
    };
    let way = way?;
    let spoken = match way {
        Way::Command(_, Format::Pkimetal) => Some("is that of a service: pkimetal has no command"),
        Way::Service(_, Format::Zlint) => Some("is that of a command: zlint has no service"),
        _ => None,
    };
    if let Some(reason) = spoken {
        return document.refuse(
            &key("format"),
            reason,
            "Commands speak pkilint or zlint, services pkilint or pkimetal.",
        );
    }
    let version_command = raw.version_command;
    Some(Settings { name: name?, way, timeout: timeout?, at_once: at_once?, batch: batch?, version_command })
}

fn command(
    argv: Vec<String>,
    format: Format,
    batch: Option<usize>,
    shown: &str,
    document: &mut Document<'_>,
) -> Option<Way> {
    let key = format!("{shown}.command");
    let file = argv.iter().any(|argument| argument.contains("{file}"));
    let files = argv.iter().filter(|argument| argument.contains("{files}")).count();
    if argv.first().is_some_and(|program| program.contains("{file")) {
        return document.refuse(&key, "has a placeholder for its program", "Name the program first.");
    }
    if argv.iter().any(|argument| argument.contains("{files}") && argument != "{files}")
        || files > 1
        || (file && files > 0)
    {
        let remedy = "Write {files} once and as an argument of its own, or {file} within any argument, or neither.";
        return document.refuse(&key, "has placeholders that do not go together", remedy);
    }
    if file && batch.is_some_and(|batch| batch > 1) {
        let remedy = "Write {files} for several files, or leave batch out.";
        return document.refuse(&key, "names one {file} for a batch of several", remedy);
    }
    Some(Way::Command(argv, format))
}

fn service(text: &str, format: Format, batch: Option<usize>, shown: &str, document: &mut Document<'_>) -> Option<Way> {
    if batch.is_some_and(|batch| batch > 1) {
        let remedy = "Leave batch out: a service is sent one certificate a request, at_once of them side by side.";
        return document.refuse(&format!("{shown}.batch"), "is for commands", remedy);
    }
    match (check_url(text), Url::parse(text)) {
        (Ok(()), Ok(url)) => Some(Way::Service(url, format)),
        (Err((reason, remedy)), _) => document.refuse(&format!("{shown}.url"), reason, remedy),
        (Ok(()), Err(error)) => document.refuse(&format!("{shown}.url"), error.to_string(), "Write https://HOST/PATH."),
    }
}

#[cfg(test)]
mod tests;
