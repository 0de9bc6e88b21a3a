//! A CA's record of any size, the same for the same seed, with defects planted at places that are known.
//!
//! Certificates are numbered from 1; their names, confirmations, reuses and checks from 1 as well. What is good varies:
//! several subscribers under resellers, names of several registrable domains in one certificate, wildcards, addresses,
//! suffixes of several labels, direct confirmations, reuses and reuses of reuses that end in time. A defect stands under a
//! registrable domain of its own, so that no other confirmation carries it unless one is meant to.
#![allow(dead_code)]

mod defects;
mod sheet;

use std::collections::BTreeSet;
use std::path::Path;

pub use defects::{DEFECTS, Defect};
pub use sheet::{Cell, Form, Sheet};

/// 2026-11-22: the certificates are unexpired then.
pub const NOW: i64 = 1_795_305_600;
const DAY: i64 = 86_400;
/// The subscriber of the second seed incident, and its registrable domains.
pub const LARGE: &str = "applicant-large";
pub const LARGE_DOMAINS: u64 = 1_365;

/// What a corpus is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub seed: u64,
    /// Certificates of the many subscribers.
    pub certificates: u64,
    /// Of a thousand names so many have a defect.
    pub defects_per_mille: u64,
    /// Certificates of one subscriber that all rest on chains of reuse with a root that is too old.
    pub large: u64,
    /// Whether all good names stand under one registrable domain, as those of a large platform do.
    pub one_domain: bool,
}

/// The tables and their columns.
const TABLES: [(&str, &[&str]); 13] = [
    ("issuers", &["issuer_id", "name", "spki_sha256", "hierarchy"]),
    ("accounts", &["account_id", "kind", "name"]),
    ("applicants", &["applicant_id", "account_id", "name"]),
    ("orders", &["order_id", "applicant_id", "channel", "vtype", "hierarchy", "created_at", "identity_id"]),
    (
        "certificates",
        &[
            "cert_id",
            "issuer_id",
            "serial",
            "order_id",
            "cert_sha256",
            "precert_sha256",
            "signed_at",
            "not_before",
            "not_after",
            "state",
        ],
    ),
    (
        "dcv_confirmations",
        &[
            "dcv_id",
            "applicant_id",
            "adn",
            "method",
            "completed_at",
            "performed_by",
            "resolver",
            "remote_ok",
            "remote_total",
            "remote_rirs",
            "dnssec",
            "token_issued_at",
            "reused_dcv_id",
            "location",
            "recorded_at",
        ],
    ),
    ("dcv_reuse", &["reuse_id", "dcv_id", "rule", "decided_at", "decided_by", "reused_reuse_id"]),
    (
        "caa_checks",
        &[
            "caa_id",
            "name",
            "checked_at",
            "result",
            "rrset",
            "ttl",
            "dnssec",
            "resolver",
            "performed_by",
            "remote_ok",
            "remote_total",
            "remote_rirs",
        ],
    ),
    ("san_authorisations", &["cert_id", "name", "dcv_id", "reuse_id", "caa_id"]),
    ("approvals", &["order_id", "step", "person", "decided_at"]),
    ("revocations", &["cert_id", "aware_at", "revoked_at", "reason"]),
    ("identities", &["identity_id", "applicant_id", "verified_at"]),
    ("order_names", &["order_id", "name"]),
];

/// What the audit must find: certificate, name (empty: the certificate as a whole) and rule.
pub type Planted = BTreeSet<(i64, String, String)>;

/// A source of chance that is the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64, of: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ of.wrapping_mul(0xbf58_476d_1ce4_e5b9))
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A confirmation as it is written.
#[derive(Clone, Debug)]
pub struct Confirmation {
    pub id: i64,
    pub applicant: String,
    pub adn: String,
    pub method: &'static str,
    pub completed: i64,
    pub performed_by: &'static str,
    pub resolver: Option<&'static str>,
    pub remote: [i64; 3],
    pub dnssec: Option<&'static str>,
    pub token: Option<i64>,
    pub reused_dcv: Option<i64>,
    /// Whether its value was looked for at another place than its method prescribes.
    pub elsewhere: bool,
    /// How many seconds after its completion its row was written.
    pub recorded_after: i64,
}

/// A reuse as it is written.
#[derive(Clone, Debug)]
pub struct Reuse {
    pub id: i64,
    pub dcv: Option<i64>,
    pub reuse: Option<i64>,
    pub rule: &'static str,
    pub decided: i64,
}

/// A CAA check as it is written.
#[derive(Clone, Debug)]
pub struct Check {
    pub name: String,
    pub checked: i64,
    pub result: &'static str,
    pub rrset: Option<String>,
    pub ttl: Option<i64>,
    pub resolver: &'static str,
    pub performed_by: &'static str,
}

/// A name with all it rests on.
#[derive(Clone, Debug)]
pub struct San {
    pub name: String,
    pub confirmations: Vec<Confirmation>,
    pub reuses: Vec<Reuse>,
    pub dcv: Option<i64>,
    pub reuse: Option<i64>,
    pub caa: Option<Check>,
    /// Whether the order approves it.
    pub ordered: bool,
}

/// A certificate with its order.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub id: i64,
    pub applicant: String,
    pub channel: &'static str,
    pub vtype: &'static str,
    pub hierarchy: &'static str,
    pub approvals: Vec<(&'static str, &'static str)>,
    /// When the identity behind an order that is not DV was verified.
    pub verified: i64,
    pub signed: i64,
    pub names: Vec<San>,
}

/// The first of the four numbers of confirmations, reuses and checks that a name may use.
pub fn numbers(san: u64) -> i64 {
    san as i64 * 4
}

impl Shape {
    /// How many names come before a certificate: every certificate has room for four.
    fn first_name(certificate: u64) -> u64 {
        certificate * 4
    }

    fn applicant(&self, chance: &mut Chance) -> u64 {
        chance.below((self.certificates / 20).max(8))
    }

    /// A certificate; numbers above [`Shape::certificates`] are of the large subscriber.
    pub fn certificate(&self, number: u64, planted: &mut Planted) -> Certificate {
        let mut chance = Chance::new(self.seed, number);
        let signed = NOW - DAY - (chance.below(150 * 86_400)) as i64;
        let large = number > self.certificates;
        let who = self.applicant(&mut chance);
        let applicant = if large { LARGE.to_string() } else { format!("applicant-{who}") };
        let mut certificate = Certificate {
            id: number as i64,
            applicant,
            channel: ["acme", "api", "web"][chance.below(3) as usize],
            vtype: if chance.below(50) == 0 { "EV" } else { "DV" },
            hierarchy: "public",
            approvals: Vec::new(),
            verified: signed - 300 * DAY,
            signed,
            names: Vec::new(),
        };
        if certificate.vtype == "EV" {
            certificate.approvals = vec![("validate", "p1"), ("cross_check", "p2"), ("issue", "p3")];
        }
        let count = 1 + chance.below(4);
        for at in 0..count {
            let san = Shape::first_name(number) + at;
            let name = match large {
                true => format!("h{san}.large{}.com", number % LARGE_DOMAINS),
                false if self.one_domain => format!("h{san}.s{who}.platform.com"),
                false => good_name(&mut chance, who, san),
            };
            let taken = certificate.names.iter().any(|other| other.name == name);
            let name = if taken { format!("x{san}.s{who}-0.com") } else { name };
            let mut san = good(&mut chance, &certificate, name, san);
            if !large && who % 3 == 2 && chance.below(10) == 0 {
                san.confirmations[0].applicant = "applicant-twin".to_string();
            }
            let defect = match large {
                true => Some(Defect::OldChain),
                false if chance.below(1000) < self.defects_per_mille => {
                    Some(DEFECTS[(san.number() as u64 / 4 + chance.below(64)) as usize % DEFECTS.len()])
                }
                false => None,
            };
            if let Some(defect) = defect {
                defects::plant(defect, &mut certificate, &mut san, large, planted);
            }
            certificate.names.push(san);
        }
        certificate
    }

    /// Writes the whole corpus and says what is planted in it.
    pub fn write(&self, directory: &Path, form: Form) -> Planted {
        std::fs::create_dir_all(directory).expect("a directory");
        let mut sheets: Vec<Sheet> =
            TABLES.iter().map(|(table, columns)| Sheet::create(directory, table, columns, form)).collect();
        self.few(&mut sheets);
        let mut planted = Planted::new();
        for number in 1..=self.certificates + self.large {
            let certificate = self.certificate(number, &mut planted);
            write(&certificate, &mut sheets);
        }
        sheets.into_iter().for_each(Sheet::finish);
        planted
    }

    fn few(&self, sheets: &mut [Sheet]) {
        sheets[0].row(&[
            Cell::Number(1),
            Cell::Text("Example CA G1"),
            Cell::Text(&"ab".repeat(32)),
            Cell::Text("public"),
        ]);
        for (account, kind) in
            [("direct", "direct"), ("reseller", "reseller"), ("enterprise", "enterprise"), ("other", "direct")]
        {
            sheets[1].row(&[Cell::Text(account), Cell::Text(kind), Cell::Null]);
        }
        for who in 0..(self.certificates / 20).max(8) {
            let account = ["direct", "reseller", "enterprise"][who as usize % 3];
            sheets[2].row(&[
                Cell::Text(&format!("applicant-{who}")),
                Cell::Text(account),
                Cell::Text(&format!("Subscriber {who}")),
            ]);
        }
        for (applicant, account) in [
            (LARGE, "reseller"),
            ("applicant-coke", "reseller"),
            ("applicant-twin", "enterprise"),
            ("applicant-else", "other"),
        ] {
            sheets[2].row(&[Cell::Text(applicant), Cell::Text(account), Cell::Null]);
        }
    }
}

impl Confirmation {
    /// Where its value was looked for; of methods that prescribe nothing simple it is not recorded.
    fn location(&self) -> Option<String> {
        match self.method {
            _ if self.elsewhere => Some("elsewhere.net".to_string()),
            "3.2.2.4.7" | "dns-01" => Some(format!("_acme-challenge.{}", self.adn)),
            "http-01" | "3.2.2.4.19" => Some(format!("http://{}/.well-known/acme-challenge/abc", self.adn)),
            _ => None,
        }
    }
}

impl San {
    /// The number of the first confirmation, reuse and check that it may use.
    pub fn number(&self) -> i64 {
        self.confirmations.first().map_or(0, |confirmation| confirmation.id)
    }
}

fn good_name(chance: &mut Chance, who: u64, san: u64) -> String {
    let domain = chance.below(3);
    match chance.below(20) {
        0 => format!("*.d{domain}.s{who}.co.uk"),
        1 => format!("10.{}.{}.{}", who % 250, san / 250 % 250, san % 250),
        2 => format!("www.d{domain}-{who}.es"),
        3..=6 => format!("s{who}-{domain}.com"),
        7..=9 => format!("*.w{san}.s{who}-{domain}.com"),
        _ => format!("h{san}.s{who}-{domain}.com"),
    }
}

fn good(chance: &mut Chance, certificate: &Certificate, name: String, san: u64) -> San {
    let id = numbers(san);
    let bare = name.strip_prefix("*.").unwrap_or(&name).to_string();
    let address = bare.parse::<std::net::IpAddr>().is_ok();
    // The domain itself or its parent; what only proves one name covers that name alone.
    let parent = bare.split_once('.').map_or(bare.as_str(), |(_, parent)| parent).to_string();
    let above = !address && parent.matches('.').count() >= 1 && !parent.ends_with("co.uk") && chance.below(3) == 0;
    let method = match () {
        () if address => "3.2.2.5.1",
        () if above || name.starts_with("*.") => ["3.2.2.4.7", "dns-01", "3.2.2.4.21"][chance.below(3) as usize],
        () => ["3.2.2.4.7", "http-01", "3.2.2.4.20"][chance.below(3) as usize],
    };
    let signed = certificate.signed;
    let age = if method.ends_with("21") { chance.below(100) } else { chance.below(190) } as i64;
    let completed = signed - age * DAY - chance.below(80_000) as i64;
    let confirmation = Confirmation {
        id,
        applicant: certificate.applicant.clone(),
        adn: if above { parent } else { bare.clone() },
        method,
        completed,
        performed_by: "system",
        resolver: Some("own"),
        remote: [6, 6, 3],
        dnssec: Some(["secure", "insecure"][chance.below(2) as usize]),
        token: Some(completed - chance.below(29 * 86_400) as i64),
        reused_dcv: None,
        elsewhere: false,
        recorded_after: 60,
    };
    let (mut reuses, mut reuse) = (Vec::new(), None);
    match chance.below(10) {
        0..=1 => {
            reuses.push(Reuse { id, dcv: Some(id), reuse: None, rule: "same_key", decided: signed - 60 });
            reuse = Some(id);
        }
        2 => {
            reuses.push(Reuse { id, dcv: Some(id), reuse: None, rule: "sticky", decided: signed - 4_000 });
            reuses.push(Reuse { id: id + 1, dcv: None, reuse: Some(id), rule: "recent", decided: signed - 60 });
            reuse = Some(id + 1);
        }
        _ => {}
    }
    let dcv = if reuse.is_none() { Some(id) } else { None };
    let rrset = (!address && chance.below(20) == 0).then(|| format!("{bare}. 300 IN CAA 0 issue \"ca.example\""));
    let check = Check {
        name: name.clone(),
        checked: signed - 30 - chance.below(20_000) as i64,
        result: if rrset.is_some() { "permit" } else { "none" },
        rrset,
        ttl: Some(300),
        resolver: "own",
        performed_by: "system",
    };
    San { name, confirmations: vec![confirmation], reuses, dcv, reuse, caa: (!address).then_some(check), ordered: true }
}

fn write(certificate: &Certificate, sheets: &mut [Sheet]) {
    let (number, text) = (Cell::Number, Cell::Text);
    let order = format!("order-{}", certificate.id);
    let (signed, id) = (certificate.signed, certificate.id);
    let identity = format!("identity-{id}");
    sheets[3].row(&[
        text(&order),
        text(&certificate.applicant),
        text(certificate.channel),
        text(certificate.vtype),
        text(certificate.hierarchy),
        number(signed - 7_200),
        if certificate.vtype == "DV" { Cell::Null } else { text(&identity) },
    ]);
    if certificate.vtype != "DV" {
        sheets[11].row(&[text(&identity), text(&certificate.applicant), number(certificate.verified)]);
    }
    let serial = format!("{:016x}{:04x}", (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1, id as u16);
    let hash = format!("{:064x}", id);
    sheets[4].row(&[
        number(id),
        number(1),
        text(&serial),
        text(&order),
        text(&hash),
        Cell::Null,
        number(signed),
        number(signed - 3_600),
        number(signed + 199 * DAY),
        text("issued"),
    ]);
    for (place, (step, person)) in certificate.approvals.iter().enumerate() {
        sheets[9].row(&[text(&order), text(step), text(person), number(signed - 600 + place as i64)]);
    }
    if id % 50 == 0 {
        sheets[10].row(&[number(id), number(NOW - DAY / 2), number(NOW - DAY / 4), number(4)]);
    }
    for san in &certificate.names {
        if san.ordered {
            sheets[12].row(&[text(&order), text(&san.name)]);
        }
        for c in &san.confirmations {
            sheets[5].row(&[
                number(c.id),
                text(&c.applicant),
                text(&c.adn),
                text(c.method),
                number(c.completed),
                text(c.performed_by),
                c.resolver.into(),
                number(c.remote[0]),
                number(c.remote[1]),
                number(c.remote[2]),
                c.dnssec.into(),
                c.token.into(),
                c.reused_dcv.into(),
                c.location().as_deref().into(),
                number(c.completed + c.recorded_after),
            ]);
        }
        for reuse in &san.reuses {
            sheets[6].row(&[
                number(reuse.id),
                reuse.dcv.into(),
                text(reuse.rule),
                number(reuse.decided),
                Cell::Null,
                reuse.reuse.into(),
            ]);
        }
        let caa = san.caa.as_ref().map(|check| {
            let id = san.number();
            sheets[7].row(&[
                number(id),
                text(&check.name),
                number(check.checked),
                text(check.result),
                check.rrset.as_deref().into(),
                check.ttl.into(),
                text("insecure"),
                text(check.resolver),
                text(check.performed_by),
                number(0),
                number(0),
                Cell::Null,
            ]);
            id
        });
        sheets[8].row(&[number(id), text(&san.name), san.dcv.into(), san.reuse.into(), caa.into()]);
    }
}
