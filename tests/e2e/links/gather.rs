//! Access logs of another site: fetched, each line once, whoever is killed meanwhile.

use super::Pair;
use crate::support::clock::{pause, until};
use crate::support::site::text;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Lines of one segment of a process before; 40 such are some 40 MB.
const LINES: usize = 12_000;
const SEGMENTS: usize = 40;

fn keeps_logs(pair: &Pair) {
    for cloud in [&pair.tokyo, &pair.osaka] {
        let text = fs::read_to_string(cloud.site.settings()).unwrap();
        let text = text.replace("[gateway]\n", "[gateway]\naccess_log_size = \"1GiB\"\n");
        fs::write(cloud.site.settings(), text).unwrap();
    }
}

/// Every segment below a folder, by name.
fn segments(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(listing) = fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    let files = listing.map(|it| it.unwrap());
    let files = files.filter(|it| it.path().extension().is_some_and(|it| it == "log"));
    files
        .map(|it| {
            let name = it.file_name().into_string().unwrap();
            (name, fs::read(it.path()).unwrap())
        })
        .collect()
}

/// What osaka's gateway of before wrote.
fn write_past(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for segment in 0..SEGMENTS {
        let mut text = String::new();
        for line in 0..LINES {
            let at = 1_000_000_000_000 + (segment * LINES + line) as u64;
            text.push_str(&format!(
                "{at} 192.0.2.1:5 \"GET e2e.test/past?n={segment}-{line}\" 200 5 shared/0 0.001 retries=0 -\n"
            ));
        }
        fs::write(
            folder.join(format!("{:013}-7-{segment}.log", segment + 1)),
            text,
        )
        .unwrap();
    }
}

#[test]
fn logs_of_another_site_come_once_whoever_is_killed() {
    let mut pair = Pair::stopped("");
    keeps_logs(&pair);
    let there = pair.osaka.site.path("data/access/shared");
    let here = pair.tokyo.site.path("data/access/@osaka/here/shared");
    write_past(&there);
    pair.tokyo.site.start();
    pair.osaka.site.start();
    pair.osaka.until_served_by("tokyo");
    for n in 0..20 {
        let path = format!("/now?n={n}");
        let at = pair.osaka.site.gateway();
        assert_eq!(
            crate::support::http::get(at, "e2e.test", &path)
                .unwrap()
                .status,
            200
        );
    }
    until("osaka's own log to hold them", || {
        let text: Vec<u8> = segments(&there).into_values().flatten().collect();
        String::from_utf8(text)
            .unwrap()
            .contains("/now?n=19\"")
            .then_some(())
    });
    // Killed in turn amid fetching: each time a little later.
    let mut kills_amid = 0;
    for round in 0..12_u64 {
        let before = segments(&here).values().map(Vec::len).sum::<usize>();
        let admin = pair.tokyo.site.admin().to_string();
        let asked = std::thread::spawn(move || {
            // It ends with an error when its minato is killed.
            let _ = crate::support::site::cli_at(&admin, &["logs", "shared", "--site", "osaka"]);
        });
        until("a part more to be here, or all", || {
            let now = segments(&here).values().map(Vec::len).sum::<usize>();
            let all = segments(&there).values().map(Vec::len).sum::<usize>();
            (now > before || now >= all).then_some(())
        });
        pause(Duration::from_millis(round * 3));
        let whole = segments(&there).values().map(Vec::len).sum::<usize>();
        let killed = if round % 2 == 0 {
            &mut pair.tokyo
        } else {
            &mut pair.osaka
        };
        killed.site.crash();
        let part = segments(&here).values().map(Vec::len).sum::<usize>();
        kills_amid += usize::from(part < whole);
        asked.join().unwrap();
        killed.site.start();
        // What is here is the beginning of what is there, whatever was cut off.
        let (have, all) = (segments(&here), segments(&there));
        for (name, bytes) in have {
            assert!(
                all[&name].starts_with(&bytes),
                "{name} differs in round {round}"
            );
        }
    }
    println!("killed amid fetching in {kills_amid} of 12 rounds");
    assert!(kills_amid > 0, "every kill came after the end; write more");
    let said = until("everything to be here", || {
        let output = pair
            .tokyo
            .site
            .cli(&["logs", "shared", "--site", "osaka", "-n", "5"]);
        let said = text(&output.stderr);
        said.starts_with("complete: ").then_some(said)
    });
    assert_eq!(segments(&here), segments(&there), "{said}");
    let lines = pair
        .tokyo
        .site
        .type_in(&["logs", "shared", "--site", "osaka", "-n", "9999"]);
    for n in 0..20 {
        let asked = format!("/now?n={n}\"");
        assert_eq!(lines.matches(&asked).count(), 1, "{asked} in {lines}");
    }
}

#[test]
fn what_is_missing_is_said() {
    let mut pair = Pair::start("");
    let output = pair.tokyo.site.cli(&["logs", "shared", "--site", "osaka"]);
    let said = text(&output.stderr);
    assert!(
        said.contains("incomplete") && said.contains("keeps no access logs"),
        "{said}"
    );
    pair.osaka.site.crash();
    let output = pair.tokyo.site.cli(&["logs", "shared", "--site", "osaka"]);
    let said = text(&output.stderr);
    assert!(
        said.contains("incomplete") && said.contains("refused"),
        "{said}"
    );
}
