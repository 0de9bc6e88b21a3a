//! A small DNS on loopback that is signed as the real one is: a root, the zone "example." that it delegates to, the
//! signatures over all of it, and proofs of what is not there (RFC 4035 3.1).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ctwarden::clock::{Clock, HOUR, Timestamp};
use hickory_resolver::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, NSEC, RRSIG};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, DnssecSigner, PublicKey, SigningKey};
use hickory_resolver::proto::op::{Message, OpCode};
use hickory_resolver::proto::rr::rdata::{NS, SOA};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordSet, RecordType};

use super::dns::listen;

/// What is done to an answer on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing.
    Clear,
    /// Its records are others than those that were signed.
    Forged,
    /// Its signatures are left out.
    Stripped,
}

/// The DNS; it ends with the process.
pub struct SignedDns {
    /// Where a resolver asks it.
    pub address: SocketAddr,
    zones: Arc<Mutex<Zones>>,
}

struct Zones {
    root: DnssecSigner,
    example: DnssecSigner,
    sets: HashMap<(Name, RecordType), Vec<RData>>,
    ways: HashMap<Name, Way>,
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn signer(zone: &str) -> DnssecSigner {
    let algorithm = Algorithm::ECDSAP256SHA256;
    let pkcs8 = EcdsaSigningKey::generate_pkcs8(algorithm).expect("a key");
    let key = EcdsaSigningKey::from_pkcs8(&pkcs8, algorithm).expect("a key");
    let dnskey = DNSKEY::from_key(&key.to_public_key().expect("its public key"));
    DnssecSigner::new(dnskey, Box::new(key), name(zone), Duration::from_secs(86_400))
}

impl SignedDns {
    /// One with a new key for each zone.
    pub fn start() -> SignedDns {
        let mut zones =
            Zones { root: signer("."), example: signer("example."), sets: HashMap::new(), ways: HashMap::new() };
        for (zone, key) in [(".", zones.root.to_dnskey()), ("example.", zones.example.to_dnskey())] {
            let server = name("ns.example.");
            let soa = SOA::new(server.clone(), name("hostmaster.example."), 1, 3600, 600, 86_400, 60);
            zones.add(zone, RData::SOA(soa));
            zones.add(zone, RData::NS(NS(server)));
            zones.add(zone, RData::DNSSEC(DNSSECRData::DNSKEY(key)));
        }
        let key = zones.example.key().to_public_key().expect("its public key");
        let ds = DS::from_key(&key, &name("example."), DigestType::SHA256).expect("a digest");
        zones.add("example.", RData::DNSSEC(DNSSECRData::DS(ds)));
        let zones = Arc::new(Mutex::new(zones));
        let asked = zones.clone();
        let address = listen(move |question| asked.lock().expect("unpoisoned").answer(question));
        SignedDns { address, zones }
    }

    /// The CAA records of a name below example., and what is done to answers about it.
    pub fn caa(&self, owner: &str, records: &[&str], way: Way) {
        let mut zones = self.zones.lock().expect("unpoisoned");
        let owner = format!("{owner}.");
        for text in records {
            zones.add(&owner, RData::try_from_str(RecordType::CAA, text).expect("a CAA record"));
        }
        zones.ways.insert(name(&owner), way);
    }

    /// Writes the key of its root as a resolver takes it for a trust anchor.
    pub fn write_anchor(&self, path: &Path) {
        let zones = self.zones.lock().expect("unpoisoned");
        let key = zones.root.key().to_public_key().expect("its public key");
        let algorithm = u8::from(key.algorithm());
        let text = format!(". 3600 IN DNSKEY 257 3 {algorithm} {}\n", STANDARD.encode(key.public_bytes()));
        std::fs::write(path, text).expect("written");
    }
}

impl Zones {
    fn add(&mut self, owner: &str, data: RData) {
        self.sets.entry((name(owner), data.record_type())).or_default().push(data);
    }

    fn answer(&self, question: &[u8]) -> Vec<u8> {
        let question = Message::from_vec(question).expect("a question");
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        let query = question.queries[0].clone();
        let (owner, asked) = (query.name().to_lowercase(), query.query_type());
        let way = self.ways.get(&owner).copied().unwrap_or(Way::Clear);
        // RFC 4035 2.4: "A DS RRset SHOULD be present at a delegation point", in the zone above it.
        let is_below = name("example.").zone_of(&owner) && !(asked == RecordType::DS && owner == name("example."));
        let (zone, signer) = if is_below { ("example.", &self.example) } else { (".", &self.root) };
        match self.sets.get(&(owner.clone(), asked)) {
            Some(data) => {
                let mut records = signed(&owner, data, signer);
                match way {
                    Way::Clear => {}
                    Way::Forged => {
                        let forged = RData::try_from_str(asked, "0 issue \"thief.example\"").expect("a record");
                        records[0] = Record::from_rdata(owner, 60, forged);
                    }
                    Way::Stripped => records.retain(|record| record.record_type() == asked),
                }
                answer.insert_answers(records);
            }
            None => {
                let soa = &self.sets[&(name(zone), RecordType::SOA)];
                let types: Vec<RecordType> = self.sets.keys().filter(|(of, _)| *of == owner).map(|(_, t)| *t).collect();
                let next = name("a").append_domain(&owner).expect("a name");
                let nothing = RData::DNSSEC(DNSSECRData::NSEC(NSEC::new_cover_self(next, types)));
                let proof = [signed(&name(zone), soa, signer), signed(&owner, &[nothing], signer)].concat();
                answer.insert_authorities(proof);
            }
        }
        answer.queries.push(query);
        answer.to_vec().expect("an answer")
    }
}

/// Records of one name and type with the signature over them.
fn signed(owner: &Name, data: &[RData], signer: &DnssecSigner) -> Vec<Record> {
    let mut set = RecordSet::with_ttl(owner.clone(), data[0].record_type(), 60);
    for one in data {
        set.add_rdata(one.clone());
    }
    let since = Clock::System.now().minus(HOUR).since(Timestamp::EPOCH).duration();
    let inception = rcgen::date_time_ymd(1970, 1, 1) + since;
    let signature = RRSIG::from_rrset(&set, DNSClass::IN, inception, signer).expect("a signature");
    let signature = Record::from_rdata(owner.clone(), 60, RData::DNSSEC(DNSSECRData::RRSIG(signature)));
    set.records_without_rrsigs().cloned().chain([signature]).collect()
}
