//! How far sites may be used, for people: what the health loop thought last.

use minato_control_server::api::CourseStatus;
use std::sync::{Arc, Mutex, PoisonError};

/// Written by the health loop, read by the admin API.
#[derive(Debug, Clone, Default)]
pub(crate) struct Courses(Arc<Mutex<Vec<CourseStatus>>>);

impl Courses {
    pub(super) fn set(&self, all: Vec<CourseStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// Those of sites that were left, or to which not all visitors may go.
    pub(crate) fn all(&self) -> Vec<CourseStatus> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
