//! A judge hears the outcome of one probe.

use criterion::Criterion;
use minato_config::HealthTiming;
use minato_health::{Failure, Judge, Layer, Outcome, Verdict};
use std::hint::black_box;

pub(crate) fn observe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("judge");
    let passed: Outcome = Ok(());
    let failed: Outcome = Err(Failure::new(Layer::ConnectRefused, "connection refused"));
    let timing = HealthTiming::default();

    let mut judge = Judge::resume(&timing, Verdict::Up);
    group.bench_function("pass while up", |it| {
        it.iter(|| black_box(judge.observe(black_box(&passed))));
    });
    // Up, suspect, up: two changes of verdict.
    let mut judge = Judge::resume(&timing, Verdict::Up);
    group.bench_function("failure and pass", |it| {
        it.iter(|| {
            black_box(judge.observe(black_box(&failed)));
            black_box(judge.observe(black_box(&passed)))
        });
    });
    // Up, suspect, down by three failures, up by two passes.
    let mut judge = Judge::resume(&timing, Verdict::Up);
    group.bench_function("down and up", |it| {
        it.iter(|| {
            for outcome in [&failed, &failed, &failed, &passed, &passed] {
                black_box(judge.observe(black_box(outcome)));
            }
        });
    });
    group.finish();
}
