//! Another process takes over from the running one, or another table from the one that routes.

mod failures;
mod handover;
mod http2;
pub(crate) mod open;
mod settings;
mod supervised;
mod swaps;
mod tls;
mod units;

use crate::support::site::Site;

/// A site with two instances of `app`, which serve.
fn site() -> Site {
    let mut site = Site::new();
    site.write("app", &site.python(2, ""));
    site.start();
    site.wait_ok("app", 2);
    site
}

/// A site with the service `open` of this file alone.
fn site_with(file: &str) -> Site {
    let mut site = Site::new();
    site.write("open", file);
    site.start();
    site
}

/// What `minato upgrade` says to a caller who looks.
fn state(site: &Site) -> (u64, String, String) {
    let status = site.json("/v1/upgrade");
    let word = |name: &str| status[name].as_str().unwrap().to_owned();
    let pid = status["pid"].as_u64().unwrap();
    (pid, word("state"), word("detail"))
}

/// Processes that still drain.
fn draining(site: &Site) -> Vec<u32> {
    let status = site.json("/v1/status");
    let pids = status["draining"].as_array().unwrap().iter();
    pids.map(|it| u32::try_from(it.as_u64().unwrap()).unwrap())
        .collect()
}
