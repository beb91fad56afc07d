//! Answers that are not 2xx: one sentence, and what to do about it.

use crate::api::ApiError;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use minato_control_store::StoreError;

/// A refusal or a failure on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: String,
    pub(super) hint: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            hint: String::new(),
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The request itself is wrong.
    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// The request is understood, and a check refuses it.
    pub(super) fn refused(error: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error)
    }

    pub(super) fn unavailable(error: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::unavailable(format!("nothing was changed: {error}"))
            .hint("requests are served meanwhile; look at `minato status`, then try again")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = ApiError {
            error: self.error,
            hint: self.hint,
        };
        (self.status, Json(body)).into_response()
    }
}
