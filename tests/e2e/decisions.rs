//! What control decided on is saved, and follows again from what was saved.

use crate::support::clock::until;
use crate::support::site::{Site, text};
use std::fs;
use std::path::PathBuf;

/// Saved decisions that speak of this.
fn saved(site: &Site, of: &str) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(site.path("data/decisions")) else {
        return Vec::new();
    };
    let files = folder.map(|it| it.unwrap().path());
    let whole = files.filter(|it| it.extension().is_some_and(|it| it == "json"));
    whole
        .filter(|it| fs::read_to_string(it).unwrap().contains(of))
        .collect()
}

#[test]
fn what_ends_an_instance_can_be_decided_again() {
    let mut site = Site::new();
    site.write("app", &site.python(3, ""));
    site.write(
        "other",
        "endpoints = [\"127.0.0.1:9\"]\nroutes = [\"other.test\"]\n",
    );
    site.start();
    site.wait_ok("app", 3);
    site.type_in(&["scale", "app", "1"]);
    let files = until("the decision to be saved", || {
        let files = saved(&site, ": remove: ");
        (!files.is_empty()).then_some(files)
    });
    for file in &files {
        let said = site.type_in(&["replay", file.to_str().unwrap()]);
        assert!(said.contains("app/2: remove: "), "{said}");
        assert!(said.ends_with("the same follows again\n"), "{said}");
        assert!(said.contains(" of site local, by minato "), "{said}");
    }
    // From another world something else follows.
    let whole = fs::read_to_string(&files[0]).unwrap();
    let other = site.path("other.json");
    fs::write(&other, whole.replace("\"replicas\":1", "\"replicas\":2")).unwrap();
    let said = site.cli(&["replay", other.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(1));
    let said = text(&said.stdout);
    assert!(said.contains("this minato decides otherwise"), "{said}");
    for (wrong, why) in [
        ("{}", "no decision"),
        ("{\"v\":2}", "version 2"),
        ("x", "no decision"),
    ] {
        fs::write(&other, wrong).unwrap();
        let said = site.cli(&["replay", other.to_str().unwrap()]);
        assert_eq!(said.status.code(), Some(1));
        let said = text(&said.stderr);
        assert!(said.contains(why) && said.contains("other.json"), "{said}");
    }
}
