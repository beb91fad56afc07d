//! Verdicts that kill, and those that do not.

use super::check;

#[test]
fn down_for_all_is_killed_and_counts() {
    let story = check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 up
         local 1/1 up
         says g 1/1 down
         local 1/1 down => killed, term 1/1
         at 0.9
         at 1 => kill 1/1
         ended 1/1 => start 1/2 web
         started 1/2 => started
         says g 1/1 up
         at 2
         says g 1/2 down
         local 1/2 down",
    );
    assert_eq!(story.document().unwrap().restarts, 1);
}

#[test]
fn a_gateway_alone_kills_nothing() {
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         local 1/1 up
         says g 1/1 down
         at 1000",
    );
    check(
        "gateway g
         gateway h
         gateway i
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 up
         says h 1/1 up
         says i 1/1 up
         local 1/1 down
         says g 1/1 down
         at 1000
         says i 1/1 down => killed, term 1/1",
    );
}

#[test]
fn without_gateways_or_checks_nobody_acts() {
    check(
        "serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         local 1/1 up
         local 1/1 down
         at 1000",
    );
    check(
        "gateway g
         serve web unprobed
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 up
         local 1/1 up
         says g 1/1 down
         local 1/1 down
         at 1000",
    );
}

#[test]
fn a_run_has_a_minute_to_come_up() {
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 down
         at 59.9
         local 1/1 down
         at 60
         local 1/1 down => killed, term 1/1",
    );
}

/// Both gateways still have it down as every run begins.
const MET_BY_THE_AGENT_ONLY: &str = "gateway g
         gateway h
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 down
         says h 1/1 down
         local 1/1 up";

#[test]
fn a_run_that_gateways_have_not_met_yet_is_not_killed_because_the_agent_has() {
    check(&format!(
        "{MET_BY_THE_AGENT_ONLY}
         at 59.9
         says g 1/1 up
         says h 1/1 up
         at 61
         local 1/1 down
         says g 1/1 down
         says h 1/1 down => killed, term 1/1",
    ));
    check(&format!(
        "{MET_BY_THE_AGENT_ONLY}
         at 60 => alarm",
    ));
}

#[test]
fn a_steady_run_is_restarted_at_once_again() {
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 up
         ended 1/1 => exited, start 1/2 web
         started 1/2 => started
         says g 1/2 up
         at 10
         ended 1/2 => exited, start 1/3 web",
    );
}
