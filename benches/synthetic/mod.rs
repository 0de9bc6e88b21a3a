//! Log entries made up deterministically, in size and compressibility like those of public logs: 61 % precertificates,
//! RSA-2048 keys, 17 names, eight issuers of which a few issue most.

use ctwarden::cert::Certificate;
use ctwarden::clock::Timestamp;
use ctwarden::ct::entries::encode_page;
use ctwarden::ct::leaf::{ExtraData, LeafEntry, encode_leaf_index, encode_merkle_tree_leaf};
use ctwarden::ct::tile::encode_tile_leaf;
use ctwarden::ct::{Hash, sha256};
use ctwarden::finding::KeyHash;
use ctwarden::watch::{Issuer, Watchlist};

/// 2026-11-21.
const NOW_MILLIS: i64 = 1_795_219_200_000;
const SHA256_WITH_RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";

/// Numbers without chance (splitmix64).
pub struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// One DER element.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        length @ 0..0x80 => out.push(length as u8),
        length @ 0x80..0x100 => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

fn extension(oid: &[u8], content: &[u8]) -> Vec<u8> {
    der(0x30, &[&der(6, &[oid]), &der(4, &[content])])
}

fn name(common_name: &str) -> Vec<u8> {
    let part = |oid: &[u8], text: &str| der(0x31, &[&der(0x30, &[&der(6, &[oid]), &der(0x0c, &[text.as_bytes()])])]);
    let organisation = format!("{common_name} Trust Services Limited");
    der(
        0x30,
        &[&part(b"\x55\x04\x06", "XX"), &part(b"\x55\x04\x0a", &organisation), &part(b"\x55\x04\x03", common_name)],
    )
}

fn rsa_key(numbers: &mut Numbers) -> Vec<u8> {
    let modulus = [vec![0, 0xc1], numbers.bytes(255)].concat();
    let key = der(0x30, &[&der(2, &[&modulus]), &der(2, &[&[1, 0, 1]])]);
    let algorithm = der(0x30, &[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"]);
    der(0x30, &[&algorithm, &der(3, &[&[0], &key])])
}

fn signed(tbs: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    der(0x30, &[tbs, &der(0x30, &[SHA256_WITH_RSA]), &der(3, &[&[0], &numbers.bytes(256)])])
}

fn tbs(issuer: &[u8], subject: &[u8], key: &[u8], serial: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let serial = [&[0x4b], serial].concat();
    let validity = der(0x30, &[&der(0x17, &[b"261101000000Z"]), &der(0x17, &[b"270129235959Z"])]);
    let extensions = der(0xa3, &[&der(0x30, &[&extensions.concat()])]);
    let algorithm = der(0x30, &[SHA256_WITH_RSA]);
    let version = der(0xa0, &[&[2, 1, 2]]);
    der(0x30, &[&version, &der(2, &[&serial]), &algorithm, issuer, &validity, subject, key, &extensions])
}

struct Authority {
    name: Vec<u8>,
    key_hash: KeyHash,
    key_id: Vec<u8>,
    /// The issuing certificate and the one above it.
    chain: [Vec<u8>; 2],
    host: String,
}

fn authority(number: usize, numbers: &mut Numbers) -> Authority {
    let common_name = format!("Made-up TLS RSA CA {number}");
    let (subject, root, key) = (name(&common_name), name("Made-up Root R1"), rsa_key(numbers));
    let key_id = numbers.bytes(20);
    let extensions = [
        extension(b"\x55\x1d\x13", b"\x30\x06\x01\x01\xff\x02\x01\x00"),
        extension(b"\x55\x1d\x0e", &der(4, &[&key_id])),
        extension(b"\x55\x1d\x20", &der(0x30, &[&b"policies of a made-up authority ".repeat(2)])),
    ];
    let issuing = signed(&tbs(&root, &subject, &key, &numbers.bytes(15), &extensions), numbers);
    let above = signed(&tbs(&root, &root, &rsa_key(numbers), &numbers.bytes(15), &extensions), numbers);
    let host = format!("{:06x}.made-up-ca.example", numbers.below(1 << 24));
    Authority { name: subject, key_hash: KeyHash(sha256(&[&key])), key_id, chain: [issuing, above], host }
}

/// An entry of a log.
pub struct Entry {
    timestamp: Timestamp,
    /// The issuer's key; `None` for a certificate.
    precert: Option<KeyHash>,
    /// The TBSCertificate of a precertificate, or the certificate.
    signed_part: Vec<u8>,
    pre_certificate: Vec<u8>,
    chain: [Vec<u8>; 2],
}

impl Entry {
    fn leaf(&self) -> LeafEntry<'_> {
        match self.precert {
            Some(issuer_key_hash) => LeafEntry::Precert { issuer_key_hash, tbs: &self.signed_part },
            None => LeafEntry::X509 { certificate: &self.signed_part },
        }
    }
    /// The MerkleTreeLeaf, as an RFC 6962 log has it.
    pub fn leaf_input(&self) -> Vec<u8> {
        encode_merkle_tree_leaf(self.timestamp, &self.leaf(), b"")
    }
    /// What get-entries gives beside it.
    pub fn extra_data(&self) -> Vec<u8> {
        let pre_certificate = self.precert.map(|_| self.pre_certificate.as_slice());
        ExtraData { pre_certificate, chain: self.chain.iter().map(Vec::as_slice).collect() }.encode()
    }
}

fn entry(numbers: &mut Numbers, authorities: &[Authority], number: usize) -> Entry {
    // The smaller of two numbers: half of the entries come from the first three issuers.
    let count = authorities.len() as u64;
    let authority = &authorities[numbers.below(count).min(numbers.below(count)) as usize];
    let domain = format!("{:010x}.example", numbers.below(1 << 40));
    let names = (0..17).map(|i| {
        let label = ["www", "mail", "api", "shop", "static", "cdn", "login", "img"][i % 8];
        der(0x82, &[format!("{label}-{i:02}-west.{domain}").as_bytes()])
    });
    let names = names.collect::<Vec<_>>().concat();
    let url = |path: &str| der(0x86, &[format!("http://{}/{path}", authority.host).as_bytes()]);
    let access = |oid: &[u8], path: &str| der(0x30, &[&der(6, &[oid]), &url(path)]);
    let ocsp = access(b"\x2b\x06\x01\x05\x05\x07\x30\x01", "ocsp");
    let issuers = access(b"\x2b\x06\x01\x05\x05\x07\x30\x02", "issuing/tls-rsa.crt");
    let crl = der(0x30, &[&der(0xa0, &[&der(0xa0, &[&url(&format!("crl/{:x}.crl", numbers.below(64)))])])]);
    let mut extensions = vec![
        extension(b"\x55\x1d\x0f", b"\x03\x02\x05\xa0"),
        extension(
            b"\x55\x1d\x25",
            b"\x30\x14\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02",
        ),
        extension(b"\x55\x1d\x13", b"\x30\x00"),
        extension(b"\x55\x1d\x0e", &der(4, &[&numbers.bytes(20)])),
        extension(b"\x55\x1d\x23", &der(0x30, &[&der(0x80, &[&authority.key_id])])),
        extension(b"\x2b\x06\x01\x05\x05\x07\x01\x01", &der(0x30, &[&ocsp, &issuers])),
        extension(b"\x55\x1d\x20", b"\x30\x0a\x30\x08\x06\x06\x67\x81\x0c\x01\x02\x01"),
        extension(b"\x55\x1d\x1f", &der(0x30, &[&crl])),
        extension(b"\x55\x1d\x11", &der(0x30, &[&names])),
    ];
    let (key, serial) = (rsa_key(numbers), numbers.bytes(15));
    let subject = der(0x30, &[&der(0x31, &[&der(0x30, &[b"\x06\x03\x55\x04\x03", &der(0x0c, &[domain.as_bytes()])])])]);
    let timestamp = Timestamp::from_millis(NOW_MILLIS + number as i64 * 7);
    let chain = authority.chain.clone();
    if numbers.below(100) < 61 {
        let signed_part = tbs(&authority.name, &subject, &key, &serial, &extensions);
        // RFC 6962 3.1: "a special critical poison extension (OID 1.3.6.1.4.1.11129.2.4.3, whose extnValue OCTET STRING
        // contains ASN.1 NULL data (0x05 0x00))".
        let poison = b"\x06\x0a\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03\x01\x01\xff\x04\x02\x05\x00";
        extensions.push(der(0x30, &[poison]));
        let poisoned = tbs(&authority.name, &subject, &key, &serial, &extensions);
        let pre_certificate = signed(&poisoned, numbers);
        return Entry { timestamp, precert: Some(authority.key_hash), signed_part, pre_certificate, chain };
    }
    let scts = der(4, &[&numbers.bytes(242)]);
    extensions.push(extension(b"\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02", &scts));
    let certificate = signed(&tbs(&authority.name, &subject, &key, &serial, &extensions), numbers);
    Entry { timestamp, precert: None, signed_part: certificate, pre_certificate: Vec::new(), chain }
}

/// Entries of other people's issuers; the same `seed` gives the same entries.
pub fn entries(count: usize, seed: u64) -> Vec<Entry> {
    let mut numbers = Numbers(seed);
    let authorities: Vec<Authority> = (0..8).map(|number| authority(number, &mut numbers)).collect();
    (0..count).map(|number| entry(&mut numbers, &authorities, number)).collect()
}

/// Sixteen issuers of our own, none of which has issued any of the entries.
pub fn watchlist() -> Watchlist {
    let mut numbers = Numbers(0x0ca);
    let issuers = (0..16).map(|number| {
        let own = authority(100 + number, &mut numbers);
        let certificate = Certificate::parse(&own.chain[0]).expect("our own certificate");
        Issuer { name: format!("Own CA {number}"), key_hash: own.key_hash, certificate: Some(certificate) }
    });
    Watchlist::new(issuers.collect(), false)
}

/// A get-entries response.
pub fn page(entries: &[Entry]) -> Vec<u8> {
    let both: Vec<(Vec<u8>, Vec<u8>)> = entries.iter().map(|entry| (entry.leaf_input(), entry.extra_data())).collect();
    encode_page(both.iter().map(|(leaf, extra)| (leaf.as_slice(), extra.as_slice()))).into_bytes()
}

/// A data tile whose first entry has this index.
pub fn tile(entries: &[Entry], first: u64) -> Vec<u8> {
    let mut tile = Vec::new();
    for (index, entry) in (first..).zip(entries) {
        let fingerprints: Vec<Hash> = entry.chain.iter().map(|der| sha256(&[der])).collect();
        let extensions = encode_leaf_index(index);
        encode_tile_leaf(&mut tile, entry.timestamp, &entry.leaf(), &extensions, &entry.pre_certificate, &fingerprints);
    }
    tile
}

/// Gzip at level 6, the level of most servers.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut out).expect("there is room");
    out.truncate(length);
    out
}
