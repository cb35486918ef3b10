//! Which addresses an outbound connection may go to.
//!
//! The judgement is made on resolved addresses, never on names, and the connection goes to exactly the address that
//! was judged: a second look-up that answers differently (DNS rebinding) is not possible.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an origin has been declared to be by the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Egress {
    /// On the public internet: private, loopback and other special addresses are refused.
    Public,
    /// Inside the operator's own network: private and loopback addresses are allowed. Cloud metadata, unspecified,
    /// multicast and reserved addresses stay refused.
    Internal,
}

/// An address that an origin may not be reached at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is a {range} address{}", self.advice())]
pub struct EgressRefusal {
    /// The address that was refused.
    pub address: IpAddr,
    /// What kind of address it is.
    pub range: &'static str,
    /// Whether declaring the provider internal would allow it.
    pub allowed_if_internal: bool,
}

impl EgressRefusal {
    const fn advice(&self) -> &'static str {
        if self.allowed_if_internal {
            "; declare the provider internal if it is meant to be reached there"
        } else {
            ", which no provider may be reached at"
        }
    }
}

impl Egress {
    /// Judges one resolved address.
    ///
    /// # Errors
    /// The refusal names the range the address belongs to.
    pub fn check(self, address: IpAddr) -> Result<(), EgressRefusal> {
        match (range_of(address), self) {
            (Range::Public, _) | (Range::Inside(_), Self::Internal) => Ok(()),
            (Range::Inside(range), Self::Public) => {
                Err(EgressRefusal { address, range, allowed_if_internal: true })
            }
            (Range::Never(range), _) => Err(EgressRefusal { address, range, allowed_if_internal: false }),
        }
    }
}

enum Range {
    Public,
    /// Reachable only within some network.
    Inside(&'static str),
    /// No provider lives there.
    Never(&'static str),
}

fn range_of(address: IpAddr) -> Range {
    match address {
        IpAddr::V4(address) => range_of_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => range_of_v4(mapped),
            None => range_of_v6(address),
        },
    }
}

/// The special-purpose blocks of the IANA IPv4 registry, and the metadata services outside of them.
fn range_of_v4(address: Ipv4Addr) -> Range {
    match address.octets() {
        [0, ..] => Range::Never("unspecified (write 127.0.0.1 for this machine)"),
        // The Azure host agent, and metadata services inside ranges that are otherwise only private.
        [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => Range::Never("cloud metadata"),
        [169, 254, ..] => Range::Never("link-local (cloud metadata)"),
        [224..=239, ..] => Range::Never("multicast"),
        [240..=255, ..] => Range::Never("reserved"),
        [127, ..] => Range::Inside("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Range::Inside("private"),
        [100, 64..=127, ..] => Range::Inside("carrier-grade NAT"),
        [192, 0, 0, _] => Range::Inside("protocol assignment"),
        [192, 88, 99, _] => Range::Inside("6to4 relay"),
        [198, 18..=19, ..] => Range::Inside("benchmarking"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Range::Inside("documentation"),
        _ => Range::Public,
    }
}

/// Only 2000::/3 is allocated for the public internet; the exceptions within it are listed.
fn range_of_v6(address: Ipv6Addr) -> Range {
    if let Some((name, embedded)) = embedded_v4(address)
        && let Range::Never(_) = range_of_v4(embedded)
        && !matches!(address.segments(), [0, 0, 0, 0, 0, 0, 0, 1])
    {
        return Range::Never(name);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Range::Inside("loopback"),
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254] => Range::Never("cloud metadata"),
        [0xff00..=0xffff, ..] => Range::Never("multicast"),
        [0xfc00..=0xfdff, ..] => Range::Inside("unique-local"),
        [0xfe80..=0xfebf, ..] => Range::Inside("link-local"),
        [0xfec0..=0xfeff, ..] => Range::Inside("site-local"),
        [0, 0, 0, 0, 0, 0, ..] => Range::Inside("IPv4-compatible"),
        [0x0064, 0xff9b, ..] => Range::Inside("NAT64"),
        [0x2001, 0..=0x01ff, ..] => Range::Inside("protocol assignment (Teredo, ORCHID)"),
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => Range::Inside("documentation"),
        [0x2002, ..] => Range::Inside("6to4"),
        [0x2000..=0x3fff, ..] => Range::Public,
        _ => Range::Never("reserved"),
    }
}

/// The IPv4 address that a transition mechanism would deliver to.
fn embedded_v4(address: Ipv6Addr) -> Option<(&'static str, Ipv4Addr)> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, high, low] => Some(("IPv4-compatible", join(high, low))),
        [0x0064, 0xff9b, .., high, low] => Some(("NAT64", join(high, low))),
        [0x2002, high, low, ..] => Some(("6to4", join(high, low))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(egress: Egress, address: &str) -> bool {
        egress.check(address.parse().unwrap()).is_err()
    }

    #[test]
    fn special_ranges_are_refused_for_public_origins() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:100.64.1.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(refused(Egress::Public, address), "{address} was allowed");
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.1.1.1",
            "128.0.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.1.1",
            "198.17.1.1",
            "198.20.1.1",
            "223.1.1.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!refused(Egress::Public, address), "{address} was refused");
            assert!(!refused(Egress::Internal, address), "{address} was refused");
        }
    }

    #[test]
    fn internal_origins_reach_private_addresses_but_never_metadata() {
        for address in
            ["127.0.0.1", "10.1.2.3", "192.168.0.9", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"]
        {
            assert!(!refused(Egress::Internal, address), "{address} was refused");
        }
        for address in [
            "0.0.0.0",
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "::a9fe:a9fe",
            "fd00:ec2::254",
            "::",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(refused(Egress::Internal, address), "{address} was allowed");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let refusal = Egress::Public.check("10.0.0.1".parse().unwrap()).unwrap_err();
        assert!(refusal.to_string().contains("declare the provider internal"), "{refusal}");
        let refusal = Egress::Internal.check("0.0.0.0".parse().unwrap()).unwrap_err();
        assert!(refusal.to_string().contains("127.0.0.1"), "{refusal}");
    }
}
