mod backlog;

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
        // As validationLogEvent with core.Challenge and core.ValidationRecord has them; the second record is of a redirect.
        let validation = |id: u64, name: &str, kind: &str, summary: &str| {
            let records = match kind {
                "http-01" => format!(
                    r#"{{"url":"http://{name}/.well-known/acme-challenge/x","hostname":"{name}","port":"80","addressesResolved":["192.0.2.7"],"addressUsed":"192.0.2.7","resolverAddrs":["A:10.77.77.77:8343","AAAA:10.77.77.77:8343"]}},{{"url":"https://www.{name}/x","hostname":"www.{name}","port":"443","addressesResolved":["192.0.2.7"],"addressUsed":"192.0.2.7","resolverAddrs":["A:10.77.77.77:8343"]}}"#
                ),
                _ => r#"{"hostname":"b.eus","resolverAddrs":["10.77.77.77:8343"]}"#.to_string(),
            };
            format!(
                r#"Validation result JSON={{"AuthzID":"{id}","Requester":7,"Identifier":{{"type":"dns","value":"{name}"}},"Challenge":{{"type":"{kind}","status":"valid","token":"x","validationRecord":[{records}]}},"Latency":0.1{summary}}}"#
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
                    r#"Certificate request - successful JSON={{"ID":"x","Requester":7,"OrderID":51,"SerialNumber":"{SERIAL}","Identifiers":[{{"type":"dns","value":"a.eus"}},{{"type":"dns","value":"*.b.eus"}}],"RequestTime":"2026-01-10T10:00:59Z","ResponseTime":"2026-01-10T10:01:04Z","VerifiedFields":["subject.commonName","subjectAltName"],"CommonName":"a.eus","NotBefore":"2026-01-10T09:01:01Z","NotAfter":"2026-04-10T09:01:00Z","Authorizations":{{"a.eus":{{"ID":"11","ChallengeType":"http-01"}},"*.b.eus":{{"ID":"12","ChallengeType":"dns-01"}}}},"CertProfileName":"legacy","PreviousCertificateIssued":"0001-01-01T00:00:00Z","UserAgent":"an ACME client"}}"#
                ),
            ),
            line(
                "2026-01-10T10:03:00+00:00",
                "boulder-ra",
                &format!(
                    r#"Revocation request: JSON={{"ID":"y","SerialNumber":"{SERIAL}","reason":4,"Method":"subscriber","RequesterID":7,"CRLShard":9}}"#
                ),
            ),
            line(
                "2026-01-10T10:04:00+00:00",
                "boulder-ra",
                &format!(
                    r#"Revocation request: JSON={{"ID":"z","SerialNumber":"{SERIAL}","reason":1,"Method":"key","CRLShard":9,"Error":"already revoked"}}"#
                ),
            ),
            line("2026-01-10T10:01:05+00:00", "boulder-ra", "FinalizationCaaCheck JSON={}"),
            "2026-01-10T10:01:05+00:00 host dc 6 boulder-wfe2[9]: U3fC3Q Debug server listening on :8013\n".to_string(),
        ]
    }

    /// The same issuance as Boulder logs it since 2026: a line for each authorization, the attributes of its package blog.
    fn lines_of_2026(&self) -> Vec<String> {
        let mpic = r#""mpic":{"passed":["a","b","c"],"failed":["d"],"passedRIRs":["ARIN","RIPE"],"quorum":"3/4"}"#;
        let said = |at: &str, program: &str, message: &str, rest: &str| {
            line("", program, &format!(r#"{{"time":"2026-01-10T10:{at}Z","level":"INFO","msg":"{message}",{rest}}}"#))
        };
        let about = |authz: u64, name: &str, method: &str| {
            format!(r#""acct":7,"authz":{authz},"idents":[{{"type":"dns","value":"{name}"}}],"method":"{method}""#)
        };
        let request = r#""id":"x","acct":7,"order":51,"requestTime":"2026-01-10T10:00:59Z","ua":"an ACME client""#;
        let used = |authz: u64, name: &str, method: &str, at: &str| {
            let ident = format!(r#""idents":[{{"type":"dns","value":"{name}"}}]"#);
            let rest =
                format!(r#"{request},"authz":{authz},{ident},"method":"{method}","validated":"2026-01-10T10:{at}Z""#);
            said("01:00", "boulder-ra", "Authz used for issuance", &rest)
        };
        let (a, b) = (about(11, "a.eus", "http-01"), about(12, "*.b.eus", "dns-01"));
        let answer = r#";; opcode: QUERY\n;; ANSWER SECTION:\na.eus.\t3600\tIN\tCAA\t0 issue \"ca.example\"\na.eus.\t300\tIN\tCAA\t0 iodef \"mailto:x@a.eus\"\n"#;
        let checked = |about: &str, present: bool, found_at: &str, answer: &str| {
            let rest =
                format!(r#"{about},"present":{present},"foundAt":"{found_at}","valid":true,"response":"{answer}""#);
            said("00:02", "boulder-va", "Checked CAA records", &rest)
        };
        let latency = r#""localLatency":90000000,"totalLatency":200000000"#;
        let signed = |what: &str| {
            format!(
                r#""acct":7,"order":51,"profile":"legacy","issuer":"int ecdsa a","serial":"{SERIAL}","result":{{"{what}":"{}"}}"#,
                self.certificate()
            )
        };
        let csr = format!(r#""acct":7,"order":51,"profile":"legacy","issuer":"int ecdsa a","csr":"{}""#, self.csr());
        let issued = r#""verifiedFields":["subject.commonName","subjectAltName"],"result":"success""#;
        let done = r#""profile":"legacy","commonName":"a.eus","responseTime":"2026-01-10T10:01:04Z""#;
        let failed = r#""error":"connection :: connection refused""#;
        vec![
            said("00:00.1", "boulder-va", "Validation result", &format!("{a},{latency},{mpic}")),
            said("00:00.09", "boulder-remoteva", "Validation result", &format!("{a},{latency}")),
            said("00:00.2", "boulder-va", "Validation result", &format!("{},{failed}", about(13, "c.eus", "http-01"))),
            said("00:01", "boulder-va", "Validation result", &format!("{b},{latency},{mpic}")),
            checked(&a, true, "a.eus", answer),
            said("00:03", "boulder-va", "CAA check result", &format!("{a},{latency},{mpic}")),
            checked(&b, false, "", ""),
            used(11, "a.eus", "http-01", "00:00.1"),
            used(12, "*.b.eus", "dns-01", "00:01"),
            said("01:00", "boulder-ca", "Signing precert", &csr),
            said("01:01", "boulder-ca", "Signing precert success", &signed("precertificate")),
            said("01:03.7", "boulder-ca", "Signing cert success", &signed("certificate")),
            said(
                "01:04",
                "boulder-ra",
                "Certificate request - successful",
                &format!(r#"{request},{issued},"serial":"{SERIAL}",{done}"#),
            ),
            said(
                "03:00",
                "boulder-ra",
                "Revocation request",
                &format!(r#""acct":7,"serial":"{SERIAL}","method":"subscriber","reason":4"#),
            ),
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
    assert_eq!(confirmation.remote, remote);
    let revocation = record.revocation.expect("revoked");
    assert_eq!(revocation.revoked_at.map(|at| at.to_string()).as_deref(), Some("2026-01-10T10:03:00Z"));
    assert_eq!(revocation.reason, Some(4));
    let caa = of("a.eus").caa.as_ref().expect("a check");
    assert_eq!((&*caa.result, caa.ttl.map(crate::clock::Span::seconds), caa.remote), ("permit", Some(300), remote));
    let rrset = "a.eus. 3600 IN CAA 0 issue \"ca.example\"\na.eus. 300 IN CAA 0 iodef \"mailto:x@a.eus\"";
    assert_eq!(caa.rrset.as_deref(), Some(rrset));
    let caa = of("*.b.eus").caa.as_ref().expect("a check");
    assert_eq!((&*caa.name, &*caa.result, &caa.rrset), ("*.b.eus", "none", &None));
    let Basis::Confirmation(confirmation) = &of("*.b.eus").basis else { panic!("{rows:?}") };
    assert_eq!((confirmation.dcv_id, &*confirmation.adn, confirmation.remote), (12, "b.eus", remote));
    // What the VA asked the DNS is in no record of it.
    assert_eq!(confirmation.location, None);
}

/// Where the VA looked, and whom it asked.
fn seen(record: &IssuanceRecord, name: &str) -> (Option<String>, Option<String>) {
    let mut rows = record.authorisations.iter().flatten();
    match &rows.find(|row| row.name == name).unwrap_or_else(|| panic!("{name}")).basis {
        Basis::Confirmation(confirmation) => (confirmation.location.clone(), confirmation.resolver.clone()),
        other => panic!("{other:?}"),
    }
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
        let looked = (Some("http://a.eus/.well-known/acme-challenge/x".into()), Some("10.77.77.77:8343".into()));
        assert_eq!(seen(&record, "a.eus"), looked);
        let refused: Vec<_> = steps.iter().flat_map(|step| &step.refused).collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(steps.iter().map(|step| step.passed_over).sum::<u64>(), 3, "{steps:?}");
        assert_eq!(steps.last().map(|step| step.waiting), Some(0));
    }
}

#[test]
fn an_issuance_is_read_as_it_is_logged_since_2026_in_any_order() {
    for backwards in [false, true] {
        let place = Place::new();
        let mut lines = place.lines_of_2026();
        if backwards {
            lines.reverse();
            let of = |text: &str| lines.iter().position(|line| line.contains(text)).expect("a line");
            let (check, remote) = (of("\"foundAt\":\"a.eus\""), of("CAA check result"));
            lines.swap(check, remote);
        }
        let (record, steps) = place.record_of(&lines);
        check(&record);
        assert_eq!(seen(&record, "a.eus"), (None, None), "no line says");
        let refused: Vec<_> = steps.iter().flat_map(|step| &step.refused).collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(steps.iter().map(|step| step.passed_over).sum::<u64>(), 1, "what failed: {steps:?}");
        assert_eq!(steps.last().map(|step| step.waiting), Some(0));
    }
}

#[test]
fn an_address_is_validated_by_the_methods_of_addresses() {
    let methods = |text: &str| match read(format!("2026-01-10T10:00:00Z [AUDIT] {text}").as_bytes(), &[]) {
        Reading::Said(said) => {
            let rows = said.rows.iter().filter(|(row, _)| row["table"] == "dcv_confirmations");
            rows.map(|(row, _)| format!("{} {}", row["adn"], row["method"]).replace('"', "")).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let validation = |ident: &str, kind: &str| {
        let challenge = format!(
            r#"{{"type":"{kind}","status":"valid","validationRecord":[{{"hostname":"{ident}","port":"443"}}]}}"#
        );
        format!(
            r#"Validation result JSON={{"AuthzID":"5","Requester":7,"Identifier":{{"type":"ip","value":"{ident}"}},"Challenge":{challenge}}}"#
        )
    };
    assert_eq!(methods(&validation("192.0.2.7", "http-01")), ["192.0.2.7 3.2.2.5.6"]);
    assert_eq!(methods(&validation("2001:db8::7", "tls-alpn-01")), ["2001:db8::7 3.2.2.5.7"]);
    assert_eq!(methods(&validation("a.eus", "tls-alpn-01")), ["a.eus tls-alpn-01"]);
    let used = r#"{"msg":"Authz used for issuance","acct":7,"order":51,"authz":5,"idents":[{"type":"ip","value":"192.0.2.7"}],"method":"http-01","validated":"2026-01-10T10:00:00Z"}"#;
    assert_eq!(methods(used), ["192.0.2.7 3.2.2.5.6"]);
    // Where it looked is a host and a port, in brackets where it is an address with colons.
    let Reading::Said(said) =
        read(format!("2026-01-10T10:00:00Z [AUDIT] {}", validation("2001:db8::7", "tls-alpn-01")).as_bytes(), &[])
    else {
        panic!()
    };
    assert_eq!(said.rows[2].0["location"], "[2001:db8::7]:443");
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
    // The request and two revocations have the serial number.
    assert!(told && refused.len() == 3, "{refused:?}");
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
    let old = r#"2026-01-10T10:00:00Z [AUDIT] Certificate request - successful JSON={"Requester":7,"OrderID":5,"SerialNumber":"01","Authorizations":null}"#;
    assert!(bad(old).contains("names no authorizations"), "{}", bad(old));
    assert!(
        bad(r#"2026-01-10T10:00:00Z [AUDIT] {"msg":"Authz used for issuance","acct":7,"order":5,"authz":1}"#)
            .contains("has no idents")
    );
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
        at in 0_usize..messages::WANTED.len(),
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
