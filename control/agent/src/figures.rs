//! The newest figures of this node and of its instances, shared within the process with whoever shows them.

use crate::runtime::Usage;
use minato_control::RunName;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle; its clones share one board. Empty where no agent runs.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    node: Option<NodeFigures>,
    instances: BTreeMap<RunName, Usage>,
}

/// How busy the machine is, with everything that runs on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NodeFigures {
    /// Thousandths of all processors, over the last look.
    pub(crate) cpu_permille: u16,
    pub(crate) memory_free_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) disk_free_bytes: u64,
    pub(crate) disk_bytes: u64,
    /// Since the machine began.
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

/// The same of the node: without `minato_node_`.
type NodeMetric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&NodeFigures) -> f64,
);

const NODE_METRICS: [NodeMetric; 7] = [
    (
        "cpu_ratio",
        "gauge",
        "Part of the machine's processors that is in use.",
        |it| f64::from(it.cpu_permille) / 1_000.0,
    ),
    (
        "memory_free_bytes",
        "gauge",
        "Memory that programs could still have.",
        |it| float(it.memory_free_bytes),
    ),
    ("memory_bytes", "gauge", "Memory of the machine.", |it| {
        float(it.memory_bytes)
    }),
    (
        "disk_free_bytes",
        "gauge",
        "What may still be written where minato keeps its data.",
        |it| float(it.disk_free_bytes),
    ),
    (
        "disk_bytes",
        "gauge",
        "Room where minato keeps its data.",
        |it| float(it.disk_bytes),
    ),
    (
        "network_receive_bytes_total",
        "counter",
        "Bytes that the machine received since it began, loopback apart.",
        |it| float(it.received_bytes),
    ),
    (
        "network_transmit_bytes_total",
        "counter",
        "Bytes that the machine sent since it began, loopback apart.",
        |it| float(it.sent_bytes),
    ),
];

/// One metric: its name without `minato_instance_`, type, help, and what it takes of a usage.
type Metric = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Usage) -> Option<f64>,
);

const METRICS: [Metric; 6] = [
    (
        "cpu_seconds_total",
        "counter",
        "Processor time of an instance since its start.",
        |it| Some(it.cpu.as_secs_f64()),
    ),
    (
        "memory_bytes",
        "gauge",
        "Memory that an instance uses, without what could be dropped at once.",
        |it| Some(float(it.memory_bytes)),
    ),
    (
        "disk_read_bytes_total",
        "counter",
        "Bytes that an instance read from disks since its start.",
        |it| it.disk.map(|it| float(it.inward)),
    ),
    (
        "disk_written_bytes_total",
        "counter",
        "Bytes that an instance wrote to disks since its start.",
        |it| it.disk.map(|it| float(it.outward)),
    ),
    (
        "network_receive_bytes_total",
        "counter",
        "Bytes that an instance received since its start.",
        |it| it.network.map(|it| float(it.inward)),
    ),
    (
        "network_transmit_bytes_total",
        "counter",
        "Bytes that an instance sent since its start.",
        |it| it.network.map(|it| float(it.outward)),
    ),
];

impl Figures {
    pub(crate) fn show(&self, newest: BTreeMap<RunName, Usage>) {
        self.board().instances = newest;
    }

    pub(crate) fn show_node(&self, newest: NodeFigures) {
        self.board().node = Some(newest);
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prometheus text format 0.0.4, each line ended; empty where no agent runs. Services and places are the only labels.
    pub fn metrics(&self) -> String {
        let board = self.board();
        let shown = &board.instances;
        let mut out = String::new();
        for (name, kind, help, value) in NODE_METRICS {
            let Some(node) = &board.node else { break };
            let value = value(node);
            let _ = write!(
                out,
                "# HELP minato_node_{name} {help}\n# TYPE minato_node_{name} {kind}\nminato_node_{name} {value}\n"
            );
        }
        for (name, kind, help, value) in METRICS {
            let mut is_first = true;
            for (run, usage) in shown.iter() {
                let Some(value) = value(usage) else { continue };
                if std::mem::take(&mut is_first) {
                    let _ = write!(
                        out,
                        "# HELP minato_instance_{name} {help}\n# TYPE minato_instance_{name} {kind}\n"
                    );
                }
                let (service, slot) = (&run.service, run.slot);
                let _ = writeln!(
                    out,
                    "minato_instance_{name}{{service=\"{service}\",slot=\"{slot}\"}} {value}"
                );
            }
        }
        out
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has no other numbers; exact up to 8 PiB"
)]
fn float(it: u64) -> f64 {
    it as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use minato_health::Flow;
    use std::time::Duration;

    #[test]
    fn the_machine_has_its_figures_without_an_instance() {
        let figures = Figures::default();
        figures.show_node(NodeFigures {
            cpu_permille: 125,
            memory_free_bytes: 1,
            memory_bytes: 2,
            disk_free_bytes: 3,
            disk_bytes: 4,
            received_bytes: 5,
            sent_bytes: 6,
        });
        let text = figures.metrics();
        let lines: Vec<&str> = text.lines().filter(|it| !it.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "minato_node_cpu_ratio 0.125",
                "minato_node_memory_free_bytes 1",
                "minato_node_memory_bytes 2",
                "minato_node_disk_free_bytes 3",
                "minato_node_disk_bytes 4",
                "minato_node_network_receive_bytes_total 5",
                "minato_node_network_transmit_bytes_total 6",
            ]
        );
        assert_eq!(text.matches("# TYPE").count(), lines.len());
    }

    #[test]
    fn each_instance_and_only_what_its_runtime_can_tell() {
        let figures = Figures::default();
        assert_eq!(figures.metrics(), "");
        let run = |text| RunName::parse(text).unwrap();
        let usage = Usage {
            cpu: Duration::from_millis(1_250),
            memory_bytes: 3 << 20,
            ..Usage::default()
        };
        let contained = Usage {
            network: Some(Flow {
                inward: 5,
                outward: 6,
            }),
            ..usage
        };
        figures.show(
            [
                (run("library.0.1.4.2"), usage),
                (run("library.1.1.5.1"), contained),
            ]
            .into(),
        );
        assert_eq!(
            figures.metrics(),
            "# HELP minato_instance_cpu_seconds_total Processor time of an instance since its start.\n\
             # TYPE minato_instance_cpu_seconds_total counter\n\
             minato_instance_cpu_seconds_total{service=\"library\",slot=\"0\"} 1.25\n\
             minato_instance_cpu_seconds_total{service=\"library\",slot=\"1\"} 1.25\n\
             # HELP minato_instance_memory_bytes Memory that an instance uses, without what could be dropped at once.\n\
             # TYPE minato_instance_memory_bytes gauge\n\
             minato_instance_memory_bytes{service=\"library\",slot=\"0\"} 3145728\n\
             minato_instance_memory_bytes{service=\"library\",slot=\"1\"} 3145728\n\
             # HELP minato_instance_network_receive_bytes_total Bytes that an instance received since its start.\n\
             # TYPE minato_instance_network_receive_bytes_total counter\n\
             minato_instance_network_receive_bytes_total{service=\"library\",slot=\"1\"} 5\n\
             # HELP minato_instance_network_transmit_bytes_total Bytes that an instance sent since its start.\n\
             # TYPE minato_instance_network_transmit_bytes_total counter\n\
             minato_instance_network_transmit_bytes_total{service=\"library\",slot=\"1\"} 6\n"
        );
    }
}
