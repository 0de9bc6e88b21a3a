//! The meaning of `[web]`.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::document::Document;
use super::problem::{plain, quote, read_file};
use super::raw::{RawToken, RawWeb};
use super::{IssuanceSource, WebConfig};
use crate::web::{Role, Token};

/// The longest token file that is read, in bytes.
const FILE_LIMIT_BYTES: u64 = 4096;
/// The shortest token: below it guessing is thinkable (RFC 6750 5.2 wants tokens that cannot be guessed).
const LEAST_TOKEN_BYTES: usize = 20;
/// The longest name of a token, in bytes: it is a label of metrics.
const NAME_LIMIT_BYTES: usize = 100;

/// `[web]`, or `None` when a problem was reported.
pub(super) fn build(raw: RawWeb, source: Option<IssuanceSource>, document: &mut Document<'_>) -> Option<WebConfig> {
    let listen: Option<SocketAddr> = raw.listen.and_then(|text| match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let reason = format!("{} is not an address and a port", quote(&text));
            document.refuse("web.listen", reason, "Write numbers, for instance 127.0.0.1:8640 or [::1]:8640.")
        }
    });
    let behind_proxy = raw.behind_proxy.unwrap_or_default();
    let has_tokens = !raw.token.is_empty();
    let tokens = tokens(raw.token, document);
    // RFC 6750 5.3: "Clients MUST always use TLS (https) or equivalent transport security when making requests with
    // bearer tokens."
    if has_tokens && !behind_proxy && listen.is_some_and(|address| !address.ip().is_loopback()) {
        let reason = "is plain http and beyond loopback, and there is a [[web.token]]";
        let remedy = "Listen on loopback behind a proxy that speaks https, or write behind_proxy = true when nobody \
                      but that proxy reaches the address.";
        document.refuse::<()>("web.listen", reason, remedy);
    }
    if has_tokens && source.is_some_and(|source| source != IssuanceSource::Embedded) {
        let remedy = "Write source = \"embedded\" in [issuance], or remove the token.";
        document.refuse::<()>("web.token", "is of no use without an embedded issuance record", remedy);
    }
    Some(WebConfig { listen: listen?, feed_limit_bytes: raw.feed_limit_bytes?, tokens })
}

fn tokens(raw: Vec<RawToken>, document: &mut Document<'_>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let key = |name: &str| format!("web.token[{}].{name}", at + 1);
        let name = raw.name.and_then(|name| {
            let good = name.len() <= NAME_LIMIT_BYTES && !name.chars().any(char::is_control);
            let remedy = "Choose one line of at most 100 bytes.";
            if good { Some(name) } else { document.refuse(&key("name"), "is too long or not one line", remedy) }
        });
        let path = raw.token_file.map(|text| document.path(&text));
        let sha256 = path.and_then(|path| match hash(&path) {
            Ok(sha256) => Some(sha256),
            Err((reason, remedy)) => document.refuse(&key("token_file"), reason, remedy),
        });
        let (Some(name), Some(role), Some(sha256)) = (name, raw.role, sha256) else { continue };
        if tokens.iter().any(|other| other.name == name) {
            let reason = format!("{} names two tokens", quote(&name));
            document.refuse::<()>(&key("name"), reason, "Give each token a name of its own.");
        }
        if tokens.iter().any(|other| other.sha256 == sha256) {
            document.refuse::<()>(&key("token_file"), "holds the token of another", "Make a token for each bearer.");
        }
        let role = if role == "feed" { Role::Feed } else { Role::Read };
        tokens.push(Token { name, role, sha256 });
    }
    tokens
}

/// The hash of the token in a file: `sha256:` and 64 hexadecimal digits, or the token itself.
fn hash(path: &Path) -> Result<[u8; 32], (String, &'static str)> {
    let remedy = "Name a file with one line: the token, or sha256: and its SHA-256 in hexadecimal.";
    let bytes = read_file(path, FILE_LIMIT_BYTES).map_err(|reason| (reason, remedy))?;
    let mode = std::fs::metadata(path).map(|file| file.permissions().mode());
    let mode = mode.map_err(|error| (plain(&error), remedy))?;
    if mode & 0o077 != 0 {
        let reason = format!("{} can be read by others than its owner", path.display());
        return Err((reason, "Take it from them: chmod 600 FILE."));
    }
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    if let Some(digits) = text.strip_prefix("sha256:") {
        let mut sha256 = [0; 32];
        let read = hex::decode_to_slice(digits.trim(), &mut sha256);
        return read.map(|()| sha256).map_err(|_| ("is not sha256: and 64 hexadecimal digits".to_string(), remedy));
    }
    // RFC 6750 2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if text.len() < LEAST_TOKEN_BYTES || !text.bytes().all(good) {
        let reason = format!("holds no token of at least {LEAST_TOKEN_BYTES} letters, digits and -._~+/=");
        return Err((reason, "Make one: openssl rand -hex 32."));
    }
    Ok(Sha256::digest(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{Place, one_problem};

    fn token(place: &Place, text: &str, mode: u32) {
        place.write("token", text.as_bytes());
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(place.path("token"), permissions).expect("permissions");
    }

    const WEB: &str = "[web]\n[[web.token]]\nname = \"ra\"\nrole = \"feed\"\ntoken_file = \"token\"\n";

    #[test]
    fn a_token_is_kept_as_its_hash_alone() {
        let place = Place::new();
        let secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        let expected: [u8; 32] = Sha256::digest(secret).into();
        for text in [format!("{secret}\n"), format!("sha256:{}\n", hex::encode(expected))] {
            token(&place, &text, 0o600);
            let config = place.load(&(crate::config::tests::GOOD.to_string() + WEB)).expect("a configuration");
            assert_eq!(config.web.tokens, [Token { name: "ra".into(), role: Role::Feed, sha256: expected }]);
            assert!(!format!("{config:?}").contains(secret));
        }
    }

    #[test]
    fn what_makes_a_token_worthless_is_refused() {
        let place = Place::new();
        let text = crate::config::tests::GOOD.to_string() + WEB;
        let said = |text: &str| place.problems(text).join("; ");
        token(&place, "0123456789abcdef01234", 0o640);
        assert!(said(&text).contains("can be read by others than its owner. Take it from them"), "{}", said(&text));
        token(&place, "short", 0o600);
        assert!(said(&text).contains("holds no token of at least 20 letters"), "{}", said(&text));
        token(&place, "sha256:abc", 0o600);
        assert!(said(&text).contains("is not sha256: and 64 hexadecimal digits"), "{}", said(&text));
        token(&place, "0123456789abcdef01234", 0o600);
        assert!(place.load(&text).is_ok());
        let far = text.replace("[web]\n", "[web]\nlisten = \"192.0.2.1:8640\"\n");
        assert!(said(&far).contains("web.listen: is plain http and beyond loopback"), "{}", said(&far));
        assert!(place.load(&far.replace("[[web.token]]", "behind_proxy = true\n[[web.token]]")).is_ok());
        assert!(place.load(&far[..far.find("[[web.token]]").expect("a token")]).is_ok(), "metrics alone may be far");
        let none = text.clone() + "[issuance]\nsource = \"none\"\n";
        assert!(said(&none).contains("web.token: is of no use without"), "{}", said(&none));
        let twice = text.clone() + &WEB[WEB.find("[[").expect("a token")..];
        assert!(said(&twice).contains("\"ra\" names two tokens"), "{}", said(&twice));
        assert!(said(&twice).contains("holds the token of another"), "{}", said(&twice));
        one_problem(&place, "[data]", "[web]\nlisten = \"here\"\n[data]", "is not an address and a port");
    }
}
