//! Living services whose files are gone, and whether they are too many to be meant. Pure.

use minato_config::{ServiceName, ServiceRecord, Source};
use minato_config_files::Folder;
use minato_control::Stored;
use std::collections::BTreeMap;

/// Names in one sentence.
const SHOWN: usize = 20;

/// Services without a file, good or bad; none at all while the folder itself cannot be read.
#[derive(Debug)]
pub(crate) struct Gone {
    /// Each with the file that it had.
    pub(crate) files: BTreeMap<ServiceName, String>,
    /// Services that live, these among them.
    living: usize,
}

impl Gone {
    pub(crate) fn of(
        folder: &Folder,
        records: &BTreeMap<ServiceName, Stored<ServiceRecord>>,
    ) -> Self {
        let living = records.iter().filter(|(_, it)| !it.value.removed);
        // What another site owns has no file here.
        let own = living.filter_map(|(name, it)| match &it.value.source {
            Source::File { path } => Some((name, path)),
            Source::Mirror { .. } => None,
        });
        let files = own.clone().filter(|(name, _)| folder.is_gone(name));
        Self {
            living: own.count(),
            files: files
                .map(|(name, path)| (name.clone(), path.clone()))
                .collect(),
        }
    }

    /// More than one, and more than half of all: rather a folder that was lost than a wish.
    pub(crate) fn are_too_many(&self) -> bool {
        self.files.len() > 1 && self.files.len() * 2 > self.living
    }

    /// Why nothing is ended.
    pub(crate) fn refusal(&self) -> String {
        let names: Vec<&str> = self
            .files
            .keys()
            .take(SHOWN)
            .map(ServiceName::as_str)
            .collect();
        let more = if self.files.len() > SHOWN {
            ", ..."
        } else {
            ""
        };
        format!(
            "the files of {} of {} services are gone at once ({}{more}): nothing is ended",
            self.files.len(),
            self.living,
            names.join(", "),
        )
    }

    /// For status: one sentence each.
    pub(crate) fn alarms(&self) -> Vec<String> {
        if self.are_too_many() {
            return vec![self.refusal()];
        }
        let sentence = |(name, path): (&ServiceName, &String)| {
            format!("{path} is gone: {name} ends unless it comes back soon")
        };
        self.files.iter().map(sentence).collect()
    }
}
