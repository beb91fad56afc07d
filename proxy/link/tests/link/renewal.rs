//! Certificates that follow each other, by a clock that the test turns.

use crate::stage::{Clock, DAY, Root, START, connect, gateway, site};
use minato_link::{Moment, News, write_site};
use std::io::{Read, Write};
use std::time::Duration;

#[test]
fn a_gateway_renews_its_own_at_two_thirds_and_no_connection_ends() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &clock);
    let osaka = gateway("osaka", root.issue("osaka"), &clock);
    let (mut client, mut server) = connect(&tokyo, &osaka, "osaka").unwrap();
    assert_eq!(osaka.standing().own, Some(START.after(DAY * 30)));

    clock.set(START.after(DAY * 20).before(Duration::from_secs(1)));
    assert_eq!(osaka.look(), []);
    let now = START.after(DAY * 20);
    clock.set(now);
    let until = now.after(DAY * 30);
    assert_eq!(osaka.look(), [News::Renewed { until }]);
    assert_eq!(osaka.look(), []);
    assert_eq!(tokyo.look(), [News::Renewed { until }]);

    // The new one is shown from the next connection on.
    let (new, _) = connect(&tokyo, &osaka, "osaka").unwrap();
    let shown = |it: &rustls::ClientConnection| it.peer_certificates().unwrap()[0].clone();
    assert_ne!(shown(&client), shown(&new));

    // And the old connection carries on, even past the end of what it was made with.
    clock.set(START.after(DAY * 40));
    client.writer().write_all(b"still here").unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    server.read_tls(&mut bytes.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    let mut heard = [0; 10];
    server.reader().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still here");
}

#[test]
fn for_a_year_a_gateway_always_has_a_good_one() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &clock);
    let osaka = gateway("osaka", root.issue("osaka"), &clock);
    let mut renewals = 0;
    for day in 1..400 {
        clock.set(START.after(DAY * day));
        renewals += tokyo.look().len();
        osaka.look();
        connect(&tokyo, &osaka, "osaka").unwrap();
    }
    // One each 20 days, and a few short ones before the intermediate ends; not one after another.
    assert!((19..40).contains(&renewals), "{renewals}");
    clock.set(START.after(DAY * 401));
    let news = tokyo.look();
    let [
        News::Broken {
            fault,
            keeps_old: true,
        },
    ] = &news[..]
    else {
        panic!("{news:?}");
    };
    assert!(
        fault
            .to_string()
            .contains("site.crt ended at 2027-07-06 00:00:00 UTC"),
        "{fault}"
    );
    assert_eq!(tokyo.look(), [], "told once");
}

#[test]
fn an_operator_hears_of_the_intermediates_end_fourteen_days_before() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let folder = root.issue("tokyo");
    let tokyo = gateway("tokyo", folder.clone(), &clock);
    let told = |day: u32| tokyo.standing().trouble(START.after(DAY * day));
    assert_eq!(told(385), None);
    let text = told(386).unwrap();
    assert!(
        text.contains("ends at 2027-07-06 00:00:00 UTC, in 14 days"),
        "{text}"
    );
    assert!(text.contains("minato ca issue"), "{text}");
    let ends: Vec<_> = tokyo.standing().ends().map(|it| it.0).collect();
    assert_eq!(ends, ["link", "link/site", "link/authority"]);
    // Issued anew, in place: taken up, and the trouble is over.
    let now = START.after(DAY * 387);
    clock.set(now);
    write_site(&root.path(), &site("tokyo"), &folder, now).unwrap();
    assert_eq!(
        tokyo.look(),
        [News::Loaded {
            until: now.after(DAY * 30)
        }]
    );
    assert_eq!(tokyo.standing().trouble(now), None);
}

#[test]
fn a_clock_that_is_set_right_is_enough() {
    let (root, clock) = (Root::new(), Clock::at(Moment(0)));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &clock);
    assert!(tokyo.server().is_none());
    let text = tokyo.standing().trouble(Moment(0)).unwrap();
    assert!(
        text.contains("this machine's clock says 1970-01-01"),
        "{text}"
    );
    assert!(text.starts_with("no links: "), "{text}");
    clock.set(START);
    assert_eq!(
        tokyo.look(),
        [News::Loaded {
            until: START.after(DAY * 30)
        }]
    );
    assert_eq!(tokyo.standing().trouble(START), None);
}

#[test]
fn a_clock_that_was_ahead_leaves_no_certificate_of_the_future() {
    let (root, clock) = (Root::new(), Clock::at(START.after(DAY * 9)));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &clock);
    assert_eq!(tokyo.standing().own, Some(START.after(DAY * 39)));
    // The machine's clock is set right; osaka's never was wrong.
    clock.set(START.after(DAY));
    let osaka = gateway("osaka", root.issue("osaka"), &clock);
    tokyo.look();
    connect(&tokyo, &osaka, "osaka").unwrap();
    connect(&osaka, &tokyo, "tokyo").unwrap();
    // Set back by a little it is not made anew again and again.
    let before = START.after(DAY).before(Duration::from_secs(60));
    clock.set(before);
    assert_eq!(tokyo.look(), []);
}

#[test]
fn what_is_wrong_is_the_same_text_as_the_clock_goes_on() {
    let (root, clock) = (Root::new(), Clock::at(START));
    let tokyo = gateway("tokyo", root.issue("tokyo"), &clock);
    clock.set(START.after(DAY * 401));
    tokyo.look();
    let told = tokyo.trouble().unwrap();
    assert!(told.contains("ended at"), "{told}");
    for second in 1..60 {
        clock.set(START.after(DAY * 401 + Duration::from_secs(second)));
        tokyo.look();
        assert_eq!(tokyo.trouble().as_ref(), Some(&told));
    }
}
