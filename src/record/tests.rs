use super::*;

#[test]
fn a_validation_covers_names_under_it_on_label_boundaries_only() {
    for (adn, name) in [("l.com", "l.com"), ("l.com", "*.l.com"), ("l.com", "a.b.l.com"), ("::1", "::1")] {
        assert!(covers(adn, name), "{adn} covers {name}");
    }
    let not = [("l.com", "evil.com"), ("a.l.com", "l.com"), ("a.l.com", "*.l.com"), ("1", "10.0.0.1"), ("", "a.")];
    for (adn, name) in not {
        assert!(!covers(adn, name), "{adn} does not cover {name}");
    }
}

#[test]
fn a_reuse_filed_as_a_confirmation_is_called_what_the_ca_calls_it() {
    assert_eq!(reuse_label(17), "reuse 17");
    assert_eq!(reuse_label(-4), "confirmation 4");
}
