//! The demo CA's record of what it did: rows for the issuance database, as the importer reads them (one JSON object
//! a line, the table named in it).
//!
//! The record of a good certificate is whole and is made before anything is submitted. The record of a mistake is
//! what such a CA would really have written down.

use serde_json::{Value, json};

use super::timetable::Mistake;
use crate::clock::{Span, Timestamp};
use crate::ct::sha256;
use crate::finding::KeyHash;

const ISSUER: i64 = 1;
const ACCOUNT: &str = "ACC-1";
/// The applicants: who really asked.
const SHOP: &str = "APP-SHOP";
const TOWN: &str = "APP-TOWN";
const OLD: &str = "APP-OLD";

/// What the record says of one certificate.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Serial number, lower-case hexadecimal.
    pub serial: &'a str,
    /// The names in the certificate.
    pub names: &'a [&'a str],
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: KeyHash,
    /// SHA-256 of the TBSCertificate without poison and SCT list, hexadecimal.
    pub tbs_sha256: String,
    /// SHA-256 of the precertificate, hexadecimal.
    pub precert_sha256: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// When the precertificate was signed.
    pub signed_at: Timestamp,
}

/// What is needed to complete a record when the certificate itself is signed.
#[derive(Clone, Debug)]
pub struct Entered {
    certificate: Option<Value>,
}

/// Writes rows and hands out the identifiers in them.
#[derive(Debug)]
pub struct Ledger {
    /// The last identifier given out, whatever the table.
    last_id: i64,
    rows: Vec<Value>,
}

impl Ledger {
    /// A ledger that begins with the issuer, the account and the applicants.
    pub fn open(issuer_name: &str, issuer_key_hash: KeyHash) -> Ledger {
        let mut ledger = Ledger { last_id: 0, rows: Vec::new() };
        ledger.row(
            "issuers",
            json!({"issuer_id": ISSUER, "name": issuer_name,
            "spki_sha256": issuer_key_hash.to_string(), "hierarchy": "public"}),
        );
        ledger.row(
            "accounts",
            json!({"account_id": ACCOUNT, "kind": "direct", "name": "Demo customer", "country": "ES"}),
        );
        for (applicant, name) in [(SHOP, "Demo Shop, S.L."), (TOWN, "Udal demoa"), (OLD, "Demo Antigua, S.A.")] {
            ledger.row(
                "applicants",
                json!({"applicant_id": applicant, "account_id": ACCOUNT, "name": name, "country": "ES"}),
            );
        }
        ledger
    }

    /// The rows written since the last call, one JSON object a line.
    pub fn take(&mut self) -> String {
        self.rows.drain(..).map(|row| row.to_string() + "\n").collect()
    }

    /// Writes what the CA records of a certificate when it signs the precertificate.
    pub fn enter(&mut self, facts: &Facts<'_>, mistake: Option<Mistake>) -> Entered {
        let names: Vec<&str> = facts.names.to_vec();
        match mistake {
            None | Some(Mistake::UnknownTld) => {
                let order = self.order(SHOP, &names, facts.spki_sha256, facts.signed_at);
                let entered = self.certificate(facts, Some(&order));
                for name in names {
                    let dcv = self.confirmation(SHOP, name, facts.signed_at.minus(Span::from_seconds(20)));
                    self.authorise(&entered, name, facts.signed_at, json!({"dcv_id": dcv}));
                }
                entered
            }
            // The operator took the CSR of another, internal request: the order and all that was validated for it
            // are those of the public name.
            Some(Mistake::InternalName) => {
                let name = "www.barakaldo.eus";
                let order = self.order(TOWN, &[name], KeyHash(sha256(&[b"its own CSR"])), facts.signed_at);
                let entered = self.certificate(facts, Some(&order));
                let dcv = self.confirmation(TOWN, name, facts.signed_at.minus(Span::from_days(3)));
                self.authorise(&entered, name, facts.signed_at, json!({"dcv_id": dcv}));
                entered
            }
            Some(Mistake::NoOrder) => self.certificate(facts, None),
            Some(Mistake::UnknownToDatabase) => Entered { certificate: None },
            Some(Mistake::ReuseOfReuse) => {
                let order = self.order(OLD, &names, facts.spki_sha256, facts.signed_at);
                let entered = self.certificate(facts, Some(&order));
                for name in names {
                    let root = self.confirmation(OLD, name, facts.signed_at.minus(Span::from_days(900)));
                    let first = self.reuse(facts.signed_at.minus(Span::from_days(500)), json!({"dcv_id": root}));
                    let second = self.reuse(facts.signed_at, json!({"reused_reuse_id": first}));
                    self.authorise(&entered, name, facts.signed_at, json!({"reuse_id": second}));
                }
                entered
            }
        }
    }

    /// Completes the record when the certificate is signed; nothing where nothing was entered.
    pub fn complete(&mut self, entered: Entered, cert_sha256: &str) {
        if let Some(mut row) = entered.certificate {
            row["state"] = json!("issued");
            row["cert_sha256"] = json!(cert_sha256);
            self.rows.push(row);
        }
    }

    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    fn row(&mut self, table: &str, mut columns: Value) {
        columns["table"] = json!(table);
        self.rows.push(columns);
    }

    /// An order of a minute ago for these names, by a CSR with this key, seen by a person.
    fn order(&mut self, applicant: &str, names: &[&str], key: KeyHash, signed_at: Timestamp) -> String {
        let order = format!("ORD-{:06}", self.next_id());
        let created_at = signed_at.minus(Span::from_seconds(60));
        self.row(
            "orders",
            json!({"order_id": order, "applicant_id": applicant, "channel": "web", "profile": "tls-dv",
            "vtype": "DV", "hierarchy": "public", "csr_spki_sha256": key.to_string(),
            "created_at": created_at.seconds()}),
        );
        for name in names {
            self.row("order_names", json!({"order_id": order, "name": name}));
        }
        for (step, person, before) in [("validate", "operator-1", 15), ("issue", "operator-2", 5)] {
            let decided_at = signed_at.minus(Span::from_seconds(before)).seconds();
            self.row("approvals", json!({"order_id": order, "step": step, "person": person, "decided_at": decided_at}));
        }
        order
    }

    fn certificate(&mut self, facts: &Facts<'_>, order: Option<&str>) -> Entered {
        let row = json!({"table": "certificates", "cert_id": self.next_id(), "issuer_id": ISSUER,
            "serial": facts.serial, "order_id": order, "tbs_sha256": facts.tbs_sha256,
            "precert_sha256": facts.precert_sha256, "cert_sha256": null,
            "spki_sha256": facts.spki_sha256.to_string(), "signed_at": facts.signed_at.seconds(),
            "not_before": facts.not_before.seconds(), "not_after": facts.not_after.seconds(),
            "state": "precert_only"});
        self.rows.push(row.clone());
        Entered { certificate: Some(row) }
    }

    /// A validation of exactly this name by a DNS change, seen from five remote perspectives.
    fn confirmation(&mut self, applicant: &str, name: &str, completed_at: Timestamp) -> i64 {
        let id = self.next_id();
        self.row(
            "dcv_confirmations",
            json!({"dcv_id": id, "applicant_id": applicant, "adn": name,
            "method": "3.2.2.4.7", "completed_at": completed_at.seconds(), "performed_by": "system",
            "resolver": "own", "remote_ok": 5, "remote_total": 5, "remote_rirs": 3, "dnssec": "insecure",
            "token_issued_at": completed_at.minus(Span::from_seconds(15)).seconds(),
            "evidence_ref": format!("dcv/{id}")}),
        );
        id
    }

    /// A decision to rely on the confirmation or the earlier reuse that `origin` names.
    fn reuse(&mut self, decided_at: Timestamp, mut origin: Value) -> i64 {
        let id = self.next_id();
        origin["reuse_id"] = json!(id);
        origin["rule"] = json!("same_key");
        origin["decided_at"] = json!(decided_at.seconds());
        self.row("dcv_reuse", origin);
        id
    }

    /// What is relied upon for one name of a certificate: `basis` and a CAA check of just before signing.
    fn authorise(&mut self, entered: &Entered, name: &str, signed_at: Timestamp, mut basis: Value) {
        let caa = self.next_id();
        let checked_at = signed_at.minus(Span::from_seconds(10)).seconds();
        self.row(
            "caa_checks",
            json!({"caa_id": caa, "name": name, "checked_at": checked_at, "result": "none",
            "ttl": 3600, "dnssec": "insecure", "resolver": "own", "performed_by": "system", "remote_ok": 5,
            "remote_total": 5, "remote_rirs": 3}),
        );
        basis["cert_id"] = entered.certificate.as_ref().map_or(Value::Null, |row| row["cert_id"].clone());
        basis["name"] = json!(name);
        basis["caa_id"] = json!(caa);
        self.row("san_authorisations", basis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::date;

    fn written(mistake: Option<Mistake>, name: &str) -> Vec<Value> {
        let mut ledger = Ledger::open("Demo", KeyHash([1; 32]));
        ledger.take();
        let facts = Facts {
            serial: "40ab",
            names: &[name],
            spki_sha256: KeyHash([2; 32]),
            tbs_sha256: "aa".into(),
            precert_sha256: "bb".into(),
            not_before: date(2026, 11, 22),
            not_after: date(2027, 2, 20),
            signed_at: date(2026, 11, 22),
        };
        let entered = ledger.enter(&facts, mistake);
        ledger.complete(entered, "cc");
        ledger.take().lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    fn rows<'a>(all: &'a [Value], table: &str) -> Vec<&'a Value> {
        all.iter().filter(|row| row["table"] == table).collect()
    }

    #[test]
    fn a_good_record_is_whole() {
        let all = written(None, "www.demo-shop.eus");
        let certificates = rows(&all, "certificates");
        assert_eq!(certificates.len(), 2);
        assert_eq!((&certificates[0]["state"], &certificates[1]["state"]), (&json!("precert_only"), &json!("issued")));
        assert_eq!(certificates[0]["cert_id"], certificates[1]["cert_id"]);
        assert_eq!(certificates[1]["cert_sha256"], "cc");
        assert_eq!(rows(&all, "order_names")[0]["name"], "www.demo-shop.eus");
        let authorisation = rows(&all, "san_authorisations")[0];
        assert_eq!(authorisation["cert_id"], certificates[0]["cert_id"]);
        assert_eq!(authorisation["dcv_id"], rows(&all, "dcv_confirmations")[0]["dcv_id"]);
        assert_eq!(authorisation["caa_id"], rows(&all, "caa_checks")[0]["caa_id"]);
    }

    #[test]
    fn a_mistake_is_recorded_as_such_a_ca_would() {
        let internal = written(Some(Mistake::InternalName), Mistake::InternalName.name());
        assert_eq!(rows(&internal, "order_names")[0]["name"], "www.barakaldo.eus");
        assert_eq!(rows(&written(Some(Mistake::NoOrder), "test.ssl.com"), "orders").len(), 0);
        assert_eq!(rows(&written(Some(Mistake::NoOrder), "test.ssl.com"), "certificates")[0]["order_id"], Value::Null);
        assert!(written(Some(Mistake::UnknownToDatabase), "ghost.demo-shop.eus").is_empty());
        let old = written(Some(Mistake::ReuseOfReuse), Mistake::ReuseOfReuse.name());
        let reuse = rows(&old, "dcv_reuse");
        assert_eq!(reuse[1]["reused_reuse_id"], reuse[0]["reuse_id"]);
        assert_eq!(reuse[0]["dcv_id"], rows(&old, "dcv_confirmations")[0]["dcv_id"]);
        assert_eq!(rows(&old, "san_authorisations")[0]["reuse_id"], reuse[1]["reuse_id"]);
        let age = date(2026, 11, 22).seconds() - rows(&old, "dcv_confirmations")[0]["completed_at"].as_i64().unwrap();
        assert_eq!(age, 900 * 86_400);
    }
}
