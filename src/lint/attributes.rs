//! The attributes of a subject as BR 7.1.4.2 prescribes them: order, string type, length.

use crate::cert::Attribute;
use crate::cert::der::dotted;

/// Content octets of the attribute types (X.520, RFC 4519, EVG 7.1.4.2).
pub mod kind {
    /// commonName.
    pub const CN: &[u8] = &[0x55, 4, 3];
    /// surname.
    pub const SN: &[u8] = &[0x55, 4, 4];
    /// serialNumber.
    pub const SERIAL_NUMBER: &[u8] = &[0x55, 4, 5];
    /// countryName.
    pub const C: &[u8] = &[0x55, 4, 6];
    /// localityName.
    pub const L: &[u8] = &[0x55, 4, 7];
    /// stateOrProvinceName.
    pub const ST: &[u8] = &[0x55, 4, 8];
    /// streetAddress.
    pub const STREET: &[u8] = &[0x55, 4, 9];
    /// organizationName.
    pub const O: &[u8] = &[0x55, 4, 10];
    /// organizationalUnitName.
    pub const OU: &[u8] = &[0x55, 4, 11];
    /// businessCategory.
    pub const BUSINESS_CATEGORY: &[u8] = &[0x55, 4, 15];
    /// postalCode.
    pub const POSTAL_CODE: &[u8] = &[0x55, 4, 17];
    /// givenName.
    pub const GN: &[u8] = &[0x55, 4, 42];
    /// organizationIdentifier.
    pub const ORGANIZATION_ID: &[u8] = &[0x55, 4, 97];
    /// domainComponent.
    pub const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
    /// jurisdictionLocality.
    pub const JURISDICTION_L: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 1];
    /// jurisdictionStateOrProvince.
    pub const JURISDICTION_ST: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 2];
    /// jurisdictionCountry.
    pub const JURISDICTION_C: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3];
}

/// Tag number of PrintableString.
pub const PRINTABLE: u32 = 19;
/// UTF8String or PrintableString.
const TEXT: &[u32] = &[12, PRINTABLE];

/// How an attribute is written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Content octets of its type.
    pub oid: &'static [u8],
    /// Its place among the others; `None` when the table gives it none.
    pub rank: Option<u8>,
    /// Tag numbers of the string types that are permitted.
    pub strings: &'static [u32],
    /// Most characters; `None` without a limit.
    pub most: Option<usize>,
}

const fn form(oid: &'static [u8], rank: Option<u8>, strings: &'static [u32], most: Option<usize>) -> Form {
    Form { oid, rank, strings, most }
}

/// Both tables of BR 7.1.4.2.
const FORMS: [Form; 17] = [
    form(kind::DC, Some(0), &[22], Some(63)),
    form(kind::C, Some(1), &[PRINTABLE], Some(2)),
    form(kind::ST, Some(2), TEXT, Some(128)),
    form(kind::L, Some(3), TEXT, Some(128)),
    form(kind::POSTAL_CODE, Some(4), TEXT, Some(40)),
    form(kind::STREET, Some(5), TEXT, Some(128)),
    form(kind::O, Some(6), TEXT, Some(64)),
    form(kind::SN, Some(7), TEXT, Some(64)),
    form(kind::GN, Some(8), TEXT, Some(64)),
    form(kind::OU, Some(9), TEXT, Some(64)),
    form(kind::CN, Some(10), TEXT, Some(64)),
    form(kind::BUSINESS_CATEGORY, None, TEXT, Some(128)),
    form(kind::JURISDICTION_C, None, &[PRINTABLE], Some(2)),
    form(kind::JURISDICTION_ST, None, TEXT, Some(128)),
    form(kind::JURISDICTION_L, None, TEXT, Some(128)),
    form(kind::SERIAL_NUMBER, None, &[PRINTABLE], Some(64)),
    form(kind::ORGANIZATION_ID, None, TEXT, None),
];

/// What is prescribed for an attribute type; `None` when it is in neither table.
pub fn form_of(oid: &[u8]) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.oid == oid)
}

/// The names of what is missing: of each group at least one type must be there.
pub fn missing<'a>(attributes: &'a [Attribute<'_>], groups: &'a [&[&'a [u8]]]) -> impl Iterator<Item = String> + 'a {
    let absent = |group: &&&[&[u8]]| !group.iter().any(|oid| attributes.iter().any(|a| a.oid == *oid));
    groups.iter().filter(absent).map(|group| {
        let names: Vec<String> = group.iter().map(|oid| name_of(oid)).collect();
        names.join(" or ")
    })
}

fn name_of(oid: &[u8]) -> String {
    if form_of(oid).is_none() {
        return dotted(oid);
    }
    Attribute { oid, tag: PRINTABLE, value: &[], first_of_rdn: true }.name()
}
