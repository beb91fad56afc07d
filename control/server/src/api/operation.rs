//! What people start that outlives processes, as the API says and takes it.

use serde::{Deserialize, Serialize};

/// `POST /v1/operations`: another version of many services, in waves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaveRequest {
    /// Names, or patterns with `*`, in the order in which they shall be done.
    pub services: Vec<String>,
    /// `restart`, `rollback`, or `image` together with the field of that name.
    pub change: String,
    /// The image that all of them shall run.
    #[serde(default)]
    pub image: Option<String>,
    /// Not before: `2026-12-20 08:00 Asia/Tokyo`.
    #[serde(default)]
    pub at: Option<String>,
    /// Nothing begins from then on.
    #[serde(default)]
    pub until: Option<String>,
    /// True: the window comes again each day until all is done.
    #[serde(default)]
    pub daily: bool,
    /// Services of the largest wave, 1 to 50; `None`: 5.
    #[serde(default)]
    pub size: Option<u16>,
    /// Held once so many have failed; `None`: 1.
    #[serde(default)]
    pub stop_after: Option<u16>,
    /// Why, for those who read it later.
    #[serde(default)]
    pub why: String,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
    /// True: nothing is stored, only checked and shown.
    #[serde(default)]
    pub dry_run: bool,
}

/// `POST /v1/operations/{id}/abort` and `resume`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRequest {
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// What was begun, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationAnswer {
    /// The operation; with `dry_run` as it would be.
    pub operation: OperationStatus,
    /// Services that were named and are no part of it.
    #[serde(default)]
    pub left_out: Vec<LeftOutStatus>,
    /// The command that ends it; `None` where nothing was begun.
    #[serde(default)]
    pub undo: Option<String>,
}

/// A service that was named and is no part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOutStatus {
    /// Which.
    pub service: String,
    /// Why, half a sentence.
    pub why: String,
}

/// `GET /v1/operations`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operations {
    /// The newest first, without their steps.
    pub operations: Vec<OperationStatus>,
}

/// `GET /v1/operations/{id}`, and one element of [`Operations`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStatus {
    /// Its number; 0 where it is not stored.
    pub id: u64,
    /// `wave`, `switch`, `failover`, `drill` or `return`.
    pub kind: String,
    /// `restart of 12 services`
    pub title: String,
    /// `scheduled`, `running`, `held`, `paused`, `aborting`, `done`, `aborted`, `missed` or `closed`.
    pub state: String,
    /// The sentence behind the word; may be empty.
    pub reason: String,
    /// `7 of 12 done, 1 failed, 2 under way`
    pub progress: String,
    /// Nothing follows from it any more.
    pub ended: bool,
    /// Every step came true, or there was nothing to do for it.
    pub succeeded: bool,
    /// Who asked for it.
    pub who: String,
    /// Why, as they said.
    #[serde(default)]
    pub why: String,
    /// When they did.
    pub asked_ms: u64,
    /// Since when it stands so.
    pub since_ms: u64,
    /// When it may run, `from .. until ..`; empty without a schedule.
    #[serde(default)]
    pub schedule: String,
    /// How many waves there are.
    pub waves: u16,
    /// What to type, where it needs a person.
    #[serde(default)]
    pub hint: String,
    /// In the order in which they are done; empty in a list.
    #[serde(default)]
    pub steps: Vec<OperationStepStatus>,
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStepStatus {
    /// `restart`, `update`, `rollback`
    pub name: String,
    /// To which service.
    pub service: String,
    /// Which wave, from 1.
    pub wave: u16,
    /// `waiting`, `running`, `done`, `failed` or `skipped`.
    pub state: String,
    /// What is being waited for, or how it ended.
    pub detail: String,
    /// Since when; 0 where it has not begun.
    pub since_ms: u64,
}
