//! The CRLs that certificates name, and what else a certificate says that is looked for on them.

use std::collections::{HashMap, HashSet};

use crate::books::BooksError;
use crate::cert::Certificate;
use crate::cert::extensions::distribution_points;
use crate::cert::oid::CRL_DISTRIBUTION_POINTS;
use crate::clock::{DAY, Timestamp};
use crate::exam;
use crate::finding::{CaseKey, KeyHash};
use crate::lint::is_short_lived;
use crate::pipeline::Walk;

/// Certificates read at once.
const BATCH: usize = 1000;
/// The longest URL of a CRL that is taken up, in bytes.
const LONGEST_URL: usize = 1000;

/// Puts down the CRLs that certificates name which were seen since the last time, and those of the configuration.
pub(super) async fn note_named(walk: &Walk) -> Result<(), BooksError> {
    let mut position = walk.storage(walk.books.walk_position("crls").await)?.unwrap_or(0);
    // Named until this is over, so that one that is taken out of the configuration is forgotten.
    let until = walk.clock.now().plus(walk.status.every).plus(DAY);
    let configured = walk.crls.iter().flat_map(|(issuer, urls)| urls.iter().map(|url| (*issuer, url.clone(), until)));
    walk.storage(walk.books.note_crls(configured.collect(), position).await)?;
    if !walk.status.named_crls {
        return Ok(());
    }
    loop {
        let hits = walk.storage(walk.books.hits_after(position, BATCH).await)?;
        let Some((last, ..)) = hits.last() else { return Ok(()) };
        position = *last;
        let mut named: HashMap<(KeyHash, String), Timestamp> = HashMap::new();
        for (_, issuer, form, der) in hits {
            let Ok(certificate) = exam::parse(form, &der) else { continue };
            let Some(until) = certificate.not_after() else { continue };
            for url in points(&certificate) {
                let known = named.entry((issuer, url)).or_insert(until);
                *known = until.max(*known);
            }
        }
        let named = named.into_iter().map(|((issuer, url), until)| (issuer, url, until)).collect();
        walk.storage(walk.books.note_crls(named, position).await)?;
    }
}

/// The http URLs of the CRLs that a certificate names.
fn points(certificate: &Certificate) -> Vec<String> {
    let values = certificate.extension(CRL_DISTRIBUTION_POINTS).filter_map(|e| distribution_points(&e.value));
    let names = values.flatten().filter_map(|point| point.full_name).flatten();
    // GeneralName: uniformResourceIdentifier [6].
    let uris = names.filter(|name| name.tag == 6 && name.value.len() <= LONGEST_URL);
    let texts = uris.filter_map(|name| String::from_utf8(name.value).ok());
    texts.filter(|url| url.starts_with("http://") || url.starts_with("https://")).take(8).collect()
}

/// What a certificate says of itself.
#[derive(Default)]
pub(super) struct Own {
    /// The end of its validity.
    pub(super) not_after: Option<Timestamp>,
    /// Whether it is a Short-lived Subscriber Certificate.
    pub(super) is_short_lived: bool,
    /// The CRLs that it names.
    urls: HashSet<String>,
}

impl Own {
    /// What the certificate itself says, if it was seen in a log.
    pub(super) async fn of(walk: &Walk, key: &CaseKey) -> Result<Own, BooksError> {
        let forms = walk.storage(walk.books.forms_of(key.clone()).await)?;
        let read = forms.and_then(|(_, ders)| {
            let (_, form, der) = ders.into_iter().next()?;
            let certificate = exam::parse(form, &der).ok()?;
            Some(Own {
                not_after: certificate.not_after(),
                is_short_lived: certificate.not_before().is_some_and(|start| is_short_lived(&certificate, start)),
                urls: points(&certificate).into_iter().collect(),
            })
        });
        Ok(read.unwrap_or_default())
    }

    /// Whether every CRL that it names can be relied on, and it names one.
    pub(super) fn names_good(&self, read: &HashMap<String, bool>) -> bool {
        !self.urls.is_empty() && self.urls.iter().all(|url| read.get(url) == Some(&true))
    }
}
