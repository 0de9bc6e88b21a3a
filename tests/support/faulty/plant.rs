//! What stands in a faulty log: entries of ours, of others, and odd ones that a log must not have.

use ctwarden::cert::Certificate;
use ctwarden::clock::{Clock, Span, Timestamp};
use ctwarden::ct::leaf::{ExtraData, LeafEntry, encode_leaf_index, encode_timestamped_entry};
use ctwarden::ct::{Hash, sha256};
use ctwarden::demo::ca::Ca;
use ctwarden::demo::log::{RawEntry, RawKind};
use ctwarden::finding::KeyHash;

/// The largest certificate that the format can carry (RFC 6962 3.1: `opaque ASN.1Cert<1..2^24-1>`).
pub const LARGEST: usize = (1 << 24) - 1;

/// An entry as it will stand in a log, whatever its index will be.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What is logged.
    pub raw: RawEntry,
    /// Whether the monitor must find it.
    pub ours: bool,
    /// What is odd about it.
    pub oddity: Oddity,
}

/// What is odd about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// Nothing.
    None,
    /// Its entry type is 5.
    UnknownType,
    /// Its certificate claims to be longer than all that follows.
    Unparsable,
    /// Beside leaf_index stands an extension that nobody knows.
    UnknownExtension,
    /// Its leaf_index is 7 too high.
    WrongIndex,
    /// The log shows it, and has another leaf in its tree.
    Unmerged,
}

/// The bytes of an entry.
pub struct Bytes {
    /// MerkleTreeLeaf.
    pub leaf_input: Vec<u8>,
    /// extra_data of get-entries.
    pub extra_data: Vec<u8>,
    /// What follows the TimestampedEntry in a data tile.
    pub tail: Vec<u8>,
}

impl Entry {
    fn plain(raw: RawEntry, ours: bool) -> Entry {
        Entry { raw, ours, oddity: Oddity::None }
    }

    /// The same entry with an oddity.
    pub fn odd(mut self, oddity: Oddity) -> Entry {
        self.oddity = oddity;
        self
    }

    /// Its bytes at an index.
    pub fn bytes(&self, index: u64) -> Bytes {
        let mut extensions = encode_leaf_index(if self.oddity == Oddity::WrongIndex { index + 7 } else { index });
        if self.oddity == Oddity::UnknownExtension {
            // extension_type 9, opaque extension_data<0..2^16-1>, before and behind.
            let unknown = [9, 0, 3, b'a', b'b', b'c'];
            extensions = [&unknown[..], &extensions, &unknown].concat();
        }
        let mut leaf_input = vec![0, 0];
        encode_timestamped_entry(&mut leaf_input, self.raw.timestamp, &self.raw.kind.leaf(), &extensions);
        match self.oddity {
            Oddity::UnknownType => leaf_input[11] = 5,
            Oddity::Unparsable => {
                // x509_entry whose length says 16 MiB.
                leaf_input[10..15].copy_from_slice(&[0, 0, 0xff, 0xff, 0xff]);
            }
            _ => {}
        }
        let pre_certificate = match &self.raw.kind {
            RawKind::X509 { .. } => None,
            RawKind::Precert { pre_certificate, .. } => Some(pre_certificate.as_slice()),
        };
        let chain: Vec<&[u8]> = self.raw.chain.iter().map(Vec::as_slice).collect();
        let fingerprints: Vec<Hash> = chain.iter().map(|der| sha256(&[der])).collect();
        let mut tail = Vec::new();
        if let Some(der) = pre_certificate {
            tail.extend_from_slice(&(der.len() as u32).to_be_bytes()[1..]);
            tail.extend_from_slice(der);
        }
        tail.extend_from_slice(&((32 * fingerprints.len()) as u16).to_be_bytes());
        tail.extend_from_slice(fingerprints.as_flattened());
        Bytes { leaf_input, extra_data: ExtraData { pre_certificate, chain }.encode(), tail }
    }
}

/// An entry of somebody else.
pub fn foreign(number: u64) -> Entry {
    let tbs = format!("TBSCertificate number {number} of somebody else, {}", "x".repeat((number % 90) as usize));
    Entry::plain(foreign_with(tbs.into_bytes()), false)
}

/// The largest entry of somebody else that there can be.
pub fn largest() -> Entry {
    let mut raw = foreign_with(vec![0x5a; LARGEST]);
    if let RawKind::Precert { pre_certificate, .. } = &mut raw.kind {
        *pre_certificate = b"short".to_vec();
    }
    Entry::plain(raw, false)
}

fn foreign_with(tbs: Vec<u8>) -> RawEntry {
    let kind = RawKind::Precert { issuer_key_hash: KeyHash([7; 32]), pre_certificate: tbs.clone(), tbs };
    RawEntry { timestamp: Clock::System.now(), kind, chain: vec![b"an issuer of somebody else".to_vec()] }
}

/// The CA whose certificates are to be found, and some of them.
pub struct Garden {
    pub ca: Ca,
    hits: Vec<Entry>,
    now: Timestamp,
}

impl Garden {
    /// A CA with `hits` precertificates for internal names: each one finding that needs no record.
    pub fn new(hits: usize) -> Garden {
        let now = Clock::System.now();
        let mut garden = Garden { ca: Ca::generate(now).expect("CA"), hits: Vec::new(), now };
        garden.hits = (0..hits).map(|number| garden.precertificate(number)).collect();
        garden
    }

    fn precertificate(&self, number: usize) -> Entry {
        let name = format!("host{number}.bizkaia.euskalsarea");
        let draft = self.ca.draft(&[&name], self.now.minus(Span::from_seconds(60))).expect("draft");
        let der = draft.precertificate().expect("precertificate");
        let leaf = Certificate::parse(&der).expect("our own certificate");
        let kind = RawKind::of(&leaf, self.ca.issuer_key_hash());
        let chain = vec![self.ca.issuing_der().to_vec(), self.ca.root_der().to_vec()];
        Entry::plain(RawEntry { timestamp: self.now, kind, chain }, true)
    }

    /// The precertificate with this number, round and round.
    pub fn hit(&self, number: usize) -> Entry {
        self.hits[number % self.hits.len()].clone()
    }

    /// How many different precertificates there are.
    pub fn hits(&self) -> usize {
        self.hits.len()
    }

    /// The same hit, but what stands outside of the Merkle tree belongs to another certificate.
    pub fn hit_with_strange_chain(&self, number: usize) -> Entry {
        let mut entry = self.hit(number);
        let other = self.hit(number + 1);
        if let (RawKind::Precert { pre_certificate, .. }, RawKind::Precert { pre_certificate: strange, .. }) =
            (&mut entry.raw.kind, &other.raw.kind)
        {
            *pre_certificate = strange.clone();
        }
        entry.raw.chain = vec![b"no certificate at all".to_vec(), self.ca.root_der().to_vec()];
        entry
    }

    /// A certificate that names our CA as its issuer, with a signature that no key of ours made.
    pub fn imposter(&self) -> Entry {
        let draft = self.ca.draft(&["www.imposter-tests.eus"], self.now).expect("draft");
        let mut certificate = draft.certificate(&[]).expect("certificate");
        let last = certificate.len() - 1;
        certificate[last] ^= 1;
        let chain = vec![self.ca.issuing_der().to_vec(), self.ca.root_der().to_vec()];
        Entry::plain(RawEntry { timestamp: self.now, kind: RawKind::X509 { certificate }, chain }, true)
    }

    /// `size` entries of which those at `hits` are ours, for a log that begins at index `from`.
    pub fn entries(&self, from: u64, size: u64, hits: &[u64]) -> Vec<Entry> {
        (from..from + size)
            .map(|index| match hits.iter().position(|hit| *hit == index) {
                Some(number) => self.hit(number),
                None => foreign(index),
            })
            .collect()
    }

    /// The part of a configuration that names the CA.
    pub fn issuers(&self) -> String {
        "[[issuer]]\nname = \"Tests CA\"\ncertificate = \"issuing.pem\"\n[issuance]\nsource = \"none\"".to_string()
    }
}

/// The content of an entry, for comparing.
pub fn core_sha256(entry: &Entry) -> [u8; 32] {
    match entry.raw.kind.leaf() {
        LeafEntry::X509 { certificate } => Certificate::parse(certificate).expect("ours").core_sha256(),
        LeafEntry::Precert { tbs, .. } => Certificate::parse_tbs(tbs).expect("ours").core_sha256(),
    }
}
