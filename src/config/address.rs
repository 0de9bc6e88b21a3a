//! Addresses as people write them: URLs, hosts, e-mail addresses, lengths of time.

use std::net::IpAddr;

use super::problem::quote;
use crate::clock::Span;

/// What is wrong with a value, and what to do about it.
pub(super) type Refusal = (String, &'static str);

/// Whether a host is this machine: `localhost`, an address of 127.0.0.0/8 or `::1`, with or without brackets.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An https URL, or an http URL on loopback, without user name and fragment.
pub(super) fn check_url(text: &str) -> Result<(), Refusal> {
    let url = reqwest::Url::parse(text)
        .map_err(|error| (format!("{} is not a URL ({error})", quote(text)), "Write it as https://HOST/PATH."))?;
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" | "http" if host.is_empty() => {
            Err((format!("{} names no host", quote(text)), "Write https://HOST/PATH."))
        }
        "https" => Ok(()),
        "http" if is_loopback(host) => Ok(()),
        "http" => {
            let remedy = "Use https; plain http is accepted on loopback (localhost, 127.0.0.0/8, [::1]) only.";
            Err((format!("{} is plain http", quote(text)), remedy))
        }
        _ => Err((format!("{} is neither https nor http", quote(text)), "Write it as https://HOST/PATH.")),
    }?;
    if !url.username().is_empty() || url.password().is_some() {
        // The URL is not repeated: it may hold a password.
        return Err(("has a user name or password in the URL".to_string(), "Logs are public; remove it."));
    }
    if url.fragment().is_some() {
        return Err((format!("{} has a fragment", quote(text)), "Remove the part from # on."));
    }
    Ok(())
}

/// One bare e-mail address.
pub(super) fn check_mail_address(text: &str) -> Result<(), Refusal> {
    // Only ASCII: an address that needs SMTPUTF8 (RFC 6531) would fail at the first relay without it.
    match text.parse::<lettre::Address>() {
        Ok(_) if text.is_ascii() => Ok(()),
        _ => Err((format!("{} is not an e-mail address", quote(text)), "Write it bare, as name@domain.")),
    }
}

/// A contact that a log operator can use: an e-mail address or a web page. It goes into an HTTP header.
pub(super) fn check_contact(text: &str) -> Result<(), Refusal> {
    let page =
        || text.is_ascii() && reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
    if text.len() <= 200 && (check_mail_address(text).is_ok() || page()) {
        return Ok(());
    }
    let remedy = "Logs slow down or refuse clients without one; write for instance pki-team@ca.example.";
    Err((format!("{} is neither an e-mail address nor a URL", quote(text)), remedy))
}

/// A host name or address without port.
pub(super) fn check_host(text: &str) -> Result<(), Refusal> {
    let name = |text: &str| {
        let good = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        text.len() <= 253 && text.split('.').all(good)
    };
    if text.parse::<IpAddr>().is_ok() || name(text) {
        return Ok(());
    }
    Err((format!("{} is not a host name or address", quote(text)), "Write the host alone; the port has its own key."))
}

/// A length of time of at least one second and at most 365 days: a whole number and a unit of `s`, `m`, `h` or `d`,
/// such as `90s` or `15m`. The error names the text and the remedy.
pub fn parse_span(text: &str) -> Result<Span, String> {
    let refused = || format!("{} is not a length of time; write for instance 90s, 15m, 2h or 1d", quote(text));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: i64 = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(refused()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused());
    }
    let seconds = digits.parse::<i64>().ok().and_then(|count| count.checked_mul(unit));
    match seconds.filter(|seconds| (1..=365 * 86_400).contains(seconds)) {
        Some(seconds) => Ok(Span::from_seconds(seconds)),
        None => Err(format!("{} is not between one second and 365 days; write for instance 15m", quote(text))),
    }
}

/// A rate in events per second from `COUNT/UNIT`, the unit `s`, `m` or `h`: between 1/h and 10000/s.
pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let refused = || format!("{} is not a rate between 1/h and 10000/s; write for instance 5/s or 30/m", quote(text));
    let (count, unit) = text.split_once('/').ok_or_else(refused)?;
    let seconds = match unit {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(refused()),
    };
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused());
    }
    let rate = count.parse::<u32>().map_err(|_| refused()).map(|count| f64::from(count) / seconds)?;
    if (1.0 / 3600.0..=10_000.0).contains(&rate) { Ok(rate) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!(parse_rate("5/s"), Ok(5.0));
        assert_eq!(parse_rate("30/m"), Ok(0.5));
        assert_eq!(parse_rate("1/h"), Ok(1.0 / 3600.0));
        for bad in ["", "5", "/s", "5/", "0/s", "-1/s", "5/d", "1.5/s", "10001/s", "99999999999/s", "5 /s", "5/s/s"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_of_time() {
        assert_eq!(parse_span("90s"), Ok(Span::from_seconds(90)));
        assert_eq!(parse_span("15m"), Ok(Span::from_seconds(900)));
        assert_eq!(parse_span("2h"), Ok(Span::from_seconds(7200)));
        assert_eq!(parse_span("365d"), Ok(Span::from_days(365)));
        for bad in
            ["", "s", "15", "15 m", "-1s", "+1s", "0s", "366d", "9999999999999999999d", "1.5h", "1h30m", "५m", "15min"]
        {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_http_stays_on_loopback() {
        for good in ["https://ct.example/2027", "http://127.0.0.1:8080/", "http://[::1]:1/x", "http://localhost/"] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "http://ct.example/",
            "http://localhost.example/",
            "http://128.0.0.1/",
            "ftp://x/",
            "ct.example",
            "https://",
            "https://user:pw@ct.example/",
            "https://ct.example/#x",
            "file:///etc/passwd",
            "http://0x7f.1.example/",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        let (reason, _) = check_url("https://user:hunter2@ct.example/").unwrap_err();
        assert!(!reason.contains("hunter2"), "{reason}");
    }

    #[test]
    fn contacts_hosts_and_mail_addresses() {
        for good in ["pki-team@ca.example", "https://ca.example/ct"] {
            assert_eq!(check_contact(good), Ok(()), "{good}");
        }
        for bad in
            ["", "pki team", "a@b@c", "a@b\r\nX: y", "mailto:a@b.example", "päivi@ca.example", "https://ä.example"]
        {
            assert!(check_contact(bad).is_err(), "{bad}");
        }
        for good in ["smtp.ca.example", "localhost", "127.0.0.1", "::1"] {
            assert_eq!(check_host(good), Ok(()), "{good}");
        }
        for bad in ["smtp.ca.example:25", "a b", "a..b", "smtp://x", "x/"] {
            assert!(check_host(bad).is_err(), "{bad}");
        }
        assert!(check_mail_address("PKI <a@ca.example>").is_err());
    }
}
