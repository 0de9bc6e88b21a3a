//! A certificate, the CA's record of it and the CA's own terms, in which nothing is wrong until something is changed.

use std::path::Path;

use ctwarden::cert::{Certificate, pem};
use serde_json::{Map, Value, json};

use crate::certgen::{DV, EV, OV, Spec};

/// The issuer of every scene, by the SHA-256 of its key.
pub const ISSUER: &str = "1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f";
/// When the CA signed, by its record.
pub const SIGNED: &str = "2026-11-20T09:10:00Z";
/// The name in most scenes.
pub const NAME: &str = "www.kultura.eus";
const TERMS: &str = "[issuance]\ncaa_domains = [\"ca.example\"]\nchannels = [\"web\", \"acme\", \"api\"]\n";

/// What is examined, and what it is held against.
#[derive(Clone)]
pub struct Scene {
    pub spec: Spec,
    /// Other certificates with its serial number.
    pub others: Vec<Spec>,
    /// The feed of the CA, a row each; empty: there is none.
    pub rows: Vec<Value>,
    /// `[issuance]` and `[[profile]]` of the configuration.
    pub terms: String,
    /// A list that the terms name, as `list.txt`.
    pub list: Option<&'static str>,
}

impl Scene {
    /// A domain-validated certificate for one name, validated by a DNS change at the name itself.
    pub fn new(name: &str) -> Scene {
        let bare = name.trim_start_matches("*.");
        let rows = vec![
            json!({"table": "issuers", "issuer_id": 1, "name": "Example CA G2", "spki_sha256": ISSUER,
                   "hierarchy": "public"}),
            json!({"table": "accounts", "account_id": "77", "kind": "direct"}),
            json!({"table": "applicants", "applicant_id": "p", "account_id": "77", "country": "ES"}),
            json!({"table": "identities", "identity_id": "I", "applicant_id": "p", "verified_at": "2026-06-01",
                   "organization": "Barakaldoko Udala", "country": "ES", "locality": "Barakaldo",
                   "registration_number": "P4801300D", "business_category": "Government Entity",
                   "jurisdiction_country": "ES", "performed_by": "op1"}),
            json!({"table": "orders", "order_id": "8812", "applicant_id": "p", "channel": "web", "vtype": "DV",
                   "hierarchy": "public", "created_at": "2026-11-20T08:00:00Z"}),
            json!({"table": "order_names", "order_id": "8812", "name": name}),
            json!({"table": "certificates", "cert_id": 1, "issuer_id": 1, "serial": "4d151e", "order_id": "8812",
                   "signed_at": SIGNED, "state": "issued"}),
            json!({"table": "dcv_confirmations", "dcv_id": 1, "applicant_id": "p", "adn": bare, "method": "3.2.2.4.7",
                   "completed_at": "2026-11-20T08:10:00Z", "recorded_at": "2026-11-20T08:10:00Z",
                   "performed_by": "system", "resolver": "own", "token_issued_at": "2026-11-20T08:05:00Z",
                   "location": format!("_dcv.{bare}"), "evidence_ref": "va:1", "remote_ok": 4, "remote_total": 4,
                   "remote_rirs": 3, "dnssec": "insecure"}),
            json!({"table": "caa_checks", "caa_id": 1, "name": name, "checked_at": "2026-11-20T09:00:00Z",
                   "result": "permit", "rrset": format!("{bare}. 300 IN CAA 0 issue \"ca.example\""), "ttl": 300,
                   "dnssec": "insecure", "resolver": "own", "performed_by": "system", "remote_ok": 4,
                   "remote_total": 4, "remote_rirs": 3}),
            json!({"table": "san_authorisations", "cert_id": 1, "name": name, "dcv_id": 1, "caa_id": 1}),
            json!({"table": "approvals", "order_id": "8812", "step": "validate", "person": "op1",
                   "decided_at": "2026-11-20T08:20:00Z"}),
            json!({"table": "approvals", "order_id": "8812", "step": "cross_check", "person": "op2",
                   "decided_at": "2026-11-20T08:30:00Z"}),
            json!({"table": "lint_runs", "cert_id": 1, "linter": "zlint", "version": "3.6.8",
                   "ran_at": "2026-11-20T09:09:59Z", "result": "passed"}),
        ];
        let spec = match name.parse::<std::net::IpAddr>() {
            Ok(_) => Spec::new("2026-11-20", "2027-02-17 23:59:59").ip(name),
            Err(_) => Spec::new("2026-11-20", "2027-02-17 23:59:59").dns(name),
        };
        Scene { spec: spec.policy(DV), others: Vec::new(), rows, terms: TERMS.to_string(), list: None }
    }

    /// A certificate for an address, validated by an agreed-upon change to a website.
    pub fn address(address: &str) -> Scene {
        let place = format!("http://{address}/.well-known/pki-validation/x");
        let scene = Scene::new(address).confirmation(json!({"method": "3.2.2.5.1", "location": place}));
        scene.without("caa_checks").set("san_authorisations", json!({"caa_id": null}))
    }

    /// An organization-validated certificate.
    pub fn organization(organization: &str) -> Scene {
        let scene = Scene::new(NAME).set("orders", json!({"vtype": "OV", "identity_id": "I"}));
        let spec = scene.spec.clone().policy(OV);
        scene.spec(spec.attr(6, "ES").attr(7, "Barakaldo").attr(10, organization))
    }

    /// An EV certificate with this registration number.
    pub fn extended(registration_number: &str) -> Scene {
        let scene = Scene::new(NAME).set("orders", json!({"vtype": "EV", "identity_id": "I"}));
        let spec = scene.spec.clone().policy(EV);
        let spec = spec.attr(6, "ES").attr(7, "Barakaldo").attr(10, "Barakaldoko Udala");
        let spec = spec.attr(15, "Government Entity").attr_of(JURISDICTION_C, 19, "ES").attr(5, registration_number);
        scene.spec(spec)
    }

    pub fn spec(mut self, spec: Spec) -> Scene {
        self.spec = spec;
        self
    }
    /// Another certificate with the same serial number.
    pub fn other(mut self, spec: Spec) -> Scene {
        self.others.push(spec);
        self
    }
    /// Changes the first row of a table; null takes a column away.
    pub fn set(mut self, table: &str, columns: Value) -> Scene {
        let row = self.rows.iter_mut().find(|row| row["table"] == table).expect("a row");
        merge(row.as_object_mut().expect("an object"), columns);
        self
    }
    /// Leaves a column of the first row of a table empty.
    pub fn empty(mut self, table: &str, column: &str) -> Scene {
        let row = self.rows.iter_mut().find(|row| row["table"] == table).expect("a row");
        row[column] = Value::Null;
        self
    }
    pub fn confirmation(self, columns: Value) -> Scene {
        self.set("dcv_confirmations", columns)
    }
    pub fn check(self, columns: Value) -> Scene {
        self.set("caa_checks", columns)
    }
    pub fn add(mut self, row: Value) -> Scene {
        self.rows.push(row);
        self
    }
    /// Takes the rows of a table away.
    pub fn without(mut self, table: &str) -> Scene {
        self.rows.retain(|row| row["table"] != table);
        self
    }
    /// More lines of `[issuance]`, or sections after it.
    pub fn terms(mut self, lines: &str) -> Scene {
        self.terms.push_str(lines);
        self.terms.push('\n');
        self
    }
    pub fn list(mut self, text: &'static str) -> Scene {
        self.list = Some(text);
        self
    }
    /// The validation is a reuse of the confirmation.
    pub fn reused(self, steps: &[Value]) -> Scene {
        let mut scene = self.set("san_authorisations", json!({"dcv_id": null, "reuse_id": 1}));
        for step in steps {
            scene = scene.add(step.clone());
        }
        scene
    }

    /// The files of the fixture: name and text.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let certificate = Certificate::parse(&self.spec.der()).expect("a certificate");
        let key = certificate.spki_sha256().to_string();
        let mut rows = self.rows.clone();
        for row in &mut rows {
            let (table, row) = (row["table"].clone(), row.as_object_mut().expect("an object"));
            let mut fill = |column: &str, value: Option<String>| {
                if let (false, Some(value)) = (row.contains_key(column), value) {
                    row.insert(column.to_string(), json!(value));
                }
            };
            if table == "certificates" {
                fill("spki_sha256", Some(key.clone()));
                fill("tbs_sha256", Some(hex::encode(certificate.core_sha256())));
                fill("not_before", certificate.not_before().map(|moment| moment.to_string()));
                fill("not_after", certificate.not_after().map(|moment| moment.to_string()));
            } else if table == "orders" {
                fill("csr_spki_sha256", Some(key.clone()));
            }
        }
        let feed: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let mut files = vec![
            ("certificate.pem", pem::encode(&self.spec.der())),
            ("record.ndjson", feed),
            ("terms.toml", self.terms.clone()),
        ];
        if !self.others.is_empty() {
            files.push(("others.pem", self.others.iter().map(|spec| pem::encode(&spec.der())).collect()));
        }
        files.extend(self.list.map(|list| ("list.txt", list.to_string())));
        files
    }

    /// Writes the fixture into a folder of its own.
    pub fn write(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("a folder");
        for (name, text) in self.files() {
            std::fs::write(folder.join(name), text).expect("a fixture");
        }
    }
}

/// 1.3.6.1.4.1.311.60.2.1.3.
const JURISDICTION_C: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3];

fn merge(row: &mut Map<String, Value>, columns: Value) {
    for (column, value) in columns.as_object().expect("an object") {
        match value {
            Value::Null => drop(row.remove(column)),
            value => drop(row.insert(column.clone(), value.clone())),
        }
    }
}
