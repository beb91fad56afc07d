//! Reads: one key, and lists in pages at one revision.
//!
//! All of them are linearizable: a member that is cut off from the majority does not answer with what was.

use super::cluster::{Asking, Cluster};
use super::entry::{end_of, entry, signed};
use super::fault::Fault;
use crate::{Entry, Listing, MAX_STORE_BYTES, Revision, StoreError};
use etcd_client::{GetOptions, GetResponse};

/// Keys of a page; fewer where those are long.
const PAGE: i64 = 1_000;
/// Bytes of an answer; past it the page is made smaller. One entry always fits.
const ANSWER: usize = 16 << 20;
/// How often a list begins anew because its revision was compacted meanwhile.
const RETRIES: usize = 5;

pub(super) async fn get(cluster: &Cluster, key: &str) -> Result<Option<Entry>, StoreError> {
    let asking = cluster.asking();
    let asked = cluster.call(asking, |client| async move {
        let mut answer = client.kv_client().get(key, None).await?;
        cluster.note(asking, answer.header())?;
        Ok(std::mem::take(&mut answer.0.kvs))
    });
    let found = asked.await.map_err(|fault| cluster.error(fault))?;
    Ok(found.into_iter().next().map(entry))
}

pub(super) async fn list(cluster: &Cluster, prefix: &str) -> Result<Listing, StoreError> {
    for _ in 0..RETRIES {
        match pages(cluster, prefix).await? {
            Ok(listing) => return Ok(listing),
            Err(Fault::Compacted) => {}
            Err(fault) => return Err(cluster.error(fault)),
        }
    }
    Err(cluster.error(Fault::away("it is compacted faster than it can be listed")))
}

/// All pages at the revision of the first.
async fn pages(cluster: &Cluster, prefix: &str) -> Result<Result<Listing, Fault>, StoreError> {
    let end = end_of(prefix.as_bytes());
    // etcd has no empty key; `\0` is the first.
    let mut from = if prefix.is_empty() {
        vec![0]
    } else {
        prefix.as_bytes().to_vec()
    };
    let asking = cluster.asking();
    let (mut at, mut limit, mut bytes) = (None, PAGE, 0);
    let mut entries = Vec::new();
    loop {
        let page = match page(cluster, asking, (&from, &end), at, limit).await {
            Ok(page) => page,
            Err(Fault::TooLong) if limit > 1 => {
                limit = (limit / 8).max(1);
                continue;
            }
            Err(fault) => return Ok(Err(fault)),
        };
        limit = (limit * 4).min(PAGE);
        let (revision, GetResponse(answer)) = page;
        let revision = *at.get_or_insert(revision);
        let Some(last) = answer.kvs.last() else {
            return Ok(Ok(Listing { revision, entries }));
        };
        from = [last.key.as_slice(), b"\0"].concat();
        let more = answer.more;
        for pair in answer.kvs {
            let entry = entry(pair);
            bytes += entry.key.len() + entry.value.len();
            entries.push(entry);
        }
        if bytes > MAX_STORE_BYTES {
            return Err(StoreError::Invalid {
                detail: format!(
                    "under `{prefix}` lie more than {} MiB; look with etcdctl get --prefix --keys-only for what does not belong there",
                    MAX_STORE_BYTES >> 20
                ),
            });
        }
        if !more {
            return Ok(Ok(Listing { revision, entries }));
        }
    }
}

async fn page(
    cluster: &Cluster,
    asking: Asking,
    (from, end): (&[u8], &[u8]),
    at: Option<Revision>,
    limit: i64,
) -> Result<(Revision, GetResponse), Fault> {
    let options = GetOptions::new().with_range(end).with_limit(limit);
    let options = match at {
        Some(revision) => options.with_revision(signed(revision)),
        None => options,
    };
    let asked = cluster.call(asking, |client| {
        let options = options.clone();
        async move {
            let mut client = client.kv_client().max_decoding_message_size(ANSWER);
            let answer = client.get(from, Some(options)).await?;
            Ok((cluster.note(asking, answer.header())?, answer))
        }
    });
    asked.await
}
