//! `[sites]` and `[link]` of minato.toml, and the sites of a service.

use super::*;
use crate::{Consent, LinkFiles, Mirroring, SiteId, Standby};
use std::path::PathBuf;

fn site(text: &str) -> SiteId {
    SiteId::parse(text).unwrap()
}

const LINK: &str = "[link]\nidentity = \"/i\"\n";

#[test]
fn peers_and_the_link() {
    let text = "site = \"tokyo\"\n[sites.osaka]\ngateways = [\"GW.osaka.example:8443\", \"[fd00::7]:1\", \"192.0.2.7:8443\"]\n[link]\nlisten = [\"[::]:8443\"]\nauthority = \"ca.crt\"\ncertificate = \"gw.crt\"\nkey = \"/k/gw.key\"\n";
    let settings = minato(text).unwrap();
    let peer = &settings.sites[&site("osaka")];
    let texts: Vec<String> = peer.gateways.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        ["gw.osaka.example:8443", "[fd00::7]:1", "192.0.2.7:8443"]
    );
    let Some(LinkFiles::Given { authority, key, .. }) = &settings.link.identity else {
        panic!("{:?}", settings.link);
    };
    assert!(authority.ends_with("ca.crt"));
    assert_eq!(key, &PathBuf::from("/k/gw.key"));
}

#[test]
fn a_peer_is_mirrored_unless_it_is_said_otherwise() {
    for (said, expected) in [
        ("", Mirroring::On),
        ("mirror = true\n", Mirroring::On),
        ("mirror = false\n", Mirroring::Off),
    ] {
        let text = format!("[sites.osaka]\ngateways = [\"a:1\"]\n{said}{LINK}");
        assert_eq!(
            minato(&text).unwrap().sites[&site("osaka")].mirror,
            expected
        );
    }
    let text = format!("[sites.osaka]\ngateways = [\"a:1\"]\nmirror = \"no\"\n{LINK}");
    let told = told(&minato(&text).unwrap_err());
    assert!(
        told[0].contains("sites.osaka.mirror: must be true or false"),
        "{told:?}"
    );
}

#[test]
fn what_is_wrong_with_peers_says_what_to_do() {
    for (text, problem) in [
        ("[sites.osaka]\ngateways = [\"a:1\"]", "needs [link]"),
        (
            "[sites.osaka]\n[link]\nidentity = \"/i\"",
            "needs `gateways`",
        ),
        (
            "[sites.Osaka]\ngateways = [\"a:1\"]\n[link]\nidentity = \"/i\"",
            "is not a name",
        ),
        (
            "[sites.local]\ngateways = [\"a:1\"]\n[link]\nidentity = \"/i\"",
            "is this site itself",
        ),
        (
            "[sites.a]\ngateways = [\"a\"]\n[link]\nidentity = \"/i\"",
            "HOST:PORT",
        ),
        (
            "[sites.a]\ngateways = [\"a:0\"]\n[link]\nidentity = \"/i\"",
            "HOST:PORT",
        ),
        (
            "[sites.a]\ngateways = [\"https://a:1\"]\n[link]\nidentity = \"/i\"",
            "HOST:PORT",
        ),
        (
            "[sites.a]\ngateways = [\"a:1\", \"A:1\"]\n[link]\nidentity = \"/i\"",
            "stands here already",
        ),
        ("[link]\nlisten = [\"[::]:8443\"]", "needs `identity`"),
        (
            "[link]\nidentity = \"/i\"\nkey = \"/k\"",
            "leave the folder or the files out",
        ),
        ("[link]\nkey = \"/k\"", "needs all of"),
        (
            "[link]\nidentity = \"/i\"\nlisten = [\"127.0.0.1:8080\"]",
            "a listener of the gateway already",
        ),
        (
            "[link]\nidentity = \"/i\"\nlisten = [\"127.0.0.1:20000\"]",
            "lies in [agent] ports",
        ),
    ] {
        let problems = minato(text).unwrap_err();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            texts.iter().any(|it| it.contains(problem)),
            "{text}: {texts:?}"
        );
        assert_eq!(texts.len(), 1, "{texts:?}");
    }
    minato(LINK).unwrap();
}

#[test]
fn streams_are_offered_and_found_by_name() {
    let text = format!(
        "{LINK}listen = [\"[::]:8443\"]\n[link.streams.library-db]\nto = \"127.0.0.1:5432\"\nsites = [\"osaka\"]\n[sites.osaka]\ngateways = [\"gw:1\"]\nstreams = {{ files = \"127.0.0.1:873\" }}\n"
    );
    let settings = minato(&text).unwrap();
    let (name, offer) = settings.link.streams.first_key_value().unwrap();
    assert_eq!((name.as_str(), offer.connections), ("library-db", 100));
    assert_eq!(offer.sites, [site("osaka")]);
    assert_eq!(offer.to, "127.0.0.1:5432".parse().unwrap());
    let streams = &settings.sites[&site("osaka")].streams;
    let (name, at) = streams.first_key_value().unwrap();
    assert_eq!((name.as_str(), at.port()), ("files", 873));
    for (wrong, right, problem) in [
        ("to = \"127.0.0.1:5432\"\n", "", "needs `to`"),
        ("sites = [\"osaka\"]\n", "", "needs `sites`"),
        (
            "sites = [\"osaka\"]",
            "sites = [\"kyoto\"]",
            "kyoto, which is no peer",
        ),
        ("listen = [\"[::]:8443\"]\n", "", "needs `listen`"),
        ("127.0.0.1:873", "127.0.0.1:7070", "is the admin's already"),
        ("127.0.0.1:873", "127.0.0.1:20000", "lies in [agent] ports"),
        ("to = ", "connections = 0\nto = ", "from 1 to 10000"),
        ("library-db", "Library", "is not a name"),
    ] {
        let problems = minato(&text.replace(wrong, right)).unwrap_err();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            texts.iter().any(|it| it.contains(problem)),
            "{problem}: {texts:?}"
        );
    }
}

#[test]
fn a_service_has_an_order_of_sites() {
    let text = "command = [\"a\"]\nsites = [\"tokyo\", \"osaka\"]\nstandby = \"active\"\nfailback = \"ask\"\n[at.osaka]\nreplicas = 1\n";
    let service = library(text).unwrap();
    let sites = service.sites.unwrap();
    assert_eq!(sites.order, [site("tokyo"), site("osaka")]);
    assert_eq!(
        (sites.standby, sites.failover, sites.failback),
        (Standby::Active, Consent::Auto, Consent::Ask)
    );
    assert_eq!(sites.at[&site("osaka")].replicas, Some(1));
    assert_eq!(
        (sites.place(&site("osaka")), sites.place(&site("kyoto"))),
        (Some(1), None)
    );
}

#[test]
fn targets_are_the_files_or_what_is_asked_of_every_service() {
    let read = |more: &str| {
        let text = format!("command = [\"a\"]\nsites = [\"tokyo\"]\n{more}");
        let targets = library(&text).unwrap().sites.unwrap().targets;
        (targets.rto.as_secs(), targets.rpo.as_secs())
    };
    assert_eq!(read(""), (300, 86_400));
    assert_eq!(read("rto = \"20s\"\nrpo = \"1h\"\n"), (20, 3_600));
}

#[test]
fn what_is_wrong_with_an_order_says_what_to_do() {
    for (text, problem) in [
        ("sites = []", "got an empty list"),
        ("sites = [\"Tokyo\"]", "is not a name"),
        ("standby = \"warm\"", "says nothing without `sites`"),
        (
            "sites = [\"a\"]\nstandby = \"warn\"",
            "did you mean \"warm\"?",
        ),
        (
            "sites = [\"a\"]\nstandby = \"colt\"",
            "did you mean \"cold\"?",
        ),
        (
            "sites = [\"a\"]\nfailover = \"never\"",
            "one of \"auto\", \"ask\"",
        ),
        (
            "sites = [\"a\"]\n[at.b]\nreplicas = 1",
            "is none of `sites`",
        ),
        ("sites = [\"a\"]\n[at.a]\nreplicas = 0", "from 1 to 1000"),
        ("[switch]\nsync = \"copy\"", "says nothing without `sites`"),
        (
            "sites = [\"a\"]\n[switch]\nsync = \"/bin/sh\"",
            "is not a name",
        ),
        (
            "sites = [\"a\"]\n[switch]\nsink = \"copy\"",
            "did you mean `sync`?",
        ),
        (
            "sites = [\"a\"]\nfailover = \"auto\"\n[switch]\nsync = \"copy\"",
            "failover: must be \"ask\"",
        ),
        (
            "sites = [\"a\"]\nfailback = \"auto\"\n[switch]\nsync = \"copy\"",
            "failback: must be \"ask\"",
        ),
        (
            "sites = [\"a\"]\nstandby = \"active\"\n[switch]\nsync = \"copy\"",
            "only the site that has the data",
        ),
        ("rto = \"5m\"", "says nothing without `sites`"),
        ("sites = [\"a\"]\nrpo = \"0s\"", "from 1s to"),
    ] {
        let problems = library(&format!("command = [\"a\"]\n{text}\n")).unwrap_err();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(
            texts.iter().any(|it| it.contains(problem)),
            "{text}: {texts:?}"
        );
    }
}

#[test]
fn what_a_command_copies_moves_by_a_persons_word_alone() {
    let text = "command = [\"a\"]\nsites = [\"tokyo\", \"osaka\"]\n[switch]\nsync = \"copy\"\n";
    let sites = library(text).unwrap().sites.unwrap();
    assert_eq!(sites.sync.unwrap().as_str(), "copy");
    assert_eq!(
        (sites.failover, sites.failback),
        (Consent::Ask, Consent::Ask)
    );
    let text = "command = [\"a\"]\nsites = [\"tokyo\", \"osaka\"]\n[switch]\n";
    let sites = library(text).unwrap().sites.unwrap();
    assert_eq!((sites.sync, sites.failover), (None, Consent::Auto));
}

#[test]
fn commands_that_services_may_ask_for_stand_in_the_settings_of_the_machine() {
    let text = "[hooks.run.copy]\ncommand = [\"/usr/bin/rsync\", \"-a\"]\ntimeout = \"8s\"\nestimate = [\"/bin/estimate\"]\n[hooks.run.plain]\ncommand = [\"/bin/true\"]\n";
    let run = minato(text).unwrap().hooks.run;
    let copy = &run[&crate::HookName::parse("copy").unwrap()];
    assert_eq!(copy.command, ["/usr/bin/rsync", "-a"]);
    assert_eq!(copy.timeout.as_secs(), 8);
    assert_eq!(
        copy.estimate.as_deref(),
        Some(["/bin/estimate".to_owned()].as_slice())
    );
    let plain = &run[&crate::HookName::parse("plain").unwrap()];
    assert_eq!((plain.timeout.as_secs(), &plain.estimate), (60, &None));
    for (text, problem) in [
        ("[hooks.run.copy]\ntimeout = \"8s\"", "needs `command`"),
        ("[hooks.run.copy]\ncommand = [\"rsync\"]", "absolute path"),
        (
            "[hooks.run.copy]\ncommand = [\"/a\"]\ntimeout = \"2h\"",
            "timeout",
        ),
        ("[hooks.run.Copy]\ncommand = [\"/a\"]", "is not a name"),
        (
            "[hooks.run.copy]\ncomand = [\"/a\"]",
            "did you mean `command`?",
        ),
        (
            "[hooks]\ncommand = [\"/a\"]",
            "did you mean `run.NAME.command`?",
        ),
    ] {
        let texts: Vec<String> = minato(text)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            texts.iter().any(|it| it.contains(problem)),
            "{text}: {texts:?}"
        );
    }
}
