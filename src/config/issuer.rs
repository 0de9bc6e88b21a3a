//! The meaning of `[[issuer]]`.

use sha2::{Digest, Sha256};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::document::Document;
use super::problem::{quote, read_file};
use super::raw::RawIssuer;
use super::{Issuer, IssuerSource};
use crate::finding::KeyHash;

/// The longest certificate file that is read, in bytes.
const CERTIFICATE_LIMIT_BYTES: u64 = 1 << 20;
/// The longest name of an issuer, in bytes: it is a label of metrics.
const NAME_LIMIT_BYTES: usize = 100;

/// Every `[[issuer]]`; those with problems are left out, and the problems reported.
pub(super) fn build(raw: Vec<RawIssuer>, all_issuers: Option<bool>, document: &mut Document<'_>) -> Vec<Issuer> {
    if !document.has("issuer") && all_issuers == Some(false) {
        let remedy = "Write one [[issuer]] with name and certificate for each issuing CA, or watch.all_issuers = true.";
        document.missing("issuer", remedy);
    }
    let mut issuers: Vec<Issuer> = Vec::new();
    for (at, raw) in raw.into_iter().enumerate() {
        let shown = format!("issuer[{}]", at + 1);
        let Some(issuer) = one(raw, &shown, document) else { continue };
        if issuers.iter().any(|other| other.name == issuer.name) {
            let reason = format!("{} names two issuers", quote(&issuer.name));
            document.refuse::<()>(&format!("{shown}.name"), reason, "Give each issuer a name of its own.");
        }
        if let Some(other) = issuers.iter().find(|other| other.key_hash == issuer.key_hash) {
            let reason = format!("has the same key as {}", quote(&other.name));
            document.refuse::<()>(&shown, reason, "Keep one of the two; issuers are told apart by their keys.");
        }
        issuers.push(issuer);
    }
    issuers
}

fn one(raw: RawIssuer, shown: &str, document: &mut Document<'_>) -> Option<Issuer> {
    let (name_key, file_key, hash_key) =
        (format!("{shown}.name"), format!("{shown}.certificate"), format!("{shown}.issuer_key_hash"));
    let name = raw.name.and_then(|name| {
        let good = name.len() <= NAME_LIMIT_BYTES && !name.chars().any(char::is_control);
        let remedy = "Choose one line of at most 100 bytes.";
        if good { Some(name) } else { document.refuse(&name_key, "is too long or not one line", remedy) }
    });
    let source = match (document.has(&file_key), document.has(&hash_key)) {
        (true, true) => {
            let remedy = "Keep certificate: with it, final certificates are matched too.";
            document.refuse(shown, "has both certificate and issuer_key_hash", remedy)
        }
        (false, false) => {
            document.missing(&file_key, "Write certificate = \"FILE\" (or issuer_key_hash = \"HEX\") in [[issuer]].");
            None
        }
        (true, false) => raw.certificate.and_then(|text| certificate(&text, &file_key, document)),
        (false, true) => raw.issuer_key_hash.and_then(|text| match KeyHash::from_hex(&text) {
            Some(hash) => Some((IssuerSource::KeyHash(hash), hash)),
            None => {
                let remedy = "Write the SHA-256 of the issuer's SubjectPublicKeyInfo, 64 digits.";
                document.refuse(&hash_key, format!("{} is not 64 hexadecimal digits", quote(&text)), remedy)
            }
        }),
    };
    let crls_key = format!("{shown}.crls");
    let crls = raw.crls.unwrap_or_default();
    for url in crls.iter().filter(|url| !super::status::is_crl_url(url)) {
        let reason = format!("{} is not an http URL", quote(url));
        document.refuse::<()>(&crls_key, reason, "Write for instance http://crl.ca.example/g1.crl.");
    }
    let (source, key_hash) = source?;
    Some(Issuer { name: name?, source, key_hash, crls })
}

fn certificate(text: &str, key: &str, document: &mut Document<'_>) -> Option<(IssuerSource, KeyHash)> {
    let path = document.path(text);
    let remedy = "Name the CA certificate of this issuer, one certificate in PEM or DER.";
    let read = read_file(&path, CERTIFICATE_LIMIT_BYTES).and_then(|bytes| {
        let der = der(&bytes).map_err(|reason| format!("{} {reason}", path.display()))?;
        let key_hash = ca_key_hash(&der).map_err(|reason| format!("{} {reason}", path.display()))?;
        Ok((IssuerSource::Certificate(der), key_hash))
    });
    read.map_or_else(|reason| document.refuse(key, reason, remedy), Some)
}

/// The one certificate of a file, DER; the error goes after the name of the file.
fn der(bytes: &[u8]) -> Result<Vec<u8>, String> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    if !bytes.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return Ok(bytes.to_vec());
    }
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(bytes) {
        match block {
            Ok(block) if block.label == "CERTIFICATE" => found.push(block.contents),
            Ok(block) if block.label.contains("PRIVATE KEY") => return Err("holds a private key".to_string()),
            Ok(_) => {}
            Err(_) => return Err("is not readable PEM".to_string()),
        }
    }
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err("holds no certificate".to_string()),
        (_, others) => Err(format!("holds {} certificates", others + 1)),
    }
}

/// SHA-256 of the SubjectPublicKeyInfo of a CA certificate; the error goes after the name of the file.
fn ca_key_hash(der: &[u8]) -> Result<KeyHash, String> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| "is not a certificate".to_string())?;
    if !rest.is_empty() {
        return Err(format!("has {} bytes after the certificate", rest.len()));
    }
    // RFC 5280 4.2.1.9: if the cA boolean is not asserted, the certified public key MUST NOT be used to verify
    // certificate signatures.
    let constraints = certificate.basic_constraints().map_err(|_| "has broken basicConstraints".to_string())?;
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err("is not a CA certificate (basicConstraints without cA)".to_string());
    }
    Ok(KeyHash(Sha256::digest(certificate.public_key().raw).into()))
}
