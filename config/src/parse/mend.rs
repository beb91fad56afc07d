//! What a route or redirect that was refused probably should have been.
//!
//! A guess: whoever suggests it parses it first. Not here: what is right (`pattern`).

use super::pattern::{is_path_byte, is_unreserved, split_port};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A route without what requests are not matched by: scheme, port, capitals, query and so on.
pub(super) fn route(text: &str) -> String {
    let (_, host, _, path) = parts(text);
    match host.as_str() {
        "" => format!("*{path}"),
        _ => format!("{host}{path}"),
    }
}

/// A redirect in its one form; `None` where it names no scheme.
pub(super) fn redirect(text: &str) -> Option<String> {
    let (scheme, host, port, path) = parts(text);
    let scheme = scheme?.to_ascii_lowercase();
    let port = port.map(|it| format!(":{it}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}{path}"))
}

/// Scheme, host, port and path.
fn parts(text: &str) -> (Option<&str>, String, Option<&str>, String) {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let name = authority.rsplit_once('@').map_or(authority, |it| it.1);
    let (host, port) = match name.parse::<Ipv6Addr>() {
        Ok(ip) => (format!("[{ip}]"), None),
        Err(_) => {
            let (name, port) = split_port(name);
            (host(name), port)
        }
    };
    (scheme, host, port, path_prefix(path))
}

fn host(text: &str) -> String {
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Some(ip) = inner.and_then(|it| it.parse::<Ipv6Addr>().ok()) {
        return format!("[{ip}]");
    }
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_suffix('.').unwrap_or(&lower);
    let suffix = bare.strip_prefix("*.");
    let ip = suffix.filter(|it| it.parse::<Ipv4Addr>().is_ok());
    ip.unwrap_or(bare).to_owned()
}

/// Without query, empty and dot segments and a final `*`, each byte as clients send it.
fn path_prefix(text: &str) -> String {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let path = &text[..end];
    let path = path.strip_suffix("/*").unwrap_or(path);
    let mut kept = Vec::new();
    for it in path.split('/').map(segment) {
        match it.as_str() {
            "" | "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(it),
        }
    }
    format!("/{}", kept.join("/"))
}

fn segment(text: &str) -> String {
    let mut sent = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let code = rest.get(1..3).filter(|_| character == '%');
        let code = code.filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()));
        let plain = code.and_then(|it| u8::from_str_radix(it, 16).ok());
        let length = match (plain, code) {
            (Some(plain), _) if is_unreserved(plain) => {
                sent.push(char::from(plain));
                3
            }
            (_, Some(code)) => {
                sent.push('%');
                sent.push_str(code);
                3
            }
            _ => {
                encode(character, &mut sent);
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    sent
}

/// A lone `%` and `\` stay as they are: what was meant is not known.
fn encode(character: char, sent: &mut String) {
    let kept = |it: u8| is_path_byte(it) || it == b'%' || it == b'\\';
    if u8::try_from(character).is_ok_and(kept) {
        sent.push(character);
        return;
    }
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        sent.push_str(&format!("%{byte:02X}"));
    }
}
