//! Schedules whose time came while nobody led: told with what to type; nothing is moved late.

use super::{Pair, has_moved, number, until_operation};
use crate::support::clock::until;
use crate::support::site::text;
use std::process::Command;

/// When the schedules of this test come due, and how much later osaka is there again. Between them lies more than the 5 min that an
/// operation may begin late.
const DUE: &str = "+200 seconds";
const LATER: &str = "+600s";

/// A program that reads the clock so much later, before its arguments; why there is none.
fn later(program: &str) -> Result<Command, &'static str> {
    let mut faketime = Command::new("faketime");
    let found = faketime.args(["-f", LATER, "printenv", "LD_PRELOAD"]);
    let found = found
        .output()
        .map_err(|_| "no faketime: apt-get install faketime")?;
    let mut command = Command::new(program);
    command
        .env("LD_PRELOAD", text(&found.stdout).trim())
        .env("FAKETIME", LATER)
        // Waits end by this one.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Ok(command)
}

fn due(format: &str) -> String {
    let mut date = Command::new("date");
    let date = date.args(["-u", "-d", DUE, format]).output().unwrap();
    text(&date.stdout).trim().to_owned()
}

#[test]
fn a_schedule_that_nobody_was_there_for_is_missed_and_told_with_what_to_type() {
    let minato = match later(env!("CARGO_BIN_EXE_minato")) {
        Ok(it) => it,
        Err(why) => return minato_skip::skip(why),
    };
    let mut pair = Pair::start(&["stays", "moves"], "");
    let at = due("+%Y-%m-%d %H:%M:%S UTC");
    let minute = format!("{}:{}", &at[..13], &at[14..16]);
    let osaka = &pair.osaka.site;
    let printed = osaka.type_in(&["switch", "--to", "osaka", "stays", "--at", &at]);
    let stays = number(&printed);
    let printed = osaka.type_in(&[
        "switch",
        "--to",
        "osaka",
        "moves",
        "--until",
        &at,
        "--quiet",
        "0s",
        "--no-wait",
    ]);
    let moves = number(&printed);
    until_operation(&pair.osaka, moves, "moved", has_moved);

    pair.osaka.site.crash();
    pair.osaka.site.start_as(minato);
    let missed = |id: u64, title: &str, undone: &str, hint: &str| {
        let told = format!(
            "operation {id} ({title}): is missed: nobody led when its time came, from {minute} UTC: {undone}"
        );
        until(&format!("`{told}` and {hint}"), || {
            let printed = pair.osaka.site.type_in_any(&["events", "-n", "1000"]);
            let (_, after) = printed.split_once(&told)?;
            after
                .lines()
                .take(2)
                .any(|it| it.contains(hint))
                .then_some(())
        });
        let it = until_operation(&pair.osaka, id, "missed", |it| it["state"] == "missed");
        assert_eq!(it["ended"], true, "{it}");
    };
    missed(
        stays,
        "switch of stays to osaka",
        "nothing was moved",
        "minato switch --to osaka --services stays --at \"DATE TIME UTC\", or without --at for now",
    );
    missed(
        moves + 1,
        &format!("return of moves after operation {moves}"),
        "nothing was led back",
        "minato switch --to tokyo --services moves",
    );
    // Everything is where it was.
    pair.until_serves("tokyo", "stays");
    pair.until_serves("osaka", "moves");
}
