//! Secrets of a run: copied from the node's folder of secrets into a folder that only its container sees.
//!
//! Variables of a container stand in what the engine tells everyone who may ask it; a mounted file does not. The copies lie
//! below a folder that only root may enter, and are readable to all inside, since programs there run as any user.

use crate::runtime::{RunName, RuntimeError, private_folder};
use minato_config::{Image, SecretForm};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Bytes of one secret at most.
const LONGEST: u64 = 512 * 1024;
/// Where a container finds them.
pub(super) const INSIDE: &str = "/run/secrets";

/// The folder of copies.
#[derive(Debug, Clone)]
pub(super) struct Secrets {
    /// Where operators put them.
    source: PathBuf,
    copies: PathBuf,
}

/// What a container gets.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// To be mounted at [`INSIDE`]; `None` where there are no files.
    pub(super) folder: Option<PathBuf>,
    pub(super) variables: Vec<(String, String)>,
}

impl Secrets {
    pub(super) fn new(source: &Path, data: &Path) -> Self {
        Self {
            source: source.to_owned(),
            copies: data.join("secrets"),
        }
    }

    /// Copies what the image asks for.
    pub(super) fn give(&self, run: &RunName, image: &Image) -> Result<Given, RuntimeError> {
        let mut given = Given::default();
        if image.secrets.is_empty() {
            return Ok(given);
        }
        let disk = |cause: io::Error| RuntimeError::Machine {
            doing: format!(
                "writing the secrets of {run} below {}",
                self.copies.display()
            ),
            cause,
        };
        let folder = self.copies.join(run.to_string());
        private_folder(&self.copies).map_err(disk)?;
        for (name, secret) in &image.secrets {
            let value = self.read(&secret.name).map_err(|why| RuntimeError::Field {
                field: "secrets",
                why,
            })?;
            match secret.as_what {
                SecretForm::Variable => {
                    let text = String::from_utf8(value)
                        .ok()
                        .filter(|it| !it.contains('\0'));
                    let text = text.ok_or_else(|| RuntimeError::Field {
                        field: "secrets",
                        why: format!("`{}` is no text, which a variable must be; leave `as` out to get it as a file", secret.name),
                    })?;
                    let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
                    given.variables.push((name.clone(), text));
                }
                SecretForm::File => {
                    if given.folder.is_none() {
                        open_folder(&folder).map_err(disk)?;
                        given.folder = Some(folder.clone());
                    }
                    write(&folder.join(name), &value).map_err(disk)?;
                    given
                        .variables
                        .push((format!("{name}_FILE"), format!("{INSIDE}/{name}")));
                }
            }
        }
        Ok(given)
    }

    /// No error when there are none.
    pub(super) fn take_back(&self, run: &RunName) {
        let folder = self.copies.join(run.to_string());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%run, %error, "the secrets of an ended run could not be removed");
            }
            _ => {}
        }
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let mut parts = Path::new(name).components();
        let plain = matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        );
        if !plain {
            return Err(format!("`{name}` is no name of a secret"));
        }
        let path = self.source.join(name);
        let mut value = Vec::new();
        let file = File::open(&path).and_then(|it| it.take(LONGEST + 1).read_to_end(&mut value));
        match file {
            Err(error) => Err(format!(
                "`{name}` cannot be read on this node: {}: {error}; write its value to that file, or correct `secrets` in [agent.docker]",
                path.display()
            )),
            Ok(_) if u64::try_from(value.len()).unwrap_or(u64::MAX) > LONGEST => Err(format!(
                "`{name}` is longer than {} KiB; mount a volume instead",
                LONGEST / 1024
            )),
            Ok(_) => Ok(value),
        }
    }
}

fn open_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().mode(0o755).create(folder)?;
    // Whatever the umask is.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

fn write(path: &Path, value: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(path)?;
    file.write_all(value)?;
    file.set_permissions(fs::Permissions::from_mode(0o444))
}
