//! A site that is smaller than the one that serves: it grows before it is moved to.

use super::{has_moved, refused, until_operation};
use crate::links::Cloud;
use crate::support::clock::until;
use crate::support::processes::{beside, python};
use crate::support::site::PATIENT;
use crate::support::tls::Authority;

/// Tokyo, where a person has asked for three instances, and osaka with one; each may have up to `max`.
fn pair(max: u16) -> (Cloud, Cloud) {
    let authority = Authority::new("sites");
    let mut tokyo = Cloud::new("tokyo", &authority, "tokyo");
    let mut osaka = Cloud::new("osaka", &authority, "osaka");
    tokyo.knows(&osaka);
    osaka.knows(&tokyo);
    let file = format!(
        "command = [\"{}\", \"{}\", \"{{port}}\", \"ledger\"]\nroutes = [\"*\"]\nreplicas = {{ min = 1, max = {max}, in_flight = 40 }}\nsites = [\"tokyo\", \"osaka\"]\nstop = {{ drain = \"2s\", grace = \"1s\" }}\n{}",
        python(),
        beside("service.py").display(),
        PATIENT.of("path = \"/healthz\"")
    );
    tokyo.site.write("app", &file);
    tokyo.site.start();
    osaka.site.start();
    tokyo.until_told(&["link to osaka is up"]);
    osaka.until_told(&["link to tokyo is up"]);
    osaka.site.wait_ok("app", 1);
    (tokyo, osaka)
}

#[test]
fn more_instances_are_asked_for_before_it_moves() {
    let (tokyo, osaka) = pair(3);
    tokyo.site.type_in(&["scale", "app", "3"]);
    tokyo.site.wait_ok("app", 3);
    let words = ["switch", "--to", "osaka", "app", "--quiet", "0s"];
    // What would be done is told before.
    until("osaka to hear of three", || {
        let output = osaka
            .site
            .type_in_any(&[&words[..], &["--dry-run"]].concat());
        output
            .contains("1 of 3 up at osaka (2 more are asked for first), 3 wanted at tokyo: 100%")
            .then_some(())
    });
    assert_eq!(
        osaka.site.service("app")["up"],
        1,
        "a dry run changes nothing"
    );
    osaka.site.type_in(&[&words[..], &["--no-wait"]].concat());
    let moved = until_operation(&osaka, 1, "moved or over", |it| {
        has_moved(it) || it["ended"] == true
    });
    assert!(has_moved(&moved), "{moved}");
    let status = osaka.site.service("app");
    assert_eq!(status["up"], 3, "{status}");
    let events = osaka.site.events();
    let when = |words: &str| {
        let event = events.iter().find(|it| it.message.contains(words));
        event
            .unwrap_or_else(|| panic!("no {words} in {events:?}"))
            .seq
    };
    let grown = when("3 instances in place of 1: 3 are asked for before it moves here");
    assert!(grown < when("osaka comes first"));
}

#[test]
fn what_its_file_does_not_allow_is_refused_with_the_figure() {
    let (tokyo, osaka) = pair(4);
    tokyo.site.type_in(&["scale", "app", "4"]);
    tokyo.site.wait_ok("app", 4);
    // A number of its own there is one that does not follow the load.
    let file = std::fs::read_to_string(tokyo.site.service_file("app")).unwrap();
    let file = format!("{file}\n[at.osaka]\nreplicas = 1\n");
    tokyo.site.write("app", &file);
    let words = ["switch", "--to", "osaka", "app", "--quiet", "0s"];
    let figure = "1 of 1 up at osaka, 4 wanted at tokyo: 35%";
    until("osaka to hear of it", || {
        let printed = osaka
            .site
            .type_in_any(&[&words[..], &["--dry-run"]].concat());
        printed.contains(figure).then_some(())
    });
    refused(&osaka.site.cli(&words), &[figure, "--accept-overload"]);
}
