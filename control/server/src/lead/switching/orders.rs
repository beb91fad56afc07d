//! Carries out what a look orders, beside everything else: each order in a task of its own, one at a time for each service.

use super::{Switching, Then};
use crate::api::SwitchRequest;
use crate::lead::doors;
use crate::lead::moving::Moved;
use crate::lead::peers::{PeerAnswer, PeerCall};
use http::Method;
use minato_config::{OrderRecord, ServiceName, SiteId};
use minato_control::operation::Work;
use minato_control::operation::switch::{Asking, Order, Ordered, remaining};
use minato_control::{OperationId, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A site that did not take something back is asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// Orders under way at once.
const MOST_ORDERS: usize = 64;

/// What one site was asked, and said.
#[derive(Debug, Clone)]
pub(super) struct Back {
    pub(super) at: Instant,
    /// It has not answered yet.
    pub(super) is_asked: bool,
    pub(super) answer: Option<Result<String, String>>,
}

impl Switching {
    /// Does what is ordered, beside everything else.
    pub(in crate::lead) fn carry_out(&mut self, world: &World, then: Then) {
        match then {
            Then::Orders(id, who, orders) => {
                let left = remaining(world, &self.site);
                for (ordered, record) in orders {
                    self.order(world, id, &who, &ordered, record, &left);
                }
            }
            Then::Ask(id, who, asking, work) => {
                for it in asking {
                    self.ask_back(id, &who, &it, &work);
                }
            }
        }
    }

    fn order(
        &mut self,
        world: &World,
        id: OperationId,
        who: &str,
        ordered: &Ordered,
        record: Option<OrderRecord>,
        left: &BTreeMap<SiteId, Vec<ServiceName>>,
    ) {
        let Ordered {
            service,
            switch,
            order,
        } = ordered;
        match order {
            // Both are in the document's commit.
            Order::Warm | Order::First(_) => {}
            Order::Tell(_) => {
                let Some(record) = record else { return };
                let told = serde_json::json!({ "service": service, "order": record });
                let body = serde_json::to_vec(&told).unwrap_or_default();
                self.tell(&switch.from, service, "/v1/orders", body);
            }
            Order::Publish => {
                let Some(all) = self.doors.clone() else {
                    return;
                };
                let doors = all.doors();
                let doors = doors::of_service(&doors, world, service, &switch.from, left);
                let who = format!("operation {id} of {who}");
                self.asked.ask(all.as_ref(), &doors, &who);
            }
            Order::Hold(..) | Order::Release | Order::Sync(_) => {
                let moved = Moved {
                    id,
                    service,
                    switch,
                };
                self.moving.carry_out(world, moved, order);
            }
        }
    }

    /// One at a time for each service: what is slow is not asked for again and again.
    fn tell(&mut self, site: &SiteId, service: &ServiceName, path: &'static str, body: Vec<u8>) {
        let Some(peers) = &self.peers else { return };
        let key = (service.clone(), path);
        {
            let mut under_way = self.lock_under_way();
            if under_way.len() >= MOST_ORDERS || !under_way.insert(key.clone()) {
                return;
            }
        }
        let (way, site) = (Arc::clone(&peers.way), site.clone());
        let under_way = Arc::clone(&self.under_way);
        self.tasks.spawn(async move {
            if let Err(why) = way.tell(&site, path, body).await {
                tracing::warn!(%site, service = %key.0, why, "an order was not taken; it is given again");
            }
            let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.remove(&key);
        });
    }

    fn lock_under_way(&self) -> std::sync::MutexGuard<'_, BTreeSet<(ServiceName, &'static str)>> {
        let lock = self.under_way.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a site to take back what it served. It knows the request by its name where it was asked before.
    fn ask_back(&mut self, id: OperationId, who: &str, asking: &Asking, work: &Work) {
        let (Some(peers), Work::Return(work)) = (&self.peers, work) else {
            return;
        };
        {
            let mut backs = self.backs.lock().unwrap_or_else(PoisonError::into_inner);
            let known = backs.entry(id).or_default();
            let before = known.get(&asking.site);
            let is_due = before.is_none_or(|it| !it.is_asked && it.at.elapsed() >= AGAIN);
            if !is_due {
                return;
            }
            let back = Back {
                at: Instant::now(),
                // While it is asked again what it said before stands.
                answer: before.and_then(|it| it.answer.clone()),
                is_asked: true,
            };
            known.insert(asking.site.clone(), back);
        }
        let request = SwitchRequest {
            to: asking.site.to_string(),
            services: asking.services.iter().map(ToString::to_string).collect(),
            kind: "switch".to_owned(),
            size: Some(work.size),
            quiet_ms: Some(work.timing.quiet_ms),
            watch_ms: Some(work.timing.watch_ms),
            asked_by: format!("{}/{id}", self.site),
            who: who.to_owned(),
            why: format!("return of operation {} of {}", work.of, self.site),
            ..SwitchRequest::default()
        };
        let (way, site) = (Arc::clone(&peers.way), asking.site.clone());
        let backs = Arc::clone(&self.backs);
        self.tasks.spawn(async move {
            let call = PeerCall {
                method: Method::POST,
                path: "switches".to_owned(),
                body: serde_json::to_vec(&request).unwrap_or_default(),
            };
            let answer = way.call(&site, &call).await;
            let answer = answer.and_then(|it| understood(&site, &it));
            let mut backs = backs.lock().unwrap_or_else(PoisonError::into_inner);
            let back = Back {
                at: Instant::now(),
                is_asked: false,
                answer: Some(answer),
            };
            backs.entry(id).or_default().insert(site, back);
        });
    }
}

fn understood(site: &SiteId, answer: &PeerAnswer) -> Result<String, String> {
    if answer.status.is_success() {
        let answer: crate::api::SwitchAnswer = serde_json::from_slice(&answer.body)
            .map_err(|it| format!("{site} answers what is not understood: {it}"))?;
        return Ok(format!(
            "operation {} of {site} leads back",
            answer.operation.id
        ));
    }
    let error: crate::api::ApiError = serde_json::from_slice(&answer.body).unwrap_or_default();
    Err(format!("{site} refuses: {}", error.error))
}
