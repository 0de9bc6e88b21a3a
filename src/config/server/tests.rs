use std::time::Duration;

use crate::config::tests::{GOOD, Place};
use crate::issuance::sql::{SerialForm, Tls};

const SERVER: &str = r#"
[issuance]
source = "postgres"
preset = "ctwarden"
host = "127.0.0.1"
database = "ca"
user = "reader"
tls = "none-on-loopback"
"#;

fn with(lines: &str) -> String {
    format!("{GOOD}{SERVER}{lines}\n")
}

#[test]
fn a_server_gets_defaults_and_its_texts_can_be_changed() {
    let place = Place::new();
    let server = place.load(&with("")).unwrap().issuance.server.unwrap();
    assert_eq!((server.port, server.connections, server.serials), (5432, 4, SerialForm::Hex));
    assert_eq!((server.statement_timeout, server.connect_timeout), (Duration::from_secs(15), Duration::from_secs(10)));
    assert_eq!((server.tls.clone(), server.password.clone()), (Tls::NoneOnLoopback, None));
    assert!(server.feeds("lint_runs") && server.feeds("issuers"));
    let text = with(
        "password_file = \"password\"\nserials = \"decimal\"\nreplica_time = \"select 1\"\n[issuance.queries]\n\
         lint_runs = \"none\"\norders = \"SELECT 1 AS order_id; \"",
    );
    let server = place.load(&text.replace("postgres", "mysql")).unwrap().issuance.server.unwrap();
    assert_eq!((server.port, server.serials), (3306, SerialForm::Decimal));
    assert_eq!(server.password.as_deref(), Some("correct horse"));
    assert!(!server.feeds("lint_runs"));
    assert_eq!(
        (server.texts["orders"].as_str(), server.replica_time.as_deref()),
        ("SELECT 1 AS order_id", Some("select 1"))
    );
    assert!(!format!("{server:?}").contains("correct horse"), "the password is shown");
    let mapped = with("[[issuance.issuer]]\nissuer_id = 7\nissuer = \"Test CA\"");
    let server = place.load(&mapped).unwrap().issuance.server.unwrap();
    assert!(server.feeds("issuers") && !server.texts.contains_key("issuers"));
    assert_eq!((server.issuers[0].issuer_id, server.issuers[0].hierarchy.as_str()), (7, "public"));
}

#[test]
fn the_text_of_revoked_goes_with_the_texts_that_it_was_made_for() {
    let place = Place::new();
    let issuer = "[[issuance.issuer]]\nissuer_id = 7\nissuer = \"Test CA\"";
    let text = |own: &str| {
        let queries = format!("[issuance.queries]\n{own}\n{issuer}");
        let texts =
            place.load(&with(&queries).replace("\"ctwarden\"", "\"ejbca\"")).unwrap().issuance.server.unwrap().texts;
        texts.get("revoked").cloned()
    };
    assert!(text("").is_some_and(|text| text.contains("AS place")));
    assert_eq!(text("revoked = \"none\""), None);
    assert_eq!(text("revocations = \"SELECT 1 AS cert_id\""), None);
    assert!(text("orders = \"none\"").is_some());
    let both = "certificates = \"SELECT 1 AS cert_id\"\nrevoked = \"SELECT 2 AS place\"";
    assert_eq!(text(both).as_deref(), Some("SELECT 2 AS place"));
}

#[test]
fn every_mistake_of_a_server_is_told() {
    let place = Place::new();
    let cases = [
        ("[issuance]\nhost = \"x\"".to_string(), "issuance.host: has no meaning without a database server"),
        ("[issuance]\nsource = \"mysql\"".to_string(), "issuance.host: is missing"),
        (SERVER.replace("127.0.0.1", "db.example"), "issuance.tls: \"none-on-loopback\" does not go with host"),
        (SERVER.replace("127.0.0.1", "db:5432"), "issuance.host: \"db:5432\" is not a host name"),
        (format!("{SERVER}password_file = \"none.txt\""), "issuance.password_file: none.txt cannot be read"),
        (format!("{SERVER}ca_certificate = \"key.pem\""), "issuance.ca_certificate: key.pem is not PEM"),
        (format!("{SERVER}statement_timeout = \"soon\""), "issuance.statement_timeout: \"soon\" is not a length"),
        (format!("{SERVER}connections = 0"), "issuance.connections: is not between 1 and 32"),
        (format!("{SERVER}replica_time = \"now()\""), "issuance.replica_time: does not begin with SELECT"),
        (
            format!("{SERVER}[issuance.queries]\norders = \"DELETE FROM orders\""),
            "issuance.queries.orders: does not begin",
        ),
        (
            format!("{SERVER}[issuance.queries]\norders = \"SELECT 1; DELETE FROM orders\""),
            "issuance.queries.orders: has a semicolon",
        ),
        (format!("{SERVER}[issuance.queries]\ncertificates = \"none\""), "issuance.queries.certificates: is missing"),
        (format!("{SERVER}[issuance.queries]\nissuers = \"none\""), "issuance.queries.issuers: is missing"),
        (format!("{SERVER}[issuance.queries]\ncolours = \"none\""), "issuance.queries.colours: is not a key"),
        (format!("{SERVER}[[issuance.issuer]]\nissuer_id = 1\nissuer = \"X\""), "is the name of no [[issuer]]"),
        (
            format!(
                "{SERVER}[[issuance.issuer]]\nissuer_id = 1\nissuer = \"Test CA\"\n[[issuance.issuer]]\nissuer_id = 1\nissuer = \"Test CA\""
            ),
            "issuance.issuer[2].issuer_id: 1 stands twice",
        ),
        (
            format!(
                "{SERVER}[issuance.queries]\nissuers = \"SELECT 1\"\n[[issuance.issuer]]\nissuer_id = 1\nissuer = \"Test CA\""
            ),
            "issuance.queries.issuers: does not go with [[issuance.issuer]]",
        ),
    ];
    for (text, expected) in cases {
        let said = place.problems(&format!("{GOOD}{text}\n"));
        assert!(said.iter().any(|line| line.contains(expected)), "{expected}: {said:?}");
    }
}
