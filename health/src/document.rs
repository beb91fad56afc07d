//! The documents by which agents and gateways say what they see.

use crate::Verdict;
use minato_config::{
    DependencyName, Generation, Overcommit, Run, ServiceName, SlotIndex, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The document at `instances/<node>/<service>/<n>/<generation>`, written by that node's agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Format version, 1.
    pub v: u32,
    /// Which start this is.
    pub run: Run,
    /// Where it stands.
    pub phase: Phase,
    /// Where gateways reach it.
    pub address: SocketAddr,
    /// When this phase began.
    pub since: Timestamp,
    /// Process id; `None` while none runs.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Restarts within the last 10 minutes.
    #[serde(default)]
    pub restarts: u32,
    /// The agent's own probe of it.
    #[serde(default)]
    pub local: Option<Verdict>,
    /// Why it is in this phase: `exited with status 3`, `killed by signal 9`, `down for all gateways: no answer in 1s`.
    #[serde(default)]
    pub reason: String,
    /// When the agent will start it again, while it waits.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
}

/// Where an instance stands, as its agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The process lives; whether it serves is for the gateways to say.
    Running,
    /// Told to go: no new requests; it is stopped when those in flight have ended.
    Stopping,
    /// It ended by itself or was killed as down; a restart is due at `retry_at`.
    Exited,
    /// The restart budget is spent, or it cannot be started at all; only a new generation tries again.
    Failed,
}

/// The document at `verdicts/<gateway>/<service>/<n>`, under the gateway's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictReport {
    /// Format version, 1.
    pub v: u32,
    /// Of which assignment; era and counter 0 for fixed endpoints.
    pub generation: Generation,
    /// Of which start.
    pub run: Run,
    /// What this gateway thinks.
    pub verdict: Verdict,
    /// The last failure as text; empty while up.
    #[serde(default)]
    pub reason: String,
    /// When the verdict began.
    pub since: Timestamp,
    /// The instance is stopping and no request of this gateway is left on it.
    #[serde(default)]
    pub drained: bool,
}

/// The document at `loads/<gateway>/<service>`, under the gateway's lease, of a service that follows its load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLoad {
    /// Format version, 1.
    pub v: u32,
    /// Requests being served or waiting for a place, the mean of a few seconds.
    pub in_flight: u32,
    /// Response time that 95 of 100 requests of the last 30 to 60 s did not pass; `None` without requests.
    #[serde(rename = "p95_ms", with = "milliseconds", default)]
    pub p95: Option<Duration>,
    /// Instances that this site must have for visitors whom sites that come before it do not serve, by what the gateway sees of those; 0
    /// where they do.
    #[serde(default, skip_serializing_if = "is_none")]
    pub called: u32,
}

fn is_none(number: &u32) -> bool {
    *number == 0
}

mod milliseconds {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        value
            .map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
            .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_millis))
    }
}

/// The document at `gateways/<gateway>/alive`, under the gateway's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayAlive {
    /// Format version, 1.
    pub v: u32,
    /// When this process began.
    pub since: Timestamp,
}

/// The document at `nodes/<node>/alive`, under the agent's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAlive {
    /// Format version, 1.
    pub v: u32,
    /// When this agent process began.
    pub since: Timestamp,
}

/// The document at `nodes/<node>/info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Format version, 1.
    pub v: u32,
    /// minato's version.
    pub version: String,
    /// Logical processors.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// What the operator says of the machine; services ask for labels by `nodes`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How far more than the machine has may be promised to instances.
    #[serde(default)]
    pub overcommit: Overcommit,
}

/// The document at `nodes/<node>/load`: how busy the machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLoad {
    /// Format version, 1.
    pub v: u32,
    /// When it was measured, by the machine's own clock: a wrong clock shows in it.
    pub at: Timestamp,
    /// Processor time in use, in thousandths of all processors together.
    pub cpu_permille: u16,
    /// Bytes of memory that programs could still have.
    pub memory_free_bytes: u64,
    /// Bytes that may still be written where minato keeps its data.
    pub disk_free_bytes: u64,
    /// Size of that file system in bytes.
    pub disk_bytes: u64,
    /// Bytes received in a second, loopback left out.
    pub received_per_s: u64,
    /// Bytes sent in a second, loopback left out.
    pub sent_per_s: u64,
}

/// The document at `nodes/<node>/reach`: which of the things that services depend on cannot be used from this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReach {
    /// Format version, 1.
    pub v: u32,
    /// By name, and why: `database: 10.0.0.9:3306 connect refused: connection refused`, at most 300 bytes each. What is not named here
    /// can be used, is not known yet, or no setting of the node explains it.
    pub lacks: BTreeMap<DependencyName, String>,
}

/// The document at `nodes/<node>/usage`: what each instance of a node uses, as its agent measures it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeUsage {
    /// Format version, 1.
    pub v: u32,
    /// Living instances, sorted by service and slot.
    pub instances: Vec<InstanceUsage>,
}

/// What one instance used over the last seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceUsage {
    /// Of what.
    pub service: ServiceName,
    /// Which place.
    pub slot: SlotIndex,
    /// Under which assignment.
    pub generation: Generation,
    /// Which start.
    pub run: Run,
    /// Thousandths of a processor.
    pub cpu_milli: u32,
    /// Bytes of memory in use, without what could be dropped at once.
    pub memory_bytes: u64,
    /// Bytes from and to disks in a second; `None` where its runtime cannot tell.
    #[serde(default)]
    pub disk: Option<Flow>,
    /// Bytes from and to networks in a second; `None` where its runtime cannot tell.
    #[serde(default)]
    pub network: Option<Flow>,
}

/// Bytes towards an instance and away from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Read or received.
    pub inward: u64,
    /// Written or sent.
    pub outward: u64,
}

/// The document at `drains/<node>`, written by operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDrain {
    /// Format version, 1.
    pub v: u32,
    /// The node is to be empty: nothing new goes there, what is there moves elsewhere.
    pub drain: bool,
    /// Who said it.
    #[serde(default)]
    pub who: String,
    /// When.
    #[serde(default)]
    pub since: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;
    use std::fmt::Debug;

    /// Encodes to exactly `golden`, decodes back, and still decodes with a field that a later minato may add.
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(document: &T, golden: &str) {
        assert_eq!(serde_json::to_string(document).unwrap(), golden);
        assert_eq!(&serde_json::from_str::<T>(golden).unwrap(), document);
        let later = golden.replacen('{', r#"{"later":{"deep":[1]},"#, 1);
        assert_eq!(&serde_json::from_str::<T>(&later).unwrap(), document);
    }

    fn instance() -> Instance {
        Instance {
            v: 1,
            run: Run(3),
            phase: Phase::Exited,
            address: "127.0.0.1:20001".parse().unwrap(),
            since: Timestamp(1_700_000_000_000),
            pid: None,
            restarts: 2,
            local: Some(Verdict::Down),
            reason: "exited with status 3".to_owned(),
            retry_at: Some(Timestamp(1_700_000_001_000)),
        }
    }

    #[test]
    fn golden_documents() {
        check(
            &instance(),
            r#"{"v":1,"run":3,"phase":"exited","address":"127.0.0.1:20001","since":1700000000000,"pid":null,"restarts":2,"local":"down","reason":"exited with status 3","retry_at":1700000001000}"#,
        );
        check(
            &VerdictReport {
                v: 1,
                generation: Generation { era: 1, counter: 4 },
                run: Run(3),
                verdict: Verdict::Suspect,
                reason: "no answer: no answer in 1s".to_owned(),
                since: Timestamp(5),
                drained: true,
            },
            r#"{"v":1,"generation":{"era":1,"counter":4},"run":3,"verdict":"suspect","reason":"no answer: no answer in 1s","since":5,"drained":true}"#,
        );
        check(
            &ServiceLoad {
                v: 1,
                in_flight: 41,
                p95: Some(Duration::from_millis(250)),
                called: 0,
            },
            r#"{"v":1,"in_flight":41,"p95_ms":250}"#,
        );
        check(
            &ServiceLoad {
                v: 1,
                in_flight: 0,
                p95: None,
                called: 5,
            },
            r#"{"v":1,"in_flight":0,"p95_ms":null,"called":5}"#,
        );
        check(
            &GatewayAlive {
                v: 1,
                since: Timestamp(5),
            },
            r#"{"v":1,"since":5}"#,
        );
        check(
            &NodeAlive {
                v: 1,
                since: Timestamp(5),
            },
            r#"{"v":1,"since":5}"#,
        );
        check(
            &NodeInfo {
                v: 1,
                version: "0.1.0".to_owned(),
                cpus: 2,
                memory_bytes: 1 << 30,
                labels: [("zone".to_owned(), "a".to_owned())].into(),
                overcommit: Overcommit::default(),
            },
            r#"{"v":1,"version":"0.1.0","cpus":2,"memory_bytes":1073741824,"labels":{"zone":"a"},"overcommit":{"cpu_percent":200,"memory_percent":100}}"#,
        );
        check(
            &NodeLoad {
                v: 1,
                at: Timestamp(5),
                cpu_permille: 125,
                memory_free_bytes: 4,
                disk_free_bytes: 3,
                disk_bytes: 6,
                received_per_s: 2,
                sent_per_s: 1,
            },
            r#"{"v":1,"at":5,"cpu_permille":125,"memory_free_bytes":4,"disk_free_bytes":3,"disk_bytes":6,"received_per_s":2,"sent_per_s":1}"#,
        );
        check(
            &NodeUsage {
                v: 1,
                instances: vec![InstanceUsage {
                    service: ServiceName::parse("library").unwrap(),
                    slot: SlotIndex(1),
                    generation: Generation { era: 1, counter: 5 },
                    run: Run(3),
                    cpu_milli: 750,
                    memory_bytes: 1 << 20,
                    disk: Some(Flow {
                        inward: 7,
                        outward: 8,
                    }),
                    network: None,
                }],
            },
            r#"{"v":1,"instances":[{"service":"library","slot":1,"generation":{"era":1,"counter":5},"run":3,"cpu_milli":750,"memory_bytes":1048576,"disk":{"inward":7,"outward":8},"network":null}]}"#,
        );
        check(
            &NodeDrain {
                v: 1,
                drain: true,
                who: "alice".to_owned(),
                since: Timestamp(5),
            },
            r#"{"v":1,"drain":true,"who":"alice","since":5}"#,
        );
    }

    #[test]
    fn what_may_be_missing_is_filled_in() {
        let text = r#"{"v":1,"run":3,"phase":"running","address":"[::1]:80","since":5}"#;
        let instance: Instance = serde_json::from_str(text).unwrap();
        assert_eq!(
            (instance.pid, instance.restarts, instance.local),
            (None, 0, None)
        );
        assert_eq!((instance.reason.as_str(), instance.retry_at), ("", None));
        let text = r#"{"v":1,"generation":{"era":0,"counter":0},"run":0,"verdict":"up","since":5}"#;
        let report: VerdictReport = serde_json::from_str(text).unwrap();
        assert_eq!((report.reason.as_str(), report.drained), ("", false));
    }

    #[test]
    fn a_node_of_an_older_minato_has_no_labels_and_the_default_overcommit() {
        let text = r#"{"v":1,"version":"0.1.0","cpus":2,"memory_bytes":1073741824}"#;
        let info: NodeInfo = serde_json::from_str(text).unwrap();
        assert!(info.labels.is_empty());
        assert_eq!(info.overcommit, Overcommit::default());
    }

    #[test]
    fn what_must_be_there_is_asked_for() {
        for text in [
            r#"{"v":1,"phase":"running","address":"[::1]:80","since":5}"#,
            r#"{"v":1,"run":3,"phase":"flying","address":"[::1]:80","since":5}"#,
            r#"{"v":1,"run":3,"phase":"running","address":"here","since":5}"#,
            r#"{"v":1,"run":-3,"phase":"running","address":"[::1]:80","since":5}"#,
            "[]",
            "",
        ] {
            assert!(serde_json::from_str::<Instance>(text).is_err(), "{text}");
        }
    }
}
