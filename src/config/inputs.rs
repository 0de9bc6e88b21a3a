//! The meaning of `[lint]`: the lists that rules rest on, and where newer ones come from.

use std::path::PathBuf;

use super::address::{check_url, is_loopback, parse_span};
use super::document::Document;
use super::problem::{quote, read_file};
use super::raw::RawLint;
use super::{InputsConfig, ListSource};
use crate::clock::{DAY, Span};

/// The longest list that is read, in bytes; the largest of today's has 0.6 MB.
const LIST_LIMIT_BYTES: u64 = 8 << 20;

/// `[lint]`, or `None` when a problem was reported.
pub(super) fn build(raw: RawLint, document: &mut Document<'_>) -> Option<InputsConfig> {
    let gtld_registry = raw.gtld_registry.and_then(|text| source(&text, "lint.gtld_registry", "none", document));
    let tld_list = raw.tld_list.and_then(|text| source(&text, "lint.tld_list", "none", document));
    let suffixes =
        raw.public_suffix_list.and_then(|text| source(&text, "lint.public_suffix_list", "embedded", document));
    let refresh = raw.refresh.and_then(|text| match parse_span(&text) {
        Ok(span) => Some(span),
        Err(reason) => document.refuse("lint.refresh", reason, "The default is 1d."),
    });
    let inputs = InputsConfig {
        gtld_registry: gtld_registry?,
        tld_list: tld_list?,
        public_suffix_list: suffixes?,
        refresh: refresh?,
    };
    polite(&inputs, document)?;
    Some(inputs)
}

/// A file, a URL, or the word for "the embedded one": `Some(None)`.
fn source(text: &str, key: &str, word: &str, document: &mut Document<'_>) -> Option<Option<ListSource>> {
    if text == word {
        return Some(None);
    }
    if text.contains("://") {
        return match check_url(text) {
            Ok(()) => Some(Some(ListSource::Url(text.to_string()))),
            Err((reason, remedy)) => document.refuse(key, reason, remedy),
        };
    }
    let path: PathBuf = document.path(text);
    match read_file(&path, LIST_LIMIT_BYTES) {
        Ok(_) => Some(Some(ListSource::File(path))),
        Err(reason) => {
            let remedy = format!("Name a readable file or an https URL, or write \"{word}\" to use the embedded one.");
            document.refuse(key, reason, remedy)
        }
    }
}

/// The servers of the root zone's and of the suffixes' lists ask not to be read more than once a day.
fn polite(inputs: &InputsConfig, document: &mut Document<'_>) -> Option<()> {
    let sources = [&inputs.gtld_registry, &inputs.tld_list, &inputs.public_suffix_list];
    let far = sources.into_iter().flatten().find_map(|source| match source {
        ListSource::Url(url) => {
            let host = reqwest::Url::parse(url).ok()?.host_str()?.to_string();
            (!is_loopback(&host)).then_some(host)
        }
        ListSource::File(_) => None,
    });
    match far {
        Some(host) if inputs.refresh < DAY => {
            let reason = format!("is less than a day, and {} is a public server", quote(&host));
            document.refuse("lint.refresh", reason, "Write 1d or more, or name files or servers on loopback.")
        }
        _ => Some(()),
    }
}

impl Default for InputsConfig {
    /// Nothing but what is built in.
    fn default() -> InputsConfig {
        InputsConfig { gtld_registry: None, tld_list: None, public_suffix_list: None, refresh: Span::from_days(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What is wrong with a `[lint]`, or what it means.
    fn read(lint: &str) -> Result<InputsConfig, Vec<String>> {
        let text = format!("[lint]\n{lint}\n");
        let (mut document, raw) = Document::read(&text, std::env::temp_dir());
        let built = build(raw.lint, &mut document);
        let problems = document.finish::<()>(Path::new("x"), None).expect_err("the other sections are missing");
        let told = problems.list.iter().filter(|problem| problem.key.starts_with("lint"));
        let told: Vec<String> = told.map(|p| format!("{}: {}. {}", p.key, p.reason, p.remedy)).collect();
        if told.is_empty() { Ok(built.expect("a meaning")) } else { Err(told) }
    }

    #[test]
    fn lists_come_from_urls_files_or_the_program() {
        let url = |url: &str| Some(ListSource::Url(url.to_string()));
        let usual = read("").expect("the defaults");
        assert_eq!(usual.gtld_registry, url("https://www.icann.org/resources/registries/gtlds/v2/gtlds.json"));
        assert_eq!(usual.tld_list, url("https://data.iana.org/TLD/tlds-alpha-by-domain.txt"));
        assert_eq!(usual.public_suffix_list, url("https://publicsuffix.org/list/public_suffix_list.dat"));
        assert_eq!(usual.refresh, DAY);
        let none = "gtld_registry = \"none\"\ntld_list = \"none\"\npublic_suffix_list = \"embedded\"\nrefresh = \"1s\"";
        let built_in = InputsConfig { refresh: Span::from_seconds(1), ..InputsConfig::default() };
        assert_eq!(read(none), Ok(built_in));
        let here =
            read(&none.replace("\"embedded\"", "\"http://127.0.0.1:9/list.dat\"")).expect("a server on loopback");
        assert_eq!(here.public_suffix_list, url("http://127.0.0.1:9/list.dat"));
    }

    #[test]
    fn mistakes_are_told_with_their_remedy() {
        for (lint, says) in [
            (
                "refresh = \"12h\"",
                "lint.refresh: is less than a day, and \"www.icann.org\" is a public server. Write 1d",
            ),
            ("refresh = \"daily\"", "lint.refresh: \"daily\" is not a length of time"),
            (
                "tld_list = \"http://data.iana.org/x\"",
                "lint.tld_list: \"http://data.iana.org/x\" is plain http. Use https",
            ),
            ("gtld_registry = \"embedded\"", "lint.gtld_registry: "),
            ("public_suffix_list = \"no-such-list\"", "lint.public_suffix_list: "),
        ] {
            let told = read(lint).expect_err(lint);
            assert!(told.len() == 1 && told[0].starts_with(says), "{lint}: {told:?}");
        }
        let file = &read("tld_list = \"no-such-list\"").expect_err("no file")[0];
        assert!(
            file.contains("cannot be read") && file.contains("or write \"none\" to use the embedded one"),
            "{file}"
        );
    }
}
