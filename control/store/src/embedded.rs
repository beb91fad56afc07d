//! The embedded backend: one transactional file.
/// Opened file.
pub struct Embedded;
/// How to open.
pub struct Options;
