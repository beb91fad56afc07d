//! `GET /v1/events`: the past, and what comes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod site;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use minato_config::Timestamp;
use minato_control::{Event, EventKind};
use minato_control_server::api::EventLine;
use site::api::Api;
use site::client::{Answer, open};
use site::{PATIENCE, name};

impl Api {
    async fn say(&self, service: &str, numbers: std::ops::RangeInclusive<u64>) {
        for n in numbers {
            let text = format!("number {n}");
            let event = Event::info(Timestamp(n), EventKind::Routed, text).of(&name(service));
            self.site.events.send(event).await.unwrap();
            self.site.told(&format!("number {n}")).await;
        }
    }
}

fn numbers(answer: &Answer) -> Vec<u64> {
    let lines = answer.body.lines();
    let lines = lines.map(|it| serde_json::from_str::<EventLine>(it).unwrap());
    lines.map(|it| it.seq).collect()
}

#[tokio::test]
async fn the_past_by_number_count_and_service() {
    let api = Api::start().await;
    api.say("library", 1..=3).await;
    api.say("shop", 4..=60).await;
    let cases: [(&str, Vec<u64>); 7] = [
        ("", (11..=60).collect()),
        ("?last=2", vec![59, 60]),
        ("?after=58", vec![59, 60]),
        ("?after=10&last=1", vec![60]),
        ("?service=library", vec![1, 2, 3]),
        ("?service=library&after=2", vec![3]),
        ("?after=60", vec![]),
    ];
    for (query, expected) in cases {
        let answer = api.get(&format!("/v1/events{query}")).await;
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");
        assert_eq!(numbers(&answer), expected, "{query}");
    }
}

/// Reads until `count` lines came, blank ones aside.
async fn lines(body: &mut Incoming, count: usize) -> Vec<EventLine> {
    let mut text = String::new();
    let read = async {
        loop {
            let lines: Vec<EventLine> = text
                .split_inclusive('\n')
                .filter(|it| it.ends_with('\n') && !it.trim().is_empty())
                .map(|it| serde_json::from_str(it).unwrap())
                .collect();
            if lines.len() >= count {
                return lines;
            }
            let frame = body.frame().await.unwrap().unwrap();
            let bytes = frame.into_data().unwrap();
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap()
}

#[tokio::test]
async fn a_follower_gets_the_past_then_each_new_line_of_its_service() {
    let api = Api::start().await;
    api.say("library", 1..=2).await;
    let request = http::Request::get("/v1/events?follow=true&last=1&service=library");
    let mut body = open(api.at, request, String::new()).await.into_body();
    let seqs = |lines: Vec<EventLine>| lines.iter().map(|it| it.seq).collect::<Vec<_>>();
    assert_eq!(seqs(lines(&mut body, 1).await), [2]);
    api.say("shop", 3..=3).await;
    api.say("library", 4..=5).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(seqs(lines(&mut body, 1).await));
    }
    assert_eq!(seen, [4, 5]);
}

#[tokio::test]
async fn a_follower_is_told_what_is_no_longer_kept() {
    let api = Api::start().await;
    for n in 1..=2_100 {
        let event = Event::info(Timestamp(n), EventKind::Routed, format!("number {n}."));
        api.site.events.send(event).await.unwrap();
    }
    api.site.told("number 2100.").await;
    let request = http::Request::get("/v1/events?follow=true&after=10");
    let mut body = open(api.at, request, String::new()).await.into_body();
    let lines = lines(&mut body, 2_001).await;
    assert_eq!(lines[0].seq, 0);
    assert_eq!(
        lines[0].event.message,
        "90 events are no longer kept in memory"
    );
    assert_eq!((lines[1].seq, lines[2_000].seq), (101, 2_100));
}
