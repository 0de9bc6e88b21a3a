use std::collections::BTreeSet;
use std::path::Path;

use super::keys::{KEYS, Need};
use super::*;

/// A directory with a CA certificate, a leaf certificate, a password and a log list.
pub(super) struct Place(tempfile::TempDir);

impl Place {
    pub(super) fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        let (ca, key) = certificate(true);
        place.write("issuer.pem", ca.as_bytes());
        place.write("issuer.der", &pem_contents(&ca));
        place.write("leaf.pem", certificate(false).0.as_bytes());
        place.write("key.pem", key.as_bytes());
        place.write("two.pem", format!("{ca}{}", certificate(true).0).as_bytes());
        place.write("password", b"correct horse\r\n");
        place.write("list.json", b"{}");
        let spki = crate::ct::signer::LogSigner::generate().spki_der();
        let spki = crate::ct::to_base64(&spki);
        let public = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
        place.write("log_list_pubkey.pem", public.as_bytes());
        place
    }
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }
    pub(super) fn load(&self, text: &str) -> Result<Config, Problems> {
        self.write("ctwarden.toml", text.as_bytes());
        load(&self.path("ctwarden.toml"))
    }
    /// `key: reason. remedy` of every problem, with `LINE:` before it.
    pub(super) fn problems(&self, text: &str) -> Vec<String> {
        let problems = self.load(text).expect_err("the configuration should be refused");
        let shown = problems.to_string().replace(&format!("{}:", self.path("ctwarden.toml").display()), "");
        shown
            .replace(&format!("{}/", self.0.path().display()), "")
            .lines()
            .map(|line| line.trim().to_string())
            .collect()
    }
}

fn certificate(ca: bool) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(vec!["ca.example".to_string()]).unwrap();
    if ca {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn pem_contents(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

pub(super) const GOOD: &str = r#"
[logs]
list = "list.json"
contact = "pki-team@ca.example"
[[issuer]]
name = "Test CA"
certificate = "issuer.pem"
[data]
directory = "data"
[mail]
folder = "mail"
"#;

#[test]
fn a_short_configuration_gets_the_defaults() {
    let place = Place::new();
    let config = place.load(GOOD).unwrap();
    assert_eq!(config.logs.list, ListSource::File(place.path("list.json")));
    assert_eq!((config.logs.start, config.logs.refresh), (StartAt::Beginning, Span::from_seconds(3600)));
    assert_eq!(config.logs.states, ["qualified", "usable", "readonly"]);
    assert_eq!(config.logs.signing, None);
    assert_eq!(config.data_directory, place.path("data"));
    assert_eq!(config.books, place.path("data/books.sqlite"));
    assert_eq!(config.issuance.source, IssuanceSource::Embedded);
    assert_eq!(config.issuance.grace, Span::from_seconds(60));
    assert_eq!(config.mail.transport, MailTransport::Folder(place.path("mail")));
    assert_eq!(config.mail.to, ["ctwarden@localhost"]);
    assert_eq!(config.mail.profile, MailProfile::Human);
    assert_eq!(config.web.listen.to_string(), "127.0.0.1:8640");
    assert!(!config.watch_all_issuers);
    let url = |url: &str| Some(ListSource::Url(url.to_string()));
    assert_eq!(config.inputs.tld_list, url("https://data.iana.org/TLD/tlds-alpha-by-domain.txt"));
    assert_eq!(config.inputs.refresh, Span::from_days(1));
    assert_eq!(config.log, LogConfig { format: LogFormat::Human, level: tracing::Level::INFO });
    let der = pem_contents(&std::fs::read_to_string(place.path("issuer.pem")).unwrap());
    assert_eq!(config.issuers[0].source, IssuerSource::Certificate(der));
    let from_der = place.load(&GOOD.replace("issuer.pem", "issuer.der")).unwrap();
    assert_eq!(from_der.issuers, config.issuers);
}

#[test]
fn every_key_is_understood() {
    let place = Place::new();
    let text = r#"
        [logs]
        list = "https://ct.example/list.json"
        contact = "https://ca.example/ct"
        start = "2026-03-15"
        refresh = "10m"
        states = ["usable", "retired"]
        [[logs.override]]
        log_id = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        origin = "log.example/1"
        monitoring_url = "http://127.0.0.1:9/1/"
        start = "end"
        page = 32
        rate = "9/m"
        [[issuer]]
        name = "Test CA"
        issuer_key_hash = "E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        [data]
        directory = "/nowhere/data"
        [books]
        url = "sqlite:///nowhere/b.sqlite"
        [issuance]
        source = "none"
        grace = "90s"
        [mail]
        server = "127.0.0.1"
        tls = "none-on-loopback"
        username = "u"
        password_file = "password"
        ca_certificate = "issuer.pem"
        from = "a@ca.example"
        to = ["b@ca.example", "c@ca.example"]
        profile = "ticket"
        [web]
        listen = "[::1]:0"
        [watch]
        all_issuers = true
        [lint]
        public_suffix_list = "list.json"
        [log]
        format = "json"
        level = "debug"
    "#;
    let config = place.load(text).unwrap();
    assert_eq!(config.logs.start, StartAt::Time(crate::clock::date(2026, 3, 15)));
    assert_eq!(config.logs.refresh, Span::from_seconds(600));
    let only = &config.logs.overrides[0];
    assert_eq!(only.log_id[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    assert_eq!(only.monitoring_url.as_deref(), Some("http://127.0.0.1:9/1"));
    assert_eq!(only.origin.as_deref(), Some("log.example/1"));
    assert_eq!((only.start, only.page, only.rate), (Some(StartAt::End), Some(32), Some(0.15)));
    assert_eq!(config.issuers[0].source, IssuerSource::KeyHash(config.issuers[0].key_hash));
    assert_eq!(config.books, Path::new("/nowhere/b.sqlite"));
    let (source, grace) = (IssuanceSource::None, Span::from_seconds(90));
    let expected = IssuanceConfig { source, grace, server: None, terms: Policy::default(), follow: vec![] };
    assert_eq!(config.issuance, expected);
    let MailTransport::Smtp { port, tls, password, ca_certificate, .. } = &config.mail.transport else { panic!() };
    assert_eq!((*port, *tls), (25, MailTls::NoneOnLoopback));
    assert_eq!(password.as_ref().map(Secret::expose), Some("correct horse"));
    assert!(ca_certificate.is_some());
    assert_eq!(config.mail.profile, MailProfile::Ticket);
    assert_eq!(config.log, LogConfig { format: LogFormat::Json, level: tracing::Level::DEBUG });
    assert!(!format!("{config:?}").contains("correct horse"));
    for (tls, port) in [("starttls", 587), ("tls", 465)] {
        let config = place.load(&text.replace("none-on-loopback", tls)).unwrap();
        assert!(matches!(config.mail.transport, MailTransport::Smtp { port: p, .. } if p == port));
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let place = Place::new();
    let said = place.problems(
        r#"
[logs]
lisst = "list.json"
contact = "nobody"
start = "middle"
states = ["usable", "frozen", 7]
listen = "127.0.0.1:1"
[[logs.override]]
log_id = "abc"
[[issuer]]
name = "Test CA"
certificate = "leaf.pem"
[[issuer]]
certificate = "list.json"
issuer_key_hash = "00"
[dta]
directory = "data"
[mail]
server = "smtp.ca.example:25"
folder = "mail"
port = 70000
tls = "none"
from = 3
to = []
[web]
listen = "localhost:8640"
[issuance]
grace = "soon"
[books]
url = "postgres://x"
[watch]
all_issuers = "yes"
"#,
    );
    let expected = [
        "2: logs.list: is missing. Write list = \"https://www.gstatic.com/ct/log_list/v3/log_list.json\" in [logs].",
        "3: logs.lisst: is not a key of ctwarden. Did you mean list?",
        "4: logs.contact: \"nobody\" is neither an e-mail address nor a URL. ",
        "5: logs.start: \"middle\" is no place in a log. Write \"beginning\", \"end\", or a time such as ",
        "6: logs.states: has an item that is a number, not a string. ",
        "7: logs.listen: is not a key of ctwarden. Did you mean listen in [web]?",
        "8: logs.override[1].origin: is missing. Write origin, monitoring_url, start, page or rate, or remove the section.",
        "9: logs.override[1].log_id: \"abc\" is not 32 bytes in base64. Copy log_id from the log list.",
        "12: issuer[1].certificate: leaf.pem is not a CA certificate (basicConstraints without cA). ",
        "13: issuer[2].name: is missing. ",
        "13: issuer[2]: has both certificate and issuer_key_hash. ",
        "16: dta: is not a key of ctwarden. Did you mean [data]?",
        "18: mail: has both server and folder. ",
        "21: mail.port: is not between 1 and 65535. ",
        "22: mail.tls: \"none\" is not known. Choose from \"starttls\", \"tls\", \"none-on-loopback\".",
        "23: mail.from: is a number, not a string. ",
        "24: mail.to: is an empty list. ",
        "26: web.listen: \"localhost:8640\" is not an address and a port. ",
        "28: issuance.grace: \"soon\" is not a length of time",
        "30: books.url: is not a sqlite URL. ",
        "32: watch.all_issuers: is a string, not true or false. ",
        "data.directory: is missing. Write directory = \"ctwarden-data\" in [data].",
    ];
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.starts_with(expected), "said {said}\nexpected {expected}");
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");
}

/// Replaces one piece of the good configuration and expects exactly one problem that says `expected`.
pub(super) fn one_problem(place: &Place, from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from}");
    let said = place.problems(&GOOD.replace(from, to));
    assert!(said.len() == 1 && said[0].contains(expected), "{to}: said {said:#?}\nexpected {expected}");
}

#[test]
fn each_problem_is_told_once_and_alone() {
    let place = Place::new();
    std::fs::create_dir(place.path("directory")).unwrap();
    place.write("garbage.pem", b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    place.write("empty", b"");
    let ca = "certificate = \"issuer.pem\"";
    let cases = [
        (
            "list.json",
            "http://ct.example/list.json",
            "logs.list: \"http://ct.example/list.json\" is plain http. Use https",
        ),
        ("list.json", "none.json", "logs.list: none.json cannot be read (no such file or directory). Name a readable"),
        ("list.json", "directory", "logs.list: directory is not a file. "),
        (
            "issuer.pem",
            "none.pem",
            "issuer[1].certificate: none.pem cannot be read (no such file or directory). Name the CA",
        ),
        ("issuer.pem", "list.json", "issuer[1].certificate: list.json is not a certificate. "),
        ("issuer.pem", "key.pem", "issuer[1].certificate: key.pem holds a private key. "),
        ("issuer.pem", "two.pem", "issuer[1].certificate: two.pem holds 2 certificates. "),
        ("issuer.pem", "garbage.pem", "issuer[1].certificate: garbage.pem is not readable PEM. "),
        ("issuer.pem", "empty", "issuer[1].certificate: empty is empty. "),
        (ca, "issuer_key_hash = \"12\"", "issuer[1].issuer_key_hash: \"12\" is not 64 hexadecimal digits. "),
        (ca, "", "issuer[1].certificate: is missing. "),
        ("[[issuer]]", "[issuer]", "issuer: is a section, not a repeated section. Write [[issuer]] in double brackets"),
        ("Test CA", "Test\\u0007CA", "issuer[1].name: is too long or not one line. "),
        ("Test CA", " ", "issuer[1].name: is an empty string. "),
        ("\"data\"", "\"list.json\"", "data.directory: list.json is not a directory. "),
        ("\"mail\"", "\"list.json\"", "mail.folder: list.json is not a directory. "),
        ("[mail]", "[mail]\nport = 25", "mail.port: has no meaning with folder. "),
        ("[mail]", "[mail]\nto = [\"a@b.example\", \"a@b.example\"]", "mail.to: \"a@b.example\" stands twice. "),
        ("[mail]", "[mail]\nfrom = \"a b\"", "mail.from: \"a b\" is not an e-mail address. "),
        ("[mail]\nfolder = \"mail\"", "", "mail: is missing. Nobody would be told; write [mail]"),
        ("[data]", "[lint]\npublic_suffix_list = \"none\"\n[data]", "lint.public_suffix_list: none cannot be read"),
        ("[data]", "[lint]\nweak_keys = [\"none\"]\n[data]", "lint.weak_keys: "),
        ("[data]", "[lint]\ncompromised_keys = [\"none\"]\n[data]", "lint.compromised_keys: "),
        ("[data]", "[books]\nurl = \"sqlite://directory\"\n[data]", "books.url: directory is a directory. "),
        ("[data]", "[logs.override]\norigin = 'x'\n[data]", "logs.override: is a section, not a repeated section. "),
        ("[[issuer]]", "refresh = \"0s\"\n[[issuer]]", "logs.refresh: \"0s\" is not between one second and 365 days"),
        ("[[issuer]]", "start = \"1999-01-01\"\n[[issuer]]", "logs.start: \"1999-01-01\" is no place in a log. "),
        ("[data]", "colour = 1\n[data]", "issuer[1].colour: is not a key of ctwarden. Remove it; "),
        ("[data]", "\"a\\u001bb\" = 1\n[data]", "issuer[1].a\\x1bb: is not a key of ctwarden. Remove it; "),
        ("[data]", "name = \"again\"\n[data]", "file: duplicate key. "),
        ("[data]", "[issuers]\n[data]", "issuers: is not a key of ctwarden. Did you mean [[issuer]]?"),
    ];
    for (from, to, expected) in cases {
        one_problem(&place, from, to, expected);
    }
    let log = "[[logs.override]]\nlog_id = \"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"";
    for (line, expected) in [
        ("page = 0", "logs.override[1].page: is not between 1 and 1000. "),
        ("rate = \"fast\"", "logs.override[1].rate: \"fast\" is not a rate between 1/h and 10000/s"),
        ("rate = 5", "logs.override[1].rate: is a number, not a string. Write for instance rate = \"5/s\"."),
        ("start = \"soon\"", "logs.override[1].start: \"soon\" is no place in a log. "),
    ] {
        one_problem(&place, "[[issuer]]", &format!("{log}\n{line}\n[[issuer]]"), expected);
    }
}

#[test]
fn a_mail_server_is_checked() {
    let place = Place::new();
    place.write("two-lines", b"a\nb\n");
    place.write("newline", b"\n");
    let server = "server = \"smtp.ca.example\"\nfrom = \"a@ca.example\"\nto = [\"b@ca.example\"]";
    let cases = [
        (format!("{server}\ntls = \"none-on-loopback\""), "mail.tls: \"none-on-loopback\" does not go with server"),
        (format!("{server}\nusername = \"u\""), "mail.password_file: is missing. "),
        (format!("{server}\npassword_file = \"password\""), "mail.username: is missing. "),
        (format!("{server}\nusername = \"u\"\npassword_file = \"none\""), "mail.password_file: none cannot be read"),
        (format!("{server}\nusername = \"u\"\npassword_file = \"two-lines\""), "two-lines has more than one line. "),
        (format!("{server}\nusername = \"u\"\npassword_file = \"newline\""), "newline has an empty first line. "),
        (
            format!("{server}\nca_certificate = \"key.pem\""),
            "mail.ca_certificate: key.pem is not PEM with certificates alone",
        ),
        (server.replace("to =", "#"), "mail.to: is missing. "),
        (server.replace("from =", "#"), "mail.from: is missing. "),
        (server.replace("server =", "#"), "mail.server: is missing. "),
    ];
    for (to, expected) in &cases {
        one_problem(&place, "folder = \"mail\"", to, expected);
    }
    assert!(place.load(&GOOD.replace("folder = \"mail\"", server)).is_ok());
}

#[test]
fn issuers_are_told_apart() {
    let place = Place::new();
    let again = "[[issuer]]\nname = \"Other\"\ncertificate = \"issuer.der\"\n[data]";
    one_problem(&place, "[data]", again, "issuer[2]: has the same key as \"Test CA\". ");
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let again = format!("[[issuer]]\nname = \"Test CA\"\nissuer_key_hash = \"{hash}\"\n[data]");
    one_problem(&place, "[data]", &again, "issuer[2].name: \"Test CA\" names two issuers. ");
    let none = GOOD.replace("[[issuer]]\nname = \"Test CA\"\ncertificate = \"issuer.pem\"\n", "");
    let said = place.problems(&none);
    assert!(said.len() == 1 && said[0].starts_with("issuer: is missing. Write one [[issuer]]"), "{said:?}");
    assert!(place.load(&format!("{none}[watch]\nall_issuers = true")).unwrap().issuers.is_empty());
}

#[test]
fn torn_text_is_told_by_line_without_guesses() {
    let place = Place::new();
    let said = place.problems("[logs]\nlist = list.json\ncontact = \"a@b.example\n[dta]\nx = 1\n");
    assert!(said.iter().any(|line| line.starts_with("2: file: ")), "{said:?}");
    assert!(said.iter().any(|line| line.starts_with("3: file: ")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("dta: is not a key")), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("is missing")), "{said:?}");
    place.write("latin", b"[logs]\nlist = \"\xe4\"\n");
    let said = load(&place.path("latin")).unwrap_err().to_string();
    assert!(said.contains("latin:2: file: is not UTF-8 text. "), "{said}");
    let said = load(&place.path("absent.toml")).unwrap_err().to_string();
    assert!(said.contains("absent.toml cannot be read (no such file or directory). Name a configuration"), "{said}");
}

/// The example with every key that is commented out made a key, as (section, key, value) in the notation of KEYS.
fn keys_of_example() -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in EXAMPLE.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]")) {
            section = format!("{name}[]");
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_string();
        } else if let Some((name, value)) = line.split_once(" = ")
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            found.push((format!("{section}.{name}"), value.to_string()));
        }
    }
    found
}

#[test]
fn the_example_shows_every_key_once_and_no_other() {
    let shown = keys_of_example();
    let names: BTreeSet<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
    let known: BTreeSet<&str> = KEYS.iter().map(|key| key.path).collect();
    assert_eq!(names, known);
    assert_eq!(shown.len(), KEYS.len());
    for ((_, value), key) in shown.iter().zip(KEYS) {
        assert_eq!(value, key.example, "{} (the example follows the order of the table)", key.path);
        // Sections that stand there commented out as a whole.
        let optional = [
            "logs.override[]",
            "profile[]",
            "issuance.issuer[]",
            "issuance.follow[]",
            "issuance.reuse_rule[]",
            "issuance.flawed[]",
            "web.token[]",
            "judge[]",
        ]
        .contains(&key.section());
        if key.need == Need::Required && !optional {
            assert!(EXAMPLE.contains(&format!("\n{} = ", key.name())), "{} is commented out", key.path);
        }
    }
}

#[test]
fn the_example_works_when_the_named_values_are_filled_in() {
    let place = Place::new();
    // Everything but the issuer's certificate is well formed as it stands.
    place.write("filled.toml", EXAMPLE.as_bytes());
    assert!(load(&place.path("filled.toml")).is_ok());
    std::fs::remove_file(place.path("issuer.pem")).unwrap();
    let said = place.problems(EXAMPLE);
    assert!(said.len() == 1 && said[0].contains("issuer[1].certificate: issuer.pem cannot be read"), "{said:?}");
    // The keys that are commented out work too, in the halves that exclude each other.
    let place = Place::new();
    place.write("smtp-password", b"x");
    place.write("smtp-ca.pem", &std::fs::read(place.path("issuer.pem")).unwrap());
    place.write("forbidden-names.txt", b"# names of others\nbank.example # one of them\n\n");
    place.write("debian-weak-keys.txt", b"#\n");
    place.write("compromised-keys.txt", b"#\n");
    place.write("high-risk-names.txt", b"bank.example\n");
    place.write("root.key", b". IN DNSKEY 257 3 8 AwEAAQ==\n");
    place.write("feed-token", b"0123456789abcdef0123456789abcdef\n");
    let owner_alone = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.path("feed-token"), owner_alone).unwrap();
    place.write("ca-database-password", b"x");
    place.write("ca-database-ca.pem", &std::fs::read(place.path("issuer.pem")).unwrap());
    let whole: String = EXAMPLE.lines().fold(String::new(), |text, line| {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let key =
            bare.split_once(" = ").is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        let other =
            ["folder", "issuer_key_hash", "entries_of", "url = \"http:"].iter().any(|start| bare.starts_with(start));
        text + if (key || bare.starts_with('[')) && !other { bare } else { "" } + "\n"
    });
    // What feeds the embedded record has no meaning beside a server.
    let mut of_server = whole.replace("source = \"embedded\"", "source = \"postgres\"");
    for section in ["[[issuance.follow]]", "[[web.token]]"] {
        let start = of_server.find(section).unwrap();
        let end = of_server[start + 2..].find("\n[").unwrap() + start + 2;
        of_server.replace_range(start..end, "");
    }
    let config = place.load(&of_server).unwrap();
    assert_eq!((config.logs.overrides.len(), config.judges.len()), (1, 2));
    assert_eq!((config.status.controls.len(), config.issuers[0].crls.len()), (1, 1));
    assert_eq!(config.judges[1].name, crate::judges::caa::NAME);
    let server = config.issuance.server.unwrap();
    assert_eq!((server.port, server.issuers.len(), server.texts.len()), (5432, 1, 2));
}

#[test]
fn no_text_makes_the_reading_panic() {
    use proptest::prelude::*;
    let lines = || {
        proptest::collection::vec(
            prop_oneof![
                Just("[logs]".to_string()),
                Just("[[issuer]]".to_string()),
                Just("issuer = [1, {}]".to_string()),
                Just("mail.to = [[]]".to_string()),
                Just("port = 0x1_0".to_string()),
                "[a-z_.]{0,12} = [-\"0-9a-z\\[\\]{}]{0,12}",
                "\\PC{0,30}",
            ],
            0..12,
        )
    };
    proptest!(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() }, |(lines in lines())| {
        let text = lines.join("\n");
        let (mut document, raw) = Document::read(&text, PathBuf::from("/nowhere"));
        let built = build(Path::new("x"), raw, &mut document);
        // An empty data directory key is always missing or refused here, so nothing can be accepted.
        prop_assert!(document.finish(Path::new("x"), built).is_err_and(|problems| !problems.list.is_empty()));
    });
}
