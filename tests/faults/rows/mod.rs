//! One file for each row, or for rows that break the same thing. The table of rows and tests stands in docs/faults.md.

mod anycast;
mod clock;
mod containers;
mod gateway_cut;
mod guarded;
mod leader_killed;
mod leases;
mod mass_loss;
mod node_lost;
mod prefix;
mod rebalance;
mod site_cut;
mod site_cut_peer;
mod site_gone;
mod store_away;
mod store_cut;
mod switch_cut;
mod two_leaders;
