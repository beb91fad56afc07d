use super::*;

fn osaka() -> (SiteId, String) {
    (SiteId::parse("osaka").unwrap(), "gw-1".to_owned())
}

fn library() -> ServiceName {
    ServiceName::parse("library").unwrap()
}

#[test]
fn what_is_fetched_again_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::new(folder.path().to_owned());
    let (from, service) = (osaka(), library());
    assert_eq!(archive.fetched(&from, &service, "1-2-3").unwrap(), 0);
    archive
        .fetch(&from, &service, "1-2-3", 0, b"1 one\n2 two\n")
        .unwrap();
    assert_eq!(archive.fetched(&from, &service, "1-2-3").unwrap(), 12);
    // Whoever fetched ended before he knew that it was written.
    archive
        .fetch(&from, &service, "1-2-3", 6, b"2 two\n3 three\n")
        .unwrap();
    archive
        .fetch(&from, &service, "0-2-3", 0, b"0 zero\n")
        .unwrap();
    let lines = archive.last(&service, Some(&from.0), 9).unwrap();
    assert_eq!(lines, ["0 zero", "1 one", "2 two", "3 three"]);
    assert_eq!(
        archive.last(&service, Some(&from.0), 2).unwrap(),
        ["2 two", "3 three"]
    );
    assert!(archive.last(&service, None, 9).unwrap().is_empty());
}

#[test]
fn names_from_elsewhere_do_not_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::new(folder.path().join("inside"));
    let (from, service) = (osaka(), library());
    for name in [
        "../x",
        "",
        ".",
        "a/b",
        "a.log",
        "/etc/passwd",
        &"x".repeat(81),
        "a\0b",
    ] {
        let kind = |it: io::Result<()>| it.unwrap_err().kind();
        let segment = archive.fetch(&from, &service, name, 0, b"x\n");
        assert_eq!(kind(segment), io::ErrorKind::InvalidInput, "{name:?}");
        let gateway = (from.0.clone(), name.to_owned());
        let gateway = archive.fetch(&gateway, &service, "1-2-3", 0, b"x\n");
        assert_eq!(kind(gateway), io::ErrorKind::InvalidInput, "{name:?}");
        let read = archive.read(&service, name, 0, 9).map(drop);
        assert_eq!(kind(read), io::ErrorKind::InvalidInput, "{name:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_segment_is_read_in_pieces_and_its_end_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::new(folder.path().to_owned());
    fs::create_dir(folder.path().join("library")).unwrap();
    fs::write(folder.path().join("library/1-2-3.log"), "abcdef").unwrap();
    let read = |from, most| archive.read(&library(), "1-2-3", from, most).unwrap();
    assert_eq!(
        (read(0, 4), read(4, 4), read(6, 4)),
        (b"abcd".to_vec(), b"ef".to_vec(), vec![])
    );
    let gone = archive.read(&library(), "9-9-9", 0, 1).unwrap_err();
    assert_eq!(gone.kind(), io::ErrorKind::NotFound);
}
