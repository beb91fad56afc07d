//! `routes = [..]` and the long form `[[route]]`.

use super::document::Report;
use super::field::{Field, Section, describe};
use super::key::Keys;
use super::pattern;
use crate::{Route, RouteAction, RoutePattern};
use std::collections::BTreeMap;

/// Routes of one service, both forms together.
const MOST_ROUTES: usize = 1_000;

/// Of `[[route]]`.
pub(super) const KEYS: Keys = Keys::known(&["match", "strip", "redirect"]);

/// A route with its place in the file.
pub(super) struct Placed {
    pub(super) line: usize,
    pub(super) path: String,
    pub(super) route: Route,
}

/// All routes in the order of the file; one pattern stands at most once. One whose action is wrong forwards.
pub(super) fn read(section: &Section<'_>, report: &mut Report<'_>) -> Vec<Placed> {
    let mut placed = Vec::new();
    section.read(report, "routes", |field, report| {
        let wanted = "a list of hosts and paths, like [\"example.org/library\"]";
        let items = field.items(report, wanted, 0..=MOST_ROUTES)?;
        placed.extend(items.iter().filter_map(|it| short(it, report)));
        Some(())
    });
    section.read(report, "route", |field, report| {
        let items = field.items(report, "written as [[route]]", 0..=MOST_ROUTES)?;
        placed.extend(items.iter().filter_map(|it| long(it, report)));
        Some(())
    });
    unique(placed, report)
}

fn short(field: &Field<'_>, report: &mut Report<'_>) -> Option<Placed> {
    let pattern = route_pattern(field, report)?;
    Some(Placed {
        line: field.line,
        path: field.path.clone(),
        route: Route {
            pattern,
            action: RouteAction::Forward { strip: false },
        },
    })
}

fn long(field: &Field<'_>, report: &mut Report<'_>) -> Option<Placed> {
    let section = field.section(report, "a table with `match`")?;
    KEYS.check(&section, report);
    let matched = section.read(report, "match", route_pattern);
    if matched.is_absent() && report.is_whole() {
        report.problem(
            section.line,
            &section.path,
            "needs `match`, like match = \"example.org/old\"",
        );
    }
    let strip = section.read(report, "strip", Field::boolean);
    let redirect = section.read(report, "redirect", redirect);
    if let (Some(strip), false) = (section.get(report, "strip"), redirect.is_absent()) {
        let message =
            "does nothing beside `redirect`, which always replaces the prefix; leave it out";
        strip.problem::<()>(report, message);
    }
    let at = section.get(report, "match");
    let (line, path) = at.map_or((section.line, section.path.clone()), |it| {
        (it.line, it.path)
    });
    let strip = strip.or(false);
    let action = match redirect.or(String::new()) {
        to if to.is_empty() => RouteAction::Forward { strip },
        to => RouteAction::Redirect { to },
    };
    Some(Placed {
        line,
        path,
        route: Route {
            pattern: matched.right()?,
            action,
        },
    })
}

fn route_pattern(field: &Field<'_>, report: &mut Report<'_>) -> Option<RoutePattern> {
    let text = field.text(
        report,
        "a host with an optional path, like \"example.org/library\"",
    )?;
    match pattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(hint) => {
            let message = format!("no request can match {}: {hint}", describe(field.value));
            field.problem(report, message)
        }
    }
}

fn redirect(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = field.text(report, "an absolute URL, like \"https://example.org/new\"")?;
    match pattern::redirect(text) {
        Ok(to) => Some(to),
        Err(hint) => {
            let message = format!("cannot redirect to {}: {hint}", describe(field.value));
            field.problem(report, message)
        }
    }
}

fn unique(placed: Vec<Placed>, report: &mut Report<'_>) -> Vec<Placed> {
    let mut lines = BTreeMap::new();
    let mut kept = Vec::new();
    for it in placed {
        match lines.get(&it.route.pattern) {
            Some(first) => {
                let pattern = &it.route.pattern;
                let message =
                    format!("`{pattern}` stands in line {first} already; leave one of them out");
                report.problem(it.line, &it.path, message);
            }
            None => {
                lines.insert(it.route.pattern.clone(), it.line);
                kept.push(it);
            }
        }
    }
    if kept.len() > MOST_ROUTES {
        let message = format!(
            "a service may have at most {MOST_ROUTES} routes, got {}",
            kept.len()
        );
        let (line, path) = (kept[MOST_ROUTES].line, kept[MOST_ROUTES].path.clone());
        report.problem(line, &path, message);
    }
    kept
}
