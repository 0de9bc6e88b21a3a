//! Everything that can be wrong with a name or a certificate, planted one at a time.

use super::{Certificate, DAY, Planted, Reuse, San};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    NoBasis,
    AfterSigning,
    OtherDomain,
    EvilTwin,
    RetiredMethod,
    NoMethod,
    HttpForParent,
    HttpForWildcard,
    OldDirect,
    OldChain,
    NoOrigin,
    DanglingConfirmation,
    DanglingOrigin,
    Circle,
    ReuseAsConfirmation,
    OwnLimit,
    OldToken,
    CokeForPepsi,
    OtherAccount,
    ByHand,
    PublicResolver,
    WrongRow,
    FewPerspectives,
    NoQuorum,
    OneRegion,
    Bogus,
    NoCheck,
    CheckOfOtherName,
    Deny,
    OtherCa,
    Parameters,
    OldCheck,
    CheckAfterSigning,
    CheckByPublicResolver,
    CheckByHand,
    OnePerson,
    InternalOrder,
    ByMail,
    WrongPlace,
    LateRow,
    Flawed,
    OnionByDns,
    OldIdentity,
    NotOrdered,
}

/// All of them.
pub const DEFECTS: [Defect; 44] = [
    Defect::NoBasis,
    Defect::AfterSigning,
    Defect::OtherDomain,
    Defect::EvilTwin,
    Defect::RetiredMethod,
    Defect::NoMethod,
    Defect::HttpForParent,
    Defect::HttpForWildcard,
    Defect::OldDirect,
    Defect::OldChain,
    Defect::NoOrigin,
    Defect::DanglingConfirmation,
    Defect::DanglingOrigin,
    Defect::Circle,
    Defect::ReuseAsConfirmation,
    Defect::OwnLimit,
    Defect::OldToken,
    Defect::CokeForPepsi,
    Defect::OtherAccount,
    Defect::ByHand,
    Defect::PublicResolver,
    Defect::WrongRow,
    Defect::FewPerspectives,
    Defect::NoQuorum,
    Defect::OneRegion,
    Defect::Bogus,
    Defect::NoCheck,
    Defect::CheckOfOtherName,
    Defect::Deny,
    Defect::OtherCa,
    Defect::Parameters,
    Defect::OldCheck,
    Defect::CheckAfterSigning,
    Defect::CheckByPublicResolver,
    Defect::CheckByHand,
    Defect::OnePerson,
    Defect::InternalOrder,
    Defect::ByMail,
    Defect::WrongPlace,
    Defect::LateRow,
    Defect::Flawed,
    Defect::OnionByDns,
    Defect::OldIdentity,
    Defect::NotOrdered,
];

/// Makes a good name bad and says which rules break.
pub(super) fn plant(defect: Defect, certificate: &mut Certificate, san: &mut San, keep: bool, planted: &mut Planted) {
    let id = san.number();
    let signed = certificate.signed;
    if !keep {
        rename(san, format!("bad{id}.org"), signed);
    }
    let rules: &[&str] = match defect {
        Defect::NoBasis => {
            (san.dcv, san.reuse) = (None, None);
            san.confirmations[0].adn = format!("elsewhere{id}.net");
            &["dcv.exists"]
        }
        Defect::AfterSigning => {
            directly(san);
            san.confirmations[0].completed = signed + 3_600;
            san.confirmations[0].token = Some(signed - 60);
            &["dcv.exists"]
        }
        Defect::OtherDomain => {
            directly(san);
            san.confirmations[0].adn = format!("mail{id}.net");
            &["dcv.adn"]
        }
        Defect::EvilTwin => {
            directly(san);
            san.confirmations[0].adn = format!("ad{id}.org");
            &["dcv.adn"]
        }
        Defect::RetiredMethod => {
            directly(san);
            san.confirmations[0].method = "3.2.2.4.2";
            &["dcv.method"]
        }
        Defect::NoMethod => {
            directly(san);
            san.confirmations[0].method = "a letter";
            &["dcv.method"]
        }
        Defect::HttpForParent => {
            directly(san);
            rename(san, format!("www.bad{id}.org"), signed);
            (san.confirmations[0].adn, san.confirmations[0].method) = (format!("bad{id}.org"), "http-01");
            &["dcv.wildcard"]
        }
        Defect::HttpForWildcard => {
            directly(san);
            rename(san, format!("*.bad{id}.org"), signed);
            san.confirmations[0].method = "3.2.2.4.19";
            &["dcv.wildcard"]
        }
        Defect::OldDirect => {
            directly(san);
            old(san, signed - 201 * DAY);
            &["dcv.reuse"]
        }
        Defect::OldChain => {
            old(san, signed - 900 * DAY);
            let step = |at, dcv, reuse, decided| Reuse { id: id + at, dcv, reuse, rule: "same_key", decided };
            san.reuses = vec![
                step(0, Some(id), None, signed - 400 * DAY),
                step(1, None, Some(id), signed - 100 * DAY),
                step(2, None, Some(id + 1), signed - 60),
            ];
            (san.dcv, san.reuse) = (None, Some(id + 2));
            &["dcv.reuse"]
        }
        Defect::NoOrigin => {
            san.confirmations[0].adn = format!("elsewhere{id}.net");
            san.reuses = vec![Reuse { id, dcv: None, reuse: None, rule: "recent", decided: signed - 60 }];
            (san.dcv, san.reuse) = (None, Some(id));
            &["dcv.exists", "dcv.reuse"]
        }
        Defect::DanglingConfirmation => {
            san.confirmations[0].adn = format!("elsewhere{id}.net");
            (san.dcv, san.reuse) = (Some(id + 3), None);
            &["dcv.exists"]
        }
        Defect::DanglingOrigin => {
            san.confirmations[0].adn = format!("elsewhere{id}.net");
            san.reuses = vec![Reuse { id, dcv: Some(id + 3), reuse: None, rule: "recent", decided: signed - 60 }];
            (san.dcv, san.reuse) = (None, Some(id));
            &["dcv.exists", "dcv.reuse"]
        }
        Defect::Circle => {
            san.confirmations[0].adn = format!("elsewhere{id}.net");
            let step =
                |at, reuse| Reuse { id: id + at, dcv: None, reuse: Some(id + reuse), rule: "recent", decided: signed };
            san.reuses = vec![step(0, 1), step(1, 0)];
            (san.dcv, san.reuse) = (None, Some(id));
            &["dcv.exists", "dcv.reuse"]
        }
        Defect::ReuseAsConfirmation => {
            old(san, signed - 900 * DAY);
            let mut reused = san.confirmations[0].clone();
            (reused.id, reused.method, reused.completed, reused.reused_dcv) = (id + 1, "reused", signed - 60, Some(id));
            san.confirmations.push(reused);
            san.reuses.clear();
            (san.dcv, san.reuse) = (Some(id + 1), None);
            &["dcv.reuse"]
        }
        Defect::OwnLimit => {
            old(san, signed - 30 * DAY);
            san.reuses = vec![Reuse { id, dcv: Some(id), reuse: None, rule: "recent", decided: signed - 60 }];
            (san.dcv, san.reuse) = (None, Some(id));
            &["dcv.own_limit"]
        }
        Defect::OldToken => {
            directly(san);
            san.confirmations[0].token = Some(san.confirmations[0].completed - 31 * DAY);
            &["dcv.token30"]
        }
        Defect::CokeForPepsi => {
            directly(san);
            san.confirmations[0].applicant = "applicant-coke".to_string();
            &["dcv.applicant"]
        }
        Defect::OtherAccount => {
            directly(san);
            san.confirmations[0].applicant = "applicant-else".to_string();
            &["dcv.applicant"]
        }
        Defect::ByHand => {
            directly(san);
            san.confirmations[0].performed_by = "op3";
            &["dcv.manual"]
        }
        Defect::PublicResolver => {
            directly(san);
            san.confirmations[0].resolver = Some("8.8.8.8");
            &["dcv.resolver"]
        }
        Defect::WrongRow => {
            directly(san);
            let mut good = san.confirmations[0].clone();
            (good.id, good.applicant) = (id + 1, certificate.applicant.clone());
            old(san, signed - 900 * DAY);
            san.confirmations.push(good);
            &["dcv.record"]
        }
        Defect::FewPerspectives => {
            recently(san, signed);
            san.confirmations[0].remote = [1, 1, 2];
            &["mpic.count"]
        }
        Defect::NoQuorum => {
            recently(san, signed);
            san.confirmations[0].remote = [4, 7, 2];
            &["mpic.quorum"]
        }
        Defect::OneRegion => {
            recently(san, signed);
            san.confirmations[0].remote = [6, 6, 1];
            &["mpic.rir"]
        }
        Defect::Bogus => {
            recently(san, signed);
            san.confirmations[0].dnssec = Some("bogus");
            &["dnssec"]
        }
        Defect::NoCheck => {
            san.caa = None;
            &["caa.exists"]
        }
        Defect::CheckOfOtherName => {
            check(san).name = format!("mail{id}.net");
            &["caa.exists"]
        }
        Defect::Deny => {
            check(san).result = "deny";
            &["caa.verdict"]
        }
        Defect::OtherCa => {
            let owner = san.name.clone();
            (check(san).result, check(san).rrset) = ("permit", Some(format!("{owner}. CAA 0 issue \"other.example\"")));
            &["caa.verdict"]
        }
        Defect::Parameters => {
            let owner = san.name.clone();
            let value = "ca.example; validationmethods=tls-alpn-01";
            san.confirmations[0].method = "3.2.2.4.7";
            (check(san).result, check(san).rrset) = ("permit", Some(format!("{owner}. CAA 0 issue \"{value}\"")));
            &["caa.params"]
        }
        Defect::OldCheck => {
            (check(san).checked, check(san).ttl) = (signed - 9 * 3_600, Some(300));
            &["caa.fresh"]
        }
        Defect::CheckAfterSigning => {
            check(san).checked = signed + 60;
            &["caa.fresh"]
        }
        Defect::CheckByPublicResolver => {
            check(san).resolver = "8.8.8.8";
            &["caa.resolver"]
        }
        Defect::CheckByHand => {
            check(san).performed_by = "op3";
            &["caa.manual"]
        }
        Defect::OnePerson => {
            certificate.vtype = "EV";
            certificate.approvals = vec![("validate", "p1"), ("cross_check", "p1")];
            planted.insert((certificate.id, String::new(), "ev.approvals".to_string()));
            &[]
        }
        Defect::InternalOrder => {
            certificate.hierarchy = "internal";
            planted.insert((certificate.id, String::new(), "order.hierarchy".to_string()));
            &[]
        }
        Defect::WrongPlace => {
            directly(san);
            san.confirmations[0].elsewhere = true;
            &["dcv.location"]
        }
        Defect::LateRow => {
            directly(san);
            san.confirmations[0].recorded_after = 3 * DAY;
            &["dcv.origin"]
        }
        // The terms of the tests call this method flawed; without them nothing is wrong with it.
        Defect::Flawed => {
            recently(san, signed);
            san.confirmations[0].method = "dns-persist-01";
            &["dcv.flawed"]
        }
        Defect::OnionByDns => {
            directly(san);
            rename(san, format!("bad{id}.onion"), signed);
            &["onion.method"]
        }
        Defect::OldIdentity => {
            // Too old for OV and for EV; one that is EV stays so, with what is planted about its approvals.
            certificate.verified = signed - 400 * DAY;
            if certificate.vtype == "DV" {
                certificate.vtype = "OV";
            }
            planted.insert((certificate.id, String::new(), "id.reuse".to_string()));
            &[]
        }
        Defect::NotOrdered => {
            directly(san);
            san.ordered = false;
            &["san.unexpected"]
        }
        Defect::ByMail => {
            certificate.channel = "manual";
            planted.insert((certificate.id, String::new(), "order.channel".to_string()));
            &[]
        }
    };
    planted.extend(rules.iter().map(|rule| (certificate.id, san.name.clone(), rule.to_string())));
}

/// Another name, with everything about it.
fn rename(san: &mut San, name: String, signed: i64) {
    let bare = name.strip_prefix("*.").unwrap_or(&name).to_string();
    san.confirmations[0].adn = bare.clone();
    if san.confirmations[0].method.starts_with("3.2.2.5") {
        san.confirmations[0].method = "3.2.2.4.7";
    }
    san.caa = Some(super::Check {
        name: name.clone(),
        checked: signed - 60,
        result: "none",
        rrset: None,
        ttl: Some(300),
        resolver: "own",
        performed_by: "system",
    });
    san.name = name;
}

fn directly(san: &mut San) {
    san.reuses.clear();
    (san.dcv, san.reuse) = (Some(san.number()), None);
    san.confirmations[0].method = "3.2.2.4.7";
}

fn recently(san: &mut San, signed: i64) {
    directly(san);
    old(san, signed - DAY);
}

fn old(san: &mut San, completed: i64) {
    san.confirmations[0].method = "3.2.2.4.7";
    (san.confirmations[0].completed, san.confirmations[0].token) = (completed, Some(completed - DAY));
}

fn check(san: &mut San) -> &mut super::Check {
    san.caa.as_mut().expect("a name with a check")
}
