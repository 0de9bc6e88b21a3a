//! The rules, one file each, and the table of them.

pub(super) mod cert_is_ca;
pub(super) mod cert_unparsable;
mod cn_from_san;
mod ext_eku;
mod ip_length;
mod ip_reserved;
mod name_ascii;
mod name_internal;
mod name_internal_cn;
mod name_ip_as_dns;
mod name_ldh;
mod name_length;
mod name_plabel;
mod name_reserved_ldh;
mod name_reverse_zone;
mod name_root_dot;
mod name_underscore;
mod san_der;
mod san_dup;
mod san_present;
mod san_types;
mod val_max;
mod wc_form;
mod wc_suffix;

use crate::lint::Rule;

/// All rules, in the order in which they are listed and run.
pub static RULES: &[&Rule] = &[
    &cert_unparsable::RULE,
    &cert_is_ca::RULE,
    &name_internal::RULE,
    &name_internal_cn::RULE,
    &name_reverse_zone::RULE,
    &name_ldh::RULE,
    &name_reserved_ldh::RULE,
    &name_plabel::RULE,
    &name_root_dot::RULE,
    &name_length::RULE,
    &name_ascii::RULE,
    &name_underscore::RULE,
    &name_ip_as_dns::RULE,
    &wc_form::RULE,
    &wc_suffix::RULE,
    &ip_length::RULE,
    &ip_reserved::RULE,
    &san_present::RULE,
    &san_types::RULE,
    &san_der::RULE,
    &san_dup::RULE,
    &cn_from_san::RULE,
    &val_max::RULE,
    &ext_eku::RULE,
];
