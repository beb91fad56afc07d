//! A program that ends with its test.

use std::process::Child;

/// Killed when it is dropped, also when a test panics.
#[derive(Debug)]
pub(crate) struct Kept(pub(crate) Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
