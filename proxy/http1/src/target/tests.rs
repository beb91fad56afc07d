use super::*;

#[test]
fn hosts_take_one_form() {
    let longest = ["a"; 127].join(".");
    for (given, expected) in [
        ("example.org", "example.org"),
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("EXAMPLE.org.:8080", "example.org"),
        ("example.org:", "example.org"),
        ("example.org:0", "example.org"),
        ("example.org:65535", "example.org"),
        ("a_b.xn--bcher-kva", "a_b.xn--bcher-kva"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[0:0:0::1]:443", "[::1]"),
        ("[2001:DB8::A]", "[2001:db8::a]"),
        (&longest, &longest),
    ] {
        assert_eq!(normalize_host(given).as_deref(), Ok(expected), "{given}");
    }
}

#[test]
fn what_is_no_authority_is_refused() {
    let too_long = ["a"; 128].join(".");
    for given in [
        "",
        ".",
        ":80",
        "a..b",
        ".a",
        "a..",
        "a b",
        "a/b",
        "a,b",
        "user@a",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:+80",
        "a: 80",
        "a%41",
        "bücher.example",
        "a\0",
        "a\r\nb",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]:x",
        "[]",
        "[v1.a]",
        "[fe80::1%eth0]",
        "[127.0.0.1]",
        &too_long,
    ] {
        assert_eq!(normalize_host(given), Err(InvalidTarget::Host), "{given:?}");
    }
}

#[test]
fn paths_take_one_form() {
    for (given, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/./a", "/a"),
        ("/.", "/"),
        ("/..", "/"),
        ("/../..", "/"),
        ("/../a", "/a"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/b/c/./../../g", "/a/g"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e/b", "/a/b"),
        ("/...", "/..."),
        ("/.a/..b/%2ec", "/.a/..b/%2ec"),
        ("/a%2e%2e", "/a%2e%2e"),
        // Empty segments are segments.
        ("//", "//"),
        ("//a//b", "//a//b"),
        ("/a//../b", "/a/b"),
        ("//..", "/"),
        ("//../a", "/a"),
        // Other escapes are left alone, in either case.
        ("/a%2fb", "/a%2fb"),
        ("/..%2fb", "/..%2fb"),
        ("/%5c", "/%5c"),
        ("/%C3%bc%41", "/%C3%bc%41"),
        ("/ü", "/ü"),
        ("/%252e%252e/a", "/%252e%252e/a"),
        ("/a;b=c/@:!$&'()*+,=~", "/a;b=c/@:!$&'()*+,=~"),
    ] {
        assert_eq!(normalize_path(given).as_deref(), Ok(expected), "{given}");
    }
}

#[test]
fn paths_without_one_meaning_are_refused() {
    for (given, fault) in [
        ("", "no leading slash"),
        ("a", "no leading slash"),
        ("*", "no leading slash"),
        ("http://a/", "no leading slash"),
        ("/a\\b", "a backslash"),
        ("/a%00", "an encoded NUL"),
        ("/a\0", "a control character"),
        ("/a\tb", "a control character"),
        ("/a\x7f", "a control character"),
        ("/a b", "a space"),
        ("/a#b", "a fragment"),
        ("/a?b", "a query"),
        ("/%", "a bad escape"),
        ("/%2", "a bad escape"),
        ("/%2g", "a bad escape"),
        ("/%%20", "a bad escape"),
        ("/%ü", "a bad escape"),
        ("/%u002e", "a bad escape"),
    ] {
        assert_eq!(
            normalize_path(given),
            Err(InvalidTarget::Path(fault)),
            "{given:?}"
        );
    }
}

#[test]
fn an_ordinary_target_is_not_copied() {
    assert!(matches!(
        normalize_path("/a/.well-known/%20"),
        Ok(Cow::Borrowed(_))
    ));
    assert!(matches!(
        normalize_host("example.org.:80"),
        Ok(Cow::Borrowed(_))
    ));
}

/// Pieces that matter, thrown together: whatever is accepted is already in its one form, and no dot segment is left.
#[test]
fn random_targets_are_normal_after_one_pass() {
    const PIECES: [&str; 20] = [
        "/", "/", "/", ".", "..", "%2e", "%2E", "%2f", "%", "%00", "a", "B", "%41", "\\", "#", ":",
        "80", "[", "::1]", "ü",
    ];
    for seed in 0..50_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let pieces = random.usize(0..12);
        let text: String = (0..pieces)
            .map(|_| PIECES[random.usize(0..PIECES.len())])
            .collect();
        if let Ok(path) = normalize_path(&text) {
            assert_eq!(
                normalize_path(&path).as_deref(),
                Ok(&*path),
                "seed {seed}: {text}"
            );
            assert!(path.starts_with('/'), "seed {seed}: {text}");
            let decoded = path.to_lowercase().replace("%2e", ".");
            assert!(
                !decoded.split('/').any(|it| it == "." || it == ".."),
                "seed {seed}: {text} {path}"
            );
        }
        if let Ok(host) = normalize_host(&text) {
            assert_eq!(
                normalize_host(&host).as_deref(),
                Ok(&*host),
                "seed {seed}: {text}"
            );
        }
        if let Ok(path) = normalize_path(&format!("/{text}")) {
            assert!(path.len() <= text.len() + 1, "seed {seed}: {text}");
        }
    }
}
