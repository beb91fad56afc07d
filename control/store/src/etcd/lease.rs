//! Leases. Their ids are drawn here, so that a grant that was not answered can be asked for again.

use super::cluster::Cluster;
use super::entry::lease as id_of;
use super::fault::Fault;
use crate::{LeaseId, StoreError};
use etcd_client::LeaseGrantOptions;
use std::time::Duration;

/// The longest lease.
const MAX_TTL: Duration = Duration::from_secs(24 * 3600);

/// An id that was never given: 63 random bits.
pub(super) fn fresh() -> LeaseId {
    LeaseId(fastrand::u64(1..1 << 63))
}

/// etcd counts whole seconds, so that a lease may live up to a second longer; and never below its election timeout.
pub(super) async fn grant(cluster: &Cluster, ttl: Duration) -> Result<LeaseId, StoreError> {
    if ttl.is_zero() || ttl > MAX_TTL {
        return Err(StoreError::Invalid {
            detail: format!("a lease of {ttl:?}; above 0 and at most {MAX_TTL:?} is allowed"),
        });
    }
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let lease = fresh();
    let asking = cluster.asking();
    let granted = cluster.call(asking, |client| async move {
        let options = LeaseGrantOptions::new().with_id(id_of(lease));
        let answer = client.lease_client().grant(seconds, Some(options)).await?;
        cluster.note(asking, answer.header())
    });
    match granted.await {
        // Ours: the answer to the first request was lost.
        Ok(_) | Err(Fault::LeaseExists) => Ok(lease),
        Err(fault) => Err(cluster.error(fault)),
    }
}

pub(super) async fn keep_alive(cluster: &Cluster, lease: LeaseId) -> Result<(), StoreError> {
    let kept = cluster.call(cluster.asking(), |client| async move {
        client
            .lease_client()
            .keep_alive(id_of(lease))
            .await
            .map(drop)
    });
    kept.await.map_err(|fault| error(cluster, lease, fault))
}

pub(super) async fn revoke(cluster: &Cluster, lease: LeaseId) -> Result<(), StoreError> {
    let asking = cluster.asking();
    let mut turns = cluster.turns();
    let mut was_sent = false;
    loop {
        let attempt = cluster.attempt(asking, |client| async move {
            let answer = client.lease_client().revoke(id_of(lease)).await?;
            cluster.note(asking, answer.header())
        });
        let attempt = attempt.await;
        let fault = match attempt.outcome {
            Ok(_) => return Ok(()),
            // By our own request that was not answered.
            Err(Fault::LeaseGone) if was_sent => return Ok(()),
            Err(fault @ Fault::Away { .. }) => fault,
            Err(fault) => return Err(error(cluster, lease, fault)),
        };
        was_sent |= attempt.was_sent;
        if let Err(fault) = turns.next(fault).await {
            return Err(cluster.error(fault));
        }
    }
}

fn error(cluster: &Cluster, lease: LeaseId, fault: Fault) -> StoreError {
    match fault {
        Fault::LeaseGone => StoreError::LeaseGone { lease },
        other => cluster.error(other),
    }
}
