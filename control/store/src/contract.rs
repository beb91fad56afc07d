//! What every backend must do, as one suite that each backend's tests call with a fresh store.
