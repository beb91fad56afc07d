//! Containers that an agent finds and no document wants: removed, or only told where the machine's settings say so.

use super::*;
use crate::docker::stage::inside;
use minato_config::{Reaping, RuntimeSettings};
use minato_control_agent::runtime::Runtime as _;
use std::time::Duration;

/// An agent looks for them 20 s after its start.
const LOOK: Duration = Duration::from_secs(90);

/// An agent as `node`, with a container of a removed slot that it does not know of.
async fn with_a_stray(engine: &Engine, node: &str, reap: Reaping) -> Site {
    let node = NodeId::parse(node).unwrap();
    let settings = DockerSettings {
        socket: engine.socket(),
        free_bytes: 0,
        reap,
        ..Default::default()
    };
    let site = Site::with(|it| {
        it.runtime = RuntimeSettings::Docker(Box::new(settings));
        it.node = node.clone();
    });
    let command = container("test/program:1", &[]);
    site.serve(&command, minato_config::Health::Off).await;
    site.unassign(5, 1, &command).await;
    let mut options = options(engine, &site.options.data);
    options.node = node;
    let (other, _events) = open(options);
    let port = 23_500 + u16::from(reap == Reaping::On);
    let order = order(run_name(5, 1, 1), command, port);
    let started = other.start(&order).await.unwrap();
    get_until(started.address.unwrap(), "/").await;
    site
}

#[test]
fn a_container_that_nobody_needs_is_removed_or_only_told() {
    let test = "docker::reaper::a_container_that_nobody_needs_is_removed_or_only_told";
    inside(test, async {
        let engine = Engine::start().await;
        engine.image(&["test/program:1"]);
        let mut telling = with_a_stray(&engine, "telling", Reaping::Report).await;
        let mut removing = with_a_stray(&engine, "removing", Reaping::On).await;
        let what = "what was left of library.5.0.1.1: its slot is removed";
        let told = telling
            .event_within(LOOK, |it| it.message.contains(what))
            .await;
        assert!(told.message.starts_with("would remove "), "{told}");
        let done = removing
            .event_within(LOOK, |it| it.message.contains(what))
            .await;
        assert!(done.message.starts_with("removes "), "{done}");
        let names = || engine.docker(&["ps", "-a", "--format", "{{.Names}}"]);
        until("the removed one to be gone", || {
            (!names().contains("removing")).then_some(())
        })
        .await;
        // The agents look at the same moment: by now it would be gone, too.
        assert_eq!(names(), "minato.local.telling.library.5.0.1.1");
    });
}
