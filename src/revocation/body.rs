//! The body of a CRL in files, from its coming over the wire to the DER: it is read piece by piece, so that one of 100 MB
//! takes little memory.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Algorithm, Context, Digest, SHA256};
use flate2::read::MultiGzDecoder;

use super::kept::EntryReader;
use crate::cert::crl::{self, Crl, CrlError, HEAD_BYTES, Outline};
use crate::cert::signature::digest_of;
use crate::tail::FetchError;

/// What is read or written at once, in bytes.
const PIECE: usize = 256 << 10;

/// Why there is no DER of what came.
#[derive(Debug)]
pub(super) enum BodyError {
    /// It is not what its headers say.
    Wire(FetchError),
    /// A file of ours cannot be used.
    File(io::Error),
}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> BodyError {
        BodyError::File(error)
    }
}

/// The files of a body that has come. They end with it.
#[derive(Debug)]
pub(super) struct Body {
    wire: PathBuf,
    plain: PathBuf,
    der: PathBuf,
}

impl Drop for Body {
    fn drop(&mut self) {
        [&self.wire, &self.plain, &self.der].into_iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

impl Body {
    /// The files beside this one.
    pub(super) fn beside(path: &Path) -> Body {
        let [wire, plain, der] = ["wire", "plain", "der"].map(|extension| path.with_extension(extension));
        Body { wire, plain, der }
    }

    /// The file for what comes over the wire.
    pub(super) fn wire(&self) -> &Path {
        &self.wire
    }

    /// Inflates what came to at most `limit_bytes` and takes it out of PEM, where it has to. What is no CRL is given as it
    /// is.
    ///
    /// # Errors
    /// See [`BodyError`].
    pub(super) fn der(&self, url: &str, is_gzip: bool, limit_bytes: usize) -> Result<Der, BodyError> {
        let mut file = File::open(&self.wire)?;
        if is_gzip {
            file = self.inflate(url, file, limit_bytes)?;
        }
        let mut first = [0];
        let is_text = file.read(&mut first)? == 1 && first != [0x30];
        file.rewind()?;
        if is_text {
            // Text of a CRL is rare, and never as large as those in DER: it is read whole.
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            if let Ok(der) = crl::der(&text) {
                fs::write(&self.der, der)?;
                file = File::open(&self.der)?;
            }
        }
        let size = file.metadata()?.len();
        Ok(Der { file, at: 0..size })
    }

    fn inflate(&self, url: &str, file: File, limit_bytes: usize) -> Result<File, BodyError> {
        let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(PIECE, file));
        let mut plain = File::options().read(true).write(true).create(true).truncate(true).open(&self.plain)?;
        let (mut piece, mut size) = (vec![0; PIECE], 0);
        loop {
            let count = decoder.read(&mut piece).map_err(|error| {
                let reason = format!("its gzip body is broken: {error}");
                BodyError::Wire(FetchError::Garbled { url: url.to_string(), reason })
            })?;
            size += count;
            if count == 0 {
                plain.rewind()?;
                return Ok(plain);
            }
            if size > limit_bytes {
                return Err(BodyError::Wire(FetchError::TooLarge { url: url.to_string(), limit_bytes }));
            }
            plain.write_all(&piece[..count])?;
        }
    }
}

/// The DER of a CRL, or what was served as one, in a file.
#[derive(Debug)]
pub(super) struct Der {
    file: File,
    /// Where it stands.
    at: Range<u64>,
}

impl Der {
    pub(super) fn new(file: File, at: Range<u64>) -> Der {
        Der { file, at }
    }

    /// Writes it all.
    pub(super) fn copy_to(&mut self, to: &mut File) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.at.start))?;
        let size = self.at.end - self.at.start;
        let copied = io::copy(&mut (&mut self.file).take(size), to)?;
        if copied == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Gives `work` the CRL, or why it is none, and its SHA-256.
    pub(super) fn read<T>(&mut self, work: impl FnOnce(&Result<Crl<'_>, CrlError>, [u8; 32]) -> T) -> io::Result<T> {
        let size = self.at.end - self.at.start;
        let head = self.part(0..size.min(HEAD_BYTES))?;
        let outline = match Outline::read(&head, size) {
            Ok(outline) => outline,
            Err(error) => return Ok(work(&Err(error), self.digests(None)?.0)),
        };
        let behind = self.part(outline.entries_at.end..size)?;
        let without = outline.without_entries(&head, &behind);
        let crl = match Crl::parse(&without) {
            Ok(crl) => crl,
            Err(error) => return Ok(work(&Err(error), self.digests(None)?.0)),
        };
        let Some(algorithm) = digest_of(crl.algorithm) else {
            // Ed25519 signs the message and no digest of it (RFC 8032 5.1.6): the whole of it is needed. CRLs of the web
            // have no such signatures (BR 7.1.3.2).
            let sha256 = self.digests(None)?.0;
            return Ok(work(&Crl::parse(&self.part(0..size)?), sha256));
        };
        let (sha256, digest) = self.digests(Some((algorithm, outline.tbs_at.clone())))?;
        let fault = self.entry_fault(&outline.entries_at)?;
        let crl = match digest {
            Some(digest) => crl.with_entries(&outline, digest, fault),
            None => crl,
        };
        Ok(work(&Ok(crl), sha256))
    }

    /// A part of it.
    fn part(&mut self, at: Range<u64>) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(self.at.start + at.start))?;
        let mut part = vec![0; usize::try_from(at.end - at.start).map_err(io::Error::other)?];
        self.file.read_exact(&mut part)?;
        Ok(part)
    }

    /// The SHA-256 of all of it, and the digest of a part.
    fn digests(&mut self, part: Option<(&'static Algorithm, Range<u64>)>) -> io::Result<([u8; 32], Option<Digest>)> {
        self.file.seek(SeekFrom::Start(self.at.start))?;
        let (mut whole, mut of_part) = (Context::new(&SHA256), part.map(|(of, at)| (Context::new(of), at)));
        let (mut piece, mut place, size) = (vec![0; PIECE], 0, self.at.end - self.at.start);
        while place < size {
            let count = usize::try_from(size - place).unwrap_or(PIECE).min(PIECE);
            self.file.read_exact(&mut piece[..count])?;
            whole.update(&piece[..count]);
            if let Some((context, at)) = &mut of_part {
                let within = |end: u64| end.clamp(place, place + count as u64) - place;
                context.update(&piece[within(at.start) as usize..within(at.end) as usize]);
            }
            place += count as u64;
        }
        let sha256 = <[u8; 32]>::try_from(whole.finish().as_ref()).map_err(io::Error::other)?;
        Ok((sha256, of_part.map(|(context, _)| context.finish())))
    }

    /// What is wrong with the first entry that cannot be read.
    fn entry_fault(&self, at: &Range<u64>) -> io::Result<Option<CrlError>> {
        let at = self.at.start + at.start..self.at.start + at.end;
        let mut entries = EntryReader::over(self.file.try_clone()?, at)?;
        loop {
            match entries.advance() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Ok(Some(CrlError::Unreadable("revokedCertificates")));
                }
                Err(error) => return Err(error),
            }
            loop {
                match entries.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(fault) => return Ok(Some(fault)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::Certificate;
    use crate::cert::signature::SignatureCheck;

    fn issuer(kind: &'static rcgen::SignatureAlgorithm) -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate_for(kind).expect("a key");
        rcgen::CertifiedIssuer::self_signed(params, key).expect("a CA")
    }

    fn crl(issuer: &rcgen::CertifiedIssuer<'static, rcgen::KeyPair>, entries: u64) -> Vec<u8> {
        let revoked = |serial: u64| rcgen::RevokedCertParams {
            serial_number: rcgen::SerialNumber::from(serial),
            revocation_time: rcgen::date_time_ymd(2026, 11, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2026, 11, 20),
            next_update: rcgen::date_time_ymd(2026, 11, 27),
            crl_number: rcgen::SerialNumber::from(7),
            issuing_distribution_point: None,
            revoked_certs: (1..=entries).map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        params.signed_by(issuer).expect("a CRL").der().to_vec()
    }

    /// What is told of a body that came so: its SHA-256, its number and entries, its signature, the fault of an entry.
    type Told = ([u8; 32], Result<(Vec<u8>, Range<usize>, SignatureCheck, Option<CrlError>), CrlError>);

    fn told(wire: &[u8], is_gzip: bool, limit: usize, spki: &[u8]) -> Result<Told, BodyError> {
        let directory = tempfile::tempdir().expect("a directory");
        let body = Body::beside(&directory.path().join("x.crl"));
        fs::write(body.wire(), wire).expect("written");
        let mut der = body.der("http://x/", is_gzip, limit)?;
        let told = der.read(|read, sha256| {
            let of =
                |crl: &Crl<'_>| (crl.number.to_vec(), crl.entries_at.clone(), crl.signed_by(spki), crl.entry_fault());
            (sha256, read.as_ref().map(of).map_err(|error| *error))
        });
        drop((der, body));
        assert_eq!(fs::read_dir(directory.path()).expect("it").count(), 0, "files are left");
        Ok(told.expect("readable"))
    }

    fn sha256(bytes: &[u8]) -> [u8; 32] {
        aws_lc_rs::digest::digest(&SHA256, bytes).as_ref().try_into().expect("32 octets")
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn a_crl_is_told_alike_however_it_comes() {
        for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
            let (ca, other) = (issuer(kind), issuer(kind));
            let spki = |ca: &rcgen::CertifiedIssuer<'static, rcgen::KeyPair>| {
                Certificate::parse(ca.der()).expect("own").spki_der().to_vec()
            };
            // None, a few, and more than some pieces of the file.
            for entries in [0, 3, 40_000] {
                let der = crl(&ca, entries);
                let whole = Crl::parse(&der).expect("a CRL");
                let good = (sha256(&der), Ok((vec![7], whole.entries_at.clone(), SignatureCheck::Valid, None)));
                let pem = crate::cert::pem::encode(&der).replace("CERTIFICATE", "X509 CRL");
                let limit = der.len();
                for (wire, is_gzip) in [(der.clone(), false), (gzip(&der), true), (pem.clone().into_bytes(), false)] {
                    assert_eq!(told(&wire, is_gzip, limit, &spki(&ca)).expect("told"), good);
                    let (_, read) = told(&wire, is_gzip, limit, &spki(&other)).expect("told");
                    assert_eq!(read.expect("a CRL").2, SignatureCheck::Invalid);
                }
                // One octet in the midst of what is signed.
                let mut changed = der.clone();
                changed[der.len() / 2 - 10] ^= 1;
                let (_, read) = told(&changed, false, limit, &spki(&ca)).expect("told");
                assert!(read.is_err() || read.is_ok_and(|(.., signature, _)| signature == SignatureCheck::Invalid));
                let large = told(&gzip(&der), true, limit - 1, &spki(&ca)).expect_err("refused");
                assert!(matches!(large, BodyError::Wire(FetchError::TooLarge { .. })), "{large:?}");
            }
        }
    }

    #[test]
    fn what_is_no_crl_or_no_gzip_is_said_to_be_none() {
        let ca = issuer(&rcgen::PKCS_ECDSA_P256_SHA256);
        let der = crl(&ca, 10_000);
        let of = |bytes: &[u8]| told(bytes, false, usize::MAX, &[]).expect("told").1;
        assert_eq!(of(b""), Err(CrlError::NoCrl));
        assert_eq!(of(b"<html>"), Err(CrlError::NoCrl));
        assert_eq!(of(&der[..der.len() - 1]), Err(CrlError::NoCrl));
        assert_eq!(of(&[&der[..], &[0, 0]].concat()), Err(CrlError::Trailing(2)));
        // An entry that is none, far behind the first piece.
        let mut garbled = der.clone();
        // SEQUENCE { INTEGER 10000, ... }
        let serial = memchr::memmem::rfind(&der, &[2, 2, 0x27, 0x10]).expect("the last entry");
        let last = serial - 2;
        assert_eq!(garbled[last], 0x30);
        garbled[last] = 0x31;
        assert_eq!(of(&garbled).expect("its head is good").3, Some(CrlError::Unreadable("revokedCertificates")));
        let broken = told(&der, true, usize::MAX, &[]).expect_err("refused");
        assert!(matches!(&broken, BodyError::Wire(FetchError::Garbled { .. })), "{broken:?}");
    }
}
