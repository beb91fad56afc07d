//! One test for each rule, on small worlds.

mod absence;
mod balance;
mod lost;
mod nodes;
mod place;
mod ready;
mod remove;
mod replace;
mod rolling;
mod rollouts;
