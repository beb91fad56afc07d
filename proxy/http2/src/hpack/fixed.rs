//! The table that never changes (RFC 7541 appendix A).

/// How many there are; the dynamic ones follow.
pub(super) const COUNT: usize = 61;

/// In order; the first is number 1.
const ALL: [(&[u8], &[u8]); COUNT] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// The same, in one place.
pub(super) static FIELDS: [(&[u8], &[u8]); COUNT] = ALL;

/// Places of the names by their hash; a power of two, four times as many as there are.
const PLACES: usize = 256;
static BY_NAME: [u8; PLACES] = places();

const fn places() -> [u8; PLACES] {
    let mut places = [0; PLACES];
    let mut number = 1;
    while number <= COUNT {
        // The first of several has its place already.
        let name = ALL[number - 1].0;
        let mut place = hash(name, 0) as usize % PLACES;
        loop {
            if places[place] == 0 {
                places[place] = number as u8;
                break;
            }
            if same(ALL[places[place] as usize - 1].0, name) {
                break;
            }
            place = (place + 1) % PLACES;
        }
        number += 1;
    }
    places
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Mixes octets into a hash, eight at a time. Against no one's malice: what collides is only not compressed.
#[inline]
pub(super) const fn hash(bytes: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = seed ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((block, behind)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ u64::from_le_bytes(*block)).wrapping_mul(FACTOR);
        hash ^= hash >> 29;
        rest = behind;
    }
    while let [octet, behind @ ..] = rest {
        hash = (hash ^ *octet as u64).wrapping_mul(FACTOR);
        rest = behind;
    }
    hash ^ (hash >> 32)
}

/// The number of the first with this name; `hash` is of it, with a seed of 0.
#[inline]
pub(super) fn number_of(name: &[u8], hash: u64) -> Option<usize> {
    let mut place = hash as usize % PLACES;
    loop {
        let number = usize::from(BY_NAME[place]);
        let (own, _) = FIELDS.get(number.checked_sub(1)?)?;
        if *own == name {
            return Some(number);
        }
        place = (place + 1) % PLACES;
    }
}
