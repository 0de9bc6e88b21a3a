use super::super::tests::{GOOD, Place, one_problem};
use super::*;

fn with(line: &str) -> String {
    GOOD.replace("[[issuer]]", &format!("{line}\n[[issuer]]"))
}

#[test]
fn the_signature_stands_beside_the_list_unless_it_is_named() {
    let place = Place::new();
    let key = "list_key = \"log_list_pubkey.pem\"";
    let signing = |text: &str| place.load(text).expect("accepted").logs.signing.expect("a key");
    let beside = signing(&with(key));
    assert_eq!(beside.signature, ListSource::File(place.path("list.sig")));
    assert_eq!(beside.key_file, place.path("log_list_pubkey.pem"));
    let far = with(key).replace("\"list.json\"", "\"https://ct.example/v3/log_list.json?x=1\"");
    let place_of = |text: &str| signing(text).signature;
    assert_eq!(place_of(&far), ListSource::Url("https://ct.example/v3/log_list.sig?x=1".to_string()));
    let named = format!("{key}\nlist_signature = \"http://127.0.0.1:9/s\"");
    assert_eq!(place_of(&with(&named)), ListSource::Url("http://127.0.0.1:9/s".to_string()));
    let named = format!("{key}\nlist_signature = \"s/list.sig\"");
    assert_eq!(place_of(&with(&named)), ListSource::File(place.path("s/list.sig")));
    let odd = far.replace("log_list.json", "list");
    let said = place.problems(&odd);
    assert!(said.len() == 1 && said[0].contains("logs.list_signature: is needed: "), "{said:?}");
}

#[test]
fn shards_of_the_past_are_named_by_a_time() {
    let place = Place::new();
    let after = |text: &str| place.load(text).expect("accepted").logs.expiring_after;
    assert_eq!(after(GOOD), None);
    assert_eq!(after(&with("expiring_after = \"2026-01-01\"")), Some(crate::clock::date(2026, 1, 1)));
    for bad in ["1999-01-01", "soon", "end"] {
        let expected = format!("logs.expiring_after: \"{bad}\" is no time of the era of logs. ");
        one_problem(&place, "[[issuer]]", &format!("expiring_after = \"{bad}\"\n[[issuer]]"), &expected);
    }
}

#[test]
fn source_addresses_are_addresses_each_once() {
    let place = Place::new();
    let read = |text: &str| place.load(text).expect("accepted").logs.source_addresses;
    assert_eq!(read(GOOD), [] as [IpAddr; 0]);
    let both = read(&with("source_addresses = [\"192.0.2.1\", \"2001:db8::1\"]"));
    assert_eq!(both, ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    for (bad, expected) in [
        ("\"192.0.2.1\", \"192.0.2.1\"", "\"192.0.2.1\" stands twice. "),
        ("\"eth0\"", "\"eth0\" is no address that a machine has. "),
        ("\"0.0.0.0\"", "\"0.0.0.0\" is no address that a machine has. "),
    ] {
        let line = format!("source_addresses = [{bad}]\n[[issuer]]");
        one_problem(&place, "[[issuer]]", &line, &format!("logs.source_addresses: {expected}"));
    }
}

#[test]
fn a_key_that_cannot_be_used_is_told() {
    let place = Place::new();
    for (line, expected) in [
        ("list_signature = \"list.sig\"", "logs.list_signature: is not looked at without logs.list_key. Name"),
        ("list_key = \"none.pem\"", "logs.list_key: none.pem cannot be read (no such file or directory). Name the PEM"),
        ("list_key = \"key.pem\"", "logs.list_key: key.pem holds a private key. "),
        ("list_key = \"issuer.pem\"", "logs.list_key: issuer.pem holds 0 public keys, not one. "),
        (
            "list_key = \"log_list_pubkey.pem\"\nlist_signature = \"http://ct.example/s\"",
            "logs.list_signature: \"http://ct.example/s\" is plain http. ",
        ),
    ] {
        one_problem(&place, "[[issuer]]", &format!("{line}\n[[issuer]]"), expected);
    }
}
