//! Whether an image is here, or its registry has it. Fetches nothing.

use super::ask::{Ask, Here, ask};
use super::{ASK, Images, logins};
use crate::runtime::docker::refusals::{Login, is_definite, not_fetched};
use crate::runtime::{RuntimeError, Sighting};
use minato_config::Image;

impl Images {
    pub(in crate::runtime::docker) async fn find(
        &self,
        image: &Image,
    ) -> Result<Sighting, RuntimeError> {
        let field = |why| RuntimeError::Field {
            field: "image",
            why,
        };
        let reference = &image.reference;
        let here = self
            .resolve(&reference.to_string(), reference.name())
            .await?;
        if let Some(here) = here {
            // A newer one would be tried for, and this one serves where there is none.
            return Ok(Sighting::Here {
                digest: (here.digest != here.id).then_some(here.digest),
                id: here.id,
            });
        }
        if ask(image.pull, reference, Here::No) == Ask::Forbidden {
            return Ok(Sighting::No(format!(
                "{reference} is not on this node and pull = \"never\"; put it there with `docker load`, or take `pull` out"
            )));
        }
        let login = match &self.logins {
            Some(file) => logins::login(file, reference.registry()).map_err(field)?,
            None => None,
        };
        let sent = match login {
            Some(_) => Login::Sent,
            None => Login::None,
        };
        let name = reference.to_string();
        let found = self
            .engine
            .ask(ASK, async |it| {
                it.inspect_registry_image(&name, login.clone()).await
            })
            .await;
        match found {
            Ok(it) => Ok(Sighting::Registry(it.descriptor.digest.unwrap_or_default())),
            Err(error) if is_definite(&error) => {
                let why = not_fetched(reference, sent, error).to_string();
                Ok(Sighting::No(why))
            }
            Err(error) => Err(not_fetched(reference, sent, error)),
        }
    }
}
