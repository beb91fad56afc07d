use super::*;
use std::time::Duration;
