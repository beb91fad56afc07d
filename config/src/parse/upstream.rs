//! `protocol` and `tls` of a service.

use super::document::Report;
use super::field::{Field, Given, Section, describe};
use super::key::{Keys, nearest};
use super::pattern;
use crate::{Upstream, UpstreamProtocol, UpstreamTls, Verify};
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// Of `tls`.
pub(super) const TLS_KEYS: Keys = Keys::known(&["ca", "sni", "verify"]);

/// What is in force where nothing more is said.
const PLAIN: UpstreamTls = UpstreamTls {
    ca: None,
    sni: None,
    verify: Verify::On,
};

/// Both keys; `None` where one of them is wrong.
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>) -> Option<Upstream> {
    let protocol = section.read(report, "protocol", protocol);
    let tls = section.read(report, "tls", tls);
    Some(Upstream {
        protocol: protocol.in_force(UpstreamProtocol::default())?,
        tls: tls.in_force(None)?,
    })
}

fn protocol(field: &Field<'_>, report: &mut Report<'_>) -> Option<UpstreamProtocol> {
    const FORM: &str = "\"http1\" or \"h2\"";
    match field.text(report, FORM)? {
        "http1" => Some(UpstreamProtocol::Http1),
        "h2" => Some(UpstreamProtocol::Http2),
        "h2c" => field.wrong(report, &format!("{FORM} (\"h2\" without `tls` is h2c)")),
        "https" | "tls" => field.wrong(report, &format!("{FORM} (for TLS write tls = true)")),
        "grpc" | "grpcs" | "http2" | "http/2" => {
            field.wrong(report, &format!("{FORM} (did you mean \"h2\"?)"))
        }
        other => match nearest(other, &["http1", "h2"]) {
            Some(near) => field.wrong(report, &format!("{FORM} (did you mean \"{near}\"?)")),
            None => field.wrong(report, FORM),
        },
    }
}

/// `true`, `false` or a table; also of a database.
pub(super) fn tls(field: &Field<'_>, report: &mut Report<'_>) -> Option<Option<UpstreamTls>> {
    const FORM: &str =
        "true, false or a table, like { ca = \"/etc/minato/ca.pem\", sni = \"db.example.org\" }";
    match field.value {
        DeValue::Boolean(true) => Some(Some(PLAIN)),
        DeValue::Boolean(false) => Some(None),
        _ => table(&field.section(report, FORM)?, report).map(Some),
    }
}

fn table(section: &Section<'_>, report: &mut Report<'_>) -> Option<UpstreamTls> {
    TLS_KEYS.check(section, report);
    let ca = section.read(report, "ca", authorities);
    let sni = section.read(report, "sni", name);
    let verify = section.read(report, "verify", Field::boolean);
    if verify == Given::Right(false)
        && let Some(field) = section.get(report, "ca")
    {
        let message =
            "does nothing beside verify = false, which believes everyone; leave one of the two out";
        return field.problem(report, message);
    }
    let verify = if verify.in_force(true)? {
        Verify::On
    } else {
        Verify::Off
    };
    Some(UpstreamTls {
        ca: match ca {
            Given::Wrong => return None,
            ca => ca.right(),
        },
        sni: match sni {
            Given::Wrong => return None,
            sni => sni.right(),
        },
        verify,
    })
}

/// Absolute, since every gateway reads it from its own disk.
fn authorities(field: &Field<'_>, report: &mut Report<'_>) -> Option<PathBuf> {
    const FORM: &str = "an absolute path of a PEM file, like \"/etc/minato/ca.pem\"";
    let text = field.text(report, FORM)?;
    let path = Path::new(text);
    if path.is_absolute() && !text.contains('\0') && text.len() <= 4_096 {
        Some(path.to_owned())
    } else {
        field.wrong(report, FORM)
    }
}

fn name(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "the DNS name in the instance's certificate, like \"db.example.org\"";
    let text = field.text(report, FORM)?;
    match pattern::dns_name(text) {
        Ok(name) => Some(name),
        Err(fault) => {
            let got = describe(field.value);
            field.problem(report, format!("must be {FORM}, got {got}: {fault}"))
        }
    }
}
