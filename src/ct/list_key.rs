//! The key with which the publisher of a log list signs it.
//!
//! Google publishes beside log_list.json its RSASSA-PKCS1-v1_5 signature with SHA-256 (RFC 8017 8.2), log_list.sig, over
//! the bytes of the file as they are.

use x509_parser::pem::Pem;

use super::key::{DigitallySigned, LogKey};

/// A key that signs log lists: RSA of at least 2048 bits or ECDSA P-256, each with SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListKey(LogKey);

impl ListKey {
    /// The one PUBLIC KEY (RFC 7468 13: the SubjectPublicKeyInfo) of a PEM file.
    ///
    /// # Errors
    /// What is wrong with it; goes after the name of the file.
    pub fn from_pem(bytes: &[u8]) -> Result<ListKey, String> {
        let mut found = Vec::new();
        for block in Pem::iter_from_buffer(bytes) {
            match block {
                Ok(block) if block.label == "PUBLIC KEY" => found.push(block.contents),
                Ok(block) if block.label.contains("PRIVATE KEY") => return Err("holds a private key".to_string()),
                Ok(_) => {}
                Err(_) => return Err("is not readable PEM".to_string()),
            }
        }
        let [der] = found.as_slice() else { return Err(format!("holds {} public keys, not one", found.len())) };
        // What a log may sign with is what a list may be signed with.
        let key = LogKey::from_spki_der(der);
        key.map(ListKey).map_err(|_| "holds neither an RSA key of 2048 to 8192 bits nor a P-256 key".to_string())
    }

    /// Whether `signature`, the bare RSA block or the DER ECDSA-Sig-Value, was made with this key over `list`.
    pub fn signed(&self, list: &[u8], signature: &[u8]) -> bool {
        self.0.verify(list, &DigitallySigned::bare(signature, &self.0)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::signer::LogSigner;
    use crate::ct::to_base64;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", to_base64(der))
    }

    #[test]
    fn a_list_is_signed_by_its_key_over_its_bytes_alone() {
        let (signer, other) = (LogSigner::generate(), LogSigner::generate());
        let key = ListKey::from_pem(pem("PUBLIC KEY", &signer.spki_der()).as_bytes()).expect("a P-256 key");
        // The bare signature is what follows the two algorithm numbers and the length.
        let bare = |signer: &LogSigner| signer.sign(b"{}").split_off(4);
        assert!(key.signed(b"{}", &bare(&signer)));
        assert!(!key.signed(b"{ }", &bare(&signer)));
        assert!(!key.signed(b"{}", &bare(&other)));
        assert!(!key.signed(b"{}", b"") && !key.signed(b"{}", b"<html>"));
    }

    #[test]
    fn a_file_without_one_good_key_is_refused() {
        let spki = LogSigner::generate().spki_der();
        let good = pem("PUBLIC KEY", &spki);
        for (text, said) in [
            (String::new(), "0 public keys"),
            (format!("{good}{good}"), "2 public keys"),
            (pem("CERTIFICATE", &spki), "0 public keys"),
            (pem("PRIVATE KEY", &spki), "private key"),
            (pem("PUBLIC KEY", &spki[1..]), "neither an RSA key"),
            ("-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----\n".to_string(), "not readable PEM"),
        ] {
            let refused = ListKey::from_pem(text.as_bytes()).expect_err(said);
            assert!(refused.contains(said), "{refused}");
        }
        assert!(ListKey::from_pem(format!("Google's key\n{good}").as_bytes()).is_ok());
    }
}
