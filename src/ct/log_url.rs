//! The URL of a log: https, or plain http on this machine; a host that exists; nothing but a path behind it.

use crate::finding::escape;

/// The longest URL that is read, in bytes.
const MAX_URL_BYTES: usize = 500;

/// Names that RFC 2606 and RFC 6761 set apart for examples and tests; lists use them for entries without a server.
const PLACEHOLDERS: [&str; 6] = ["example.com", "example.net", "example.org", "example", "invalid", "test"];

/// A checked URL, with its host in lower case and a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogUrl {
    url: String,
    /// Where host and path start in `url`.
    host_at: usize,
}

impl LogUrl {
    /// Reads a URL. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<LogUrl, String> {
        let bad = |why: &str| format!("{why} in the URL {}", escape(text.as_bytes(), 200));
        if text.len() > MAX_URL_BYTES {
            return Err(bad("more than 500 bytes"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("no scheme"))?;
        let secure = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(bad("a scheme other than https")),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Unreserved characters, sub-delims, ":" and "@" of RFC 3986 3.3, and no percent encoding, query or fragment.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte);
        if !path.bytes().all(plain) || path.split('/').any(|part| part == "..") {
            return Err(bad("a character that a log's path does not need"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad("no host"))?;
        if port.is_some_and(|port| port.parse::<u16>().is_err() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(bad("a port that is no number up to 65535"));
        }
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err(bad("a host that is neither a name nor an address"));
        }
        if PLACEHOLDERS.iter().any(|name| is_under(&host, name)) {
            return Err(bad("a placeholder host, which is never dialled,"));
        }
        if !secure && !is_loopback(&host) {
            return Err(bad("plain http, which is for loopback hosts alone,"));
        }
        let path = path.trim_end_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        let url = format!("{scheme}://{}/{path}{slash}", authority.to_ascii_lowercase());
        Ok(LogUrl { url, host_at: scheme.len() + 3 })
    }

    /// The URL, with a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }
    /// The URL, with a slash at its end.
    pub fn into_url(self) -> String {
        self.url
    }
    /// Host, port and path without a slash at the end: the short name, and the origin that belongs to the URL.
    pub fn name(&self) -> &str {
        self.url[self.host_at..].trim_end_matches('/')
    }
}

/// Host and port of an authority; an IPv6 address keeps its brackets.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[after_address..].rfind(':') {
        Some(at) => (&authority[..after_address + at], Some(&authority[after_address + at + 1..])),
        None => (authority, None),
    };
    (!host.is_empty()).then_some((host, port))
}

/// A DNS name of letters, digits, hyphens and dots, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// Whether a host is a name or lies below it.
fn is_under(host: &str, name: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// 127.0.0.0/8, ::1 and localhost.
fn is_loopback(host: &str) -> bool {
    let v4 = host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    v4 || host == "[::1]" || host == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_logs_are_read() {
        for (text, url, name) in [
            ("https://ct.a.eu", "https://ct.a.eu/", "ct.a.eu"),
            ("https://CT.a.eu/Logs/x//", "https://ct.a.eu/Logs/x/", "ct.a.eu/Logs/x"),
            ("https://ct.a.eu:8443/", "https://ct.a.eu:8443/", "ct.a.eu:8443"),
            ("http://127.9.0.1:1/x", "http://127.9.0.1:1/x/", "127.9.0.1:1/x"),
            ("http://[::1]:80", "http://[::1]:80/", "[::1]:80"),
            ("http://localhost:8640/log", "http://localhost:8640/log/", "localhost:8640/log"),
            ("https://notexample.com/", "https://notexample.com/", "notexample.com"),
            ("https://2001.db8.eu/", "https://2001.db8.eu/", "2001.db8.eu"),
        ] {
            let read = LogUrl::parse(text).expect(text);
            assert_eq!((read.url(), read.name()), (url, name));
            assert_eq!(LogUrl::parse(read.url()), Ok(read));
        }
    }

    #[test]
    fn urls_that_are_not_to_be_dialled_are_refused_with_a_reason() {
        for (text, why) in [
            ("ct.a.eu/x", "no scheme"),
            ("ftp://ct.a.eu/", "other than https"),
            ("http://ct.a.eu/", "plain http"),
            ("http://127.0.0.1.a.eu/", "plain http"),
            ("http://localhost.a.eu/", "plain http"),
            ("https://ct.example.com/bogus/", "placeholder"),
            ("https://EXAMPLE.net./", "placeholder"),
            ("https://a.test/", "placeholder"),
            ("https://a.invalid/", "placeholder"),
            ("https://example/", "placeholder"),
            ("https:///x", "no host"),
            ("https://:80/x", "no host"),
            ("https://user@ct.a.eu/", "neither a name"),
            ("https://user:p@ct.a.eu/", "port"),
            ("https://ct..eu/", "neither a name"),
            ("https://c t.eu/", "neither a name"),
            ("https://[::g]/", "neither a name"),
            ("https://[::1/", "neither a name"),
            ("https://ct.a.eu:99999/", "port"),
            ("https://ct.a.eu:+8/", "port"),
            ("https://ct.a.eu:/", "port"),
            ("https://ct.a.eu/x?y", "character"),
            ("https://ct.a.eu/../x", "character"),
            ("https://ct.a.eu/\r\nx", "character"),
            ("https://ct.a.eu?x", "neither a name"),
            ("https://b\u{fc}cher.eu/", "neither a name"),
        ] {
            let error = LogUrl::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
            assert!(error.is_ascii() && !error.contains('\n'), "{error}");
        }
        assert!(LogUrl::parse(&format!("https://a.eu/{}", "a".repeat(500))).is_err());
    }
}
