//! The special-purpose address registries of IANA.
//!
//! Facts of the "IANA IPv4 Special-Purpose Address Registry" and the "IANA IPv6 Special-Purpose Address Registry"
//! (iana-ipv4-special-registry, iana-ipv6-special-registry; RFC 6890, RFC 8190), as of 2026-08.
//! BR 1.6.1: a Reserved IP Address is one "contained in the address block of any entry in either" of them.

use std::net::IpAddr;

/// The registry's column "Globally Reachable".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// True.
    Global,
    /// False.
    NotGlobal,
    /// N/A: it depends on the address that is embedded (6to4, Teredo).
    Depends,
    /// Empty: the assignment was terminated. The block around it decides.
    Terminated,
}

/// An address block of a registry.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// First address, as text with the prefix length: the registry's column "Address Block".
    pub prefix: &'static str,
    /// The registry's column "Name".
    pub name: &'static str,
    /// Whether it is globally reachable.
    pub reach: Reach,
    first: IpAddr,
    bits: u8,
}

const fn v4(prefix: &'static str, octets: [u8; 4], bits: u8, reach: Reach, name: &'static str) -> Block {
    let [a, b, c, d] = octets;
    Block { prefix, name, reach, first: IpAddr::V4(std::net::Ipv4Addr::new(a, b, c, d)), bits }
}

const fn v6(prefix: &'static str, groups: [u16; 8], bits: u8, reach: Reach, name: &'static str) -> Block {
    let [a, b, c, d, e, f, g, h] = groups;
    Block { prefix, name, reach, first: IpAddr::V6(std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h)), bits }
}

use Reach::{Depends, Global, NotGlobal, Terminated};

/// All entries of both registries.
#[rustfmt::skip]
pub static BLOCKS: &[Block] = &[
    v4("0.0.0.0/8", [0, 0, 0, 0], 8, NotGlobal, "This network"),
    v4("0.0.0.0/32", [0, 0, 0, 0], 32, NotGlobal, "This host on this network"),
    v4("10.0.0.0/8", [10, 0, 0, 0], 8, NotGlobal, "Private-Use"),
    v4("100.64.0.0/10", [100, 64, 0, 0], 10, NotGlobal, "Shared Address Space"),
    v4("127.0.0.0/8", [127, 0, 0, 0], 8, NotGlobal, "Loopback"),
    v4("169.254.0.0/16", [169, 254, 0, 0], 16, NotGlobal, "Link Local"),
    v4("172.16.0.0/12", [172, 16, 0, 0], 12, NotGlobal, "Private-Use"),
    v4("192.0.0.0/24", [192, 0, 0, 0], 24, NotGlobal, "IETF Protocol Assignments"),
    v4("192.0.0.0/29", [192, 0, 0, 0], 29, NotGlobal, "IPv4 Service Continuity Prefix"),
    v4("192.0.0.8/32", [192, 0, 0, 8], 32, NotGlobal, "IPv4 dummy address"),
    v4("192.0.0.9/32", [192, 0, 0, 9], 32, Global, "Port Control Protocol Anycast"),
    v4("192.0.0.10/32", [192, 0, 0, 10], 32, Global, "Traversal Using Relays around NAT Anycast"),
    v4("192.0.0.170/32", [192, 0, 0, 170], 32, NotGlobal, "NAT64/DNS64 Discovery"),
    v4("192.0.0.171/32", [192, 0, 0, 171], 32, NotGlobal, "NAT64/DNS64 Discovery"),
    v4("192.0.2.0/24", [192, 0, 2, 0], 24, NotGlobal, "Documentation (TEST-NET-1)"),
    v4("192.31.196.0/24", [192, 31, 196, 0], 24, Global, "AS112-v4"),
    v4("192.52.193.0/24", [192, 52, 193, 0], 24, Global, "AMT"),
    v4("192.88.99.0/24", [192, 88, 99, 0], 24, Terminated, "Deprecated (6to4 Relay Anycast)"),
    v4("192.88.99.2/32", [192, 88, 99, 2], 32, NotGlobal, "6a44-relay anycast address"),
    v4("192.168.0.0/16", [192, 168, 0, 0], 16, NotGlobal, "Private-Use"),
    v4("192.175.48.0/24", [192, 175, 48, 0], 24, Global, "Direct Delegation AS112 Service"),
    v4("198.18.0.0/15", [198, 18, 0, 0], 15, NotGlobal, "Benchmarking"),
    v4("198.51.100.0/24", [198, 51, 100, 0], 24, NotGlobal, "Documentation (TEST-NET-2)"),
    v4("203.0.113.0/24", [203, 0, 113, 0], 24, NotGlobal, "Documentation (TEST-NET-3)"),
    v4("240.0.0.0/4", [240, 0, 0, 0], 4, NotGlobal, "Reserved"),
    v4("255.255.255.255/32", [255, 255, 255, 255], 32, NotGlobal, "Limited Broadcast"),
    v6("::1/128", [0, 0, 0, 0, 0, 0, 0, 1], 128, NotGlobal, "Loopback Address"),
    v6("::/128", [0, 0, 0, 0, 0, 0, 0, 0], 128, NotGlobal, "Unspecified Address"),
    v6("::ffff:0:0/96", [0, 0, 0, 0, 0, 0xffff, 0, 0], 96, NotGlobal, "IPv4-mapped Address"),
    v6("64:ff9b::/96", [0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, Global, "IPv4-IPv6 Translat."),
    v6("64:ff9b:1::/48", [0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, NotGlobal, "IPv4-IPv6 Translat."),
    v6("100::/64", [0x100, 0, 0, 0, 0, 0, 0, 0], 64, NotGlobal, "Discard-Only Address Block"),
    v6("100:0:0:1::/64", [0x100, 0, 0, 1, 0, 0, 0, 0], 64, NotGlobal, "Dummy IPv6 Prefix"),
    v6("2001::/23", [0x2001, 0, 0, 0, 0, 0, 0, 0], 23, NotGlobal, "IETF Protocol Assignments"),
    v6("2001::/32", [0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Depends, "TEREDO"),
    v6("2001:1::1/128", [0x2001, 1, 0, 0, 0, 0, 0, 1], 128, Global, "Port Control Protocol Anycast"),
    v6("2001:1::2/128", [0x2001, 1, 0, 0, 0, 0, 0, 2], 128, Global, "Traversal Using Relays around NAT Anycast"),
    v6("2001:1::3/128", [0x2001, 1, 0, 0, 0, 0, 0, 3], 128, Global, "DNS-SD Service Registration Protocol Anycast"),
    v6("2001:2::/48", [0x2001, 2, 0, 0, 0, 0, 0, 0], 48, NotGlobal, "Benchmarking"),
    v6("2001:3::/32", [0x2001, 3, 0, 0, 0, 0, 0, 0], 32, Global, "AMT"),
    v6("2001:4:112::/48", [0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48, Global, "AS112-v6"),
    v6("2001:10::/28", [0x2001, 0x10, 0, 0, 0, 0, 0, 0], 28, Terminated, "Deprecated (previously ORCHID)"),
    v6("2001:20::/28", [0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, Global, "ORCHIDv2"),
    v6("2001:30::/28", [0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28, Global, "Drone Remote ID Protocol Entity Tags (DETs) Prefix"),
    v6("2001:db8::/32", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, NotGlobal, "Documentation"),
    v6("2002::/16", [0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Depends, "6to4"),
    v6("2620:4f:8000::/48", [0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48, Global, "Direct Delegation AS112 Service"),
    v6("3fff::/20", [0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, NotGlobal, "Documentation"),
    v6("5f00::/16", [0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, NotGlobal, "Segment Routing (SRv6) SIDs"),
    v6("fc00::/7", [0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, NotGlobal, "Unique-Local"),
    v6("fe80::/10", [0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, NotGlobal, "Link-Local Unicast"),
];

impl Block {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                (u32::from(first) ^ u32::from(address)).leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                (u128::from(first) ^ u128::from(address)).leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

/// The entry that decides about an address: the most specific block that holds it, passing over terminated ones
/// when a wider block still says something. `None`: in no entry, not reserved.
pub fn reserved(address: IpAddr) -> Option<&'static Block> {
    let holding = || BLOCKS.iter().filter(move |block| block.contains(address));
    let in_use = holding().filter(|block| block.reach != Terminated).max_by_key(|block| block.bits);
    in_use.or_else(|| holding().max_by_key(|block| block.bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Option<Reach> {
        reserved(text.parse().expect("an address")).map(|block| block.reach)
    }

    #[test]
    fn the_most_specific_entry_decides() {
        for (address, expected) in [
            ("8.8.8.8", None),
            ("10.1.2.3", Some(NotGlobal)),
            ("172.31.255.255", Some(NotGlobal)),
            ("172.32.0.0", None),
            ("192.0.0.9", Some(Global)),
            ("192.0.0.11", Some(NotGlobal)),
            ("192.88.99.1", Some(Terminated)),
            ("192.88.99.2", Some(NotGlobal)),
            ("255.255.255.255", Some(NotGlobal)),
            ("2001:4860:4860::8888", None),
            ("::ffff:8.8.8.8", Some(NotGlobal)),
            ("2001:db8::1", Some(NotGlobal)),
            ("2001:10::1", Some(NotGlobal)),
            ("2001:20::1", Some(Global)),
            ("2002:808:808::", Some(Depends)),
            ("3fff:fff::1", Some(NotGlobal)),
            ("3fff:1000::1", None),
            ("fdff::1", Some(NotGlobal)),
            ("fec0::1", None),
        ] {
            assert_eq!(reach(address), expected, "{address}");
        }
    }

    #[test]
    fn every_prefix_is_written_as_it_is_meant() {
        for block in BLOCKS {
            let (first, bits) = block.prefix.split_once('/').expect("a prefix length");
            assert_eq!((first.parse(), bits.parse()), (Ok(block.first), Ok(block.bits)), "{}", block.prefix);
        }
    }

    #[test]
    fn the_table_is_the_shared_registries() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").to_string();
        let folder = std::env::var("CTWARDEN_SHARED").ok().filter(|_| !std::path::Path::new(&here).exists());
        let folder = folder.unwrap_or(here);
        let mut seen = 0;
        for file in ["iana-ipv4-special-registry-1.csv", "iana-ipv6-special-registry-1.csv"] {
            let Ok(mut reader) = csv::Reader::from_path(format!("{folder}/iana/{file}")) else {
                return println!("skipped: no ../shared/data");
            };
            for row in reader.records() {
                let row = row.expect("a row");
                for prefix in row[0].split(',').map(|p| p.split_whitespace().next().expect("a prefix")) {
                    let block = BLOCKS.iter().find(|b| b.prefix == prefix);
                    let block = block.unwrap_or_else(|| panic!("{prefix} is missing"));
                    let word = row[8].split_whitespace().next().unwrap_or("");
                    let reach = match word {
                        "True" => Global,
                        "False" => NotGlobal,
                        "N/A" => Depends,
                        _ => Terminated,
                    };
                    assert_eq!(block.reach, reach, "{prefix}");
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, BLOCKS.len());
    }
}
