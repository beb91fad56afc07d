#![no_main]

#[path = "../src/http2.rs"]
mod http2;

use std::sync::LazyLock;
use std::time::Instant;

static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    http2::connection(data, *NOW);
});
