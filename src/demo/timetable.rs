//! When the demo CA makes which mistake. Pure: a length in, moments out.

use crate::clock::Span;

/// The mistakes of the two seed incidents that the demo CA makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mistake {
    /// A precertificate for an internal name where the order says another, public one (Mozilla bug 1651026).
    InternalName,
    /// A name under `.jaso`, which is not and never was a TLD (bug 1651026, comment 13).
    UnknownTld,
    /// `test.ssl.com`, for which there is no order (bug 1651026, comment 13).
    NoOrder,
    /// A certificate of which the CA's database knows nothing.
    UnknownToDatabase,
    /// A name whose domain validation is a reuse of a reuse, with a root 900 days old (bug 1718771).
    ReuseOfReuse,
}

impl Mistake {
    /// All mistakes in the order in which they are made.
    pub const ALL: [Mistake; 5] = [
        Mistake::InternalName,
        Mistake::UnknownTld,
        Mistake::NoOrder,
        Mistake::UnknownToDatabase,
        Mistake::ReuseOfReuse,
    ];

    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Mistake::InternalName => "internal name in a precertificate",
            Mistake::UnknownTld => "name under a TLD that does not exist",
            Mistake::NoOrder => "certificate without an order",
            Mistake::UnknownToDatabase => "certificate unknown to the database",
            Mistake::ReuseOfReuse => "validation reused from a reuse, 900 days old",
        }
    }

    /// The name that goes into the certificate.
    pub const fn name(self) -> &'static str {
        match self {
            Mistake::InternalName => "www.barakaldo.bizkaia.euskalsarea",
            Mistake::UnknownTld => "sarrera.udala.jaso",
            Mistake::NoOrder => "test.ssl.com",
            Mistake::UnknownToDatabase => "ghost.demo-shop.eus",
            Mistake::ReuseOfReuse => "tienda.demo-antigua.es",
        }
    }

    /// The rules that must be among the findings; others may be there too, because one mistake breaks several.
    pub const fn must_find(self) -> &'static [&'static str] {
        match self {
            Mistake::InternalName => &["name.internal", "san.unexpected"],
            Mistake::UnknownTld => &["name.internal"],
            Mistake::NoOrder => &["san.unexpected"],
            Mistake::UnknownToDatabase => &["db.unknown"],
            Mistake::ReuseOfReuse => &["dcv.reuse"],
        }
    }
}

/// One line of the timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appointment {
    /// Time since the start of the demo.
    pub after: Span,
    /// What is done wrong then.
    pub mistake: Mistake,
}

/// How long a round takes when the demo has no end.
pub const ROUND: Span = Span::from_seconds(120);

/// The moments of all mistakes, in order of time. With a length, each is made once and all of them in the first half,
/// so that the second half is left for finding them; without, they come back every [`ROUND`].
pub fn appointments(length: Option<Span>) -> impl Iterator<Item = Appointment> {
    let round = length.unwrap_or(ROUND).millis().max(0);
    let rounds = if length.is_some() { 1 } else { i64::MAX / ROUND.millis() / 2 };
    (0..rounds).flat_map(move |number| {
        // At 9, 18, 27, 36 and 45 percent of the round.
        Mistake::ALL.into_iter().zip(1..).map(move |(mistake, place)| Appointment {
            after: Span::from_millis(number * round + round / 100 * 9 * place),
            mistake,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_with_an_end_plants_each_once_in_its_first_half() {
        for seconds in [1, 20, 60, 3600] {
            let all: Vec<Appointment> = appointments(Some(Span::from_seconds(seconds))).collect();
            assert_eq!(all.iter().map(|a| a.mistake).collect::<Vec<_>>(), Mistake::ALL);
            assert!(all.windows(2).all(|pair| pair[0].after < pair[1].after));
            assert!(all[4].after.millis() <= seconds * 500, "{:?}", all[4]);
        }
    }

    #[test]
    fn a_run_without_an_end_repeats_every_round() {
        let some: Vec<Appointment> = appointments(None).take(11).collect();
        assert_eq!(some[5].mistake, Mistake::InternalName);
        assert_eq!(some[5].after.millis() - some[0].after.millis(), ROUND.millis());
        assert_eq!(some[10].after.millis() - some[5].after.millis(), ROUND.millis());
    }
}
