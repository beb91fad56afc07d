//! What a request costs besides its route: choosing an instance, and admission.

use crate::sample;
use criterion::{BenchmarkId, Criterion};
use minato_config::Limits;
use minato_proxy::Queue;
use std::hint::black_box;
use std::time::Instant;

/// Among instances that are all up. Linear in their number.
pub(crate) fn pick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pick");
    let mut random = fastrand::Rng::with_seed(1);
    let now = Instant::now();
    for instances in [1, 2, 10, 100, 1_000] {
        let entry = sample::entry(0, instances);
        group.bench_function(BenchmarkId::from_parameter(instances), |it| {
            it.iter(|| {
                black_box(minato_proxy::pick(
                    &entry,
                    minato_proxy::Scope::Everywhere,
                    None,
                    now,
                    &mut |n| random.usize(0..n),
                ))
            });
        });
    }
    group.finish();
}

/// Admitted at once, and left again; without a limit and below one.
pub(crate) fn admit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    for in_flight in [0, 400] {
        let queue = Queue::new(&Limits {
            in_flight,
            ..Limits::default()
        });
        group.bench_function(BenchmarkId::from_parameter(in_flight), |it| {
            it.iter(|| black_box(queue.admit()));
        });
    }
    group.finish();
}
