//! Looks at a folder, one after the other, with a clock of the test's own.

use super::folder::{Folder, News};
use crate::clock;
use rcgen::{CertificateParams, KeyPair};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

struct Scene {
    place: tempfile::TempDir,
    folder: Folder,
    start: Instant,
}

impl Scene {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        Self {
            folder: Folder::new(place.path()),
            start: clock::now(),
            place,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        // Another inode, so that no two contents look the same.
        let next = self.file("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.file(name)).unwrap();
    }

    fn put_pair(&self, name: &str, (certificate, key): &(String, String)) {
        self.put(&format!("{name}.crt"), certificate);
        self.put(&format!("{name}.key"), key);
    }

    /// What a look after `seconds` finds, in short: `+a` loaded, `-a` gone, `!a` broken, `~a` broken with the old one kept.
    fn look(&mut self, seconds: u64) -> String {
        let news = self.folder.look(self.start + Duration::from_secs(seconds));
        let word = |it: &News| match it {
            News::Loaded(pair) => format!("+{}", pair.name),
            News::Gone(name) => format!("-{name}"),
            News::Broken {
                name, keeps_old, ..
            } => format!("{}{name}", if *keeps_old { "~" } else { "!" }),
            News::Exposed(..) => "exposed".to_owned(),
            News::Unreadable(cause) => format!("? {cause}"),
        };
        let words: Vec<_> = news.iter().map(word).filter(|it| it != "exposed").collect();
        words.join(" ")
    }

    fn names(&self) -> Vec<String> {
        self.folder.pairs().into_keys().collect()
    }
}

fn pair(host: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn what_did_not_change_is_not_read_again_and_told_once() {
    let mut scene = Scene::new();
    scene.put_pair("a", &pair("a.test"));
    scene.put("b.crt", "garbage");
    scene.put("b.key", "garbage");
    assert_eq!(scene.look(0), "+a !b");
    assert_eq!(scene.look(100), "");
    scene.put_pair("b", &pair("b.test"));
    assert_eq!(scene.look(101), "+b");
}

#[test]
fn half_of_a_change_has_five_seconds() {
    let mut scene = Scene::new();
    let (old, new) = (pair("a.test"), pair("a.test"));
    scene.put_pair("a", &old);
    assert_eq!(scene.look(0), "+a");
    scene.put("a.crt", &new.0);
    assert_eq!(scene.look(10), "");
    assert_eq!(scene.look(14), "");
    assert_eq!(scene.look(15), "~a");
    assert_eq!(scene.look(16), "");
    scene.put("a.key", &new.1);
    assert_eq!(scene.look(17), "+a");
    // In time: nobody hears of it.
    scene.put("a.crt", &old.0);
    assert_eq!(scene.look(20), "");
    scene.put("a.key", &old.1);
    assert_eq!(scene.look(21), "+a");
}

#[test]
fn a_certificate_goes_with_both_its_files_and_never_with_the_last() {
    let mut scene = Scene::new();
    scene.put_pair("a", &pair("a.test"));
    scene.put_pair("b", &pair("b.test"));
    scene.look(0);
    fs::remove_file(scene.file("a.key")).unwrap();
    assert_eq!((scene.look(10).as_str(), scene.names().len()), ("", 2));
    assert_eq!(scene.look(20), "~a");
    fs::remove_file(scene.file("a.crt")).unwrap();
    assert_eq!(scene.look(30), "-a");
    for file in ["b.crt", "b.key"] {
        fs::remove_file(scene.file(file)).unwrap();
    }
    let told = "? all its files are gone; the last certificates stay";
    assert_eq!(scene.look(40), told);
    assert_eq!(scene.look(50), "");
    assert_eq!(scene.names(), ["b"]);
    fs::remove_dir(scene.place.path()).unwrap();
    assert!(scene.look(60).starts_with("? No such file"));
    assert_eq!(scene.names(), ["b"]);
}

#[test]
fn other_files_are_passed_over() {
    let mut scene = Scene::new();
    scene.put_pair(".hidden", &pair("a.test"));
    scene.put("README", "");
    scene.put("a.pem", "");
    assert_eq!(scene.look(0), "? it holds no NAME.crt and NAME.key");
}

#[test]
fn a_key_that_others_can_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    for (mode, expected) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
        let mut scene = Scene::new();
        scene.put_pair("a", &pair("a.test"));
        let key = scene.file("a.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let news = scene.folder.look(scene.start);
        let exposed = news.iter().filter(|it| matches!(it, News::Exposed(..)));
        assert_eq!(exposed.count(), expected, "{mode:o}");
    }
}
