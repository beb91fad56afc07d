//! The newest figures of this node's instances, shared within the process with whoever shows them.

use crate::runtime::Usage;
use minato_control::RunName;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// A handle; its clones share one board. Empty where no agent runs.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Mutex<BTreeMap<RunName, Usage>>>);

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
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = newest;
    }

    /// Prometheus text format 0.0.4, each line ended; empty without instances. Services and places are the only labels.
    pub fn metrics(&self) -> String {
        let shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
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
