//! Starts and restarts.

use super::check;
use minato_config::Run;
use minato_health::Phase;

#[test]
fn a_slot_is_filled_and_refilled() {
    let story = check(
        "serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         ended 1/1 => exited, start 1/2 web
         started 1/2 => started
         at 1
         ended 1/2 => exited
         at 1.9
         at 2 => start 1/3 web",
    );
    let document = story.document().unwrap();
    assert_eq!(
        (document.phase, document.run, document.restarts),
        (Phase::Exited, Run(2), 2)
    );
    assert_eq!(document.reason, "exited with status 3");
}

#[test]
fn ends_of_other_runs_change_nothing() {
    check(
        "serve web
         slot n 1 web => start 1/1 web
         ended 1/2
         started 1/1 => started
         ended 2/1
         started 3/1 => kill 3/1",
    );
}

#[test]
fn the_budget_is_spent_and_a_new_generation_begins_anew() {
    let story = check(
        "serve web
         slot n 1 web => start 1/1 web
         ended 1/1 => exited, start 1/2 web
         ended 1/2 => exited
         at 1 => start 1/3 web
         ended 1/3 => exited
         at 3 => start 1/4 web
         ended 1/4 => exited
         at 7 => start 1/5 web
         ended 1/5 => exited
         at 15 => start 1/6 web
         ended 1/6 => exited, failed
         at 5000
         slot n 2 web => start 2/1 web
         ended 2/1 => exited, start 2/2 web",
    );
    let now = story.now().instant;
    assert!(story.node.next_wake(now).is_none());
}

#[test]
fn a_command_that_cannot_be_executed_is_said_once() {
    check(
        "serve web
         slot n 1 web => start 1/1 web
         refused 1/1 => exited, start 1/2 web
         refused 1/2
         at 1 => start 1/3 web
         refused 1/3
         at 3 => start 1/4 web
         refused 1/4
         at 7 => start 1/5 web
         refused 1/5
         at 15 => start 1/6 web
         refused 1/6 => failed",
    );
}

#[test]
fn an_assignment_runs_its_own_command_or_waits() {
    check(
        "serve other
         slot n 1 web => alarm
         serve web => start 1/1 web
         started 1/1 => started
         serve other
         ended 1/1 => exited, start 1/2 web",
    );
}

#[test]
fn restarts_are_forgotten_after_ten_minutes() {
    let mut story = check(
        "serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         ended 1/1 => exited, start 1/2 web
         started 1/2 => started
         at 599",
    );
    assert_eq!(story.document().unwrap().restarts, 1);
    assert_eq!(story.tell("at 600"), "");
    assert_eq!(story.document().unwrap().restarts, 0);
}

#[test]
fn a_port_that_another_slot_has_is_waited_for_without_an_end() {
    let mut story = check(
        "serve web
         slot n 1 web => start 1/1 web
         held 1/1 => exited",
    );
    let first = story.document().unwrap();
    assert_eq!((first.phase, first.restarts), (Phase::Exited, 0));
    assert_eq!(
        first.reason,
        "could not be started: services/a.toml: port: old/0 has it"
    );
    for second in 1..100 {
        assert_eq!(story.tell(&format!("at {second}")), "start 1/1 web");
        assert_eq!(story.tell("held 1/1"), "");
    }
    assert_eq!(story.document().unwrap(), first, "written once");
    assert_eq!(story.tell("at 100"), "start 1/1 web");
    assert_eq!(story.tell("started 1/1"), "started");
    assert_eq!(story.document().unwrap().restarts, 0);
}

#[test]
fn a_command_that_cannot_be_executed_is_said_with_its_file() {
    let mut story = check(
        "serve web
         slot n 1 web => start 1/1 web",
    );
    let now = story.now();
    let actions = story.node.not_started(
        &super::run_name("1/1"),
        2000,
        &super::no_program(),
        now,
        0.0,
    );
    let super::NodeAction::Tell(event) = &actions[0] else {
        panic!("{actions:?}");
    };
    assert_eq!(
        event.message,
        "a/0 could not be started: services/a.toml: command: no such program"
    );
}

/// What has passed and changed nothing wakes nobody: [`super::Story::tell`] looks after each line.
#[test]
fn a_deadline_that_has_passed_is_no_reason_to_wake() {
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 down
         at 1000",
    );
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         ended 1/1 => exited, start 1/2 web
         started 1/2 => started
         says g 1/2 up
         says g 1/2 down
         at 1000",
    );
    check(
        "serve web
         slot n 1 web => start 1/1 web
         ended 1/1 => exited, start 1/2 web
         ended 1/2 => exited
         serve other
         slot n 1 third => alarm
         at 1000",
    );
}

#[test]
fn an_engine_that_is_away_costs_nothing_of_the_budget() {
    let mut story = check(
        "serve web+64
         slot n 1 web+64 => start 1/1 web
         away 1/1 => exited
         at 1",
    );
    let first = story.document().unwrap();
    assert_eq!((first.restarts, first.retry_at), (0, None));
    for second in 1..50 {
        assert_eq!(story.tell(&format!("at {}", 2 * second)), "start 1/1 web");
        assert_eq!(story.tell("away 1/1"), "", "said once");
    }
    assert_eq!(story.tell("at 100"), "start 1/1 web");
    assert_eq!(story.tell("started 1/1"), "started");
    assert_eq!(story.document().unwrap().restarts, 0);
}

#[test]
fn other_resources_are_given_to_what_runs() {
    check(
        "serve web+64
         slot n 1 web+64 => start 1/1 web
         serve web+32
         started 1/1 => started, adjust 1/1 32
         adjusted 1/1 => adjusted
         serve web+96 => adjust 1/1 96
         unadjusted 1/1 => adjusted
         at 29
         at 30 => adjust 1/1 96
         unadjusted 1/1
         serve web+64 => adjust 1/1 64
         adjusted 1/1 => adjusted
         at 1000
         ended 1/1 => exited, start 1/2 web
         adjusted 1/1",
    );
}

#[test]
fn what_control_gives_counts_within_the_file_and_a_document_that_vanishes_takes_nothing() {
    check(
        "serve web+64^90
         slot n 1 web+64^90 => start 1/1 web
         started 1/1 => started
         grant 80 => adjust 1/1 80
         adjusted 1/1 => adjusted
         ungrant
         grant 200 => adjust 1/1 90
         adjusted 1/1 => adjusted
         serve web+64^70 => adjust 1/1 70
         adjusted 1/1 => adjusted
         ended 1/1 => exited, start 1/2 web
         started 1/2 => started
         grant 1 => adjust 1/2 64
         adjusted 1/2 => adjusted
         grant 70 => adjust 1/2 70
         adjusted 1/2 => adjusted
         serve web+64 => adjust 1/2 64",
    );
}
