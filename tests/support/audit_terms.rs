//! The CA's own terms by which the audits of the made-up corpus are judged.

use ctwarden::clock::Timestamp;
use ctwarden::evidence::{FlawedMethod, Policy};

pub fn policy() -> Policy {
    Policy {
        issuer_domains: vec!["ca.example".into()],
        channels: ["acme", "api", "web"].map(Into::into).to_vec(),
        flawed: vec![FlawedMethod {
            method: "dns-persist-01".into(),
            from: Timestamp::EPOCH,
            until: None,
            reason: "bug 1".into(),
        }],
        ..Policy::default()
    }
}
