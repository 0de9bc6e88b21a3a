//! The feed, table by table, in the order in which rows can be written.

use serde_json::Value;

use crate::issuance::column::{Kind, Raw};

/// One column of the feed.
pub(super) struct Column {
    /// Its name in the feed.
    pub(super) name: &'static str,
    /// Its name in the database; empty when it only steers the import.
    pub(super) stored: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// One table of the feed.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
    /// How many of the first columns are the primary key.
    pub(super) key: usize,
    /// Stored columns that may not repeat in another row; empty when there are none.
    pub(super) unique: &'static [&'static str],
    /// Stored columns that name a row of another table by its key.
    pub(super) references: &'static [(&'static str, &'static str)],
}

impl Table {
    /// The stored columns.
    pub(super) fn stored(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|column| !column.stored.is_empty())
    }
    /// The values of one row, given in the order of the columns, as they are kept, and what is wrong with them by column.
    pub(super) fn read(&self, raws: &[Raw<'_>]) -> (Vec<Value>, Vec<(&'static str, String)>) {
        let mut wrong = Vec::new();
        let read = |(column, raw): (&Column, &Raw<'_>)| match column.kind.read(*raw) {
            Ok(Value::Null) if column.required => Err((column.name, "is missing".to_string())),
            value => value.map_err(|reason| (column.name, reason)),
        };
        let kept = |value: Result<Value, _>| {
            value.unwrap_or_else(|reason| {
                wrong.push(reason);
                Value::Null
            })
        };
        let values: Vec<Value> = self.columns.iter().zip(raws).map(read).map(kept).collect();
        let given = |name: &str| self.value(&values, name).is_some_and(|value| !value.is_null());
        if self.name == "san_authorisations" && given("dcv_id") && given("reuse_id") {
            let reason =
                "a name rests on a confirmation or on a reuse, not on both: leave one of dcv_id, reuse_id empty";
            wrong.push(("reuse_id", reason.to_string()));
        }
        (values, wrong)
    }
    /// The value of a column of the feed among the values of a row.
    pub(super) fn value<'v>(&self, values: &'v [Value], name: &str) -> Option<&'v Value> {
        self.columns.iter().position(|column| column.name == name).and_then(|place| values.get(place))
    }
    /// The place of a stored column among the stored columns.
    pub(super) fn place(&self, stored: &str) -> Option<usize> {
        self.stored().position(|column| column.stored == stored)
    }
}

/// The table of that name.
pub(super) fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

/// The questions to a database server: one for each table, and [`REVOKED`].
pub(super) fn question(name: &str) -> Option<&'static Table> {
    table(name).or(Some(&REVOKED).filter(|question| question.name == name))
}

/// The names of all tables, for people.
pub(super) fn names() -> String {
    TABLES.iter().map(|table| table.name).collect::<Vec<_>>().join(", ")
}

const fn must(name: &'static str, kind: Kind) -> Column {
    Column { name, stored: name, kind, required: true }
}

const fn may(name: &'static str, kind: Kind) -> Column {
    Column { name, stored: name, kind, required: false }
}

const fn kept_as(name: &'static str, stored: &'static str, kind: Kind) -> Column {
    Column { name, stored, kind, required: false }
}

const HIERARCHY: Kind = Kind::Word(&["public", "internal"]);

/// A question to a database server that is no table of the feed: the revocations with what is compared with the CRLs,
/// asked page by page in the order of `place`. Without a text of its own it is made of `revocations` and `certificates`.
pub(super) static REVOKED: Table = Table {
    name: "revoked",
    columns: &[
        must("place", Kind::Count),
        must("issuer_id", Kind::Count),
        must("serial", Kind::Serial),
        may("not_after", Kind::Moment),
        may("aware_at", Kind::Moment),
        may("revoked_at", Kind::Moment),
        may("reason", Kind::Count),
    ],
    key: 1,
    unique: &[],
    references: &[],
};

/// Every table, parents first. An approval or a control has nothing besides its key to change.
pub(super) static TABLES: &[Table] = &[
    Table {
        name: "issuers",
        columns: &[
            must("issuer_id", Kind::Count),
            must("name", Kind::Text),
            must("spki_sha256", Kind::Sha256),
            must("hierarchy", HIERARCHY),
        ],
        key: 1,
        unique: &["spki_sha256"],
        references: &[],
    },
    Table {
        name: "accounts",
        columns: &[
            must("account_id", Kind::Text),
            must("kind", Kind::Word(&["direct", "enterprise", "reseller", "cdn"])),
            may("name", Kind::Text),
            may("country", Kind::Text),
        ],
        key: 1,
        unique: &[],
        references: &[],
    },
    Table {
        name: "applicants",
        columns: &[
            must("applicant_id", Kind::Text),
            must("account_id", Kind::Text),
            may("name", Kind::Text),
            may("country", Kind::Text),
        ],
        key: 1,
        unique: &[],
        references: &[("account_id", "accounts")],
    },
    Table {
        name: "identities",
        columns: &[
            must("identity_id", Kind::Text),
            must("applicant_id", Kind::Text),
            must("verified_at", Kind::Moment),
            may("organization", Kind::Text),
            may("country", Kind::Text),
            may("state", Kind::Text),
            may("locality", Kind::Text),
            may("street", Kind::Text),
            may("postal_code", Kind::Text),
            may("given_name", Kind::Text),
            may("surname", Kind::Text),
            may("registration_number", Kind::Text),
            may("business_category", Kind::Text),
            may("jurisdiction_country", Kind::Text),
            may("jurisdiction_state", Kind::Text),
            may("jurisdiction_locality", Kind::Text),
            may("performed_by", Kind::Text),
        ],
        key: 1,
        unique: &[],
        references: &[("applicant_id", "applicants")],
    },
    Table {
        name: "orders",
        columns: &[
            must("order_id", Kind::Text),
            must("applicant_id", Kind::Text),
            must("channel", Kind::Text),
            may("profile", Kind::Text),
            must("vtype", Kind::Text),
            must("hierarchy", HIERARCHY),
            may("csr_spki_sha256", Kind::Sha256),
            must("created_at", Kind::Moment),
            may("identity_id", Kind::Text),
        ],
        key: 1,
        unique: &[],
        references: &[("applicant_id", "applicants"), ("identity_id", "identities")],
    },
    Table {
        name: "order_names",
        columns: &[must("order_id", Kind::Text), must("name", Kind::Name)],
        key: 2,
        unique: &[],
        references: &[("order_id", "orders")],
    },
    Table {
        name: "certificates",
        columns: &[
            must("cert_id", Kind::Count),
            must("issuer_id", Kind::Count),
            must("serial", Kind::Serial),
            may("order_id", Kind::Text),
            may("tbs_sha256", Kind::Sha256),
            may("precert_sha256", Kind::Sha256),
            may("cert_sha256", Kind::Sha256),
            may("spki_sha256", Kind::Sha256),
            must("signed_at", Kind::Moment),
            may("not_before", Kind::Moment),
            may("not_after", Kind::Moment),
            must("state", Kind::Word(&["precert_only", "issued"])),
        ],
        key: 1,
        unique: &["issuer_id", "serial"],
        references: &[("issuer_id", "issuers"), ("order_id", "orders")],
    },
    Table {
        name: "dcv_confirmations",
        columns: &[
            must("dcv_id", Kind::Id),
            must("applicant_id", Kind::Text),
            must("adn", Kind::Domain),
            must("method", Kind::Text),
            must("completed_at", Kind::Moment),
            must("performed_by", Kind::Text),
            may("resolver", Kind::Text),
            may("remote_ok", Kind::Count),
            may("remote_total", Kind::Count),
            may("evidence_ref", Kind::Note),
            may("token_issued_at", Kind::Moment),
            may("remote_rirs", Kind::Count),
            may("dnssec", Kind::Text),
            may("location", Kind::Text),
            may("recorded_at", Kind::Moment),
            kept_as("reused_dcv_id", "", Kind::Id),
            kept_as("reused_reuse_id", "", Kind::Id),
        ],
        key: 1,
        unique: &[],
        references: &[("applicant_id", "applicants")],
    },
    Table {
        name: "dcv_reuse",
        columns: &[
            must("reuse_id", Kind::Id),
            kept_as("dcv_id", "stated_dcv_id", Kind::Id),
            must("rule", Kind::Text),
            must("decided_at", Kind::Moment),
            may("decided_by", Kind::Text),
            kept_as("reused_reuse_id", "stated_reuse_id", Kind::Id),
        ],
        key: 1,
        unique: &[],
        references: &[("stated_dcv_id", "dcv_confirmations")],
    },
    Table {
        name: "caa_checks",
        columns: &[
            must("caa_id", Kind::Count),
            must("name", Kind::Name),
            must("checked_at", Kind::Moment),
            must("result", Kind::Word(&["permit", "deny", "none", "failed"])),
            may("rrset", Kind::Note),
            may("ttl", Kind::Count),
            may("dnssec", Kind::Text),
            must("resolver", Kind::Text),
            must("performed_by", Kind::Text),
            may("remote_ok", Kind::Count),
            may("remote_total", Kind::Count),
            may("remote_rirs", Kind::Count),
        ],
        key: 1,
        unique: &[],
        references: &[],
    },
    Table {
        name: "san_authorisations",
        columns: &[
            must("cert_id", Kind::Count),
            must("name", Kind::Name),
            may("dcv_id", Kind::Id),
            may("reuse_id", Kind::Id),
            may("caa_id", Kind::Count),
        ],
        key: 2,
        unique: &[],
        references: &[
            ("cert_id", "certificates"),
            ("dcv_id", "dcv_confirmations"),
            ("reuse_id", "dcv_reuse"),
            ("caa_id", "caa_checks"),
        ],
    },
    Table {
        name: "approvals",
        columns: &[
            must("order_id", Kind::Text),
            must("step", Kind::Text),
            must("person", Kind::Text),
            must("decided_at", Kind::Moment),
        ],
        key: 4,
        unique: &[],
        references: &[("order_id", "orders")],
    },
    Table {
        name: "revocations",
        columns: &[
            must("cert_id", Kind::Count),
            may("aware_at", Kind::Moment),
            may("revoked_at", Kind::Moment),
            may("reason", Kind::Count),
            may("crl_seen_at", Kind::Moment),
        ],
        key: 1,
        unique: &[],
        references: &[("cert_id", "certificates")],
    },
    Table {
        name: "controls",
        columns: &[
            must("name", Kind::Text),
            must("observed_at", Kind::Moment),
            must("enabled", Kind::Flag),
            may("version", Kind::Text),
            may("value", Kind::Text),
            may("entries", Kind::Count),
        ],
        key: 2,
        unique: &[],
        references: &[],
    },
    Table {
        name: "lint_runs",
        columns: &[
            must("cert_id", Kind::Count),
            must("linter", Kind::Text),
            may("version", Kind::Text),
            must("ran_at", Kind::Moment),
            must("result", Kind::Word(&["passed", "failed"])),
            may("findings", Kind::Note),
        ],
        key: 2,
        unique: &[],
        references: &[("cert_id", "certificates")],
    },
    Table {
        name: "counts",
        columns: &[
            must("source", Kind::Text),
            must("issuer_id", Kind::Count),
            must("hour", Kind::Moment),
            must("certificates", Kind::Count),
        ],
        key: 3,
        unique: &[],
        references: &[("issuer_id", "issuers")],
    },
];
