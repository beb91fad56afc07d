//! Files that change under a running gateway, files that are wrong, and certificates that somebody else made.

use crate::stage::{Clock, DAY, Root, START, connect, gateway, open, site};
use minato_link::{Fault, Identity, Moment, News, Source, describe, peer_site};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// What is said of the identity of tokyo in `folder`.
fn fault(folder: &Path, now: Moment) -> String {
    let identity = gateway("tokyo", folder.to_owned(), &Clock::at(now));
    assert!(identity.server().is_none());
    identity.standing().fault.unwrap().to_string()
}

#[track_caller]
fn check(change: impl FnOnce(&Root, &Path), expected: &str) {
    let root = Root::new();
    let folder = root.issue("tokyo");
    change(&root, &folder);
    let told = fault(&folder, START);
    assert!(told.contains(expected), "{told}");
    assert!(
        told.contains(folder.to_str().unwrap()),
        "no file is named: {told}"
    );
}

#[test]
fn what_is_wrong_is_named_with_its_file_and_remedy() {
    check(
        |_, it| fs::remove_file(it.join("site.key")).unwrap(),
        "site.key cannot be read",
    );
    check(
        |_, it| fs::remove_file(it.join("authority.crt")).unwrap(),
        "authority.crt cannot be read",
    );
    check(
        |_, it| fs::write(it.join("site.crt"), "hello").unwrap(),
        "site.crt holds no certificate",
    );
    check(
        |_, it| fs::write(it.join("site.key"), "").unwrap(),
        "site.key holds no private key",
    );
    check(
        |_, it| fs::write(it.join("site.crt"), vec![b'x'; 2 << 20]).unwrap(),
        "longer than 1 MiB",
    );
    check(
        |root, it| {
            fs::copy(root.issue("osaka").join("site.key"), it.join("site.key")).unwrap();
        },
        "is not the private key of",
    );
    check(
        |_, it| {
            fs::copy(
                Root::new().issue("tokyo").join("authority.crt"),
                it.join("authority.crt"),
            )
            .unwrap();
        },
        "was not signed by",
    );
    check(
        |root, it| {
            let osaka = root.issue("osaka");
            for file in ["site.crt", "site.key"] {
                fs::copy(osaka.join(file), it.join(file)).unwrap();
            }
        },
        "cannot speak for site `tokyo`: it was issued for another site",
    );
}

#[test]
fn the_wrong_time_is_named() {
    let root = Root::new();
    let folder = root.issue("tokyo");
    let told = fault(&folder, START.before(DAY));
    assert!(
        told.contains("authority.crt is valid from 2026-05-31 23:00:00 UTC on"),
        "{told}"
    );
    assert!(
        told.contains("the clock here, or where it was made, is wrong"),
        "{told}"
    );
    let told = fault(&folder, START.after(DAY * 401));
    assert!(told.contains("site.crt ended at 2027-07-06"), "{told}");
}

#[test]
fn a_bad_file_is_named_once_and_the_old_one_goes_on() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let folder = root.issue("tokyo");
    let tokyo = gateway("tokyo", folder.clone(), &clock);
    let osaka = gateway("osaka", root.issue("osaka"), &clock);
    let good = fs::read(folder.join("site.crt")).unwrap();
    fs::write(folder.join("site.crt"), "half of a fi").unwrap();
    // It may be half of a change for as long as 5 s.
    assert_eq!(tokyo.look(), []);
    clock.set(Moment(START.0 + 6));
    let news = tokyo.look();
    assert!(
        matches!(
            &news[..],
            [News::Broken {
                fault: Fault::Malformed { .. },
                keeps_old: true
            }]
        ),
        "{news:?}"
    );
    assert_eq!(tokyo.look(), []);
    connect(&tokyo, &osaka, "osaka").unwrap();
    let text = tokyo.standing().trouble(START).unwrap();
    assert!(text.contains("the certificates of before go on"), "{text}");
    fs::write(folder.join("site.crt"), good).unwrap();
    assert!(matches!(tokyo.look()[..], [News::Loaded { .. }]));
    assert_eq!(tokyo.standing().trouble(START), None);
}

#[test]
fn one_root_follows_another_without_a_break() {
    let clock = Clock::at(START);
    let (one, two) = (Root::new(), Root::new());
    let (tokyo_folder, osaka_folder) = (one.issue("tokyo"), one.issue("osaka"));
    let tokyo = gateway("tokyo", tokyo_folder.clone(), &clock);
    let osaka = gateway("osaka", osaka_folder.clone(), &clock);
    let read = |it: &Root| fs::read_to_string(it.path().join("authority.crt")).unwrap();
    let both = read(&one) + &read(&two);
    for folder in [&tokyo_folder, &osaka_folder] {
        fs::write(folder.join("authority.crt"), &both).unwrap();
    }
    tokyo.look();
    osaka.look();
    connect(&tokyo, &osaka, "osaka").unwrap();
    let new = two.issue("tokyo");
    for file in ["site.crt", "site.key"] {
        fs::copy(new.join(file), tokyo_folder.join(file)).unwrap();
    }
    assert!(matches!(tokyo.look()[..], [News::Loaded { .. }]));
    connect(&tokyo, &osaka, "osaka").unwrap();
    connect(&osaka, &tokyo, "tokyo").unwrap();
}

/// Certificates of an authority that knows nothing of minato.
fn given(folder: &Path, name: &str, names: &[&str]) -> Source {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "our own");
    let file = folder.join("ca.key");
    let key = match fs::read_to_string(&file) {
        Ok(text) => KeyPair::from_pem(&text).unwrap(),
        Err(_) => KeyPair::generate().unwrap(),
    };
    fs::write(&file, key.serialize_pem()).unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
    let own = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_after = rcgen::date_time_ymd(2026, 7, 1);
    let certificate = params.signed_by(&own, &issuer).unwrap();
    let file = |ending: &str| folder.join(format!("{name}.{ending}"));
    fs::write(file("ca"), authority.pem()).unwrap();
    fs::write(file("crt"), certificate.pem()).unwrap();
    fs::write(file("key"), own.serialize_pem()).unwrap();
    Source::Given {
        authority: file("ca"),
        certificate: file("crt"),
        key: file("key"),
    }
}

#[test]
fn given_certificates_work_the_same_and_are_followed() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let folder = root.folder.path();
    let tokyo = open(
        "tokyo",
        given(folder, "t", &["gw1.tokyo.minato.internal"]),
        &clock,
    );
    let osaka = open(
        "osaka",
        given(folder, "o", &["gw1.osaka.minato.internal"]),
        &clock,
    );
    let (client, _) = connect(&tokyo, &osaka, "osaka").unwrap();
    assert_eq!(peer_site(client.peer_certificates()), Ok(site("osaka")));
    assert_eq!(osaka.standing().site, None);
    // Sixteen days before its end, and fourteen.
    assert_eq!(osaka.standing().trouble(START.after(DAY * 14)), None);
    let text = osaka.standing().trouble(START.after(DAY * 16)).unwrap();
    assert!(text.contains("replace it"), "{text}");
    given(folder, "o", &["gw7.osaka.minato.internal"]);
    assert!(matches!(osaka.look()[..], [News::Loaded { .. }]));
    let (new, _) = connect(&tokyo, &osaka, "osaka").unwrap();
    assert_ne!(
        new.peer_certificates().unwrap()[0],
        client.peer_certificates().unwrap()[0]
    );
}

#[test]
fn a_given_certificate_is_for_this_site_alone() {
    let root = Root::new();
    let folder = root.folder.path();
    let now = Clock::at(START);
    let told = |names: &[&str]| {
        let identity: Arc<Identity> = open("tokyo", given(folder, "t", names), &now);
        identity
            .standing()
            .fault
            .map(|it| it.to_string())
            .unwrap_or_default()
    };
    assert_eq!(told(&["gw1.tokyo.minato.internal"]), "");
    let text = told(&["gw1.osaka.minato.internal"]);
    assert!(text.contains("cannot speak for site `tokyo`"), "{text}");
    let text = told(&["gw1.osaka.minato.internal", "gw1.tokyo.minato.internal"]);
    assert!(text.contains("at once"), "{text}");
    let text = told(&["gw.example.org"]);
    assert!(text.contains("no name like"), "{text}");
}

#[test]
fn a_link_to_the_own_folder_tells_what_it_is() {
    let root = Root::new();
    let folder = root.issue("tokyo");
    let lines = describe(&folder, START).unwrap();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1].names, ["tokyo.minato.internal"]);
    assert!(
        lines[1]
            .verdict
            .as_ref()
            .unwrap()
            .contains("gateways of tokyo are believed")
    );
    let lines = describe(&root.path(), START).unwrap();
    assert!(lines[0].verdict.as_ref().unwrap().contains("can sign"));
    fs::copy(
        Root::new().issue("tokyo").join("site.key"),
        folder.join("site.key"),
    )
    .unwrap();
    let lines = describe(&folder, START).unwrap();
    assert!(
        lines[1]
            .verdict
            .as_ref()
            .unwrap_err()
            .contains("is not the private key of")
    );
    assert!(describe(Path::new("/nowhere"), START).is_err());
}

#[test]
fn a_key_that_others_can_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let (root, clock) = (Root::new(), Clock::at(START));
    let folder = root.issue("tokyo");
    let tokyo = gateway("tokyo", folder.clone(), &clock);
    let file = folder.join("site.key");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let news = tokyo.look();
    assert!(
        news.contains(&News::Exposed { file, mode: 0o644 }),
        "{news:?}"
    );
}
