//! The table: lookups, one change, and building it from nothing.

use crate::sample::{self, SIZES};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use std::hint::black_box;

/// Steps through `all` so that neighbours are far apart: no lookup finds the caches as the one before left them.
fn next<'a, T>(all: &'a [T], number: &mut usize) -> &'a T {
    *number = number.wrapping_add(7_919);
    all.get(*number % all.len()).expect("not empty")
}

/// One route by host, by wildcard, by prefix on a shared host, and a long path that no route of the shared host takes.
pub(crate) fn find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("find");
    for services in SIZES {
        let table = sample::table(&sample::entries(services));
        let of = |text: fn(usize) -> String| (0..services).map(text).collect::<Vec<_>>();
        let exact = of(|it| format!("library{it}.example.ac.jp"));
        let wildcard = of(|it| format!("a.w{it}.example.org"));
        let prefix = of(|it| format!("/library{it}/item/12345"));
        let deep = "/x".repeat(8_000);
        let mut number = 0;
        group.bench_function(BenchmarkId::new("exact", services), |it| {
            it.iter(|| black_box(table.find(next(&exact, &mut number).as_str(), "/item/12345")));
        });
        group.bench_function(BenchmarkId::new("wildcard", services), |it| {
            it.iter(|| black_box(table.find(next(&wildcard, &mut number).as_str(), "/item/12345")));
        });
        group.bench_function(BenchmarkId::new("prefix", services), |it| {
            it.iter(|| black_box(table.find("example.org", next(&prefix, &mut number).as_str())));
        });
        group.bench_function(BenchmarkId::new("miss", services), |it| {
            it.iter(|| black_box(table.find("example.org", black_box(&deep))));
        });
    }
    group.finish();
}

/// A new table with one service changed, or without it. The old one stays, as it does while requests hold it.
pub(crate) fn change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("change");
    for services in SIZES {
        let entries = sample::entries(services);
        let table = sample::table(&entries);
        let mut number = 0;
        group.bench_function(BenchmarkId::new("with", services), |it| {
            it.iter(|| black_box(table.with(next(&entries, &mut number).clone())));
        });
        group.bench_function(BenchmarkId::new("without", services), |it| {
            it.iter(|| black_box(table.without(&next(&entries, &mut number).service.name)));
        });
    }
    group.finish();
}

/// From nothing, service by service, as at a start. The drop of the table is not counted.
pub(crate) fn build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build");
    group.sample_size(10);
    for services in SIZES {
        let entries = sample::entries(services);
        group.throughput(Throughput::Elements(services as u64));
        group.bench_function(BenchmarkId::from_parameter(services), |it| {
            it.iter_batched(|| (), |()| sample::table(&entries), BatchSize::PerIteration);
        });
    }
    group.finish();
}
