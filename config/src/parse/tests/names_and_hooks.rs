//! `[entrance]`: what is wrong is named with its line and its key, all of it at once, and says what to do.

use super::*;
use crate::{EntranceName, Follow, HookTarget, KeyAlgorithm};
use std::path::PathBuf;

/// A name that is right.
const WEB: &str = "[entrance.dns.web]
server = \"192.0.2.53:53\"
zone = \"example.org\"
name = \"www.example.org\"
key = { name = \"tokyo\", secret_file = \"dns.key\" }
addresses = [\"203.0.113.10\"]
";
const CDN: &str = "[entrance.hook.cdn]\nwebhook = \"https://hooks.example.org/minato\"\n";
const SITES: &str = "[sites.osaka]\ngateways = [\"gw:1\"]\n[link]\nidentity = \"/i\"\n";

/// Each problem as `LINE KEY: words`, in the order of the file.
#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let problems = minato(text).expect_err(text);
    let told = told(&problems);
    let fits = |(said, (place, words)): (&String, &(&str, &str))| {
        said.starts_with(&format!("minato.toml:{place}: ")) && said.contains(words)
    };
    assert!(
        told.len() == expected.len() && told.iter().zip(expected).all(fits),
        "{text}\n{told:#?}"
    );
}

/// The right name with one line in place of another.
#[track_caller]
fn web(old: &str, new: &str, expected: &[(&str, &str)]) {
    assert!(WEB.contains(old), "{old}");
    check(&WEB.replace(old, new), expected);
}

#[test]
fn what_is_right_is_taken_as_it_is_meant() {
    let all = format!(
        "[entrance]\nlisten = [\"127.0.0.1:7071\"]\ndrain = \"20s\"\n{}ttl = \"5m\"\nfollow = \"site\"\n{CDN}follow = \"gateway\"\n{SITES}",
        WEB.replace("dns.key\"", "dns.key\", algorithm = \"hmac-sha512\"")
    );
    let settings = parse_settings(Path::new("/etc/minato/minato.toml"), &all).unwrap();
    let web = &settings.entrance.dns[&EntranceName::parse("web").unwrap()];
    assert_eq!(web.follow, Follow::Site);
    assert_eq!(web.key.algorithm, KeyAlgorithm::HmacSha512);
    assert_eq!(web.key.secret_file, PathBuf::from("/etc/minato/dns.key"));
    assert_eq!(web.ttl.as_secs(), 300);
    let cdn = &settings.entrance.hooks[&EntranceName::parse("cdn").unwrap()];
    assert!(matches!(cdn.to, HookTarget::Webhook { .. }), "{cdn:?}");
    assert_eq!(cdn.follow, Follow::Gateway);
    let settings = minato(WEB).unwrap();
    let web = settings.entrance.dns.values().next().unwrap();
    assert_eq!((web.follow, web.ttl.as_secs()), (Follow::Nobody, 5));
}

#[test]
fn the_table_itself() {
    for (text, place, words) in [
        ("entrance = 1", "1: entrance", "[entrance]"),
        (
            "[entrance]\nlistn = []",
            "2: entrance.listn",
            "did you mean `listen`?",
        ),
        (
            "[entrance]\ncolour = 1",
            "2: entrance.colour",
            "known here: listen, drain, dns, hook",
        ),
        (
            "[entrance]\nserver = \"192.0.2.53:53\"",
            "2: entrance.server",
            "did you mean `dns.NAME.server`?",
        ),
        (
            "[entrance]\nwebhook = \"https://a\"",
            "2: entrance.webhook",
            "did you mean `hook.NAME.webhook`?",
        ),
        (
            "[entrance]\nlisten = \"127.0.0.1:7071\"",
            "2: entrance.listen",
            "a list of addresses, like [\"127.0.0.1:7071\"]",
        ),
        (
            "[entrance]\nlisten = [\"7071\"]",
            "2: entrance.listen[0]",
            "must be",
        ),
        (
            "[entrance]\nlisten = [\"[::]:7071\", \"[::1]:7071\"]",
            "2: entrance.listen[1]",
            "overlaps with [::]:7071",
        ),
        (
            "[entrance]\nlisten = [\"127.0.0.1:8080\"]",
            "2: entrance.listen",
            "a listener of the gateway as well",
        ),
        (
            "[entrance]\nlisten = [\"127.0.0.1:7070\"]",
            "2: entrance.listen",
            "the admin's as well",
        ),
        (
            "[entrance]\nlisten = [\"127.0.0.1:20000\"]",
            "2: entrance.listen",
            "lies in [agent] ports",
        ),
        ("[entrance]\ndrain = \"11m\"", "2: entrance.drain", "10m"),
        ("[entrance]\ndrain = 10", "2: entrance.drain", "\"10s\""),
        (
            "[entrance]\ndns = []",
            "2: entrance.dns",
            "tables, written [entrance.dns.NAME]",
        ),
        (
            "[entrance.dns]\nserver = \"192.0.2.53:53\"",
            "2: entrance.dns.server",
            "tables, written [entrance.dns.NAME]",
        ),
        (
            "[entrance.hook]\ncommand = \"/bin/true\"",
            "2: entrance.hook.command",
            "tables, written [entrance.hook.NAME]",
        ),
    ] {
        check(text, &[(place, words)]);
    }
    let roles = "roles = [\"control\"]\n";
    check(
        &format!("{roles}[entrance]\nlisten = [\"127.0.0.1:7071\"]\n{WEB}{CDN}"),
        &[
            ("3: entrance.listen", "add the role to `roles`"),
            ("4: entrance.dns", "add the role to `roles`"),
            ("10: entrance.hook", "add the role to `roles`"),
        ],
    );
}

#[test]
fn a_name_needs_to_know_where_what_and_by_which_key() {
    check(
        "[entrance.dns.web]\n",
        &[
            ("1: entrance.dns.web", "needs `server`"),
            ("1: entrance.dns.web", "needs `zone`"),
            ("1: entrance.dns.web", "needs `name`"),
            ("1: entrance.dns.web", "needs `key`"),
            ("1: entrance.dns.web", "needs `addresses`"),
        ],
    );
    web("dns.web]", "dns.Web]", &[("1: entrance.dns.Web", "")]);
    web(
        "zone =",
        "zones =",
        &[
            ("1: entrance.dns.web", "needs `zone`"),
            ("3: entrance.dns.web.zones", "did you mean `zone`?"),
        ],
    );
    let server = "\"192.0.2.53:53\"";
    for wrong in [
        "\"192.0.2.53\"",
        "\"ns.example.org:53\"",
        "53",
        "\"192.0.2.53:0\"",
    ] {
        web(server, wrong, &[("2: entrance.dns.web.server", "must")]);
    }
    web(
        server,
        "[]",
        &[("2: entrance.dns.web.server", "or a list of up to 4")],
    );
    web(
        server,
        "[\"192.0.2.53:53\", \"192.0.2.53:53\"]",
        &[("2: entrance.dns.web.server[1]", "stands here already")],
    );
    // The name lies elsewhere than the zone.
    for wrong in ["www.example.com", "example.org.uk", "wwwexample.org"] {
        let place = "4: entrance.dns.web.name";
        web(
            "www.example.org",
            wrong,
            &[(place, "must lie in `zone`, like \"www.example.org\"")],
        );
    }
    web(
        "www.example.org",
        "www..example.org",
        &[("4: entrance.dns.web.name", "a name of the DNS")],
    );
    web(
        "zone = \"example.org\"",
        "zone = \"*\"",
        &[("3: entrance.dns.web.zone", "a name of the DNS")],
    );
    for wrong in ["[\"0.0.0.0\"]", "[\"gw.example.org\"]", "[\"224.0.0.1\"]"] {
        let place = "6: entrance.dns.web.addresses[0]";
        web(
            "[\"203.0.113.10\"]",
            wrong,
            &[(place, "an address that visitors can reach")],
        );
    }
    web(
        "[\"203.0.113.10\"]",
        "[]",
        &[(
            "6: entrance.dns.web.addresses",
            "a list of addresses of this site",
        )],
    );
    let after = |line: &str| format!("{WEB}{line}\n");
    check(&after("ttl = \"0s\""), &[("7: entrance.dns.web.ttl", "1s")]);
    check(&after("ttl = \"2d\""), &[("7: entrance.dns.web.ttl", "")]);
    check(
        &after("addreses = []"),
        &[("7: entrance.dns.web.addreses", "did you mean `addresses`?")],
    );
    check(
        &after("secret_file = \"/k\""),
        &[(
            "7: entrance.dns.web.secret_file",
            "did you mean `key.secret_file`?",
        )],
    );
}

#[test]
fn a_key_needs_a_name_and_a_file() {
    let key = "{ name = \"tokyo\", secret_file = \"dns.key\" }";
    let at = |below: &str| format!("5: entrance.dns.web.key{below}");
    web(
        key,
        "\"dns.key\"",
        &[(&at(""), "a table, like { name = \"tokyo\", secret_file =")],
    );
    web(
        key,
        "{}",
        &[(&at(""), "needs `name`"), (&at(""), "needs `secret_file`")],
    );
    web(
        key,
        "{ name = \"tokyo\", secret = \"bWlu\" }",
        &[
            (&at(".secret"), "known here: name, algorithm, secret_file"),
            (&at(""), "needs `secret_file`"),
        ],
    );
    web("\"dns.key\"", "\"\"", &[(&at(".secret_file"), "a path")]);
    web(
        "\"tokyo\"",
        "\"to kyo\"",
        &[(&at(".name"), "a name of the DNS")],
    );
    for wrong in ["\"hmac-md5\"", "\"HMAC-SHA256\"", "256"] {
        let with = format!("\"tokyo\", algorithm = {wrong}");
        web(
            "\"tokyo\"",
            &with,
            &[(
                &at(".algorithm"),
                "\"hmac-sha256\", \"hmac-sha384\" or \"hmac-sha512\"",
            )],
        );
    }
}

#[test]
fn a_name_is_written_by_one_alone() {
    let other = WEB.replace("dns.web", "dns.www");
    check(
        &format!("{WEB}{other}"),
        &[(
            "10: entrance.dns.www.name",
            "www.example.org is written by [entrance.dns.web] at the same server already",
        )],
    );
    // One of several servers is the same; case and the last dot say nothing.
    let listed = other
        .replace(
            "\"192.0.2.53:53\"",
            "[\"192.0.2.54:53\", \"192.0.2.53:53\"]",
        )
        .replace("www.example.org", "WWW.example.org.");
    check(
        &format!("{WEB}{listed}"),
        &[("10: entrance.dns.www.name", "is written by")],
    );
    // What people inside are told is another server's.
    minato(&format!("{WEB}{}", other.replace("2.53", "2.54"))).unwrap();
    minato(&format!("{WEB}{}", other.replace("www.ex", "web.ex"))).unwrap();
    web(
        "www.example.org",
        "_minato.www.example.org",
        &[(
            "4: entrance.dns.web.name",
            "must not begin with `_minato.`, where the claims",
        )],
    );
}

#[test]
fn what_is_followed() {
    let after = |text: &str, line: &str| format!("{text}{line}\n");
    let at = "7: entrance.dns.web.follow";
    check(
        &after(WEB, "follow = \"sites\""),
        &[(at, "did you mean \"site\"?")],
    );
    check(
        &after(WEB, "follow = \"leader\""),
        &[(at, "\"site\", \"gateway\" or \"none\"")],
    );
    check(&after(WEB, "follow = true"), &[(at, "must be")]);
    // Nobody else is known.
    check(
        &after(WEB, "follow = \"site\""),
        &[(at, "add [sites.NAME] and [link]")],
    );
    check(
        &after(WEB, "follow = \"site\"\n[sites]"),
        &[(at, "add [sites.NAME] and [link]")],
    );
    minato(&format!("{WEB}follow = \"site\"\n{SITES}")).unwrap();
    let of_hook = "3: entrance.hook.cdn.follow";
    check(
        &after(CDN, "follow = \"gatway\""),
        &[(of_hook, "did you mean \"gateway\"?")],
    );
    check(
        &format!("{CDN}follow = \"site\"\n{SITES}"),
        &[(of_hook, "which only a name of [entrance.dns] has")],
    );
}

#[test]
fn a_hook_tells_one_and_only_safely() {
    let hook = |lines: &str| format!("[entrance.hook.cdn]\n{lines}\n");
    for (lines, place, words) in [
        ("", "1: entrance.hook.cdn", "needs `command` or `webhook`"),
        (
            "command = [\"/bin/true\"]\nwebhook = \"https://a\"",
            "1: entrance.hook.cdn",
            "write one [entrance.hook.NAME] for each",
        ),
        (
            "command = \"/bin/true\"",
            "2: entrance.hook.cdn.command",
            "must be",
        ),
        (
            "command = [\"true\"]",
            "2: entrance.hook.cdn.command[0]",
            "",
        ),
        (
            "webhook = \"http://hooks.example.org\"",
            "2: entrance.hook.cdn.webhook",
            "plain http only to a loopback address",
        ),
        (
            "webhook = \"ftp://hooks.example.org\"",
            "2: entrance.hook.cdn.webhook",
            "a URL, like",
        ),
        (
            "webhook = \"https://alice:secret@hooks.example.org\"",
            "2: entrance.hook.cdn.webhook",
            "a token goes into the file that `token_file` names",
        ),
        (
            "command = [\"/bin/true\"]\ntoken_file = \"/t\"",
            "3: entrance.hook.cdn.token_file",
            "does nothing without `webhook`",
        ),
        (
            "command = [\"/bin/true\"]\nca = \"/t\"",
            "3: entrance.hook.cdn.ca",
            "does nothing without `webhook`",
        ),
        (
            "command = [\"/bin/true\"]\ntimeout = \"0s\"",
            "3: entrance.hook.cdn.timeout",
            "1s",
        ),
        (
            "command = [\"/bin/true\"]\ntoken = \"abc\"",
            "3: entrance.hook.cdn.token",
            "unknown key",
        ),
    ] {
        check(&hook(lines), &[(place, words)]);
    }
    let problems = minato(&hook("webhook = \"https://alice:secret@a\"")).unwrap_err();
    assert!(
        !told(&problems).join(" ").contains("secret@"),
        "{problems:?}"
    );
    // Commands name what they mean.
    check(
        &format!("{WEB}{}", CDN.replace("cdn", "web")),
        &[(
            "7: entrance.hook",
            "is the name of an [entrance.dns.web] as well",
        )],
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = "roles = [\"gateway\"]
[entrance]
drain = \"1h\"
[entrance.dns.web]
server = \"ns\"
zone = \"example.org\"
name = \"www.example.com\"
key = { name = \"tokyo\", algorithm = \"md5\" }
addresses = [\"nowhere\"]
follow = \"me\"
[entrance.hook.cdn]
timeout = \"1h\"
";
    check(
        text,
        &[
            ("3: entrance.drain", "10m"),
            ("5: entrance.dns.web.server", ""),
            ("7: entrance.dns.web.name", "must lie in `zone`"),
            ("8: entrance.dns.web.key.algorithm", "hmac-sha256"),
            ("8: entrance.dns.web.key", "needs `secret_file`"),
            (
                "9: entrance.dns.web.addresses[0]",
                "an address that visitors can reach",
            ),
            ("10: entrance.dns.web.follow", "\"site\""),
            ("11: entrance.hook.cdn", "needs `command` or `webhook`"),
            ("12: entrance.hook.cdn.timeout", "10m"),
        ],
    );
}
