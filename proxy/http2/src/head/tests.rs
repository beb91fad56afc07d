use super::*;

fn head(of: Of, fields: &[(&str, &str)]) -> Head {
    let mut head = Head::default();
    for _ in 0..2 {
        head.begin(of);
        for (name, value) in fields {
            head.push(name.as_bytes(), value.as_bytes());
        }
        head.end();
    }
    head
}

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "https");
const PATH: (&str, &str) = (":path", "/a?b");
const AUTHORITY: (&str, &str) = (":authority", "a.test");

#[test]
fn pseudo_fields_stand_apart() {
    let it = head(
        Of::Request,
        &[
            PATH,
            METHOD,
            AUTHORITY,
            SCHEME,
            ("x-a", "1"),
            ("x-b", ""),
            ("x-a", "2"),
        ],
    );
    assert_eq!((it.fault(), it.is_too_large()), (None, false));
    assert_eq!(
        (it.method(), it.scheme(), it.path(), it.authority()),
        (
            &b"GET"[..],
            &b"https"[..],
            &b"/a?b"[..],
            Some(&b"a.test"[..])
        )
    );
    let fields: Vec<_> = it.fields().collect();
    assert_eq!(
        fields,
        [(&b"x-a"[..], &b"1"[..]), (b"x-b", b""), (b"x-a", b"2")]
    );
    let it = head(Of::Request, &[METHOD, SCHEME, PATH]);
    assert_eq!(
        (it.fault(), it.authority(), it.fields().count()),
        (None, None, 0)
    );
    let it = head(Of::Trailers, &[("x-sum", "7")]);
    assert_eq!((it.fault(), it.fields().count()), (None, 1));
}

#[test]
fn pseudo_fields_are_there_once_and_first() {
    let connect = (":method", "CONNECT");
    for (fields, is_sound) in [
        (&[METHOD, SCHEME, PATH, AUTHORITY][..], true),
        (&[METHOD, METHOD, SCHEME, PATH], false),
        (&[METHOD, SCHEME, SCHEME, PATH], false),
        (&[METHOD, SCHEME, PATH, PATH], false),
        (&[METHOD, SCHEME, PATH, AUTHORITY, AUTHORITY], false),
        (&[METHOD, SCHEME, ("x", ""), PATH], false),
        (&[METHOD, SCHEME], false),
        (&[METHOD, PATH], false),
        (&[SCHEME, PATH], false),
        (&[METHOD, SCHEME, PATH, (":status", "200")], false),
        (&[METHOD, SCHEME, PATH, (":", "200")], false),
        (&[METHOD, SCHEME, PATH, (":protocol", "x")], false),
        (&[connect, AUTHORITY], true),
        (&[connect, AUTHORITY, PATH], false),
        (&[connect, AUTHORITY, SCHEME], false),
        (&[connect], false),
    ] {
        assert_eq!(
            head(Of::Request, fields).fault().is_none(),
            is_sound,
            "{fields:?}"
        );
    }
    for name in [":path", ":status", ":x"] {
        assert!(
            head(Of::Trailers, &[(name, "")]).fault().is_some(),
            "{name}"
        );
    }
}

/// What is above the limit is told, and not kept.
#[test]
fn a_list_is_bounded() {
    let mut it = Head::default();
    it.begin(Of::Request);
    for _ in 0..MOST_LIST / 33 {
        it.push(b"x", b"");
    }
    assert!(!it.is_too_large());
    for _ in 0..1_000_000 {
        it.push(b"x", b"");
    }
    assert!(it.is_too_large() && it.fields().count() == MOST_LIST / 33);
    let large = vec![b'x'; MOST_LIST];
    it.begin(Of::Request);
    it.push(b"x", &large);
    assert!(it.is_too_large() && it.fields().count() == 0);
    it.begin(Of::Request);
    it.push(b"x", &large[..20_000]);
    it.shrink();
    assert_eq!(it.bytes.capacity(), 0);
}
