//! What an operator types: each command asks the admin API and shows the answer.

pub(crate) mod ca;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod dependencies;
pub(crate) mod entrance;
pub(crate) mod events;
pub(crate) mod logs;
pub(crate) mod node;
pub(crate) mod operation;
pub(crate) mod rebalance;
pub(crate) mod replay;
pub(crate) mod route;
pub(crate) mod site;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod switch;
mod terminal;
pub(crate) mod update;
pub(crate) mod upgrade;
pub(crate) mod wave;
