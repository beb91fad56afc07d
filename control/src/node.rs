//! An agent's decisions: what its node should run against what it runs.

/// What one node should run and runs.
#[derive(Debug, Clone, Default)]
pub struct NodeView;

/// One thing for the agent to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAction {}

/// What to do now.
pub fn reconcile(_view: &NodeView) -> Vec<NodeAction> {
    Vec::new()
}
