//! Whether a registry is asked for an image. Pure.

use minato_config::{ImageReference, Pull};

/// Whether a registry is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    No,
    /// What is there serves where it does not answer.
    Try,
    Must,
    Forbidden,
}

/// What the machine has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    Yes,
    No,
}

pub(super) fn ask(pull: Pull, reference: &ImageReference, here: Here) -> Ask {
    match (pull, here) {
        (Pull::Never, Here::No) => Ask::Forbidden,
        (_, Here::No) => Ask::Must,
        (Pull::Never, Here::Yes) => Ask::No,
        _ if reference.digest().is_some() => Ask::No,
        (Pull::Always, Here::Yes) => Ask::Try,
        (Pull::Missing, Here::Yes) if reference.is_moving() => Ask::Try,
        (Pull::Missing, Here::Yes) => Ask::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_registry_is_asked() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for (pull, reference, here, expected) in [
            (Pull::Missing, "a:1", Here::Yes, Ask::No),
            (Pull::Missing, "a:1", Here::No, Ask::Must),
            (Pull::Missing, "a", Here::Yes, Ask::Try),
            (Pull::Missing, "a:latest", Here::Yes, Ask::Try),
            (Pull::Always, "a:1", Here::Yes, Ask::Try),
            (Pull::Always, &digest, Here::Yes, Ask::No),
            (Pull::Always, &digest, Here::No, Ask::Must),
            (Pull::Never, "a:1", Here::Yes, Ask::No),
            (Pull::Never, "a", Here::No, Ask::Forbidden),
        ] {
            let it = ImageReference::parse(reference).unwrap();
            assert_eq!(
                ask(pull, &it, here),
                expected,
                "{pull:?} {reference} {here:?}"
            );
        }
    }
}
