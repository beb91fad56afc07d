//! An agent whose instances others are told to reach at an address that is each machine's own.

use crate::support::*;
use minato_control::{EventKind, Level};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_cannot_reach_is_told_once_there_are_others() {
    let mut site = Site::new();
    site.gateway("here").await;
    let command = sh("exec sleep 1000");
    site.serve(&command, minato_config::Health::Off).await;
    site.assign(0, 1, &command).await;
    // Alone it is nobody's trouble.
    let started =
        site.event_where(|it| it.message.contains("advertise") || it.kind == EventKind::Started);
    assert_eq!(started.await.kind, EventKind::Started);
    site.gateway("kobe").await;
    let told = site.event(EventKind::Node).await;
    assert_eq!(told.level, Level::Warn);
    assert!(
        told.message.contains("at 127.0.0.1") && told.message.contains("(kobe)"),
        "{told}"
    );
    // Others that come do not make it another trouble.
    site.gateway("nara").await;
    site.unassign(0, 1, &command).await;
    let after = site.event_where(|it| it.kind == EventKind::Node || it.kind == EventKind::Stopped);
    assert_eq!(after.await.kind, EventKind::Stopped);
}
