//! Row 5: every lease is revoked at once. Nothing restarts in a mass.

use crate::figures::{Figure, measure};
use crate::stage::{Cast, Stage};
use crate::support::clock::{now, until};

#[test]
fn every_lease_revoked_at_once_restarts_nothing() {
    measure("row 5, all leases revoked", |timers| {
        let cast = Cast {
            members: 3,
            control: 2,
            gateways: 2,
            nodes: 3,
        };
        let stage = Stage::build(cast, timers);
        stage.open(4);
        let pids = stage.pids();
        let record = stage.record();
        let load = stage.load(0);
        let (mut revoked, mut again) = (0, Vec::new());
        for _ in 0..3 {
            let began = now();
            let leases = stage.store.etcdctl(&["lease", "list"]);
            for lease in leases.lines().skip(1) {
                stage.store.etcdctl(&["lease", "revoke", lease.trim()]);
                revoked += 1;
            }
            until("everybody to be back under a lease", || {
                let alive = stage.store.list("nodes/");
                let nodes = alive
                    .iter()
                    .filter(|(key, _)| key.ends_with("/alive"))
                    .count();
                let gateways = stage.store.list("gateways/").len();
                let leads = !stage.store.list("leader").is_empty();
                (nodes == 3 && gateways == 2 && leads).then_some(())
            });
            again.push(began.elapsed());
        }
        // Orders are obeyed as before.
        stage.control[0].type_in(&["scale", "app", "5"]);
        stage.wait_ok(5);
        let report = load.stop();
        let judged = stage.judge(record, 1);
        report.nothing_failed();
        let now_pids = stage.pids();
        assert!(
            pids.iter().all(|it| now_pids.contains(it)),
            "{pids:?} became {now_pids:?}"
        );
        assert!(
            revoked >= 3 * 6,
            "only {revoked} leases were there to revoke"
        );
        judged.beside(vec![
            (
                "everybody back",
                Figure::Time(again.into_iter().max().unwrap()),
            ),
            ("failed", Figure::Count(report.failed)),
        ])
    });
}
