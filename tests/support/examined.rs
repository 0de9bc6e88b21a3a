//! What the examination of each certificate says, which an audit must say too.

use std::collections::BTreeSet;

use ctwarden::clock::{Span, Timestamp};
use ctwarden::crosscheck::{self, Context};
use ctwarden::evidence::{self, Policy};
use ctwarden::finding::{Issued, Verdict};
use ctwarden::issuance::{Embedded, Query};
use ctwarden::lint::SuffixList;
use ctwarden::record::{Lookup, Presented};

/// Certificate, name, rule and detail of every finding.
pub fn examined(
    database: &Embedded,
    certificates: &[(i64, Query)],
    policy: &Policy,
) -> BTreeSet<(i64, String, String, String)> {
    let mut all = BTreeSet::new();
    for (id, query) in certificates {
        let lookup = database.find(std::slice::from_ref(query)).expect("an answer").remove(0);
        let Lookup::Found(record) = &lookup else { panic!("certificate {id} is not found") };
        let signed = record.signed_at;
        let presented = Presented { names: query.names.clone(), ..Presented::default() };
        let of_evidence = evidence::run(&presented, &lookup, Issued::at(signed), policy, &SuffixList::Embedded);
        let context = Context { first_seen: signed, now: signed, grace: Span::default() };
        let of_order = crosscheck::run(&presented, &lookup, &context, policy).into_iter();
        let of_order = of_order.filter(|(rule, _)| rule.id == "san.unexpected");
        for (rule, verdict) in of_evidence.into_iter().chain(of_order) {
            let Verdict::Fail(findings) = verdict else { continue };
            // The audit judges names: a certificate of which the record has none it cannot look at.
            for finding in findings.into_iter().filter(|finding| finding.subject != "certificate") {
                let name =
                    if ["ev.approvals", "id.reuse"].contains(&rule.id) { String::new() } else { finding.subject };
                all.insert((*id, name, rule.id.to_string(), finding.detail));
            }
        }
    }
    all
}

/// A list by which everything directly below platform.com is a suffix.
pub fn suffixes_of_a_platform() -> SuffixList {
    let filler: String = (0..7_000).map(|n| format!("filler{n}.com\n")).collect();
    let icann = format!("com\nnet\norg\nuk\nco.uk\n*.platform.com\n{filler}");
    let text = format!(
        "// VERSION: 2026-12-01\n// ===BEGIN ICANN DOMAINS===\n{icann}// ===END ICANN DOMAINS===\n\
         // ===BEGIN PRIVATE DOMAINS===\ngithub.io\n// ===END PRIVATE DOMAINS===\n"
    );
    let day = Timestamp::from_seconds(super::NOW + 20 * 86_400);
    SuffixList::Embedded.replaced_by(text.as_bytes(), day).expect("a list")
}
