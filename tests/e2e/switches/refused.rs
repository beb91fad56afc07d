//! What cannot work is refused, with the check that fails and its figure; of two operators one is first.

use super::{Pair, instance, number, refused};
use crate::support::site::text;

#[test]
fn a_switch_that_cannot_work_is_refused_with_the_figure() {
    let pair = Pair::start(&["shared"], "");
    let (tokyo, osaka) = (&pair.tokyo.site, &pair.osaka.site);
    refused(
        &tokyo.cli(&["switch", "--to", "kyoto"]),
        &["there is no site kyoto", "which knows osaka"],
    );
    refused(
        &tokyo.cli(&["switch", "--to", "tokyo"]),
        &["nothing to move to tokyo"],
    );
    refused(
        &tokyo.cli(&["switch", "--to", "osaka", "nothing"]),
        &["osaka: no service is called `nothing`"],
    );
    for (at, words) in [
        (&["--at", "2030-01-01 08:00"][..], "has no time zone"),
        (&["--at", "2020-01-01 08:00 UTC"], "is in the past"),
        (&["--at", "2026-02-30 08:00 UTC"], "is no date and time"),
    ] {
        let typed = [&["switch", "--to", "osaka"], at].concat();
        refused(&tokyo.cli(&typed), &[words]);
        refused(&osaka.cli(&typed), &[words]);
    }
    refused(
        &osaka.cli(&["failover", "--to", "osaka"]),
        &["tokyo is heard", "minato switch --to osaka"],
    );
    // Tokyo grows to three.
    let more = [instance("tokyo"), instance("tokyo"), instance("tokyo")];
    let here = [instance("osaka")];
    let (more, here): (Vec<_>, Vec<_>) = (more.iter().collect(), here.iter().collect());
    pair.write("shared", &more, &here, "");
    tokyo.wait_ok("shared", 3);
    let figure = "1 of 1 up at osaka, 3 wanted at tokyo: 46% of the work";
    // For a moment osaka's instance of before is up beside the one that the file names now.
    crate::support::clock::until("osaka to hear of it, and to have settled", || {
        let tried = osaka.cli(&["switch", "--to", "osaka", "--dry-run"]);
        let printed = text(&tried.stdout);
        let told = printed.contains("fails") && printed.contains(figure);
        (told && tried.status.code() == Some(3)).then_some(())
    });
    refused(
        &tokyo.cli(&["switch", "--to", "osaka"]),
        &[
            "osaka: 1 of",
            &format!("shared: capacity: {figure}"),
            "--accept-overload",
        ],
    );
    osaka.type_in(&["switch", "--to", "osaka", "--dry-run", "--accept-overload"]);
    // Nothing of it was begun.
    assert_eq!(osaka.type_in(&["operation", "list"]).lines().count(), 1);
    pair.until_serves("tokyo", "shared");
}

#[test]
fn a_site_that_is_not_heard_is_no_site_to_switch_from() {
    let mut pair = Pair::start(&["shared"], "failover = \"ask\"\n");
    pair.tokyo.site.crash();
    let tried = pair.osaka.site.cli(&["switch", "--to", "osaka"]);
    refused(
        &tried,
        &[
            "shared: link: tokyo is not heard",
            "minato failover --to osaka",
        ],
    );
}

#[test]
fn of_two_operators_at_once_one_wins_and_the_other_is_told_who() {
    let pair = Pair::start(&["shared"], "");
    let at = super::in_a_month();
    let typed = ["switch", "--to", "osaka", "--at", &at];
    let both = std::thread::scope(|scope| {
        let sites = [&pair.tokyo.site, &pair.osaka.site];
        let both = sites.map(|site| scope.spawn(move || site.cli(&typed)));
        both.map(|it| it.join().unwrap())
    });
    let won: Vec<bool> = both.iter().map(|it| it.status.success()).collect();
    assert_eq!(won.iter().filter(|it| **it).count(), 1, "{both:?}");
    let loser = both.iter().find(|it| !it.status.success()).unwrap();
    refused(
        loser,
        &[
            "operation 1, switch of shared to osaka by",
            "is scheduled",
            "and has shared",
        ],
    );
    // What overlaps with it is refused, and it can be ended from either side.
    let overlapping = pair
        .osaka
        .site
        .cli(&["wave", "--services", "shared", "--restart"]);
    assert_eq!(overlapping.status.code(), Some(3));
    let printed = pair
        .tokyo
        .site
        .type_in(&["operation", "abort", "1", "--site", "osaka"]);
    assert!(printed.contains("operation 1 is aborted"), "{printed}");
    let printed = pair
        .tokyo
        .site
        .type_in(&["switch", "--to", "osaka", "--quiet", "1s"]);
    assert_eq!(number(&printed), 2);
}
