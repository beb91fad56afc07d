//! What to type for what did not come about because nobody led at the time. Pure.

use super::record::Switch;
use crate::operation::{Operation, OperationId, SwitchKind, Work};
use minato_config::{ServiceName, SiteId};
use std::collections::BTreeMap;

/// Names that a command is told with; of more it says where they stand.
const SHOWN: usize = 8;

/// For a switch, a failover or a drill that was missed.
pub(super) fn begin_again(id: OperationId, operation: &Operation) -> Option<String> {
    let Work::Switch(work) = &operation.work else {
        return None;
    };
    let services: Vec<_> = operation.steps.iter().map(|it| &it.service).collect();
    let (kind, to) = (work.kind.as_str(), &work.to);
    let command = format!("minato {kind} --to {to}{}", named(&services, id));
    Some(match (work.kind, operation.schedule.at) {
        (SwitchKind::Failover, _) | (_, None) => command,
        (SwitchKind::Switch | SwitchKind::Drill, Some(_)) => {
            let zone = &operation.schedule.zone;
            format!("{command} --at \"DATE TIME {zone}\", or without --at for now")
        }
    })
}

/// For a return that was missed: one command for each site that served what `first` has moved.
pub(super) fn lead_back(first: OperationId, operation: Option<&Operation>) -> String {
    let steps = operation.iter().flat_map(|it| &it.steps);
    let moved = steps.filter_map(|it| {
        let switch: &Switch = it.switch.as_deref().filter(|it| it.has_moved())?;
        Some((&switch.from, &it.service))
    });
    let mut sites: BTreeMap<&SiteId, Vec<&ServiceName>> = BTreeMap::new();
    for (site, service) in moved {
        sites.entry(site).or_default().push(service);
    }
    let commands: Vec<String> = (sites.iter())
        .map(|(site, services)| format!("minato switch --to {site}{}", named(services, first)))
        .collect();
    match commands.as_slice() {
        [] => "minato switch --to SITE leads back by hand".to_owned(),
        all => format!("{} leads back by hand", all.join("; ")),
    }
}

fn named(services: &[&ServiceName], id: OperationId) -> String {
    if services.len() > SHOWN {
        return format!(" --services NAMES (minato operation show {id} has them)");
    }
    let names: Vec<&str> = services.iter().map(|it| it.as_str()).collect();
    format!(" --services {}", names.join(","))
}
