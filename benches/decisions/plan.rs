//! What a leader decides for a whole site: two replicas of each service, two nodes.

use crate::sample::{self, NOW, SIZES};
use criterion::{BenchmarkId, Criterion, Throughput};
use minato_control::{World, plan};
use std::hint::black_box;

fn measure(criterion: &mut Criterion, name: &str, world: fn(usize) -> World) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    for services in SIZES {
        let world = world(services);
        group.throughput(Throughput::Elements(services as u64));
        group.bench_function(BenchmarkId::from_parameter(services), |it| {
            it.iter(|| black_box(plan(black_box(&world), NOW)));
        });
    }
    group.finish();
}

/// Everything is as it should be; the plan is empty.
pub(crate) fn settled(criterion: &mut Criterion) {
    assert!(
        plan(&sample::settled_world(10), NOW).steps.is_empty(),
        "nothing to do"
    );
    measure(criterion, "plan, all settled", sample::settled_world);
}

/// Nothing runs yet; every slot is assigned.
pub(crate) fn fresh(criterion: &mut Criterion) {
    assert_eq!(
        plan(&sample::fresh_world(10), NOW).steps.len(),
        20,
        "two slots each"
    );
    measure(criterion, "plan, all new", sample::fresh_world);
}
