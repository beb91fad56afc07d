//! The units that are shipped.

use crate::support::site::text;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn systemd_understands_the_units() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        minato_skip::skip("no systemd-analyze: scripts/install-needed.sh --tests installs it");
        return;
    }
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let folder = tempfile::tempdir().unwrap();
    for name in ["minato.service", "minato.socket"] {
        let unit = fs::read_to_string(shipped.join(name)).unwrap();
        let unit = unit.replace("/usr/local/bin/minato", env!("CARGO_BIN_EXE_minato"));
        fs::write(folder.path().join(name), unit).unwrap();
    }
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .args(["minato.service", "minato.socket"].map(|it| folder.path().join(it)))
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let ours: Vec<&str> = said.lines().filter(|it| it.contains("minato")).collect();
    assert_eq!(ours, Vec::<&str>::new());
}
