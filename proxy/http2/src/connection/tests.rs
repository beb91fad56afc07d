use std::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "any time will do, and there is no other way to have one"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}
