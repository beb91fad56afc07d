//! One copy from store to store, and what stores say of themselves.

use minato_config::SiteId;
use minato_control::Meta;
use minato_control_store::keys::{Key, Keys};
use minato_control_store::{Copied, CopyError, Copying, Store};

pub(crate) fn keys() -> Keys {
    Keys::new(&SiteId::local())
}

pub(crate) async fn copy(source: &dyn Store, target: &dyn Store) -> Result<Copied, CopyError> {
    Copying {
        source,
        target,
        keys: &keys(),
        target_name: "there",
    }
    .run()
    .await
}

pub(crate) async fn meta(store: &dyn Store) -> Option<Meta> {
    let entry = store.get(&keys().text(&Key::Meta)).await.unwrap()?;
    Some(serde_json::from_slice(&entry.value).unwrap())
}
