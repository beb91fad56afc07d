//! The table beside a reference that keeps a plain list and looks at all of it.

use super::*;

/// Every claim in the order of arrival.
#[derive(Default)]
struct Reference(Vec<(RoutePattern, String)>);

impl Reference {
    fn with(&mut self, service: &str, routes: &BTreeSet<String>) {
        let wanted: Vec<_> = routes.iter().map(|it| pattern(it)).collect();
        self.0
            .retain(|(pattern, of)| of != service || wanted.contains(pattern));
        for pattern in wanted {
            let claim = (pattern, service.to_owned());
            if !self.0.contains(&claim) {
                self.0.push(claim);
            }
        }
    }

    fn without(&mut self, service: &str) {
        self.0.retain(|(_, of)| of != service);
    }

    fn find(&self, host: &str, path: &str) -> Option<(String, String)> {
        let mut best: Option<(usize, usize, &RoutePattern, &str)> = None;
        for (pattern, service) in &self.0 {
            let host_rank = match &pattern.host {
                HostPattern::Exact(exact) if exact == host => usize::MAX,
                HostPattern::Wildcard(suffix) if host.ends_with(&format!(".{suffix}")) => {
                    suffix.len()
                }
                HostPattern::Any => 0,
                _ => continue,
            };
            let prefix = pattern.path.0.trim_end_matches('/');
            if path != prefix && !path.starts_with(&format!("{prefix}/")) {
                continue;
            }
            // The first claim of equal ones stays.
            if best.is_none_or(|it| (it.0, it.1) < (host_rank, prefix.len())) {
                best = Some((host_rank, prefix.len(), pattern, service));
            }
        }
        best.map(|it| (it.2.to_string(), it.3.to_owned()))
    }
}

const LABELS: [&str; 3] = ["a", "b", "c"];

fn host(random: &mut fastrand::Rng) -> String {
    let labels: Vec<_> = (0..random.usize(1..4))
        .map(|_| LABELS[random.usize(0..3)])
        .collect();
    labels.join(".")
}

fn path(random: &mut fastrand::Rng) -> String {
    let segments = ["", "x", "y", "xy"];
    let path: String = (0..random.usize(1..4))
        .map(|_| format!("/{}", segments[random.usize(0..4)]))
        .collect();
    path
}

fn route(random: &mut fastrand::Rng) -> String {
    let host = match random.u8(0..5) {
        0 => "*".to_owned(),
        1 | 2 => format!("*.{}", host(random)),
        _ => host(random),
    };
    let path = path(random);
    format!("{host}{}", path.trim_end_matches('/'))
}

#[test]
fn any_history_of_changes_finds_what_the_reference_finds() {
    let mut found = 0;
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut table, mut reference) = (Table::default(), Reference::default());
        for step in 0..60 {
            let named = format!("s{}", random.u8(0..8));
            if random.u8(0..4) == 0 {
                table = table.without(&name(&named));
                reference.without(&named);
            } else {
                let routes: BTreeSet<_> = (0..random.usize(0..6))
                    .map(|_| route(&mut random))
                    .collect();
                let list: Vec<_> = routes.iter().map(String::as_str).collect();
                table = table.with(entry(service(&named, &list), Vec::new()));
                reference.with(&named, &routes);
            }
            for _ in 0..40 {
                let (host, path) = (host(&mut random), path(&mut random));
                let expected = reference.find(&host, &path);
                let actual = table.find(&host, &path).map(|it| {
                    (
                        it.route.pattern.to_string(),
                        it.route.service.service.name.to_string(),
                    )
                });
                assert_eq!(actual, expected, "seed {seed}, step {step}: {host}{path}");
                found += u32::from(actual.is_some());
            }
        }
    }
    assert!(
        found > 50_000,
        "{found} matches only: the histories are too thin"
    );
}
