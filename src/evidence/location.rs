//! Where a method looks for its Random Value or Request Token: the DNS name that is asked, the URL that is fetched, the
//! mailbox that is written to (BR 3.2.2.4.x, 3.2.2.5.x). A value that was found elsewhere proves nothing, however random.

use std::net::IpAddr;

use crate::evidence::methods::section;
use crate::record::{covers, same_domain};

/// BR 3.2.2.4.4: "by using 'admin', 'administrator', 'webmaster', 'hostmaster', or 'postmaster' as the local part".
const LOCAL_PARTS: [&str; 5] = ["admin", "administrator", "webmaster", "hostmaster", "postmaster"];
/// BR 1.6.1, "Authorized Ports": "80 (http), 443 (https), 25 (smtp), 22 (ssh)".
const AUTHORIZED_PORTS: [u16; 4] = [80, 443, 25, 22];

/// What a method prescribes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A mailbox at the Authorization Domain Name, with one of the five local parts.
    Mailbox,
    /// The Authorization Domain Name itself or with one label before it that begins with an underscore.
    Underscore,
    /// The Authorization Domain Name itself or an ancestor of it, as CAA records are searched.
    Climb,
    /// The Authorization Domain Name with these labels before it.
    Prefix(&'static str),
    /// Two labels before it: an underscore with ten characters of base32, then `_acme-challenge`.
    Account,
    /// These labels before the name of an address in the reverse zone.
    Reverse(&'static str),
    /// The domain name that a reverse look-up of the address gave, and whose control was confirmed then.
    LookedUp,
    /// A file in this directory, by http or https, at an Authorized Port.
    Directory(&'static str),
    /// A file in this directory, by http at port 80.
    Http(&'static str),
    /// A TLS connection to port 443.
    Tls,
}

const PKI_VALIDATION: &str = "/.well-known/pki-validation/";
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// The places; a method that is not listed prescribes none that a record could show.
static PLACES: [(&str, Place); 17] = [
    ("3.2.2.4.4", Place::Mailbox),
    // "for either in a DNS CNAME, TXT or CAA record for either 1) an Authorization Domain Name; or 2) an Authorization
    // Domain Name that is prefixed with a Domain Label that begins with an underscore character."
    ("3.2.2.4.7", Place::Underscore),
    ("3.2.2.4.13", Place::Climb),
    ("3.2.2.4.14", Place::Prefix("_validation-contactemail")),
    ("3.2.2.4.16", Place::Prefix("_validation-contactphone")),
    ("3.2.2.4.17", Place::Climb),
    ("3.2.2.4.6", Place::Directory(PKI_VALIDATION)),
    ("3.2.2.4.18", Place::Directory(PKI_VALIDATION)),
    // RFC 8555 8.3: "http://{domain}/.well-known/acme-challenge/{token}", "MUST be sent to TCP port 80".
    ("3.2.2.4.19", Place::Http(ACME_CHALLENGE)),
    // RFC 8737 3: "a TLS connection to the domain name being validated ... on TCP port 443".
    ("3.2.2.4.20", Place::Tls),
    ("3.2.2.4.21", Place::Account),
    ("3.2.2.4.22", Place::Prefix("_validation-persist")),
    ("3.2.2.5.1", Place::Directory(PKI_VALIDATION)),
    // "by obtaining a Domain Name associated with the IP Address through a reverse-IP lookup on the IP Address and then
    // confirming control over the FQDN associated with the IP Address".
    ("3.2.2.5.3", Place::LookedUp),
    ("3.2.2.5.6", Place::Http(ACME_CHALLENGE)),
    ("3.2.2.5.7", Place::Tls),
    ("3.2.2.5.8", Place::Reverse("_ip-validation-persist")),
];

/// The place that a method prescribes; RFC 8555 8.4 leaves dns-01 no choice of label.
pub(super) fn place(method: &str) -> Option<Place> {
    if method.trim().eq_ignore_ascii_case("dns-01") {
        return Some(Place::Prefix("_acme-challenge"));
    }
    let section = section(method)?;
    PLACES.iter().find(|(known, _)| *known == section).map(|(_, place)| *place)
}

/// Whether `method` prescribes a place that a record can show.
pub fn is_prescribed(method: &str) -> bool {
    place(method).is_some()
}

/// Of a location that is written as the method prescribes it, to the letter, and so is certainly right: what stands
/// where the method leaves a choice. `adn` is in lower case.
pub(super) fn plain_rest<'l>(place: Place, adn: &str, location: &'l str) -> Option<&'l str> {
    if adn.starts_with("*.") || adn.ends_with('.') || adn.contains([':', '@', '/']) {
        return None;
    }
    match place {
        Place::Prefix(labels) => {
            let rest = location.strip_prefix(labels).and_then(|rest| rest.strip_prefix('.'));
            rest.and_then(|rest| rest.strip_prefix(adn)).filter(|rest| rest.is_empty())
        }
        Place::Underscore => {
            let before = location.strip_suffix(adn)?;
            if before.is_empty() {
                return Some(before);
            }
            let label = before.strip_suffix('.')?;
            (label.len() > 1 && label.starts_with('_') && !label.contains(['.', ' '])).then_some(label)
        }
        Place::Http(directory) => {
            let host = location.strip_prefix("http://").and_then(|rest| rest.strip_prefix(adn));
            let token = host.and_then(|path| path.strip_prefix(directory))?;
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (!token.is_empty() && token.bytes().all(plain)).then_some(token)
        }
        _ => None,
    }
}

/// The location of which [`plain_rest`] gave this rest; `None` where it gives none.
pub(super) fn plain(place: Place, adn: &str, rest: &str) -> Option<String> {
    match place {
        Place::Prefix(labels) => Some(format!("{labels}.{adn}")),
        Place::Underscore if rest.is_empty() => Some(adn.to_string()),
        Place::Underscore => Some(format!("{rest}.{adn}")),
        Place::Http(directory) => Some(format!("http://{adn}{directory}{rest}")),
        _ => None,
    }
}

/// What is wrong with `location` for a validation of `adn` by `method`; `None` when nothing is.
pub fn wrong(method: &str, adn: &str, location: &str) -> Option<String> {
    let adn = adn.strip_prefix("*.").unwrap_or(adn).to_ascii_lowercase();
    let given = location.trim();
    let name = given.trim_end_matches('.').to_ascii_lowercase();
    match place(method)? {
        Place::Mailbox => {
            let mailbox = given.strip_prefix("mailto:").unwrap_or(given).split_once('@');
            let good = mailbox.is_some_and(|(local, domain)| {
                LOCAL_PARTS.iter().any(|part| part.eq_ignore_ascii_case(local)) && same_domain(domain, &adn)
            });
            (!good).then(|| format!("it is one of {} at {adn}", LOCAL_PARTS.join(", ")))
        }
        Place::Underscore => {
            let label = name.strip_suffix(&format!(".{adn}")).filter(|label| !label.contains('.'));
            let good = name == adn || label.is_some_and(|label| label.starts_with('_') && label.len() > 1);
            (!good).then(|| format!("it is {adn} or a label that begins with an underscore before it"))
        }
        Place::Climb => (!covers(&name, &adn)).then(|| format!("it is {adn} or an ancestor of it")),
        Place::Prefix(labels) => {
            let wanted = format!("{labels}.{adn}");
            (name != wanted).then(|| format!("it is {wanted}"))
        }
        Place::Account => {
            let label = name.strip_suffix(&format!("._acme-challenge.{adn}"));
            let base32 = |c: u8| c.is_ascii_lowercase() || (b'2'..=b'7').contains(&c);
            let good = label
                .and_then(|label| label.strip_prefix('_'))
                .is_some_and(|account| account.len() == 10 && account.bytes().all(base32));
            (!good).then(|| format!("it is _ and ten characters of base32 before _acme-challenge.{adn}"))
        }
        Place::Reverse(labels) => {
            let Some(zone) = adn.parse().ok().map(reverse_name) else {
                return Some(format!("{adn} is no address"));
            };
            let wanted = format!("{labels}.{zone}");
            (name != wanted).then(|| format!("it is {wanted}"))
        }
        Place::LookedUp => (!is_host(&name)).then(|| "it is the domain name that the reverse look-up gave".to_string()),
        Place::Directory(directory) => {
            let good = url(given).is_some_and(|url| {
                let in_directory = url.path.strip_prefix(directory).is_some_and(|file| !file.is_empty());
                url.is_at(&adn) && in_directory && AUTHORIZED_PORTS.contains(&url.port)
            });
            (!good).then(|| format!("it is a file in {directory} of {adn}, by http or https at an Authorized Port"))
        }
        Place::Http(directory) => {
            let good = url(given).is_some_and(|url| {
                let in_directory = url.path.strip_prefix(directory).is_some_and(|file| !file.is_empty());
                url.is_at(&adn) && in_directory && url.scheme == "http" && url.port == 80
            });
            (!good).then(|| format!("it is http://{adn}{directory} and a token, at port 80"))
        }
        Place::Tls => {
            let read = if given.contains("://") { url(given) } else { url(&format!("https://{given}")) };
            let good = read.is_some_and(|url| url.is_at(&adn) && url.port == 443);
            (!good).then(|| format!("it is port 443 of {adn}"))
        }
    }
}

/// The parts of a URL that matter here.
struct Url {
    scheme: String,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    fn is_at(&self, adn: &str) -> bool {
        match (self.host.parse::<IpAddr>(), adn.parse::<IpAddr>()) {
            (Ok(host), Ok(adn)) => host == adn,
            _ => self.host == adn,
        }
    }
}

/// Reads `http://host:port/path` (RFC 3986 3); user names in it are refused.
fn url(text: &str) -> Option<Url> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default = match scheme.as_str() {
        "http" => 80,
        "https" | "tls" => 443,
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, default),
        Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok()?),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (authority, default),
        },
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    // A path that climbs is in no directory of its own.
    let sound = !host.is_empty() && !host.contains('@') && !path.split('/').any(|part| part == "..");
    sound.then(|| Url { scheme, host, port, path: path.to_string() })
}

/// Whether a name in lower case is that of a host, and not of an address in the reverse zone, nor an address.
fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
    };
    let reverse = ["in-addr.arpa", "ip6.arpa"].iter().any(|zone| covers(zone, name));
    name.contains('.') && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err() && !reverse
}

/// The name of an address in the reverse zone (RFC 1035 3.5, RFC 3596 2.5).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_looks_in_its_own_place() {
        let good = [
            ("3.2.2.4.4", "a.eus", "Hostmaster@A.eus"),
            ("3.2.2.4.7", "a.eus", "a.eus"),
            ("3.2.2.4.7", "a.eus", "_dnsauth.a.eus."),
            ("dns-01", "a.eus", "_acme-challenge.a.eus"),
            ("3.2.2.4.13", "www.a.eus", "a.eus"),
            ("3.2.2.4.14", "a.eus", "_validation-contactemail.a.eus"),
            ("3.2.2.4.18", "a.eus", "https://A.eus/.well-known/pki-validation/x.txt"),
            ("http-01", "a.eus", "http://a.eus:80/.well-known/acme-challenge/tok"),
            ("tls-alpn-01", "a.eus", "a.eus:443"),
            ("tls-alpn-01", "a.eus", "tls://a.eus"),
            ("dns-account-01", "a.eus", "_ujmmovf2vn._acme-challenge.a.eus"),
            ("dns-persist-01", "a.eus", "_validation-persist.a.eus"),
            ("3.2.2.5.1", "192.0.2.1", "http://192.0.2.1/.well-known/pki-validation/x"),
            ("3.2.2.5.6", "2001:db8::1", "http://[2001:DB8:0::1]/.well-known/acme-challenge/x"),
            ("3.2.2.5.8", "192.0.2.1", "_ip-validation-persist.1.2.0.192.in-addr.arpa"),
            ("3.2.2.5.3", "192.0.2.1", "host-1.a.eus."),
            ("3.2.2.5.3", "a.eus", "a.eus"),
            ("3.2.2.4.12", "a.eus", "wherever"),
        ];
        for (method, adn, location) in good {
            assert_eq!(wrong(method, adn, location), None, "{method} {location}");
        }
    }

    #[test]
    fn what_is_plain_is_right_and_known_by_its_rest() {
        let tails = ["", ".", "/", "..", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/t", "?x", ":80"];
        let heads =
            ["", "_", "_a.", "a._a.", "_acme-challenge.", "_validation-persist.", "x", "http://", "https://", " "];
        let domains = ["a.eus", "a.eus.", "*.a.eus", "192.0.2.1", "2001:db8::1", "x@a.eus"];
        let mut count = 0;
        for method in ["dns-01", "3.2.2.4.7", "http-01", "3.2.2.5.6", "dns-persist-01", "tls-alpn-01", "3.2.2.4.18"] {
            let place = place(method).expect("a place");
            for (adn, other) in domains.iter().flat_map(|adn| domains.map(|other| (*adn, other))) {
                for location in heads.iter().flat_map(|head| tails.map(|tail| format!("{head}{other}{tail}"))) {
                    if let Some(rest) = plain_rest(place, adn, &location) {
                        count += 1;
                        assert_eq!(wrong(method, adn, &location), None, "{method} {adn} {location}");
                        assert_eq!(plain(place, adn, rest), Some(location));
                    }
                }
            }
        }
        assert!(count > 5, "{count}");
    }

    #[test]
    fn another_place_is_none() {
        let bad = [
            ("3.2.2.4.4", "a.eus", "root@a.eus"),
            ("3.2.2.4.4", "a.eus", "a.eus"),
            ("3.2.2.4.4", "aliyun.com", "admin@example.com"),
            // The label without its underscore may be somebody's account at a provider of names.
            ("3.2.2.4.7", "a.eus", "x4k2.a.eus"),
            ("3.2.2.4.7", "a.eus", "_.a.eus"),
            ("3.2.2.4.7", "a.eus", "_x.y.a.eus"),
            ("3.2.2.4.7", "a.eus", "_x.b.eus"),
            ("3.2.2.4.7", "a.eus", "_xa.eus"),
            ("dns-01", "a.eus", "_dnsauth.a.eus"),
            ("3.2.2.4.14", "aliyun.com", "_validation-contactemail.mail.example.com"),
            ("3.2.2.4.18", "a.eus", "http://a.eus/pki-validation/x.txt"),
            ("3.2.2.4.18", "a.eus", "http://a.eus:8080/.well-known/pki-validation/x.txt"),
            ("3.2.2.4.18", "a.eus", "http://a.eus@b.eus/.well-known/pki-validation/x.txt"),
            ("3.2.2.4.18", "a.eus", "http://a.eus/.well-known/pki-validation/../../x"),
            ("3.2.2.4.18", "a.eus", "ftp://a.eus/.well-known/pki-validation/x.txt"),
            ("3.2.2.4.18", "a.eus", "http://a.eus/.well-known/pki-validation/"),
            ("http-01", "a.eus", "https://a.eus/.well-known/acme-challenge/tok"),
            ("tls-alpn-01", "a.eus", "a.eus:8443"),
            ("dns-account-01", "a.eus", "_acme-challenge.a.eus"),
            ("3.2.2.5.8", "192.0.2.1", "_ip-validation-persist.192.0.2.1"),
            ("3.2.2.5.8", "a.eus", "_ip-validation-persist.a.eus"),
            ("3.2.2.5.3", "192.0.2.1", "1.2.0.192.in-addr.arpa"),
            ("3.2.2.5.3", "192.0.2.1", "192.0.2.1"),
            ("3.2.2.5.3", "192.0.2.1", "localhost"),
            ("3.2.2.5.3", "192.0.2.1", "http://a.eus/"),
            ("3.2.2.4.13", "a.eus", ""),
        ];
        for (method, adn, location) in bad {
            assert!(wrong(method, adn, location).is_some(), "{method} {location}");
        }
        assert!(is_prescribed("http-01") && !is_prescribed("3.2.2.4.12") && !is_prescribed("a letter"));
    }

    #[test]
    fn addresses_have_one_name_in_the_reverse_zone() {
        let six = reverse_name("2001:db8::1".parse().expect("an address"));
        assert_eq!(six, format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23)));
    }
}
