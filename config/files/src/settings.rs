//! `minato.toml` on disk, and the check of everything that it leads to.

use crate::{Loader, text};
use minato_config::{Problem, Settings, Timestamp, parse_settings, salvage_settings};
use std::path::{Path, PathBuf};

/// Bytes of a settings file.
const MOST_BYTES: u64 = 1 << 20;
/// Bytes of a sorry page.
const MOST_PAGE_BYTES: u64 = 256 << 10;

/// Reads one settings file. A file that is not there is a problem.
pub fn read(settings_path: &Path) -> Result<Settings, Vec<Problem>> {
    let text = text::read(settings_path, MOST_BYTES).map_err(|it| vec![it])?;
    parse_settings(settings_path, &text)
}

/// The settings file that counts: `given`, else `minato.toml` here, else in `/etc/minato/`; `None` where there is none.
pub fn locate(given: Option<&Path>) -> Option<PathBuf> {
    let usual = || {
        let usual = ["minato.toml", "/etc/minato/minato.toml"].map(PathBuf::from);
        usual.into_iter().find(|it| it.symlink_metadata().is_ok())
    };
    given.map(Path::to_owned).or_else(usual)
}

/// Reads the file that [`locate`] finds; the defaults where there is none.
pub fn read_or_default(given: Option<&Path>) -> Result<Settings, Vec<Problem>> {
    locate(given).map_or_else(|| Ok(Settings::default()), |it| read(&it))
}

/// The HTML that `gateway.sorry_page` names; `None` where it names nothing.
pub fn read_sorry_page(settings: &Settings) -> Result<Option<String>, Problem> {
    let Some(file) = &settings.gateway.sorry_page else {
        return Ok(None);
    };
    let page = text::read(file, MOST_PAGE_BYTES).map_err(|problem| Problem {
        field: "gateway.sorry_page".to_owned(),
        ..problem
    })?;
    Ok(Some(page))
}

/// What a check of every file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Of every file, in the order of reading; empty where all is well.
    pub problems: Vec<Problem>,
    /// The folder of service files; `None` where the settings do not tell.
    pub folder: Option<PathBuf>,
    /// Service files in it, good and bad; 0 where it could not be read, which is a problem too.
    pub services: usize,
}

/// Every problem of every file: the settings, what they name, and all services. Applies nothing.
pub fn inspect(settings_path: &Path) -> Findings {
    let (settings, problems) = match text::read(settings_path, MOST_BYTES) {
        Ok(text) => salvage_settings(settings_path, &text),
        Err(problem) => {
            return Findings {
                problems: vec![problem],
                folder: None,
                services: 0,
            };
        }
    };
    let mut found = inspect_services_of(&settings);
    found.problems.splice(0..0, problems);
    found
}

/// As [`inspect`], for settings that are good already, such as the defaults.
pub fn inspect_services_of(settings: &Settings) -> Findings {
    let mut problems: Vec<_> = read_sorry_page(settings).err().into_iter().collect();
    if settings.services.as_os_str().is_empty() {
        return Findings {
            problems,
            folder: None,
            services: 0,
        };
    }
    let loaded = Loader::new(settings).load(Timestamp::default());
    problems.extend(loaded.problems);
    Findings {
        problems,
        folder: Some(settings.services.clone()),
        services: loaded.files,
    }
}
