//! Keys of a service file: those that there are, and every problem in one run.

use super::*;

#[test]
fn every_problem_in_one_run() {
    let text = "\
command = [\"./server\"]
replicas = 0
intervall = \"2s\"
routes = [\"Example.org\", \"example.org//a\"]
health = { intervl = \"1s\", timeout = 3 }
port = = 3
retries = 9
";
    wrong_file(
        text,
        &[
            ":2: service.library.replicas: must be at least 1, got 0; to stop serving type `minato drain`, to change the number for a while `minato scale`, to end the service delete its file",
            ":3: service.library.intervall: unknown key; known here: command, image, endpoints, port, replicas, routes, route, health, protocol, tls, limits, timeouts, retries, nodes, update, depends_on, env, directory, stop, network, pull, init, user, secrets, volumes, resources, sites, standby, failover, failback, rto, rpo, at, switch",
            ":4: service.library.routes[0]: no request can match \"Example.org\": hosts are matched in lower case; write `example.org`",
            ":4: service.library.routes[1]: no request can match \"example.org//a\": no segment may be empty; write `example.org/a`",
            ":5: service.library.health.intervl: unknown key; did you mean `interval`?",
            ":5: service.library.health.timeout: must be a duration with its unit, like \"3s\" or \"3ms\", got the number 3",
            ":6: is not TOML at `=`: extra `=`, expected nothing",
            ":7: service.library.retries: must be a whole number from 0 to 3, got the number 9",
        ],
    );
}

#[test]
fn keys() {
    wrong(
        "comand = []",
        "comand: unknown key; did you mean `command`?",
    );
    wrong(
        "interval = \"2s\"",
        "interval: unknown key; did you mean `health.interval`?",
    );
    wrong(
        "image = \"x\"",
        "image: needs `port`: where the program in the image listens, like port = 8080",
    );
    wrong(
        "sites = [\"a\", \"a\"]",
        "sites[1]: stands here already; leave one of them out",
    );
    wrong(
        "resources = {}",
        "resources: belongs to an `image`; a process has what its user may have",
    );
    wrong(
        "secrets = {}",
        "secrets: belongs to an `image`; a process has what its user may have",
    );
}
