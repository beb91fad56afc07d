//! What `minato check` says of the files that links need.

use super::Cloud;
use crate::support::site::text;
use crate::support::tls::{Authority, Time};
use std::fs;

/// Exit code and output of `minato check` at `cloud`.
fn check(cloud: &Cloud) -> (Option<i32>, String) {
    let settings = cloud.site.settings().display().to_string();
    let output = cloud.site.cli(&["check", "--config", &settings]);
    (output.status.code(), text(&output.stdout))
}

#[test]
fn files_that_would_make_no_link_are_found_before_they_are_used() {
    let authority = Authority::new("sites");
    let (tokyo, osaka) = (
        Cloud::new("tokyo", &authority, "tokyo"),
        Cloud::new("osaka", &authority, "osaka"),
    );
    tokyo.knows(&osaka);
    let (code, said) = check(&tokyo);
    assert_eq!(code, Some(0), "{said}");
    let at = |name: &str| tokyo.site.path(name);
    let good = ["authority.crt", "link.crt", "link.key"].map(|it| fs::read(at(it)).unwrap());
    let restore = || {
        for (name, bytes) in ["authority.crt", "link.crt", "link.key"].iter().zip(&good) {
            fs::write(at(name), bytes).unwrap();
        }
    };
    let folder = at("");
    let signed = |of: &Authority, name: &str, time: Time| of.sign(&[name], time);
    let own = "here.tokyo.minato.internal";
    let cases: [(&str, &dyn Fn(), &str); 5] = [
        (
            "missing",
            &|| fs::remove_file(at("link.crt")).unwrap(),
            "link.crt",
        ),
        (
            "over",
            &|| signed(&authority, own, Time::Over).write(&folder, "link"),
            "ended at",
        ),
        (
            "of another site",
            &|| signed(&authority, "here.osaka.minato.internal", Time::Now).write(&folder, "link"),
            "osaka",
        ),
        (
            "of another authority",
            &|| signed(&Authority::new("stranger"), own, Time::Now).write(&folder, "link"),
            "not signed by",
        ),
        (
            "a key of another certificate",
            &|| {
                signed(&authority, own, Time::Now).write(&folder, "other");
                fs::copy(at("other.key"), at("link.key")).unwrap();
            },
            "link.key",
        ),
    ];
    for (what, spoil, words) in cases {
        restore();
        spoil();
        let (code, said) = check(&tokyo);
        assert_eq!(code, Some(3), "{what}: {said}");
        assert!(
            said.contains("link.identity") && said.contains(words),
            "{what}: {said}"
        );
    }
    restore();
    assert_eq!(check(&tokyo).0, Some(0));
}
