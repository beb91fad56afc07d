//! What `minato ca` writes, as openssl reads it.

use crate::stage::{Root, START, has_openssl, site};
use minato_link::{MakeError, write_authority, write_site};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

fn text(file: &Path) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(file)
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn keys_are_their_owners_alone() {
    let root = Root::new();
    let tokyo = root.issue("tokyo");
    assert_eq!(mode(&root.path().join("authority.key")), 0o600);
    assert_eq!(mode(&tokyo.join("site.key")), 0o600);
    assert!(!tokyo.join("authority.key").exists());
}

#[test]
fn a_root_is_never_overwritten() {
    let root = Root::new();
    let before = std::fs::read(root.path().join("authority.key")).unwrap();
    for missing in [None, Some("authority.key"), Some("authority.crt")] {
        if let Some(it) = missing {
            std::fs::rename(root.path().join(it), root.path().join("aside")).unwrap();
        }
        let refused = write_authority(&root.path(), START);
        assert!(
            matches!(refused, Err(MakeError::Exists { .. })),
            "{refused:?}"
        );
        if let Some(it) = missing {
            std::fs::rename(root.path().join("aside"), root.path().join(it)).unwrap();
        }
    }
    assert_eq!(
        std::fs::read(root.path().join("authority.key")).unwrap(),
        before
    );
    std::fs::remove_file(root.path().join("authority.key")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", root.path().join("authority.key")).unwrap();
    assert!(write_authority(&root.path(), START).is_err());
}

#[test]
fn openssl_reads_what_the_issue_asks_for() {
    if !has_openssl() {
        return;
    }
    let root = Root::new();
    let tokyo = root.issue("tokyo");
    let verify = Command::new("openssl")
        .args([
            "verify",
            "-x509_strict",
            "-attime",
            &START.0.to_string(),
            "-CAfile",
        ])
        .arg(root.path().join("authority.crt"))
        .arg(tokyo.join("site.crt"))
        .output()
        .unwrap();
    assert!(
        verify.status.success(),
        "{}",
        String::from_utf8_lossy(&verify.stderr)
    );
    let site = text(&tokyo.join("site.crt"));
    for wanted in [
        "X509v3 Name Constraints: critical",
        "DNS:tokyo.minato.internal",
        "IP:0.0.0.0/0.0.0.0",
        "CA:TRUE, pathlen:0",
        "Not After : Jul  6 00:00:00 2027 GMT",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(site.contains(wanted), "{wanted} is not in {site}");
    }
    let root = text(&root.path().join("authority.crt"));
    assert!(
        root.contains("Not After : Jun  1 00:00:00 2036 GMT"),
        "{root}"
    );
}

#[test]
fn a_folder_of_something_else_is_left() {
    let root = Root::new();
    let (tokyo, osaka) = (root.issue("tokyo"), root.issue("osaka"));
    let before = std::fs::read(osaka.join("site.crt")).unwrap();
    let refused = write_site(&root.path(), &site("tokyo"), &osaka, START).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("is of another site (osaka.minato.internal)"),
        "{refused}"
    );
    let other = Root::new();
    let refused = write_site(&other.path(), &site("osaka"), &osaka, START).unwrap_err();
    assert!(
        refused.to_string().contains("is not of this root"),
        "{refused}"
    );
    let refused = write_site(&root.path(), &site("osaka"), &root.path(), START).unwrap_err();
    assert!(
        refused.to_string().contains("never leaves its folder"),
        "{refused}"
    );
    assert_eq!(std::fs::read(osaka.join("site.crt")).unwrap(), before);
    // The same site anew.
    let before = std::fs::read(tokyo.join("site.crt")).unwrap();
    root.issue("tokyo");
    assert_ne!(std::fs::read(tokyo.join("site.crt")).unwrap(), before);
    let refused = write_site(Path::new("/nowhere"), &site("tokyo"), &tokyo, START).unwrap_err();
    assert!(
        refused.to_string().contains("no root to sign with"),
        "{refused}"
    );
}
