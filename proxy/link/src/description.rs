//! What a folder or a file of certificates is: for whom, until when, and whether it would be believed.

use crate::authority::Authority;
use crate::fault::Fault;
use crate::files::{self, is_missing};
use crate::identity::{Identity, Source};
use crate::issued::{Issued, dns_names, parse};
use crate::material::{permitted, read_roots};
use crate::moment::Moment;
use crate::name::DOMAIN;
use minato_config::{NodeId, SiteId};
use std::path::{Path, PathBuf};

/// One certificate, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Where it stands.
    pub file: PathBuf,
    /// What it is.
    pub what: String,
    /// The names that it is for, or may make names below; empty for a root.
    pub names: Vec<String>,
    /// Its first moment.
    pub from: Moment,
    /// Its last moment.
    pub until: Moment,
    /// Whether it holds now, with what stands beside it: the text says why not, or how far that was looked at.
    pub verdict: Result<String, String>,
}

/// Describes a folder of `minato ca`, or one file of certificates.
pub fn describe(path: &Path, now: Moment) -> Result<Vec<Described>, Fault> {
    if !path.is_dir() {
        return Issued::read(path)?.each().map(|it| one(&it, now)).collect();
    }
    let (root, site) = (path.join(files::ROOT), path.join(files::SITE));
    let mut all: Vec<Described> = Issued::read(&root)?
        .each()
        .map(|it| one(&it, now))
        .collect::<Result<_, _>>()?;
    if path.join(files::ROOT_KEY).exists() {
        let verdict = Authority::read(path, now);
        for it in &mut all {
            it.verdict = match &verdict {
                Ok(_) => Ok("its key is here: it can sign for sites".to_owned()),
                Err(fault) => Err(fault.to_string()),
            };
        }
    }
    match Issued::read(&site) {
        Ok(issued) => {
            for it in issued.each().take(1) {
                let mut it = one(&it, now)?;
                it.verdict = verify(path, &it.names, now);
                all.push(it);
            }
        }
        Err(fault) if is_missing(&fault) => {}
        Err(fault) => return Err(fault),
    }
    Ok(all)
}

/// Makes a gateway's certificate from it and has it checked as a peer does.
fn verify(folder: &Path, names: &[String], now: Moment) -> Result<String, String> {
    let site = match names {
        [name] => name
            .strip_suffix(DOMAIN)
            .and_then(|it| it.strip_suffix('.')),
        _ => None,
    };
    let site = site.and_then(|it| SiteId::parse(it).ok());
    let site = site.ok_or("it is not held to one site; issue it with `minato ca issue`")?;
    let node = NodeId::parse("check").map_err(|it| it.to_string())?;
    let source = Source::Folder(folder.to_owned());
    Identity::inspect(&source, &node, &site, now).map_err(|it| it.to_string())?;
    Ok(format!(
        "verifies: gateways of {site} are believed by sites of this root"
    ))
}

fn one(issued: &Issued, now: Moment) -> Result<Described, Fault> {
    let malformed = |cause: String| Fault::Malformed {
        file: issued.file().to_owned(),
        wanted: "certificate",
        cause,
    };
    let der = issued
        .chain()
        .first()
        .ok_or_else(|| malformed("no such block".to_owned()))?;
    let facts = parse(der).map_err(malformed)?;
    let (is_root, is_authority) = (facts.subject() == facts.issuer(), facts.is_ca());
    let permitted = permitted(&facts);
    let (what, names) = match (is_authority, is_root) {
        (true, true) => ("root", permitted),
        (true, false) => ("site's intermediate", permitted),
        (false, _) => {
            let names = dns_names(&facts).map_err(malformed)?;
            (
                "gateway's certificate",
                names.into_iter().map(str::to_owned).collect(),
            )
        }
    };
    let verdict = match issued.check_time(now) {
        Ok(()) if is_root => read_roots(issued.file(), now)
            .map(|_| "valid now".to_owned())
            .map_err(|it| it.to_string()),
        Ok(()) => Ok("valid now; by itself nothing says who signed it: name its folder".to_owned()),
        Err(fault) => Err(fault.to_string()),
    };
    Ok(Described {
        file: issued.file().to_owned(),
        what: what.to_owned(),
        names,
        from: issued.begin(),
        until: issued.end(),
        verdict,
    })
}
