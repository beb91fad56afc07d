//! Why an agent cannot begin. Once it runs, trouble becomes events and is tried again.

use std::path::PathBuf;

/// The agent cannot work at all.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A folder or file of the data folder cannot be used. Free room, or correct its owner or mode.
    #[error("{} cannot be used: {cause}; check that the folder exists, has room, and belongs to the user that runs minato", path.display())]
    Data {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The program that keeps instances cannot be named.
    #[error("no program to keep instances with: the list of its arguments is empty")]
    NoShim,
}
