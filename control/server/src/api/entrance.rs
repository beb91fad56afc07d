//! Where traffic enters: what this gateway says of itself to those who point traffic at it.

use serde::{Deserialize, Serialize};

/// `GET /v1/entrance`. `POST /v1/entrance/drain` takes a [`super::DrainRequest`] and answers a [`super::ChangeAnswer`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntranceStatus {
    /// `alive`, `draining` or `stuck`; empty where this process has no gateway.
    pub standing: String,
    /// Why it is not alive; empty while it is.
    #[serde(default)]
    pub reason: String,
    /// The command that ends that; empty where none does.
    #[serde(default)]
    pub undo: String,
    /// Where it can be asked: `http://127.0.0.1:7071/readyz`.
    #[serde(default)]
    pub asked_at: Vec<String>,
    /// What leads here by a name.
    #[serde(default)]
    pub names: Vec<NameStatus>,
}

/// One name of `[entrance.dns.NAME]` or `[entrance.hook.NAME]`. `POST /v1/entrance/names/{name}` takes a [`PublishRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameStatus {
    /// NAME.
    pub name: String,
    /// `www.example.org at 192.0.2.53:53`, or who is told.
    pub what: String,
    /// It follows what the gateway says of itself.
    #[serde(default)]
    pub follows: bool,
    /// What it follows: `the gateway`, `the order of sites`; empty where only words move it, and where a process of before this field answers.
    #[serde(default)]
    pub led_by: String,
    /// Of the word that this is about; 0 where nobody has said anything.
    pub number: u64,
    /// `publish` or `withdraw`; empty where nothing is to be done.
    pub action: String,
    /// `idle`, `trying`, `done`, `refused`; where it follows the sites also `elsewhere` (it leads to another, as it should) and `asks` (a
    /// person is to say whether it should).
    pub state: String,
    /// Why, where it is not done.
    #[serde(default)]
    pub detail: String,
    /// Since when it is so.
    pub since_ms: u64,
}

/// A word about one name, or all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishRequest {
    /// What is wanted.
    pub action: PublishAction,
    /// Of the decision; `None`: the next one, where the name leads elsewhere.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// User name of the caller.
    #[serde(default)]
    pub who: String,
}

/// Whether something leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishAction {
    /// To this site, and to no other.
    Publish,
    /// Not to this site.
    Withdraw,
}
