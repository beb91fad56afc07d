//! The embedded backend keeps every promise of the contract.

use minato_control_store::{Embedded, Options, SharedStore, contract};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    let outcome = contract::run(|| {
        count += 1;
        let path = folder.path().join(count.to_string());
        async move { Arc::new(Embedded::open(&path, Options::default()).unwrap()) as SharedStore }
    })
    .await;
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    assert!(count > 30, "{count} cases");
}
