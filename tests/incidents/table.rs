//! The incidents: for each the rule that finds it, the scene as it was, and the scene with the one thing set right.

use serde_json::{Value, json};

use crate::certgen::{self, Spec, roca, rsa, tlv};
use crate::scene::{NAME, Scene};

/// A public incident.
pub struct Incident {
    pub class: u8,
    /// The bug, or what else it is known by.
    pub bug: &'static str,
    /// What happened, as it stands in the name of the folder.
    pub what: &'static str,
    pub rule: &'static str,
    pub fails: Scene,
    pub passes: Scene,
}

fn incident(class: u8, bug: &'static str, what: &'static str, rule: &'static str, pair: [Scene; 2]) -> Incident {
    let [fails, passes] = pair;
    Incident { class, bug, what, rule, fails, passes }
}

/// Classes whose incidents are no matter of one certificate: a whole program shows them. Class, rule, file, test.
#[rustfmt::skip]
pub const WHOLE_PROGRAMS: &[(u8, &str, &str, &str)] = &[
    (7, "control.off", "tests/controls.rs", "a_control_that_is_not_as_it_must_be_is_told_and_so_is_its_return"),
    (7, "control.silent", "tests/controls.rs", "a_control_that_is_not_as_it_must_be_is_told_and_so_is_its_return"),
    (13, "control.drift", "tests/controls.rs", "a_control_that_is_not_as_it_must_be_is_told_and_so_is_its_return"),
    (33, "pre.unfinalised", "tests/status.rs", "what_no_log_has_is_told_once_and_closed_when_it_is_seen"),
    (36, "control.drift", "tests/controls.rs", "a_control_that_is_not_as_it_must_be_is_told_and_so_is_its_return"),
    (39, "control.list", "tests/controls.rs", "a_control_that_is_not_as_it_must_be_is_told_and_so_is_its_return"),
    (40, "status.late", "tests/status.rs", "revocations_and_crls_are_held_against_each_other_until_the_serial_is_listed"),
    (41, "status.crl", "tests/status.rs", "revocations_and_crls_are_held_against_each_other_until_the_serial_is_listed"),
    (42, "crl.signature", "tests/status.rs", "a_crl_that_cannot_be_relied_on_is_its_own_case_and_never_a_certificates"),
    (42, "crl.fresh", "tests/status.rs", "a_crl_that_cannot_be_relied_on_is_its_own_case_and_never_a_certificates"),
    (42, "crl.scope", "tests/status.rs", "a_crl_that_cannot_be_relied_on_is_its_own_case_and_never_a_certificates"),
    (42, "crl.number", "tests/status.rs", "a_crl_that_cannot_be_relied_on_is_its_own_case_and_never_a_certificates"),
    (43, "counts.differ", "tests/controls.rs", "a_record_that_lost_lines_is_found_by_its_counts"),
    (44, "dcv.reuse", "tests/audit.rs", "the_second_seed_is_one_subscriber_and_one_cause"),
];

/// All of them, in the order of their classes.
pub fn incidents() -> Vec<Incident> {
    let groups = [names(), orders(), caa(), validations(), more_validations(), subjects(), issuance(), profiles()];
    let mut all: Vec<Incident> = groups.into_iter().flatten().collect();
    all.sort_by_key(|incident| incident.class);
    all
}

fn good() -> Scene {
    Scene::new(NAME)
}

/// Two scenes: with the change of the incident, and with the one that sets it right.
fn confirmed(fails: Value, passes: Value) -> [Scene; 2] {
    [good().confirmation(fails), good().confirmation(passes)]
}

fn checked(fails: Value, passes: Value) -> [Scene; 2] {
    [good().check(fails), good().check(passes)]
}

fn names() -> Vec<Incident> {
    let stranger = || Scene::new("test.ssl.com").set("order_names", json!({"name": NAME}));
    let unconfirmed = |scene: Scene| {
        let scene = scene.set("san_authorisations", json!({"dcv_id": null}));
        scene.confirmation(json!({"adn": "kirola.eus", "location": "_dcv.kirola.eus"}))
    };
    vec![
        incident(
            1,
            "1651026",
            "internal-name",
            "name.internal",
            [Scene::new("www.barakaldo.bizkaia.euskalsarea"), Scene::new("www.barakaldo.bizkaia.eus")],
        ),
        incident(
            2,
            "1651026",
            "invalid-tld",
            "name.internal",
            [Scene::new("www.gaur.jaso"), Scene::new("www.gaur.eus")],
        ),
        incident(3, "1651026", "name-not-ordered", "san.unexpected", [stranger(), Scene::new("test.ssl.com")]),
        incident(
            3,
            "1651026",
            "name-not-validated",
            "dcv.exists",
            [unconfirmed(Scene::new("test.ssl.com")), Scene::new("test.ssl.com")],
        ),
        incident(
            4,
            "1986968",
            "reserved-address",
            "ip.reserved",
            [Scene::address("10.1.2.3"), Scene::address("194.30.0.1")],
        ),
        incident(
            4,
            "1986968",
            "address-of-others",
            "dcv.exists",
            [unconfirmed(Scene::address("1.1.1.1")), Scene::address("1.1.1.1")],
        ),
    ]
}

fn orders() -> Vec<Incident> {
    let internal = "[[profile]]\nsection = \"CPS 4.1.2\"\nforbidden_names = [\"bizkaia.net\"]";
    vec![
        incident(
            5,
            "1651026",
            "wrong-request",
            "order.key",
            [good().set("orders", json!({"csr_spki_sha256": "bb".repeat(32)})), good()],
        ),
        incident(
            6,
            "1651026",
            "internal-order",
            "order.hierarchy",
            [good().set("orders", json!({"hierarchy": "internal"})), good()],
        ),
        incident(
            6,
            "1651026",
            "internal-zone",
            "policy.forbidden_name",
            [Scene::new("intranet.bizkaia.net").terms(internal), good().terms(internal)],
        ),
        incident(
            8,
            "1651026",
            "signed-pdf",
            "order.channel",
            [good().set("orders", json!({"channel": "manual"})), good()],
        ),
        incident(
            8,
            "1651026",
            "no-order",
            "san.unexpected",
            [good().set("certificates", json!({"order_id": null})), good()],
        ),
    ]
}

fn caa() -> Vec<Incident> {
    let answer = |records: &str| json!({"rrset": records});
    let climbed = "kultura.eus. 300 IN CAA 0 issue \"other-ca.example\"";
    let alias = "www.kultura.eus. 300 IN CNAME a.cdn.example.\na.cdn.example. 300 IN CAA 0 issue \"other-ca.example\"";
    let method =
        |label: &str| answer(&format!("www.kultura.eus. 300 IN CAA 0 issue \"ca.example; validationmethods={label}\""));
    let failed = |dnssec: &str| json!({"result": "failed", "rrset": null, "dnssec": dnssec});
    vec![
        incident(9, "1651026", "public-resolver", "caa.resolver", checked(json!({"resolver": "8.8.8.8"}), json!({}))),
        incident(9, "1651026", "caa-by-hand", "caa.manual", checked(json!({"performed_by": "op3"}), json!({}))),
        incident(
            10,
            "1651026",
            "caa-nine-hours-old",
            "caa.fresh",
            checked(
                json!({"checked_at": "2026-11-20T00:10:00Z"}),
                json!({"checked_at": "2026-11-20T00:10:00Z", "ttl": 86_400}),
            ),
        ),
        incident(
            11,
            "1619047",
            "caa-loop",
            "caa.exists",
            [good().set("san_authorisations", json!({"caa_id": null})), good()],
        ),
        incident(
            12,
            "mdsp-2015",
            "caa-of-the-parent",
            "caa.verdict",
            checked(answer(climbed), answer(&climbed.replace("other-ca", "ca"))),
        ),
        incident(
            12,
            "mdsp-2015",
            "caa-through-a-cname",
            "caa.verdict",
            checked(answer(alias), answer(&alias.replace("other-ca", "ca"))),
        ),
        // A warning until 2027-03-14.
        incident(12, "mdsp-2019", "caa-parameters", "caa.params", checked(method("http-01"), method("dns-01"))),
        incident(
            12,
            "mdsp-2019",
            "caa-servfail",
            "caa.verdict",
            checked(failed("bogus"), json!({"result": "none", "rrset": null})),
        ),
        incident(12, "mdsp-2019", "answers-not-validated", "dnssec", checked(json!({"dnssec": "off"}), json!({}))),
    ]
}

fn validations() -> Vec<Incident> {
    let aged = |day: &str| json!({"completed_at": day, "token_issued_at": day, "recorded_at": day});
    let reuse = |id: i64, of: Value, decided: &str| {
        let mut row = json!({"table": "dcv_reuse", "reuse_id": id, "rule": "sticky", "decided_at": decided});
        of.as_object().expect("an object").iter().for_each(|(column, value)| row[column] = value.clone());
        row
    };
    let chain = |root: &str| {
        let steps = [
            reuse(1, json!({"reused_reuse_id": 2}), "2026-11-20T08:30:00Z"),
            reuse(2, json!({"dcv_id": 1}), "2026-10-20"),
        ];
        good().reused(&steps).confirmation(aged(root))
    };
    let no_root = [reuse(1, json!({"reused_reuse_id": 7}), "2026-11-20T08:30:00Z")];
    let filed = |of: Value| {
        let mut row = json!({"table": "dcv_confirmations", "dcv_id": 2, "applicant_id": "p", "adn": NAME,
                             "method": "reused", "completed_at": "2026-11-20T08:30:00Z", "performed_by": "system"});
        of.as_object().expect("an object").iter().for_each(|(column, value)| row[column] = value.clone());
        good().add(row).set("san_authorisations", json!({"dcv_id": 2}))
    };
    let cps = "methods = [\"3.2.2.4.7\", \"http-01\"]";
    let website = |name: &str| {
        json!({"method": "3.2.2.4.18", "adn": name.trim_start_matches("*."),
                       "location": format!("http://{}/.well-known/pki-validation/x", name.trim_start_matches("*."))})
    };
    let parent = |name: &str, adn: &str| Scene::new(name).confirmation(website(adn));
    vec![
        // The confirmation at the root is 900 days old.
        incident(14, "1718771", "reuse-chain", "dcv.reuse", [chain("2024-06-03T09:10:00Z"), chain("2026-10-05")]),
        incident(
            14,
            "1718771",
            "reuse-without-origin",
            "dcv.reuse",
            [
                good().reused(&no_root).confirmation(json!({"adn": "kirola.eus", "location": "_dcv.kirola.eus"})),
                chain("2026-10-05"),
            ],
        ),
        incident(
            15,
            "1718771",
            "reuse-as-confirmation",
            "dcv.reuse",
            [
                filed(json!({"reused_dcv_id": 1})).confirmation(aged("2024-06-03T09:10:00Z")),
                filed(json!({"reused_dcv_id": 1})),
            ],
        ),
        incident(
            15,
            "1718771",
            "method-of-no-section",
            "dcv.method",
            confirmed(json!({"method": "block-list check"}), json!({})),
        ),
        incident(
            16,
            "1714628",
            "method-not-in-cps",
            "dcv.method",
            [good().terms("methods = [\"http-01\", \"dns-01 until 2026-11-01\"]"), good().terms(cps)],
        ),
        incident(
            17,
            "1718579",
            "validated-by-staff",
            "dcv.manual",
            confirmed(json!({"performed_by": "op3"}), json!({})),
        ),
        incident(
            18,
            "1750631",
            "website-for-wildcard",
            "dcv.wildcard",
            [parent("*.kultura.eus", "*.kultura.eus"), Scene::new("*.kultura.eus")],
        ),
        incident(
            18,
            "1750631",
            "website-of-the-parent",
            "dcv.wildcard",
            [parent(NAME, "kultura.eus"), parent(NAME, NAME)],
        ),
        incident(
            19,
            "sectigo-kb",
            "bare-domain-as-well",
            "dcv.adn",
            [
                Scene::new("kultura.eus").confirmation(json!({"adn": NAME, "location": format!("_dcv.{NAME}")})),
                Scene::new("kultura.eus"),
            ],
        ),
    ]
}

fn more_validations() -> Vec<Incident> {
    let mailed = |at: &str| {
        let place = format!("_validation-contactemail.{at}");
        Scene::new("aliyun.com").confirmation(json!({"method": "3.2.2.4.14", "location": place}))
    };
    let alpn = || json!({"method": "tls-alpn-01", "location": format!("{NAME}:443")});
    let flaw = "[[issuance.flawed]]\nmethod = \"tls-alpn-01\"\nfrom = \"2026-11-01\"\nreason = \"Mozilla bug 1751984\"";
    let reseller = |applicant: &str| {
        let pepsi = json!({"table": "applicants", "applicant_id": "pepsi", "account_id": "77"});
        let scene = good().set("accounts", json!({"kind": "reseller"})).add(pepsi);
        scene.confirmation(json!({"applicant_id": applicant}))
    };
    vec![
        incident(
            20,
            "1961406",
            "mailbox-of-others",
            "dcv.location",
            [mailed("d2b4.dcv-inspector.com"), mailed("aliyun.com")],
        ),
        incident(
            20,
            "1961406",
            "domain-of-others",
            "dcv.adn",
            confirmed(json!({"adn": "aliyun.com", "location": "_dcv.aliyun.com"}), json!({})),
        ),
        incident(
            21,
            "1910322",
            "no-underscore",
            "dcv.location",
            confirmed(json!({"location": "x7sk2.www.kultura.eus"}), json!({"location": "_x7sk2.www.kultura.eus"})),
        ),
        incident(
            22,
            "3.2.2.4.7",
            "token-31-days-old",
            "dcv.token30",
            confirmed(
                json!({"token_issued_at": "2026-10-20T08:09:59Z"}),
                json!({"token_issued_at": "2026-10-21T08:10:00Z"}),
            ),
        ),
        incident(
            23,
            "1751984",
            "flawed-alpn",
            "dcv.flawed",
            [good().confirmation(alpn()).terms(flaw), good().terms(flaw)],
        ),
        incident(24, "1718771", "coke-and-pepsi", "dcv.applicant", [reseller("pepsi"), reseller("p")]),
        incident(
            25,
            "1876593",
            "flat-files",
            "dcv.origin",
            [
                good()
                    .confirmation(json!({"evidence_ref": "flatfile:2014/31"}))
                    .terms("bulk_evidence = [\"flatfile:\"]"),
                good().terms("bulk_evidence = [\"flatfile:\"]"),
            ],
        ),
        incident(
            26,
            "1959867",
            "quorum-short",
            "mpic.quorum",
            confirmed(json!({"remote_ok": 2}), json!({"remote_ok": 3})),
        ),
        incident(
            26,
            "1948368",
            "too-few-perspectives",
            "mpic.count",
            confirmed(json!({"remote_ok": 3, "remote_total": 3}), json!({})),
        ),
        incident(
            26,
            "1948368",
            "one-region",
            "mpic.rir",
            confirmed(json!({"remote_rirs": 1}), json!({"remote_rirs": 2})),
        ),
        incident(
            45,
            "1750631",
            "retired-method",
            "dcv.method",
            confirmed(
                json!({"method": "3.2.2.4.6", "location": format!("http://{NAME}/.well-known/pki-validation/x")}),
                json!({"method": "3.2.2.4.18", "location": format!("http://{NAME}/.well-known/pki-validation/x")}),
            ),
        ),
    ]
}

fn subjects() -> Vec<Incident> {
    let alone = |scene: Scene| {
        scene.without("approvals").add(json!({"table": "approvals", "order_id": "8812",
        "step": "validate", "person": "op1", "decided_at": "2026-11-20T08:20:00Z"}))
    };
    let ev = || Scene::extended("P4801300D");
    let category = |scene: Scene| scene.set("identities", json!({"business_category": "Private Organization"}));
    let spain = "[[profile]]\nsection = \"CPS 3.2.2\"\nsince = \"2019-11-15\"\nsubject_countries = [\"ES\"]";
    let french = || {
        let scene = Scene::new(NAME).set("orders", json!({"vtype": "OV", "identity_id": "I"}));
        let scene = scene.set("identities", json!({"country": "FR"}));
        let spec = scene.spec.clone().policy(certgen::OV);
        scene.spec(spec.attr(6, "FR").attr(7, "Barakaldo").attr(10, "Barakaldoko Udala"))
    };
    let countries = "countries = [\"ES from 2019-11-15\"]";
    let qa = "test_accounts = [\"77\"]\ntest_zones = [\"test.kultura.eus\"]";
    let thawte = "test_organizations = [\"Example CA QA\"]\ntest_zones = [\"test.kultura.eus\"]";
    let tested = |scene: Scene| scene.set("identities", json!({"organization": "Example CA QA"}));
    vec![
        incident(27, "1651026", "ev-by-one-person", "ev.approvals", [alone(ev()), ev()]),
        incident(28, "1575022", "registration-number", "subj.values", [Scene::extended("P4801300"), ev()]),
        incident(
            28,
            "1576013",
            "not-applicable",
            "subj.meta",
            [Scene::extended("-").set("identities", json!({"registration_number": "-"})), ev()],
        ),
        incident(28, "1600301", "business-category", "subj.values", [category(ev()), ev()]),
        incident(
            28,
            "1894054",
            "organization",
            "subj.values",
            [Scene::organization("Bilboko Udala"), Scene::organization("BARAKALDOKO  udala")],
        ),
        incident(
            28,
            "1576283",
            "identity-of-500-days",
            "id.reuse",
            [
                Scene::organization("Barakaldoko Udala").set("identities", json!({"verified_at": "2025-07-01"})),
                Scene::organization("Barakaldoko Udala"),
            ],
        ),
        incident(
            29,
            "1651026",
            "french-subject",
            "policy.country",
            [french().terms(spain), Scene::organization("Barakaldoko Udala").terms(spain)],
        ),
        incident(
            29,
            "1651026",
            "iranian-applicant",
            "order.country",
            [good().set("applicants", json!({"country": "IR"})).terms(countries), good().terms(countries)],
        ),
        incident(
            30,
            "1712188",
            "test-account",
            "order.test",
            [Scene::new("google.com").terms(qa), Scene::new("a.test.kultura.eus").terms(qa)],
        ),
        incident(
            30,
            "symantec",
            "test-organization",
            "order.test",
            [
                tested(Scene::organization("Example CA QA")).terms(thawte),
                Scene::organization("Barakaldoko Udala").terms(thawte),
            ],
        ),
    ]
}

fn issuance() -> Vec<Incident> {
    let changed = |scene: Scene| {
        let spec = scene.spec.clone();
        scene.other(spec.poison().dns("mail.kultura.eus"))
    };
    let twin = |scene: Scene| {
        let spec = scene.spec.clone();
        scene.other(spec.poison())
    };
    let long = |end: &str| Spec::new("2026-11-20", end).dns(NAME);
    let ninety = "[[profile]]\nsection = \"CPS 6.3.2\"\nmax_validity_days = 90";
    let weak = |key: Vec<u8>| {
        let scene = good();
        let spec = scene.spec.clone().spki(key).with(certgen::KEY_USAGE, true, &[3, 2, 7, 0x80]);
        scene.spec(spec)
    };
    let blocked = "[[profile]]\nsection = \"CPS 4.2.1\"\nforbidden_names_file = \"list.txt\"";
    vec![
        incident(
            31,
            "diginotar",
            "not-in-the-database",
            "db.unknown",
            [good().set("certificates", json!({"serial": "4d151f"})), good()],
        ),
        incident(
            31,
            "diginotar",
            "other-tbs",
            "db.tbs",
            [good().set("certificates", json!({"tbs_sha256": "cc".repeat(32)})), good()],
        ),
        incident(32, "1838667", "serial-twice", "serial.unique", [changed(good()), twin(good())]),
        incident(32, "1838667", "final-is-not-precert", "pre.match", [changed(good()), twin(good())]),
        incident(
            34,
            "1667744",
            "one-second-too-long",
            "val.max",
            [good().spec(long("2027-06-08")), good().spec(long("2027-06-07 23:59:59"))],
        ),
        incident(
            34,
            "1443731",
            "ninety-days-and-a-second",
            "policy.validity",
            [good().spec(long("2027-02-18")).terms(ninety), good().terms(ninety)],
        ),
        incident(
            34,
            "1715455",
            "reissued-longer",
            "db.validity",
            [
                good().set("certificates", json!({"not_before": "2026-11-20", "not_after": "2027-01-20T23:59:59Z"})),
                good(),
            ],
        ),
        incident(
            37,
            "4.3.1.2",
            "not-linted",
            "lint.prerun",
            [good().set("lint_runs", json!({"ran_at": "2026-11-20T09:10:01Z"})), good()],
        ),
        incident(37, "4.3.1.2", "linter-with-a-gap", "lint.prerun", [Scene::new("www.gaur.jaso"), good()]),
        incident(
            38,
            "LE-2017",
            "weak-key",
            "key.weak.roca",
            [weak(rsa(&roca(2048))), weak(rsa(&certgen::number(2048)))],
        ),
        incident(
            38,
            "LE-2017",
            "compromised-key",
            "key.compromised",
            [
                // It stands in tests/fixtures/keys/compromised.txt.
                weak(rsa(&certgen::number(3584))),
                weak(rsa(&certgen::number(2048))),
            ],
        ),
        incident(
            39,
            "LE-2016",
            "block-list-not-applied",
            "policy.forbidden_name",
            [
                Scene::new("www.bank.example.com").terms(blocked).list("# high risk\nbank.example.com\n"),
                good().terms(blocked).list("# high risk\nbank.example.com\n"),
            ],
        ),
    ]
}

fn profiles() -> Vec<Incident> {
    let policies = |uri: &str| {
        // PolicyQualifierInfo: id-qt-cps and a CPSuri.
        let qualifier = tlv(0x30, &[tlv(6, &[0x2b, 6, 1, 5, 5, 7, 2, 1]), tlv(22, uri.as_bytes())].concat());
        let information = tlv(0x30, &[tlv(6, certgen::DV), tlv(0x30, &qualifier)].concat());
        let spec = good().spec.with(certgen::POLICIES, false, &tlv(0x30, &information));
        good().spec(spec)
    };
    let points = |uri: &str| good().spec(good().spec.with(certgen::CRL_DP, false, &certgen::crl_points(&[uri])));
    let swapped = || {
        let scene = Scene::organization("Barakaldoko Udala");
        let spec = good().spec.policy(certgen::OV);
        scene.spec(spec.attr(10, "Barakaldoko Udala").attr(7, "Barakaldo").attr(6, "ES"))
    };
    let wild = |scene: Scene| {
        let names = |row: &mut Value| {
            if row["name"] == NAME {
                row["name"] = json!("*.kultura.eus");
            }
        };
        let mut scene = scene.confirmation(json!({"adn": "kultura.eus", "location": "_dcv.kultura.eus"}));
        scene.rows.iter_mut().for_each(names);
        scene
    };
    let ev_for = |name: &str| {
        let spec = Scene::new(name).spec.policy(certgen::EV).attr(6, "ES").attr(7, "Barakaldo");
        let spec = spec.attr(10, "Barakaldoko Udala").attr(15, "Government Entity");
        spec.attr_of(&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3], 19, "ES").attr(5, "P4801300D")
    };
    let keys = "[[profile]]\nsection = \"CPS 6.1.5\"\nkeys = [\"rsa-3072+\"]";
    let large = || {
        let spec = good().spec.spki(rsa(&certgen::number(3072)));
        good().spec(spec).terms(keys)
    };
    vec![
        incident(35, "1883843", "cps-uri", "ext.cp", [policies("ca.example/cps"), policies("https://ca.example/cps")]),
        incident(
            35,
            "1809382",
            "crl-by-ldap",
            "ext.crldp",
            [points("ldap://ca.example/cn=CRL"), points("http://ca.example/a.crl")],
        ),
        incident(
            35,
            "1883779",
            "order-of-attributes",
            "subj.order",
            [swapped(), Scene::organization("Barakaldoko Udala")],
        ),
        incident(
            35,
            "1782391",
            "ev-wildcard",
            "wc.ev",
            [wild(Scene::extended("P4801300D").spec(ev_for("*.kultura.eus"))), Scene::extended("P4801300D")],
        ),
        incident(36, "1886876", "keys-of-the-cps", "policy.key", [good().terms(keys), large()]),
    ]
}
