//! A dependency that is down.

use super::check;
use minato_health::Phase;

/// Up for gateway g and locally, with its dependency there.
const UP: &str = "gateway g
    serve web
    needs db
    db up
    slot n 1 web => start 1/1 web
    started 1/1 => started
    says g 1/1 up
    local 1/1 up\n";

#[test]
fn nothing_starts_before_its_dependency_is_known_to_be_there() {
    let story = check(
        "serve web
         needs db
         db unknown
         slot n 1 web",
    );
    let document = story.document().unwrap();
    assert_eq!(document.phase, Phase::Exited);
    assert_eq!(
        document.reason,
        "waits for its database db, which is being checked"
    );
    let story = check(
        "serve web
         needs db
         slot n 1 web => alarm, start 1/1 web",
    );
    assert!(story.document().is_none());
    let story = check(
        "serve web
         needs db
         db down
         slot n 1 web => dependency
         at 100
         db up => dependency, start 1/1 web
         started 1/1 => started",
    );
    assert_eq!(story.document().unwrap().restarts, 0);
}

#[test]
fn what_ends_without_its_dependency_waits_and_pays_nothing() {
    let story = check(&format!(
        "{UP}
         at 20
         db down => dependency
         ended 1/1 => exited
         at 500
         look"
    ));
    let document = story.document().unwrap();
    assert_eq!((document.phase, document.restarts), (Phase::Exited, 0));
    assert_eq!(
        document.reason,
        "exited with status 3; waits for its database db: 10.0.0.9:3306 connect refused"
    );
    assert_eq!(document.retry_at, None);
    check(&format!(
        "{UP}
         at 20
         db down => dependency
         ended 1/1 => exited
         db up => dependency, start 1/2 web
         started 1/2 => started"
    ));
}

#[test]
fn restarts_just_before_it_was_found_down_are_forgiven() {
    let story = check(&format!(
        "{UP}
         at 20
         ended 1/1 => exited, start 1/2 web
         started 1/2 => started
         ended 1/2 => exited
         at 21 => start 1/3 web
         started 1/3 => started
         ended 1/3 => exited
         db down => dependency
         at 60
         db up => dependency, start 1/4 web
         started 1/4 => started
         at 300
         ended 1/4 => exited, start 1/5 web"
    ));
    // The last is its own.
    assert_eq!(story.document().unwrap().restarts, 1);
}

#[test]
fn what_is_down_without_its_dependency_is_not_killed_and_has_time_to_recover() {
    let story = check(&format!(
        "{UP}
         at 20
         db down => dependency
         says g 1/1 down
         local 1/1 down
         at 200
         look"
    ));
    assert_eq!(
        story.document().unwrap().reason,
        "its database db is down: 10.0.0.9:3306 connect refused"
    );
    let story = check(&format!(
        "{UP}
         at 20
         db down => dependency
         says g 1/1 down
         local 1/1 down
         at 200
         db up => dependency
         at 239
         look
         at 240 => killed, term 1/1"
    ));
    assert_eq!(story.document().unwrap().reason, "");
    check(&format!(
        "{UP}
         at 20
         says g 1/1 down
         local 1/1 down => killed, term 1/1"
    ));
}

#[test]
fn a_replacement_waits_too_and_the_old_assignment_goes() {
    check(&format!(
        "{UP}
         at 20
         db down => dependency
         ended 1/1 => exited
         slot n 2 web
         at 30
         slot n 2 web removed => release a/0"
    ));
}

#[test]
fn the_name_of_another_dependency_is_told_again() {
    check(
        "serve web
         needs cache,db
         db down
         cache down
         slot n 1 web => dependency
         cache up => dependency
         db up => dependency, start 1/1 web",
    );
}
