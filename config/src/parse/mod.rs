//! From text to values, collecting every problem of every file in one run.

use crate::{Problem, Service, ServiceName, Settings};
use std::path::Path;

/// Reads one `minato.toml`. Never stops at the first problem.
pub fn parse_settings(_file: &Path, _text: &str) -> Result<Settings, Vec<Problem>> {
    Err(Vec::new())
}

/// Reads one service file; `name` comes from the file's name.
pub fn parse_service(
    _file: &Path,
    _name: &ServiceName,
    _text: &str,
) -> Result<Service, Vec<Problem>> {
    Err(Vec::new())
}

/// What only shows when all services are seen together: duplicate and unreachable routes, ports used twice.
///
/// `services` carries each service with its file and text, so that problems can name lines.
pub fn check_services(_services: &[(&Path, &str, &Service)]) -> Vec<Problem> {
    Vec::new()
}
