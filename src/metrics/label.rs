//! The closed sets of label values.

/// Declares a closed set of label values: the enum, all of it, and the word of each.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant),+ }
        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// The label value.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }
    };
}

words!(
    /// How a request to a log ended: label `outcome` of `ctwarden_log_requests_total`.
    Outcome {
        /// An answer of the expected form.
        Ok => "ok",
        /// 429, or 503 with Retry-After.
        RateLimited => "rate_limited",
        /// Another 4xx, such as 404 for a superseded partial tile.
        ClientError => "client_error",
        /// Another 5xx.
        ServerError => "server_error",
        /// No connection, TLS failure, time-out, a cut body.
        Network => "network",
        /// 200 with something else in it than was asked for.
        Malformed => "malformed",
    }
);
words!(
    /// What did not verify: label `check` of `ctwarden_log_verification_failures_total`.
    Check {
        /// The signature of a tree head.
        Signature => "signature",
        /// The root recomputed from the entries differs from the signed one.
        Root => "root",
        /// A consistency proof.
        Consistency => "consistency",
        /// An inclusion proof.
        Inclusion => "inclusion",
        /// A hash tile that does not agree with the entries.
        TileHash => "tile_hash",
        /// Two signed roots for one size.
        Fork => "fork",
        /// A tree head smaller than an earlier one, for longer than front ends may lag.
        Rollback => "rollback",
        /// A tree head from the future, or none within the maximum merge delay.
        Timestamp => "timestamp",
        /// An entry that states another index than its own.
        LeafIndex => "leaf_index",
        /// A precertificate, a chain or an issuer that does not belong to its entry.
        ExtraData => "extra_data",
    }
);
words!(
    /// What is wrong with an SCT: label `reason` of `ctwarden_sct_failures_total`.
    SctFailure {
        /// The log did not sign it for the certificate that carries it.
        Signature => "signature",
        /// The entry is not in the log although the maximum merge delay is over.
        NotHonoured => "not_honoured",
        /// The entry came into the log after the maximum merge delay.
        MergedLate => "merged_late",
    }
);
words!(
    /// How people are told: label `channel` of `ctwarden_notifications_total`.
    Channel {
        /// Mail, over SMTP or into a folder.
        Mail => "mail",
    }
);
words!(
    /// How an attempt to deliver ended: label `outcome` of `ctwarden_notifications_total`.
    Delivery {
        /// Taken over by the server or written to the folder.
        Delivered => "delivered",
        /// Failed for now; it will be tried again.
        Deferred => "deferred",
        /// Refused for good; it is tried again hourly, in case the configuration is mended.
        Failed => "failed",
    }
);
words!(
    /// What the monitor reads from others: label `input` of `ctwarden_input_timestamp_seconds`.
    Input {
        /// The list of logs.
        LogList => "log_list",
        /// The ICANN registry of generic TLDs.
        GtldRegistry => "gtld_registry",
        /// The Public Suffix List.
        PublicSuffixList => "public_suffix_list",
        /// The dated table of top-level domains.
        TldTable => "tld_table",
    }
);
words!(
    /// What was known of a certificate when it was examined: label `answer` of `ctwarden_issuance_db_lookups_total`.
    LookedUp {
        /// The issuance database has it.
        Found => "found",
        /// The issuance database server had it less than half a minute ago and was not asked again.
        Kept => "kept",
        /// The issuance database answered and does not have it.
        Unknown => "unknown",
        /// There was no answer, or none that can be used: a replica that is behind knows no new certificate.
        Unavailable => "unavailable",
    }
);
words!(
    /// What became of a batch that was sent: label `outcome` of `ctwarden_issuance_feed_requests_total`.
    FeedOutcome {
        /// It is in the record.
        Imported => "imported",
        /// Something in it was wrong: nothing of it was imported.
        Refused => "refused",
        /// It is no request that can be understood: its headers, its coding, its key.
        Malformed => "malformed",
        /// No token, or one that nobody has.
        Unauthorized => "unauthorized",
        /// A token of another role.
        Forbidden => "forbidden",
        /// More bytes than a batch may have.
        TooLarge => "too_large",
        /// Too many batches at once.
        Busy => "busy",
        /// It did not arrive in time.
        TimedOut => "timed_out",
        /// The issuance database could not be used.
        Unavailable => "unavailable",
    }
);
