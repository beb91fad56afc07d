//! Room on the engine's disk: below a limit nothing is fetched.

use super::{ASK, Images, Instead};
use crate::runtime::RuntimeError;
use crate::runtime::docker::refusals::failed;
use minato_config::ImageReference;

impl Images {
    /// Refuses where the engine's disk has less room than is wanted, after old images of ours were removed.
    pub(super) async fn make_room(&self, reference: &ImageReference) -> Result<(), RuntimeError> {
        let Some((root, free)) = self.room().await? else {
            return Ok(());
        };
        if free >= self.free_bytes {
            return Ok(());
        }
        self.remove_old(0, Instead::Do).await?;
        let free = self.room().await?.map_or(free, |it| it.1);
        if free >= self.free_bytes {
            return Ok(());
        }
        Err(RuntimeError::Field {
            field: "image",
            why: format!(
                "{reference} is not fetched: {} MiB are free at {root}, less than the {} MiB of `free_space` in [agent.docker]; make room (`docker system df` shows what takes it)",
                free >> 20,
                self.free_bytes >> 20
            ),
        })
    }

    /// The engine's folder and the bytes that are free there; `None` where this machine does not see it.
    pub(super) async fn room(&self) -> Result<Option<(String, u64)>, RuntimeError> {
        let info = self.engine.ask(ASK, async |it| it.info().await).await;
        let info = info.map_err(|it| failed("asking the engine for its folder".to_owned(), it))?;
        let Some(root) = info.docker_root_dir else {
            return Ok(None);
        };
        let free = rustix::fs::statvfs(root.as_str()).ok();
        Ok(free.map(|it| (root, it.f_bavail.saturating_mul(it.f_frsize))))
    }
}
