//! What should go, and what only seems so.

use super::{check, run_name};

#[test]
fn a_removed_slot_is_drained_terminated_killed_and_released() {
    let story = check(
        "gateway g
         gateway h
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         slot n 1 web removed => stopping
         says g 1/1 drained
         says h 1/2 drained
         at 29
         says h 1/1 drained => term 1/1
         at 38
         at 39 => kill 1/1
         at 44 => kill 1/1
         ended 1/1 => stopped, release a/0
         unslot => release a/0",
    );
    assert_eq!(story.document(), None);
}

#[test]
fn draining_has_an_end_and_no_gateway_no_draining() {
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         slot n 1 web removed => stopping
         at 29.9
         at 30 => term 1/1",
    );
    check(
        "serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         slot n 1 web removed => stopping, term 1/1
         ended 1/1 => stopped, release a/0",
    );
}

#[test]
fn a_new_generation_waits_for_the_old_one_to_end() {
    check(
        "serve web
         slot n 1 web => start 1/1 web
         serve better
         slot n 2 better
         started 1/1 => started, stopping, term 1/1
         slot n 3 better
         ended 1/1 => stopped, start 3/1 better",
    );
}

#[test]
fn lower_generations_and_other_nodes_are_not_obeyed() {
    check(
        "serve web
         slot m 1 web
         slot n 5 web => start 5/1 web
         started 5/1 => started
         slot n 4 web => alarm
         slot n 4 web removed
         slot n 5 web
         slot m 5 web => alarm
         slot m 6 web => stopping, term 5/1
         ended 5/1 => stopped, release a/0
         look",
    );
}

#[test]
fn what_vanishes_is_an_accident() {
    check(
        "serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         unslot => alarm
         unserve
         ended 1/1 => exited, start 1/2 web
         started 1/2 => started",
    );
}

#[test]
fn what_vanishes_while_it_stops_still_ends() {
    check(
        "serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         slot n 1 web removed => stopping, term 1/1
         unslot => alarm
         ended 1/1 => stopped, release a/0, release a/0",
    );
}

#[test]
fn closing_stops_all_without_draining_and_keeps_the_ports() {
    let mut story = check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         close => stopping, term 1/1
         at 9
         at 10 => kill 1/1",
    );
    assert!(!story.node.is_idle());
    assert!(story.node.is_leaving(&run_name("1/1")));
    assert_eq!(story.tell("ended 1/1"), "stopped");
    assert!(story.node.is_idle());
    assert_eq!(story.document(), None);
}

#[test]
fn closing_hurries_what_was_draining() {
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         slot n 1 web removed => stopping
         close => term 1/1",
    );
}

#[test]
fn a_draining_run_waits_while_no_gateway_lives_to_say_that_it_is_drained() {
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         ungateway
         slot n 1 web removed => stopping
         at 29.9
         at 30 => term 1/1",
    );
}

#[test]
fn the_time_to_drain_begins_when_gateways_can_know_of_it() {
    let begin = "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         mute
         slot n 1 web removed => stopping\n";
    check(&format!(
        "{begin}
         at 5
         heard
         at 34.9
         at 35 => term 1/1"
    ));
    check(&format!(
        "{begin}
         at 39.9
         heard
         at 40 => term 1/1"
    ));
    check(&format!(
        "{begin}
         at 39.9
         at 40 => term 1/1"
    ));
}
