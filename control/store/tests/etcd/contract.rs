//! etcd keeps every promise of the contract, with one member and with three.

use crate::members::{Members, is_here};
use crate::store;
use minato_control_store::{SharedStore, contract};

/// One case after the other: each needs a store of its own, and a cluster is emptied faster than started.
async fn keeps_the_contract(count: usize) {
    if !is_here() {
        return;
    }
    let members = Members::start(count);
    let (mut cases, mut failed) = (0, Vec::new());
    for case in contract::cases() {
        members.etcdctl(&["del", "", "--from-key"]);
        let store: SharedStore = store(&members);
        if let Err(reason) = case.run(store).await {
            failed.push(format!("{}: {reason}", case.name));
        }
        cases += 1;
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(cases > 30, "{cases} cases");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_keeps_the_contract() {
    keeps_the_contract(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_keep_the_contract() {
    keeps_the_contract(3).await;
}
