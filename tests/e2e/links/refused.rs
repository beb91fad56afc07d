//! Who is not let in, and what people are told of it.

use super::{Cloud, Pair, caller, door};
use crate::support::http::get;
use crate::support::tls::{Authority, Pem, Time};

#[test]
fn who_is_no_gateway_of_a_peer_is_refused_and_named() {
    let pair = Pair::start("");
    let (ours, stranger) = (&pair.authority, Authority::new("stranger"));
    let signed = |of: &Authority, name: &str| of.sign(&[name], Time::Now);
    let osaka = signed(&stranger, "gw.osaka.minato.internal");
    let kyoto = signed(ours, "gw.kyoto.minato.internal");
    let own = signed(ours, "gw.tokyo.minato.internal");
    let nobody = signed(ours, "www.example.org");
    let over = ours.sign(&["gw.osaka.minato.internal"], Time::Over);
    let cases: [(Option<&Pem>, &str); 6] = [
        (None, "shows no certificate"),
        (Some(&osaka), "not signed by the authority"),
        (Some(&kyoto), "add [sites.kyoto]"),
        (Some(&own), "of this site itself"),
        (Some(&nobody), "no name like"),
        (Some(&over), "ended at"),
    ];
    for (shown, why) in cases {
        let request = caller::get_of("e2e.test", "");
        let asked = caller::ask(door(&pair.tokyo.site), "tokyo", ours, shown, &request);
        assert!(asked.is_err(), "{why}: {asked:?}");
        pair.tokyo
            .until_told(&["a link from 127.0.0.1 was refused", why]);
    }
    // Who does not speak TLS at all gets no answer of HTTP.
    assert!(get(door(&pair.tokyo.site), "e2e.test", "/").is_err());
}

/// Osaka's address leads to somebody else.
#[test]
fn a_gateway_of_another_site_or_authority_is_not_sent_to() {
    let ours = Authority::new("sites");
    for (authority, certified, why) in [
        (&ours, "kyoto", "site `kyoto`, not `osaka`"),
        (
            &Authority::new("stranger"),
            "osaka",
            "not signed by the authority",
        ),
    ] {
        let mut tokyo = Cloud::new("tokyo", &ours, "tokyo");
        let certified: &'static str = certified;
        let mut other = Cloud::new(certified, authority, certified);
        let osaka = Cloud {
            name: "osaka",
            site: other.site,
        };
        tokyo.knows(&osaka);
        other = Cloud {
            name: certified,
            site: osaka.site,
        };
        other.knows(&tokyo);
        let (of_tokyo, of_other) = (tokyo.instance(), other.instance());
        tokyo.shares(&of_tokyo, "");
        if certified == "osaka" {
            other.shares(&of_other, "");
        }
        tokyo.site.start();
        other.site.start();
        tokyo.until_served_by("tokyo");
        tokyo.until_told(&["link to osaka is down", why]);
        drop(of_tokyo);
        crate::support::http::until_status(tokyo.site.gateway(), "e2e.test", "/", 503);
    }
}
