//! Times of what is decided without I/O: finding a route, choosing an instance, admission, a judge's verdict, a plan, and building the
//! table, with 10 to 100,000 services.
//!
//!     cargo bench --bench decisions                     all (about ten minutes)
//!     cargo bench --bench decisions -- 'find/.*/10000$'  some
//!
//! What criterion writes lies under `target/criterion`; a second run is compared with the first.

#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a figure that cannot be measured is no figure, and criterion's arguments need the clock"
)]
// criterion_main! makes undocumented public items.
#![allow(missing_docs, reason = "a program, not a library")]

mod judge;
mod plan;
mod request;
mod sample;
mod table;

criterion::criterion_group!(
    decisions,
    table::find,
    table::change,
    table::build,
    request::pick,
    request::admit,
    judge::observe,
    plan::settled,
    plan::fresh
);
criterion::criterion_main!(decisions);
