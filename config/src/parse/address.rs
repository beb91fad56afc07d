//! Socket addresses, address blocks and port ranges.

use super::document::Report;
use super::field::{Field, describe};
use crate::PortRange;
use std::net::{IpAddr, SocketAddr};

/// An address to listen on; port 0 lets the system choose.
pub(super) fn listener(field: &Field<'_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    const FORM: &str = "an address to listen on, like \"127.0.0.1:8080\" or \"[::]:80\"";
    let text = field.text(report, FORM)?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let got = describe(field.value);
    let hint = match text.rsplit_once(':') {
        Some(("", port)) if port.parse::<u16>().is_ok() => {
            format!("; for every address write \"[::]:{port}\"")
        }
        Some(("localhost", port)) if port.parse::<u16>().is_ok() => {
            format!("; write \"127.0.0.1:{port}\"")
        }
        _ if text.parse::<IpAddr>().is_ok() => "; the port is missing".to_owned(),
        Some((_, port)) if is_too_high(port) => "; ports end at 65535".to_owned(),
        _ => String::new(),
    };
    field.problem(report, format!("must be {FORM}, got {got}{hint}"))
}

/// Whether this is a number past the last port.
fn is_too_high(port: &str) -> bool {
    let number = !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit());
    number && port.parse::<u16>().is_err()
}

/// Whether this is an address as it stands before a port.
fn is_ip(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(text).parse::<IpAddr>().is_ok()
}

/// The address of a fixed endpoint: one that can be connected to.
pub(super) fn endpoint(field: &Field<'_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    const FORM: &str = "IP:port, like \"10.0.0.7:8080\" or \"[fd00::7]:8080\"";
    let text = field.text(report, FORM)?;
    let got = describe(field.value);
    let Ok(address) = text.parse::<SocketAddr>() else {
        let hint = if text.contains("://") {
            "; leave the scheme and the path out"
        } else if text.parse::<IpAddr>().is_ok() {
            "; the port is missing"
        } else if text
            .rsplit_once(':')
            .is_some_and(|(ip, port)| is_ip(ip) && is_too_high(port))
        {
            "; ports end at 65535"
        } else if text.bytes().any(|it| it.is_ascii_alphabetic()) && !text.starts_with('[') {
            "; this version does not look up host names"
        } else {
            ""
        };
        return field.problem(report, format!("must be {FORM}, got {got}{hint}"));
    };
    let ip = address.ip();
    if address.port() == 0 {
        field.problem(
            report,
            format!("must name a port from 1 to 65535, got {got}"),
        )
    } else if ip.is_unspecified() {
        let hint = "on this machine that is \"127.0.0.1\" or \"[::1]\"";
        let message = format!("must be an address that can be connected to, got {got}; {hint}");
        field.problem(report, message)
    } else if ip.is_multicast() {
        let message = format!("must be the address of one machine, got {got}, which is multicast");
        field.problem(report, message)
    } else {
        Some(SocketAddr::new(ip.to_canonical(), address.port()))
    }
}

/// An address or a block such as `10.0.0.0/8`, as address and prefix length.
pub(super) fn block(field: &Field<'_>, report: &mut Report<'_>) -> Option<(IpAddr, u8)> {
    const FORM: &str = "an address or a block, like \"10.0.0.1\" or \"10.0.0.0/8\"";
    let text = field.text(report, FORM)?;
    let (ip, length) = match text.split_once('/') {
        Some((ip, length)) => (ip, Some(length)),
        None => (text, None),
    };
    let Ok(ip) = ip.parse::<IpAddr>() else {
        return field.wrong(report, FORM);
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let length = match length.map(str::parse::<u8>) {
        None => most,
        Some(Ok(0)) => {
            let message = "would believe every client's forwarding fields; name the proxies";
            return field.problem(report, format!("{message}, got {}", describe(field.value)));
        }
        Some(Ok(length)) if length <= most => length,
        Some(_) => return field.wrong(report, &format!("a block of at most {most} bits")),
    };
    let network = network(ip, length);
    if network != ip {
        let got = describe(field.value);
        let message =
            format!("has bits past its length; did you mean \"{network}/{length}\"? Got {got}");
        return field.problem(report, message);
    }
    Some((ip, length))
}

/// `ip` with all bits past the first `length` cleared.
fn network(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

/// `20000-29999`
pub(super) fn ports(field: &Field<'_>, report: &mut Report<'_>) -> Option<PortRange> {
    const FORM: &str = "a range of ports from 1024 to 65535, like \"20000-29999\"";
    let text = field.text(report, FORM)?;
    let range = text.split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        Some(PortRange { first, last })
    });
    match range {
        Some(range) if range.first < 1024 => field.wrong(report, FORM),
        Some(range) if range.last < range.first => {
            let (first, last) = (range.first, range.last);
            let message =
                format!("must rise, got \"{first}-{last}\"; did you mean \"{last}-{first}\"?");
            field.problem(report, message)
        }
        Some(range) => Some(range),
        None => field.wrong(report, FORM),
    }
}
