//! Keys that must not be certified, from lists that the CA feeds: weak keys that everybody knows (Debian's), and keys that
//! the CA knows to be compromised. Sorted arrays, so that a list of millions needs little more memory than its hashes.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::cert::{Certificate, PublicKey};
use crate::clock::Timestamp;

/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 200;

type SpkiHash = [u8; 32];
/// The last 80 bits of the SHA-1 of `Modulus=HEX\n`, as openssl-blacklist keeps them.
type ModulusHash = [u8; 10];

/// The lists in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLists {
    weak: Vec<SpkiHash>,
    weak_moduli: Vec<ModulusHash>,
    compromised: Vec<(SpkiHash, u32)>,
    reasons: Vec<Box<str>>,
    as_of: Option<Timestamp>,
}

/// Why a line of a list cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The first word is no hash.
    #[error("does not begin with hexadecimal digits; write a hash, or # before a comment")]
    NotHex,
    /// The first word is a hash of something else.
    #[error("begins with {0} hexadecimal digits; write 64, the SHA-256 of the SubjectPublicKeyInfo{more}", more = if *.1 { ", or 20 as openssl-blacklist does" } else { "" })]
    Length(usize, bool),
    /// A compromised key without a reason.
    #[error("gives no reason; write after the hash how the key is known to be compromised")]
    NoReason,
}

impl KeyLists {
    /// Takes a line of a list of weak keys: 64 hexadecimal digits, the SHA-256 of the SubjectPublicKeyInfo; or 20 digits as
    /// openssl-blacklist(7) has them: "openssl rsa -noout -modulus -in /tmp/key.pem | sha1sum", "with the first 20 characters
    /// removed". Empty lines and lines that begin with `#` say nothing; what follows the hash is not read.
    ///
    /// # Errors
    /// See [`LineError`]; the line was not taken.
    pub fn weak_line(&mut self, line: &[u8]) -> Result<(), LineError> {
        let Some((word, _)) = split(line) else { return Ok(()) };
        match word.len() {
            64 => self.weak.push(decoded(word)?),
            20 => self.weak_moduli.push(decoded(word)?),
            other => return Err(wrong_length(word, other, true)),
        }
        Ok(())
    }

    /// Takes a line of a list of compromised keys: the SHA-256 of the SubjectPublicKeyInfo in 64 hexadecimal digits, and the
    /// reason for people.
    ///
    /// # Errors
    /// See [`LineError`]; the line was not taken.
    pub fn compromised_line(&mut self, line: &[u8]) -> Result<(), LineError> {
        let Some((word, reason)) = split(line) else { return Ok(()) };
        if word.len() != 64 {
            return Err(wrong_length(word, word.len(), false));
        }
        let hash = decoded(word)?;
        if reason.is_empty() {
            return Err(LineError::NoReason);
        }
        let reason = crate::finding::escape(reason, MAX_REASON);
        // Lists are written in runs of one reason.
        if self.reasons.last().is_none_or(|last| **last != *reason) {
            self.reasons.push(reason.into_boxed_str());
        }
        let index = u32::try_from(self.reasons.len() - 1).unwrap_or(u32::MAX);
        self.compromised.push((hash, index));
        Ok(())
    }

    /// Makes the lists ready for lookup. `as_of` is the age of the newest file.
    pub fn finish(mut self, as_of: Option<Timestamp>) -> KeyLists {
        self.weak.sort_unstable();
        self.weak.dedup();
        self.weak.shrink_to_fit();
        self.weak_moduli.sort_unstable();
        self.weak_moduli.dedup();
        self.weak_moduli.shrink_to_fit();
        self.compromised.sort_unstable();
        self.compromised.dedup_by_key(|(hash, _)| *hash);
        self.compromised.shrink_to_fit();
        KeyLists { as_of, ..self }
    }

    /// How many weak keys there are.
    pub fn weak_count(&self) -> usize {
        self.weak.len() + self.weak_moduli.len()
    }
    /// How many compromised keys there are.
    pub fn compromised_count(&self) -> usize {
        self.compromised.len()
    }
    /// The age of the newest file; `None` without lists.
    pub fn as_of(&self) -> Option<Timestamp> {
        self.as_of
    }

    /// Whether the key of a certificate is on a list of weak keys.
    pub fn is_weak(&self, cert: &Certificate) -> bool {
        let by_modulus = || match cert.public_key() {
            PublicKey::Rsa { modulus, .. } => self.weak_moduli.binary_search(&modulus_hash(modulus)).is_ok(),
            _ => false,
        };
        (!self.weak.is_empty() && self.weak.binary_search(&cert.spki_sha256().0).is_ok())
            || (!self.weak_moduli.is_empty() && by_modulus())
    }

    /// Why the key of a certificate is known to be compromised.
    pub fn compromise(&self, cert: &Certificate) -> Option<&str> {
        if self.compromised.is_empty() {
            return None;
        }
        let hash = cert.spki_sha256().0;
        let at = self.compromised.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
        self.reasons.get(self.compromised[at].1 as usize).map(|reason| &**reason)
    }
}

/// The first word of a line and what follows it; `None` when it says nothing.
fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    Some((&line[..end], line[end..].trim_ascii()))
}

fn decoded<const N: usize>(word: &[u8]) -> Result<[u8; N], LineError> {
    let mut hash = [0; N];
    hex::decode_to_slice(word, &mut hash).map_err(|_| LineError::NotHex)?;
    Ok(hash)
}

fn wrong_length(word: &[u8], length: usize, debian: bool) -> LineError {
    if word.iter().all(u8::is_ascii_hexdigit) { LineError::Length(length, debian) } else { LineError::NotHex }
}

/// What `openssl rsa -modulus` prints of a key, hashed as openssl-blacklist does.
fn modulus_hash(modulus: &[u8]) -> ModulusHash {
    let text = format!("Modulus={}\n", hex::encode_upper(modulus));
    // `openssl` prints a number, without the zero that would make its digits even.
    let text = text.replacen("Modulus=0", "Modulus=", 1);
    let mut hash = [0; 10];
    if let Some(tail) = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref().get(10..20) {
        hash.copy_from_slice(tail);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::certgen::{Spec, number, rsa};

    /// The modulus with which another CA's software tests its own reading of the list, and the SHA-1 that it states:
    /// a3853d0c563765e504c18df20e6961a16398b85a.
    const MODULUS: &str = "D673252AF6723C3F72529403EAB7C30DEF3C52F97E799825F4A70191C616ADCF1ECE1113F1625971074C492C592025FD\
                           EADBDB146A081826BDF0D77C3C913DCF1B6F0B3B78F5108D2E493AD0EEE8CA5C021711ADC13D358E61133870FCD19C8E\
                           5C22403959782AA82E72AEE53A3D491E3912CE27B27E1A85EA69C19A527D28F7934C9823B7E56FDD657DAC83FDC65BB2\
                           2A98D843DF73238919781B714C81A5E2AFEC71F5C54AA2A27C590AD94C03C1062D50EFCFFAC743E3C8A3AE056846A1D7\
                           56EB862BF4224169D467C35215ADE0AFCC11E85FE629AFB802C4786FF2E9C929BCCF502B3D3B8876C6A11785CC398B38\
                           9F1D86BDD9CB0BD4EC13956EC3FA270D";

    fn with(spki: Vec<u8>) -> Certificate {
        Certificate::parse(&Spec::summer("a.com").spki(spki).der()).expect("generated")
    }

    #[test]
    fn a_modulus_is_hashed_as_the_public_lists_have_it() {
        let modulus = num_bigint::BigUint::parse_bytes(MODULUS.as_bytes(), 16).expect("hexadecimal");
        let mut lists = KeyLists::default();
        for line in
            ["# blacklist.RSA-2048", "", "00005890bc78bcbee3ca", "8DF20E6961A16398B85A\r\n", "ffff0000ffff0000ffff"]
        {
            assert_eq!(lists.weak_line(line.as_bytes()), Ok(()), "{line}");
        }
        let lists = lists.finish(None);
        assert_eq!(lists.weak_count(), 3);
        assert!(lists.is_weak(&with(rsa(&modulus))) && !lists.is_weak(&with(rsa(&number(2048)))));
        assert!(!lists.is_weak(&Certificate::parse(&Spec::summer("a.com").der()).expect("generated")));
    }

    #[test]
    fn a_key_is_found_by_its_hash_and_with_its_reason() {
        let (first, second) = (with(rsa(&number(2048))), with(rsa(&number(3072))));
        let mut lists = KeyLists::default();
        for (cert, reason) in
            [(&second, "posted on\ta\x07 forum"), (&first, "posted on\ta\x07 forum"), (&first, "twice")]
        {
            let line = format!("  {}  {reason} \n", cert.spki_sha256());
            assert_eq!(lists.compromised_line(line.as_bytes()), Ok(()));
        }
        assert_eq!(lists.weak_line(second.spki_sha256().to_string().as_bytes()), Ok(()));
        let lists = lists.finish(None);
        assert_eq!((lists.compromised_count(), lists.weak_count(), lists.reasons.len()), (2, 1, 2));
        assert_eq!(lists.compromise(&first), Some("posted on\\x09a\\x07 forum"));
        assert_eq!((lists.is_weak(&first), lists.is_weak(&second)), (false, true));
        assert_eq!(lists.compromise(&with(rsa(&number(4096)))), None);
    }

    #[test]
    fn what_is_no_line_of_a_list_is_refused() {
        let mut lists = KeyLists::default();
        let hash = "00".repeat(32);
        assert_eq!(lists.weak_line(b"modulus 00"), Err(LineError::NotHex));
        assert_eq!(lists.weak_line(&[0xff, b'a']), Err(LineError::NotHex));
        assert_eq!(lists.weak_line(&hash.as_bytes()[..40]), Err(LineError::Length(40, true)));
        assert_eq!(lists.compromised_line(&hash.as_bytes()[..20]), Err(LineError::Length(20, false)));
        assert_eq!(lists.compromised_line(hash.as_bytes()), Err(LineError::NoReason));
        assert!(LineError::Length(40, true).to_string().contains("or 20 as openssl-blacklist"));
        assert_eq!(lists.finish(None), KeyLists::default());
    }
}
