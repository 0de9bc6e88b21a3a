//! Who may ask for more than the pages: bearer tokens (RFC 6750), each of one role.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

/// What the bearer of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Send rows of the CA's record.
    Feed,
    /// Ask how the record stands.
    Read,
}

/// A token, of which only the hash is kept. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The bearer's name in the configuration, in metrics and in the program's own log.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// SHA-256 of its text.
    pub sha256: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {:?})", self.name, self.role)
    }
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// No token, or one that nobody has: 401.
    Unknown,
    /// The token of another role: 403.
    OtherRole,
}

/// The name of the bearer, if the request has a token of this role.
pub(super) fn bearer<'t>(tokens: &'t [Token], headers: &HeaderMap, role: Role) -> Result<&'t str, Turned> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let given = Sha256::digest(given.ok_or(Turned::Unknown)?);
    // Every token is compared, and each in constant time, so that the time tells nothing of any.
    let mut found = None;
    for token in tokens {
        if verify_slices_are_equal(&token.sha256, &given).is_ok() {
            found = Some(token);
        }
    }
    match found {
        None => Err(Turned::Unknown),
        Some(token) if token.role == role => Ok(&token.name),
        Some(_) => Err(Turned::OtherRole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, role: Role) -> Token {
        Token { name: name.to_string(), role, sha256: Sha256::digest(name.repeat(8)).into() }
    }

    #[test]
    fn a_bearer_is_known_by_the_token_and_by_nothing_else() {
        let tokens = [token("ra", Role::Feed), token("board", Role::Read)];
        let asks = |value: &str, role| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            bearer(&tokens, &headers, role)
        };
        let secret = "ra".repeat(8);
        assert_eq!(asks(&format!("Bearer {secret}"), Role::Feed), Ok("ra"));
        assert_eq!(asks(&format!("bearer  {secret} "), Role::Feed), Ok("ra"));
        assert_eq!(asks(&format!("Bearer {secret}"), Role::Read), Err(Turned::OtherRole));
        for other in [&*secret, "Bearer", "Bearer ", &*format!("Basic {secret}"), "Bearer ra", "Bearer r\u{e4}"] {
            assert_eq!(asks(other, Role::Feed), Err(Turned::Unknown), "{other}");
        }
        assert_eq!(bearer(&tokens, &HeaderMap::new(), Role::Feed), Err(Turned::Unknown));
        assert_eq!(bearer(&[], &HeaderMap::new(), Role::Feed), Err(Turned::Unknown));
        assert!(!format!("{:?}", tokens[0]).contains(&hex::encode(tokens[0].sha256)));
    }
}
