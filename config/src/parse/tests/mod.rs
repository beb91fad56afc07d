//! Tables of texts and of exactly what an operator is told.

mod container;
mod dependencies;
mod documented;
mod names_and_hooks;
mod service_file;
mod settings_file;
mod several_sites;
mod total;
mod whole_folder;
mod written;

use super::*;
use crate::Wants;

/// Problems of `text` as they are printed.
fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn library(text: &str) -> Result<Service, Vec<Problem>> {
    parse_service(Path::new("services/library.toml"), &name("library"), text)
}

fn minato(text: &str) -> Result<Settings, Vec<Problem>> {
    parse_settings(Path::new("minato.toml"), text)
}
