//! A store in a file that is put back under its guard.

use super::*;
use crate::{Embedded, Options};
use belief::NOTABLE;

#[tokio::test]
async fn a_file_that_is_put_back_waits_and_one_that_begins_anew_does_not() {
    let (data, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let keys = Keys::new(&minato_config::SiteId::local());
    let root = keys.root().to_owned();
    let open = |folder: &Path| Arc::new(Embedded::open(folder, Options::default()).unwrap());
    let guard = |store: &Arc<Embedded>| {
        let wall = || Timestamp(5);
        Guard::new(
            store.clone(),
            keys.clone(),
            data.path(),
            "one".to_owned(),
            wall,
        )
    };
    let store = open(copy.path());
    let first = guard(&store);
    crate::make_fit(&first, &keys).await.unwrap();
    first.list(&root).await.unwrap();
    store.close().await;
    let file = std::fs::read_dir(copy.path()).unwrap().flatten();
    let saved: Vec<_> = file
        .filter(|it| it.file_type().unwrap().is_file())
        .map(|it| (it.path(), std::fs::read(it.path()).unwrap()))
        .collect();
    let store = open(copy.path());
    let second = guard(&store);
    for n in 0..NOTABLE * 2 {
        let put = Commit::put(format!("{root}drains/n{n}"), b"{}".to_vec());
        second.commit(put).await.unwrap();
    }
    second.list(&root).await.unwrap();
    store.close().await;
    for (path, bytes) in saved {
        std::fs::write(path, bytes).unwrap();
    }
    let store = open(copy.path());
    let back = guard(&store);
    let error = back.list(&root).await.unwrap_err().to_string();
    assert!(error.contains("and was at"), "{error}");
    assert!(back.confirm("alice").await.unwrap().is_some());
    back.list(&root).await.unwrap();
    store.close().await;

    let empty = tempfile::tempdir().unwrap();
    let store = open(empty.path());
    let anew = guard(&store);
    anew.list(&root).await.unwrap();
    crate::make_fit(&anew, &keys).await.unwrap();
    anew.list(&root).await.unwrap();
    store.close().await;
}
