use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SerialNumber};

use super::*;
use crate::finding::CaseKey;
use crate::issuance::{Embedded, FileFormat, Followed, Follower, Query, Step};
use crate::record::{Basis, IssuanceRecord, Lookup, Perspectives};

/// A line as Boulder's logger writes it, behind what syslog puts before it.
fn line(at: &str, program: &str, text: &str) -> String {
    let text = format!("[AUDIT] {text}");
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    let checksum = URL_SAFE_NO_PAD.encode(crc.sum().to_le_bytes());
    format!("{at} host dc 6 {program}[9]: {checksum} {text}\n")
}

struct Place {
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
    key: KeyPair,
}

const SERIAL: &str = "6e2d684c07473f8bfbc4710e92016980ecc9";

impl Place {
    fn new() -> Place {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "int ecdsa a");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA");
        let key = KeyPair::generate().expect("a key");
        Place { directory: tempfile::tempdir().expect("a directory"), issuer, key }
    }
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(vec!["a.eus".to_string(), "*.b.eus".to_string()]).expect("names");
        params.serial_number = Some(SerialNumber::from(hex::decode(SERIAL).expect("hex")));
        params.use_authority_key_identifier_extension = true;
        params
    }
    fn certificate(&self) -> String {
        hex::encode(self.params().signed_by(&self.key, &self.issuer).expect("a certificate").der())
    }
    fn csr(&self) -> String {
        let params = CertificateParams::new(vec!["a.eus".to_string(), "*.b.eus".to_string()]).expect("names");
        hex::encode(params.serialize_request(&self.key).expect("a request").der())
    }
    fn known(&self) -> KnownIssuer {
        let der: Vec<u8> = self.issuer.der().to_vec();
        let certificate = Certificate::parse(&der).expect("a certificate");
        KnownIssuer { name: "int ecdsa a".into(), key_hash: certificate.spki_sha256(), certificate: der.into() }
    }
    fn file(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    /// The lines of one issuance as the programs of Boulder write them.
    fn lines(&self) -> Vec<String> {
        let response = r#"";; opcode: QUERY, status: NOERROR\n;; flags: qr rd ra ad;\n\n;; QUESTION SECTION:\n;a.eus.\tIN\t CAA\n\n;; ANSWER SECTION:\na.eus.\t3600\tIN\tCAA\t0 issue \"ca.example\"\na.eus.\t300\tIN\tCAA\t0 iodef \"mailto:x@a.eus\"\n""#;
        let validation = |id: u64, name: &str, kind: &str, summary: &str| {
            format!(
                r#"Validation result JSON={{"AuthzID":"{id}","Requester":7,"Identifier":{{"type":"dns","value":"{name}"}},"Challenge":{{"type":"{kind}","status":"valid","token":"x","validationRecord":[{{"url":"http://{name}/.well-known/acme-challenge/x","hostname":"{name}","resolverAddrs":["A:10.77.77.77:8343","AAAA:10.77.77.77:8343"]}}]}},"Latency":0.1{summary}}}"#
            )
        };
        let summary = r#","Summary":{"passedPerspectives":["a","b","c"],"failedPerspectives":["d"],"passedRIRs":["ARIN","RIPE"],"quorumResult":"3/4"}"#;
        let signing =
            |result: &str| format!(r#""Requester":7,"OrderID":51,"Profile":"legacy","Issuer":"int ecdsa a",{result}"#);
        vec![
            line("2026-01-10T10:00:00.100000+00:00", "boulder-va", &validation(11, "a.eus", "http-01", summary)),
            line("2026-01-10T10:00:00.090000+00:00", "boulder-remoteva", &validation(11, "a.eus", "http-01", "")),
            line("2026-01-10T10:00:01+00:00", "boulder-va", &validation(12, "*.b.eus", "dns-01", summary)),
            line(
                "2026-01-10T10:00:02+00:00",
                "boulder-va",
                &format!(
                    r#"Checked CAA records for a.eus, [Present: true, Account ID: 7, Challenge: http-01, Valid for issuance: true, Found at: "a.eus"] Response={response}"#
                ),
            ),
            line(
                "2026-01-10T10:00:03+00:00",
                "boulder-va",
                &format!(
                    r#"CAA check result JSON={{"AuthzID":"11","Requester":7,"Identifier":"a.eus","Latency":0.2{summary}}}"#
                ),
            ),
            line(
                "2026-01-10T10:00:02+00:00",
                "boulder-va",
                "Checked CAA records for *.b.eus, [Present: false, Account ID: 7, Challenge: dns-01, Valid for issuance: true]",
            ),
            line(
                "2026-01-10T10:01:00+00:00",
                "boulder-ca",
                &format!("Signing precert JSON={{{}}}", signing(&format!(r#""CSR":"{}""#, self.csr()))),
            ),
            line(
                "2026-01-10T10:01:01+00:00",
                "boulder-ca",
                &format!(
                    "Signing precert success JSON={{{}}}",
                    signing(&format!(r#""Result":{{"Precertificate":"{}"}}"#, self.certificate()))
                ),
            ),
            // As since 2026, and as the rest of the line shows it.
            line(
                "",
                "boulder-ca",
                &format!(
                    r#"{{"time":"2026-01-10T10:01:03.7Z","level":"INFO","msg":"Signing cert success","acct":7,"order":51,"profile":"legacy","issuer":"int ecdsa a","serial":"{SERIAL}","result":{{"certificate":"{}"}}}}"#,
                    self.certificate()
                ),
            ),
            line(
                "2026-01-10T10:01:04+00:00",
                "boulder-ra",
                &format!(
                    r#"Certificate request - successful JSON={{"ID":"x","Requester":7,"OrderID":51,"SerialNumber":"{SERIAL}","Identifiers":[{{"type":"dns","value":"a.eus"}},{{"type":"dns","value":"*.b.eus"}}],"RequestTime":"2026-01-10T10:00:59Z","ResponseTime":"2026-01-10T10:01:04Z","Authorizations":{{"a.eus":{{"ID":"11","ChallengeType":"http-01"}},"*.b.eus":{{"ID":"12","ChallengeType":"dns-01"}}}}}}"#
                ),
            ),
            line("2026-01-10T10:01:05+00:00", "boulder-ra", "Revocation JSON={}"),
            "2026-01-10T10:01:05+00:00 host dc 6 boulder-wfe2[9]: U3fC3Q Debug server listening on :8013\n".to_string(),
        ]
    }

    /// Follows a file of these lines, one after the other, and gives what the record says in the end.
    fn record_of(&self, lines: &[String]) -> (IssuanceRecord, Vec<Step>) {
        let record = Embedded::open(&self.directory.path().join("data")).expect("a database");
        let followed = Followed { path: self.file(), format: FileFormat::BoulderLog };
        let mut follower = Follower::new(record.clone(), followed, vec![self.known()]);
        let (mut now, mut steps, mut text) = (crate::clock::date(2026, 1, 10), Vec::new(), String::new());
        for line in lines {
            text.push_str(line);
            std::fs::write(self.file(), &text).expect("written");
            now = now.plus(crate::clock::Span::from_seconds(6));
            steps.push(follower.step(now).expect("a step"));
        }
        now = now.plus(crate::clock::HOUR);
        steps.push(follower.step(now).expect("a step"));
        let serial = Serial::from_hex(SERIAL).expect("a serial");
        let key = CaseKey { issuer_key_hash: self.known().key_hash, serial };
        let found = record.find(&[Query { key, names: vec!["a.eus".into(), "*.b.eus".into()] }]).expect("an answer");
        match found.into_iter().next() {
            Some(Lookup::Found(found)) => (*found, steps),
            other => panic!("{other:?}, {steps:?}"),
        }
    }
}

fn check(record: &IssuanceRecord) {
    let order = record.order.as_ref().expect("an order");
    assert_eq!((&*order.order_id, &*order.applicant_id, &*order.channel, &*order.vtype), ("51", "7", "acme", "DV"));
    assert_eq!(order.names.as_deref(), Some(&["*.b.eus".to_string(), "a.eus".to_string()][..]));
    assert_eq!(order.csr_spki_sha256, record.spki_sha256);
    assert!(order.csr_spki_sha256.is_some());
    assert_eq!((&*record.state, record.signed_at.to_string()), ("issued", "2026-01-10T10:01:01Z".to_string()));
    let rows = record.authorisations.as_ref().expect("authorisations");
    let of = |name: &str| rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
    let Basis::Confirmation(confirmation) = &of("a.eus").basis else { panic!("{rows:?}") };
    assert_eq!((confirmation.dcv_id, &*confirmation.method, &*confirmation.adn), (11, "http-01", "a.eus"));
    let remote = Some(Perspectives { corroborating: 3, total: 4, regions: Some(2) });
    assert_eq!((confirmation.remote, confirmation.resolver.as_deref()), (remote, Some("10.77.77.77:8343")));
    let caa = of("a.eus").caa.as_ref().expect("a check");
    assert_eq!((&*caa.result, caa.ttl.map(crate::clock::Span::seconds), caa.remote), ("permit", Some(300), remote));
    let rrset = "a.eus. 3600 IN CAA 0 issue \"ca.example\"\na.eus. 300 IN CAA 0 iodef \"mailto:x@a.eus\"";
    assert_eq!(caa.rrset.as_deref(), Some(rrset));
    let caa = of("*.b.eus").caa.as_ref().expect("a check");
    assert_eq!((&*caa.name, &*caa.result, &caa.rrset), ("*.b.eus", "none", &None));
    let Basis::Confirmation(confirmation) = &of("*.b.eus").basis else { panic!("{rows:?}") };
    assert_eq!((confirmation.dcv_id, &*confirmation.adn), (12, "b.eus"));
}

#[test]
fn an_issuance_is_read_whatever_the_order_of_the_programs() {
    for backwards in [false, true] {
        let place = Place::new();
        let mut lines = place.lines();
        if backwards {
            lines.reverse();
            // One program writes the check before what the remote perspectives saw of it.
            let of = |text: &str| lines.iter().position(|line| line.contains(text)).expect("a line");
            let (check, remote) = (of("Checked CAA records for a.eus"), of("CAA check result"));
            lines.swap(check, remote);
        }
        let (record, steps) = place.record_of(&lines);
        check(&record);
        let refused: Vec<_> = steps.iter().flat_map(|step| &step.refused).collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(steps.iter().map(|step| step.passed_over).sum::<u64>(), 2, "{steps:?}");
        assert_eq!(steps.last().map(|step| step.waiting), Some(0));
    }
}

#[test]
fn a_file_with_an_end_is_imported_and_again_changes_nothing() {
    let place = Place::new();
    std::fs::write(place.file(), place.lines().concat()).expect("written");
    let record = Embedded::open(&place.directory.path().join("data")).expect("a database");
    let import = || {
        let followed = Followed { path: place.file(), format: FileFormat::BoulderLog };
        let (mut inserted, mut updated, mut refused) = (0, 0, Vec::new());
        let mut follower = Follower::new(record.clone(), followed, vec![place.known()]);
        let now = crate::clock::date(2026, 1, 11);
        let told = |step: Step| {
            inserted += step.summary.inserted;
            updated += step.summary.updated;
            refused.extend(step.refused);
        };
        follower.import(now, told).expect("imported");
        (inserted, refused)
    };
    let (inserted, refused) = import();
    assert!(inserted > 10 && refused.is_empty(), "{inserted} {refused:?}");
    assert_eq!(import(), (0, vec![]));
    // Without the CA's lines the names have no certificate: told at once, because nothing more comes.
    let some: Vec<String> = place.lines().into_iter().filter(|line| !line.contains("boulder-ca")).collect();
    std::fs::write(place.file(), some.concat().replace(SERIAL, "01")).expect("written");
    let (_, refused) = import();
    let told = refused.iter().all(|refusal| refusal.reason.contains("its checksum is not that of its text"));
    assert!(told && refused.len() == 1, "{refused:?}");
}

#[test]
fn lines_are_told_by_their_tag_and_their_checksum() {
    let real = "2026-03-01T14:38:12.990205+00:00Z boulder-wfe2[334]: 6 boulder-wfe2 U3fC3Q ";
    assert_eq!(checksum(real, b"Debug server listening on :8013"), Some(true));
    assert_eq!(checksum(real, b"Debug server listening on :8014"), Some(false));
    assert_eq!(checksum("2026-03-01T14:38:12Z boulder-wfe2: ", b"x"), None);
    assert_eq!(time(real).map(|at| at.to_string()).as_deref(), Some("2026-03-01T14:38:12Z"));
    // Go: PutUvarint of 0x80 into five octets.
    let mut crc = flate2::Crc::new();
    crc.update(b"hello");
    let mut octets = [0; 5];
    let mut rest = crc.sum();
    for (place, octet) in octets.iter_mut().enumerate() {
        *octet = (rest & 0x7f) as u8 | if place < 4 && rest > 0x7f { 0x80 } else { 0 };
        rest >>= 7;
    }
    assert_eq!(checksum(&URL_SAFE_NO_PAD.encode(octets), b"hello"), Some(true));
    let bad = |text: &str| match read(text.as_bytes(), &[]) {
        Reading::Bad(reason) => reason,
        other => panic!("{other:?}"),
    };
    let cut = line("2026-01-10T10:00:00Z", "boulder-ra", "Certificate request - successful JSON={}").replace("{}", "{");
    assert!(bad(&cut).contains("changed or cut"));
    assert!(bad("[AUDIT] Validation result JSON={\"a\":").contains("not a JSON object"));
    assert!(bad("[AUDIT] Validation result JSON={}").contains("has no time"));
    assert!(bad("2026-01-10T10:00:00Z [AUDIT] Validation result JSON={}").contains("has no Challenge"));
    assert!(bad("2026-01-10T10:00:00Z [AUDIT] Checked CAA records for x").contains("not of the form"));
    let unsigned =
        "2026-01-10T10:00:00Z [AUDIT] Signing precert success: serial=[01] regID=[1] names=[a] precertificate=[00]";
    assert!(bad(unsigned).contains("its precertificate cannot be read"), "{}", bad(unsigned));
    let place = Place::new();
    let strange = format!(
        "2026-01-10T10:00:00Z [AUDIT] Signing precert success: serial=[01] regID=[1] names=[a, b] precertificate=[{}]",
        place.certificate()
    );
    assert!(bad(&strange).contains("is none of the [[issuer]]"), "{}", bad(&strange));
    let Reading::Said(said) = read(strange.as_bytes(), &[place.known()]) else { panic!() };
    assert_eq!(said.rows[1].0["serial"], Value::from(SERIAL));
    assert_eq!(read(b"no audit line", &[]), Reading::Nothing);
    assert_eq!(read(b"x [AUDIT] Revocation - 01", &[]), Reading::Nothing);
}

proptest::proptest! {
    #[test]
    fn no_line_makes_the_reading_panic(
        at in 0_usize..8,
        text in "\\PC{0,60}",
        json in proptest::option::of("\\PC{0,40}"),
    ) {
        let message = messages::WANTED[at];
        let line = match json {
            Some(json) => format!("2026-01-10T10:00:00Z [AUDIT] {message} JSON={{{json}}}"),
            None => format!("2026-01-10T10:00:00Z [AUDIT] {message}{text}"),
        };
        let _ = read(line.as_bytes(), &[]);
    }
}
