//! Whether the CA's own controls are in force: a check that was switched off, a list that lost entries, a setting that
//! is another one than the CP/CPS says.

use super::{Judged, monitor, rule};
use crate::clock::{Span, Timestamp};
use crate::finding::{Finding, Needs, RuleInfo, Severity, Verdict, br, escape};
use crate::record::Control;

// Mozilla bug 1651026: a patch switched a check off, and nobody noticed for 150 days. BR 5: the CA's security program
// "MUST ... ensure the ... integrity ... of processes".
pub(super) static OFF: RuleInfo = rule("control.off", "a control of the CA is in force", br("5"), Needs::Controls);

pub(super) static SILENT: RuleInfo = RuleInfo {
    severity: Severity::Warning,
    ..rule(
        "control.silent",
        "a control says in time that it is in force",
        monitor("max_age of [[control]]"),
        Needs::Controls,
    )
};

// BR 2.2: the CP/CPS describes what the CA does, and the CA does it.
pub(super) static DRIFT: RuleInfo = rule(
    "control.drift",
    "a control has the version and the value that the CP/CPS gives it",
    br("2.2"),
    Needs::Controls,
);

// A list of names or keys that lost entries on its way into force (a script that dropped them, 2016).
pub(super) static LIST: RuleInfo =
    rule("control.list", "a list in force has the entries of its source", br("4.2.2"), Needs::Controls);

/// What the configuration says of a control.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Its name in the feed.
    pub name: String,
    /// How old its newest observation may be.
    pub max_age: Option<Span>,
    /// Whether it is meant to be in force.
    pub enabled: bool,
    /// The version that it must have.
    pub version: Option<String>,
    /// The value that it must have.
    pub value: Option<String>,
    /// Whether its list has a source to compare it with.
    pub has_source: bool,
    /// By how many entries list and source may differ.
    pub within: u64,
}

/// The verdicts on a control by its newest observation. `source`: how many entries the source of its list has.
pub fn judge(
    expected: &Expected,
    latest: Option<&Control>,
    source: Option<&Result<u64, String>>,
    now: Timestamp,
) -> Vec<Judged> {
    let name = shown(&expected.name);
    let mut judged = Vec::new();
    if let Some(max_age) = expected.max_age {
        let silent = match latest {
            Some(latest) if now.since(latest.observed_at) <= max_age => None,
            Some(latest) => Some(format!("it was last heard of at {}", latest.observed_at)),
            None => Some("it was never heard of".to_string()),
        };
        judged.push((&SILENT, verdict(&SILENT, &name, silent)));
    }
    let Some(latest) = latest else { return judged };
    let off = (expected.enabled && !latest.enabled).then(|| format!("it is switched off as of {}", latest.observed_at));
    judged.push((&OFF, verdict(&OFF, &name, off)));
    let differs = |what: &str, wanted: &Option<String>, is: &Option<String>| {
        let wanted = wanted.as_ref().filter(|wanted| is.as_ref() != Some(wanted))?;
        let is = is.as_ref().map_or("none".to_string(), |is| shown(is));
        Some(format!("its {what} is {is} as of {}, the configuration says {}", latest.observed_at, shown(wanted)))
    };
    if expected.version.is_some() || expected.value.is_some() {
        let drift = differs("version", &expected.version, &latest.version);
        let drift = drift.or_else(|| differs("value", &expected.value, &latest.value));
        judged.push((&DRIFT, verdict(&DRIFT, &name, drift)));
    }
    if expected.has_source {
        judged.push((&LIST, entries(expected, latest, source)));
    }
    judged
}

fn entries(expected: &Expected, latest: &Control, source: Option<&Result<u64, String>>) -> Verdict {
    let Some(in_force) = latest.entries else {
        return Verdict::NotEvaluable("controls.entries is empty for this control".to_string());
    };
    let source = match source {
        Some(Ok(source)) => *source,
        Some(Err(why)) => return Verdict::NotEvaluable(escape(why.as_bytes(), 300)),
        None => return Verdict::NotEvaluable("the source of the list was not counted".to_string()),
    };
    if in_force.abs_diff(source) <= expected.within {
        return Verdict::Pass;
    }
    let detail = format!("it has {in_force} entries in force as of {}, its source has {source}", latest.observed_at);
    Verdict::Fail(vec![LIST.finding(shown(&expected.name), detail)])
}

fn verdict(rule: &'static RuleInfo, name: &str, fault: Option<String>) -> Verdict {
    fault.map_or(Verdict::Pass, |why| Verdict::Fail(vec![rule.finding(name, why)]))
}

/// Since when a control is off, said in its finding.
pub fn off_since(finding: Finding, since: Option<Timestamp>) -> Finding {
    match since {
        Some(since) => finding.with_evidence("feed", format!("first observed off at {since}")),
        None => finding,
    }
}

fn shown(text: &str) -> String {
    escape(text.as_bytes(), 120)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{DAY, HOUR, date};

    const NOW: Timestamp = date(2026, 11, 22);

    fn observed(enabled: bool) -> Control {
        Control {
            name: "internal-names".into(),
            observed_at: NOW.minus(HOUR),
            enabled,
            version: Some("2.1".into()),
            value: None,
            entries: Some(990),
        }
    }

    fn expected() -> Expected {
        Expected { name: "internal-names".into(), enabled: true, ..Expected::default() }
    }

    fn failing(
        expected: &Expected,
        latest: Option<&Control>,
        source: Option<Result<u64, String>>,
    ) -> Vec<&'static str> {
        let judged = judge(expected, latest, source.as_ref(), NOW);
        judged.iter().filter(|(_, v)| matches!(v, Verdict::Fail(_))).map(|(rule, _)| rule.id).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_control_that_is_off_silent_or_another_one_is_found() {
        assert_eq!(failing(&expected(), Some(&observed(true)), None), NONE);
        assert_eq!(failing(&expected(), Some(&observed(false)), None), ["control.off"]);
        let meant = Expected { enabled: false, ..expected() };
        assert_eq!(failing(&meant, Some(&observed(false)), None), NONE);
        let timed = Expected { max_age: Some(HOUR), ..expected() };
        assert_eq!(failing(&timed, Some(&observed(true)), None), NONE);
        let timed = Expected { max_age: Some(HOUR.plus(Span::from_seconds(-1))), ..expected() };
        assert_eq!(failing(&timed, Some(&observed(true)), None), ["control.silent"]);
        assert_eq!(failing(&timed, None, None), ["control.silent"]);
        assert_eq!(failing(&expected(), None, None), NONE);
        let versioned = |version: &str| Expected { version: Some(version.into()), ..expected() };
        assert_eq!(failing(&versioned("2.1"), Some(&observed(true)), None), NONE);
        assert_eq!(failing(&versioned("2.0"), Some(&observed(true)), None), ["control.drift"]);
        let valued = Expected { value: Some("ca.example".into()), ..expected() };
        assert_eq!(failing(&valued, Some(&observed(true)), None), ["control.drift"]);
    }

    #[test]
    fn a_list_has_the_entries_of_its_source() {
        let listed = |within| Expected { has_source: true, within, ..expected() };
        assert_eq!(failing(&listed(0), Some(&observed(true)), Some(Ok(990))), NONE);
        assert_eq!(failing(&listed(0), Some(&observed(true)), Some(Ok(1000))), ["control.list"]);
        assert_eq!(failing(&listed(10), Some(&observed(true)), Some(Ok(1000))), NONE);
        assert_eq!(failing(&listed(9), Some(&observed(true)), Some(Ok(980))), ["control.list"]);
        for source in [None, Some(Err("not there".into()))] {
            assert_eq!(failing(&listed(0), Some(&observed(true)), source), NONE);
        }
        let since = off_since(OFF.finding("x", "y"), Some(NOW.minus(DAY)));
        assert!(since.evidence[0].text.contains("2026-11-21"));
    }
}
