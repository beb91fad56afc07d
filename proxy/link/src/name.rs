//! The names in certificates of links: `<node>.<site>.minato.internal`.

use minato_config::{NodeId, SiteId};

/// Below `.internal`, which ICANN keeps out of the public DNS: nobody else can be given such a name.
pub const DOMAIN: &str = "minato.internal";

/// `<site>.minato.internal`: what a site's intermediate may make names below.
pub fn site_name(site: &SiteId) -> String {
    format!("{site}.{DOMAIN}")
}

/// `<node>.<site>.minato.internal`: what a gateway is called.
pub fn gateway_name(node: &NodeId, site: &SiteId) -> String {
    format!("{node}.{site}.{DOMAIN}")
}

/// The site of a DNS name of a certificate: `None` where it is no name of ours, an error text where it would be but is none
/// of one gateway.
pub(crate) fn site_of(name: &str) -> Option<Result<SiteId, String>> {
    let name = name.to_ascii_lowercase();
    let Some(rest) = name
        .strip_suffix(DOMAIN)
        .and_then(|it| it.strip_suffix('.'))
    else {
        return (name == DOMAIN).then_some(Err(name));
    };
    let site = match rest.split_once('.') {
        Some((node, site)) if NodeId::parse(node).is_ok() => SiteId::parse(site).ok(),
        _ => None,
    };
    Some(site.ok_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &str) {
        let found = match site_of(name) {
            None => "-".to_owned(),
            Some(Ok(site)) => site.to_string(),
            Some(Err(_)) => "bad".to_owned(),
        };
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn names_tell_their_site() {
        check("gw1.tokyo.minato.internal", "tokyo");
        check("GW1.Tokyo.Minato.Internal", "tokyo");
        check("gw.example.org", "-");
        check("gw.tokyo.xminato.internal", "-");
        check("gw.tokyo.minato.internal.example.org", "-");
        check("tokyo.minato.internal", "bad");
        check("*.tokyo.minato.internal", "bad");
        check("a.b.tokyo.minato.internal", "bad");
        check("minato.internal", "bad");
        check(".tokyo.minato.internal", "bad");
        check("gw..minato.internal", "bad");
    }
}
