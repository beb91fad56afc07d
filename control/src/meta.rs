//! The document at `meta`: which store this is, and whether it is in use.

use minato_config::Timestamp;
use serde::{Deserialize, Serialize};

/// The format of keys and documents that this minato writes, and the highest that it may lead on.
pub const FORMAT: u32 = 1;

/// Written by the first leader of a store, and by whoever copies one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Document version, 1.
    pub v: u32,
    /// Random, 32 hexadecimal digits. Another one means another store.
    pub store_id: String,
    /// Rises with every copy from store to store: generations of a later era are above all of earlier ones, however the
    /// revisions of the two stores compare.
    pub era: u32,
    /// See [`FORMAT`].
    pub format: u32,
    /// Whether it is in use.
    #[serde(default)]
    pub state: StoreState,
    /// Who said of a restored store that it is right; the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmation>,
}

/// A person's word on a restored store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Why a store may not be what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// The machine that noticed.
    pub by: String,
    /// `it is at revision 5, and was at 9`
    pub why: String,
    /// When.
    pub since: Timestamp,
}

/// Whether a store is in use. At most one of two that were copied is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// It is.
    #[default]
    Serving,
    /// A copy into it was begun and has not ended: it may lack anything.
    Filling {
        /// Id of the store that it comes from.
        from: String,
    },
    /// It was copied elsewhere, and that store is in use now.
    Left {
        /// Id of that one.
        to: String,
        /// Where that one is, as an operator knows it.
        at: String,
    },
    /// It was restored, and a person has yet to say that it is right: nothing follows from it.
    Doubted(Doubt),
}

impl Meta {
    /// A store in use, in its first era.
    pub fn new(store_id: String) -> Self {
        Self {
            v: 1,
            store_id,
            era: 0,
            format: FORMAT,
            state: StoreState::Serving,
            confirmed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_it_was_first_written() {
        for (text, state) in [
            (
                r#"{"v":1,"store_id":"ab","era":2,"format":1}"#,
                StoreState::Serving,
            ),
            (
                r#"{"v":1,"store_id":"ab","era":2,"format":1,"state":"serving","more":1}"#,
                StoreState::Serving,
            ),
            (
                r#"{"v":1,"store_id":"ab","era":2,"format":1,"state":{"filling":{"from":"cd"}}}"#,
                StoreState::Filling {
                    from: "cd".to_owned(),
                },
            ),
            (
                r#"{"v":1,"store_id":"ab","era":2,"format":1,"state":{"left":{"to":"cd","at":"etcd"}}}"#,
                StoreState::Left {
                    to: "cd".to_owned(),
                    at: "etcd".to_owned(),
                },
            ),
            (
                r#"{"v":1,"store_id":"ab","era":2,"format":1,"state":{"doubted":{"by":"a","why":"old","since":5}}}"#,
                StoreState::Doubted(Doubt {
                    by: "a".to_owned(),
                    why: "old".to_owned(),
                    since: Timestamp(5),
                }),
            ),
        ] {
            let meta: Meta = serde_json::from_str(text).unwrap();
            assert_eq!((meta.era, meta.state), (2, state), "{text}");
        }
    }
}
