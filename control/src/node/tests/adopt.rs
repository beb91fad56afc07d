//! What an earlier agent left.

use super::check;

#[test]
fn what_is_found_running_is_adopted() {
    let story = check(
        "found 1/4 running web => adopted, alarm
         serve web
         slot n 1 web
         at 1
         ended 1/4 => exited, start 1/5 web",
    );
    assert_eq!(story.document().unwrap().address.port(), 2000);
}

#[test]
fn what_was_just_adopted_is_not_killed_by_observers_that_begin_anew() {
    check(
        "at 100
         gateway g
         serve web
         found 1/4 running web => adopted, alarm
         slot n 1 web
         says g 1/4 down
         local 1/4 down
         at 114
         says g 1/4 up
         local 1/4 up
         says g 1/4 down
         local 1/4 down => killed, term 1/4",
    );
}

#[test]
fn what_ended_unseen_starts_again_and_what_was_stopped_does_not_count() {
    let story = check(
        "found 1/4 dead web => exited, alarm, start 1/5 web
         serve web
         slot n 1 web",
    );
    assert_eq!(story.document().unwrap().restarts, 1);
    let story = check(
        "serve web
         found 1/4 stopped web => release a/0
         slot n 1 web => start 1/1 web
         started 1/1 => started
         ended 1/1 => exited, start 1/2 web",
    );
    assert_eq!(story.document().unwrap().restarts, 1);
    let story = check(
        "unserve
         slot n 1 web => alarm
         found 1/4 stopped web => start 1/5 web
         started 1/5 => started",
    );
    assert_eq!(story.document().unwrap().restarts, 0);
}

#[test]
fn what_was_replaced_while_no_agent_ran_is_stopped() {
    check(
        "found 1/4 running web => adopted, alarm
         serve web
         slot n 2 web => stopping, term 1/4
         ended 1/4 => stopped, start 2/1 web",
    );
}
