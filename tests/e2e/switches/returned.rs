//! What goes back by itself, what is given up, and names that lead to the site that serves.

use super::{Pair, has_moved, number, operation, until_operation};
use crate::links::Cloud;
use crate::support::clock::until;
use std::fs;

#[test]
fn a_drill_goes_back_by_itself() {
    let pair = Pair::start(&["shared"], "");
    let printed = pair.tokyo.site.type_in(&[
        "drill",
        "--to",
        "osaka",
        "--for",
        "4s",
        "--quiet",
        "1s",
        "--no-wait",
    ]);
    assert!(
        printed.contains("drill of shared to osaka")
            && printed.contains("return of shared after operation 1"),
        "{printed}"
    );
    let first = number(&printed);
    until_operation(&pair.osaka, first, "moved", has_moved);
    pair.until_serves("osaka", "shared");
    let back = until_operation(&pair.osaka, first + 1, "done", |it| it["state"] == "done");
    assert_eq!(back["steps"][0]["state"], "done", "{back}");
    pair.until_serves("tokyo", "shared");
    let there = until_operation(&pair.tokyo, 1, "done", |it| it["state"] == "done");
    assert_eq!(
        there["who"].as_str().unwrap().matches(" at ").count(),
        1,
        "{there}"
    );
    // Asked for once, though it was asked again and again until it was known.
    let all = pair.tokyo.site.json("/v1/operations");
    assert_eq!(all["operations"].as_array().unwrap().len(), 1);
}

#[test]
fn a_switch_that_is_ended_before_the_move_leaves_everything_where_it_was() {
    let mut pair = Pair::start(&["shared"], "");
    // No instance of osaka is up any more: it waits for them.
    let (_of_tokyo, of_osaka) = pair.origins.remove(0);
    drop(of_osaka);
    until("osaka's instance to be down", || {
        let status = pair.osaka.site.service("shared");
        (status["up"] == 0).then_some(())
    });
    let printed = pair
        .osaka
        .site
        .type_in(&["switch", "--to", "osaka", "--no-wait"]);
    let id = number(&printed);
    until_operation(&pair.osaka, id, "warming", |it| {
        it["steps"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("0 of 1 up")
    });
    let shown = pair
        .osaka
        .site
        .type_in(&["operation", "show", &id.to_string()]);
    assert!(shown.contains("warm"), "{shown}");
    pair.until_serves("tokyo", "shared");
    let printed = pair
        .osaka
        .site
        .type_in(&["operation", "abort", &id.to_string()]);
    assert!(printed.contains("aborted"), "{printed}");
    let ended = operation(&pair.osaka, id);
    assert_eq!(ended["steps"][0]["state"], "skipped", "{ended}");
    pair.until_serves("tokyo", "shared");
}

/// Makes a gateway tell of the name `web` in a file.
fn with_name(cloud: &Cloud) -> std::path::PathBuf {
    let heard = cloud.site.path("heard");
    let script = format!("echo $MINATO_ACTION $MINATO_NAME >> {}", heard.display());
    let more = format!(
        "[entrance]\ndrain = \"0s\"\n[entrance.hook.web]\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\naddresses = [\"192.0.2.1\"]\n"
    );
    let text = fs::read_to_string(cloud.site.settings()).unwrap();
    fs::write(cloud.site.settings(), text + &more).unwrap();
    heard
}

#[test]
fn names_lead_to_the_site_that_serves_before_the_old_one_is_called_safe() {
    let mut pair = Pair::start(&["library", "shop"], "");
    let heard = with_name(&pair.osaka);
    pair.osaka.site.stop(rustix::process::Signal::TERM);
    pair.osaka.site.start();
    pair.tokyo.until_told(&["link to osaka is up"]);
    let told = || fs::read_to_string(&heard).unwrap_or_default();
    // A hook stands for the whole site: as long as something stays it is not told.
    pair.osaka
        .site
        .type_in(&["switch", "--to", "osaka", "library", "--quiet", "1s"]);
    assert!(!told().contains("publish"), "{}", told());
    let printed = pair
        .osaka
        .site
        .type_in(&["switch", "--to", "osaka", "--quiet", "1s"]);
    assert!(printed.contains("safe to power off"), "{printed}");
    assert!(told().contains("publish web"), "{}", told());
}
