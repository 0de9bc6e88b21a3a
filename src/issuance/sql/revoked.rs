//! The revocations of an issuer, for the comparison with its CRLs: large CAs have millions, so they are asked for in
//! pages, and no more than a page is ever on its way. All pages show one moment of the database: what is written
//! meanwhile is seen by the next question.

use serde_json::Value;

use super::error::SqlError;
use super::link::Link;
use super::question::{Filter, STILL, wrapped};
use super::settings::Settings;
use super::{Held, Sql};
use crate::clock::Timestamp;
use crate::finding::{KeyHash, Serial};
use crate::issuance::column::Cell;
use crate::issuance::tables::{self, REVOKED};
use crate::record::{Revocation, Revoked};

/// The rows of a page. Each page is a statement with the time-out of one; where no index gives the order of the places
/// each reads all revocations of the issuer, so pages are not small.
const PAGE: u64 = 100_000;

impl Sql {
    /// Gives every revocation of an issuer that is not known to have expired at `valid_at`; in the end nothing holds
    /// of what was given unless this succeeds.
    pub(in crate::issuance) async fn revoked(
        &self,
        issuer: KeyHash,
        valid_at: Timestamp,
        take: &mut (dyn FnMut(Revoked) + Send),
    ) -> Result<(), SqlError> {
        let mut held: Held = self.hold().await?;
        let with_text = with_text(&mut held.link, self.settings()).await?;
        let issuer_ids = self.issuer_ids(&mut held, issuer).await?;
        if !issuer_ids.is_empty() {
            let mut after = None;
            while let Some(last) = page(&mut held.link, &with_text, &issuer_ids, (valid_at, after), take).await? {
                after = Some(last);
            }
        }
        self.release(held).await
    }

    /// The numbers that the database has for an issuer.
    async fn issuer_ids(&self, held: &mut Held, issuer: KeyHash) -> Result<Vec<String>, SqlError> {
        let rows = self.issuers(held).await?;
        let ours = rows.into_iter().filter_map(|(table, values)| {
            let key = table.value(&values, "spki_sha256").and_then(Value::as_str).and_then(KeyHash::from_hex);
            (key == Some(issuer)).then(|| values[0].to_string())
        });
        Ok(ours.collect())
    }
}

/// The settings with a text for the question: that of the configuration, or one made of two others.
async fn with_text(link: &mut Link, settings: &Settings) -> Result<Settings, SqlError> {
    let mut settings = settings.clone();
    if settings.texts.contains_key(REVOKED.name) {
        return Ok(settings);
    }
    let mut columns = vec!["r.cert_id AS place".to_string(), "c.issuer_id".to_string(), "c.serial".to_string()];
    for (table, letter, wanted) in
        [("certificates", 'c', &["not_after"][..]), ("revocations", 'r', &["aware_at", "revoked_at", "reason"][..])]
    {
        let Some(of) = tables::table(table) else { continue };
        let shape = link.shape(&settings, of).await?;
        columns.extend(wanted.iter().filter(|name| shape.gives(name)).map(|name| format!("{letter}.{name}")));
    }
    let text = |table: &str| wrapped(settings.texts.get(table).map_or("", String::as_str));
    let text = format!(
        "SELECT {} FROM {} r JOIN {} c ON c.cert_id = r.cert_id",
        columns.join(", "),
        text("revocations"),
        text("certificates")
    );
    settings.texts.insert(REVOKED.name, text);
    Ok(settings)
}

/// Gives one page, of the rows after a place; the place of its last row, `None` when nothing comes after it.
async fn page(
    link: &mut Link,
    settings: &Settings,
    issuer_ids: &[String],
    (valid_at, after): (Timestamp, Option<i64>),
    take: &mut (dyn FnMut(Revoked) + Send),
) -> Result<Option<i64>, SqlError> {
    let mut filter = Filter::one_of("issuer_id", issuer_ids.to_vec());
    (filter.ordered, filter.limit) = (Some("place"), Some(PAGE));
    filter.times.extend(after.map(|place| ("place", ">", place)));
    if link.shape(settings, &REVOKED).await?.compares("not_after") {
        filter.times.push(("not_after", STILL, valid_at.seconds()));
    }
    let mut last = after;
    let mut each = |cells: Vec<Cell>| {
        let (place, revoked) = read(&cells)?;
        if last.is_some_and(|last| place <= last) {
            return Err(format!("place {place} comes twice or out of order: give every row a number of its own"));
        }
        last = Some(place);
        // A time that is text is not compared by the server.
        if revoked.not_after.is_none_or(|end| end > valid_at) {
            take(revoked);
        }
        Ok(())
    };
    let count = link.each(settings, &REVOKED, &filter, &mut each).await?;
    Ok(last.filter(|_| count == PAGE))
}

/// A row; one that is not sound ends the question.
fn read(cells: &[Cell]) -> Result<(i64, Revoked), String> {
    let (values, wrong) = REVOKED.read(&cells.iter().map(Cell::raw).collect::<Vec<_>>());
    if let Some((column, reason)) = wrong.first() {
        return Err(format!("row {}: column {column}: {reason}", values[0]));
    }
    let number = |column| REVOKED.value(&values, column).and_then(Value::as_i64);
    let moment = |column| number(column).map(Timestamp::from_seconds);
    let serial = REVOKED.value(&values, "serial").and_then(Value::as_str).and_then(Serial::from_hex);
    let serial = serial.map(|serial| Serial(crate::cert::crl::magnitude(&serial.0).to_vec()));
    let (place, serial) = number("place").zip(serial).ok_or("has no place or serial")?;
    let revocation = Revocation {
        aware_at: moment("aware_at"),
        revoked_at: moment("revoked_at"),
        reason: number("reason").map(i64::unsigned_abs),
        crl_seen_at: None,
    };
    Ok((place, Revoked { serial, not_after: moment("not_after"), revocation }))
}
