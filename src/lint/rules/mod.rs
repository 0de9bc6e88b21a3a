//! The rules, one file each, and the table of them.

mod alg_outer_inner;
mod alg_sha1;
pub(super) mod alg_sig;
mod alg_spki;
pub(super) mod cert_is_ca;
mod cert_unique_id;
pub(super) mod cert_unparsable;
mod cert_version;
mod cn_from_san;
mod cn_present;
mod ev_ip;
mod ext_aia;
pub(super) mod ext_aki;
mod ext_bc;
mod ext_cp;
mod ext_crldp;
mod ext_dup;
mod ext_eku;
mod ext_ku;
mod ext_nc;
mod ext_other;
mod ext_ski;
mod ip_length;
mod ip_reserved;
mod ip_unroutable;
mod key_compromised;
mod key_ec;
mod key_rsa_div8;
mod key_rsa_exp;
mod key_rsa_should;
mod key_rsa_size;
mod key_weak_debian;
mod key_weak_fermat100;
mod key_weak_roca;
mod name_ascii;
mod name_bare_suffix;
mod name_internal;
mod name_internal_cn;
mod name_ip_as_dns;
mod name_ldh;
mod name_length;
mod name_plabel;
mod name_plabel_nfc;
mod name_reserved_ldh;
mod name_reverse_zone;
mod name_root_dot;
mod name_underscore;
mod onion_ev;
mod onion_form;
mod pre_no_sct;
pub(super) mod pre_poison;
mod san_critical;
mod san_der;
mod san_dup;
mod san_present;
mod san_types;
mod serial_range;
mod subj_country;
mod subj_dup;
mod subj_dv;
mod subj_enc;
mod subj_ev;
mod subj_iv;
mod subj_len;
mod subj_meta;
mod subj_order;
mod subj_ou;
mod subj_ov;
mod val_form;
mod val_max;
mod val_notbefore;
mod val_should;
mod wc_ev;
mod wc_form;
mod wc_suffix;

use crate::lint::Rule;

/// All rules, in the order in which they are listed and run.
pub static RULES: &[&Rule] = &[
    &cert_unparsable::RULE,
    &cert_version::RULE,
    &cert_unique_id::RULE,
    &cert_is_ca::RULE,
    &name_internal::RULE,
    &name_internal_cn::RULE,
    &name_reverse_zone::RULE,
    &name_ldh::RULE,
    &name_reserved_ldh::RULE,
    &name_plabel::RULE,
    &name_plabel_nfc::RULE,
    &name_root_dot::RULE,
    &name_length::RULE,
    &name_ascii::RULE,
    &name_underscore::RULE,
    &name_ip_as_dns::RULE,
    &name_bare_suffix::RULE,
    &wc_form::RULE,
    &wc_suffix::RULE,
    &wc_ev::RULE,
    &onion_form::RULE,
    &onion_ev::RULE,
    &ip_length::RULE,
    &ip_reserved::RULE,
    &ip_unroutable::RULE,
    &ev_ip::RULE,
    &san_present::RULE,
    &san_types::RULE,
    &san_der::RULE,
    &san_critical::RULE,
    &san_dup::RULE,
    &cn_from_san::RULE,
    &cn_present::RULE,
    &val_max::RULE,
    &val_should::RULE,
    &val_form::RULE,
    &val_notbefore::RULE,
    &serial_range::RULE,
    &pre_poison::RULE,
    &pre_no_sct::RULE,
    &key_rsa_size::RULE,
    &key_rsa_div8::RULE,
    &key_rsa_exp::RULE,
    &key_rsa_should::RULE,
    &key_ec::RULE,
    &key_weak_debian::RULE,
    &key_weak_roca::RULE,
    &key_weak_fermat100::RULE,
    &key_compromised::RULE,
    &alg_spki::RULE,
    &alg_sig::RULE,
    &alg_sha1::RULE,
    &alg_outer_inner::RULE,
    &ext_aia::RULE,
    &ext_aki::RULE,
    &ext_cp::RULE,
    &ext_eku::RULE,
    &ext_ku::RULE,
    &ext_bc::RULE,
    &ext_crldp::RULE,
    &ext_nc::RULE,
    &ext_dup::RULE,
    &ext_ski::RULE,
    &ext_other::RULE,
    &subj_dv::RULE,
    &subj_ov::RULE,
    &subj_iv::RULE,
    &subj_ev::RULE,
    &subj_ou::RULE,
    &subj_order::RULE,
    &subj_dup::RULE,
    &subj_enc::RULE,
    &subj_len::RULE,
    &subj_country::RULE,
    &subj_meta::RULE,
];
