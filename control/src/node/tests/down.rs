//! Several instances down at once.

use super::{check, run_name, stored};
use crate::InstanceKey;
use minato_config::NodeId;

/// Two instances that are up for gateway g and locally.
const TWO_UP: &str = "gateway g
    serve web
    slot 0:n 1 web => start 1/1 web
    started 1/1 => started
    slot 1:n 1 web => start 1:1/1 web
    started 1:1/1 => started
    says g 1/1 up
    says g 1:1/1 up
    local 1/1 up
    local 1:1/1 up\n";

#[test]
fn two_that_are_frozen_are_started_again_one_after_the_other() {
    check(&format!(
        "{TWO_UP}
         says g 1/1 down
         says g 1:1/1 down
         local 1/1 down => killed, term 1/1
         local 1:1/1 down
         at 1 => kill 1/1
         ended 1/1 => start 1/2 web
         started 1/2 => started
         at 50
         says g 1/2 up => killed, term 1:1/1
         ended 1:1/1 => start 1:1/2 web
         started 1:1/2 => started"
    ));
}

#[test]
fn one_that_never_comes_back_lets_the_other_have_its_turn_when_it_is_given_up() {
    check(&format!(
        "{TWO_UP}
         says g 1/1 down
         local 1/1 down => killed, term 1/1
         says g 1:1/1 down
         local 1:1/1 down
         ended 1/1 => start 1/2 web
         ended 1/2 => exited
         at 1 => start 1/3 web
         ended 1/3 => exited
         at 3 => start 1/4 web
         ended 1/4 => exited
         at 7 => start 1/5 web
         ended 1/5 => exited
         at 15 => start 1/6 web
         ended 1/6 => exited, failed, killed, term 1:1/1"
    ));
}

#[test]
fn a_wrong_health_path_never_ends_the_last_that_answers() {
    check(&format!(
        "{TWO_UP}
         says g 1/1 down
         says g 1:1/1 down
         local 1/1 down status => killed, term 1/1
         local 1:1/1 down status
         ended 1/1 => start 1/2 web
         started 1/2 => started
         says g 1/2 down
         at 59
         local 1/2 down status
         at 60
         local 1/2 down status => killed, term 1/2
         ended 1/2
         at 61 => start 1/3 web
         ended 1/3 => exited
         at 63 => start 1/4 web
         ended 1/4 => exited
         at 67 => start 1/5 web
         ended 1/5 => exited
         at 75 => start 1/6 web
         ended 1/6 => exited, failed, alarm
         at 500"
    ));
}

#[test]
fn the_only_one_is_kept_while_it_answers_and_said_once() {
    let one = "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 up
         local 1/1 up\n";
    check(&format!(
        "{one}
         says g 1/1 down
         local 1/1 down status => alarm
         at 500
         local 1/1 down status
         local 1/1 down => killed, term 1/1"
    ));
    check(&format!(
        "{one}
         says g 1/1 down
         local 1/1 down status => alarm
         says g 1/1 up
         says g 1/1 down => alarm"
    ));
    check(&format!(
        "{one}
         says g 1/1 down
         local 1/1 down => killed, term 1/1"
    ));
}

#[test]
fn one_that_answers_wrongly_is_ended_while_the_other_is_up() {
    check(&format!(
        "{TWO_UP}
         says g 1/1 down
         local 1/1 down status => killed, term 1/1"
    ));
}

#[test]
fn what_an_earlier_agent_began_may_have_been_up() {
    check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         ended 1/1 => exited, start 1/2 web
         found 1/4 running web => adopted
         says g 1/4 down
         at 500
         local 1/4 down status => alarm
         local 1/4 down => killed, term 1/4",
    );
}

#[test]
fn one_that_is_up_on_another_node_is_enough() {
    let mut story = check(
        "gateway g
         serve web
         slot n 1 web => start 1/1 web
         started 1/1 => started
         says g 1/1 up
         local 1/1 up
         mute",
    );
    let elsewhere = run_name("1:1/1");
    let key = InstanceKey {
        node: NodeId::parse("m").unwrap(),
        service: elsewhere.service,
        slot: elsewhere.slot,
        generation: elsewhere.generation,
    };
    let document = story.document().unwrap();
    story.world.instances.insert(key, stored(document));
    for (line, answer) in [
        ("says g 1:1/1 down", ""),
        ("says g 1/1 down", ""),
        ("local 1/1 down status", "alarm"),
        ("says g 1:1/1 up", "killed, term 1/1"),
    ] {
        assert_eq!(story.tell(line), answer, "{line}");
    }
}
